"""Trailers of a request: what a server that merges them into the head must not learn from them."""

from __future__ import annotations

import pytest

from sslbroker.protocols.http.forwarding import Forwarding
from sslbroker.protocols.http.message import Framing, Request, Trailers
from sslbroker.protocols.http.trailers import for_server
from sslbroker.settings import HeaderRules

from ...memory import BrokerCase
from .written import BROKER, CLIENT, SERVER, fields, pool, request

RULES = HeaderRules(set={"X-User": "nobody"}, remove=("X-Debug",), add={"X-Edge": "1"})


def head(rules: HeaderRules = RULES) -> Request:
    """What a server gets of an upload, under `rules`."""
    upload = request("PUT /", "Host: a", "X-Request-ID: 7", framing=Framing.CHUNKED)
    return Forwarding(pool(rules), BROKER).to_server(upload, CLIENT, SERVER, False)


def passed(*lines: str) -> list[str]:
    trailers = for_server(Trailers(fields(*lines)), head())
    return [f"{spelt.decode()}: {value.decode()}" for _, spelt, value in trailers.fields] if trailers else []


def test_a_trailer_that_nobody_decides_about_goes_on_as_it_came() -> None:
    assert passed("Server-Timing: a", "X-Sum: 1", "x-sum: 2") == ["Server-Timing: a", "X-Sum: 1", "x-sum: 2"]


@pytest.mark.parametrize("name", ["X-User", "X-Debug", "x_user", "X.Debug", "X-Forwarded-For"])
def test_what_the_operator_sets_or_removes_cannot_come_behind_the_body(name: str) -> None:
    assert passed(f"{name}: root") == []


@pytest.mark.parametrize("name", ["X-Request-ID", "x_request_id", "X-Edge"])
def test_a_field_of_the_head_cannot_be_said_again_behind_the_body(name: str) -> None:
    assert passed(f"{name}: 8", "X-Sum: 1") == ["X-Sum: 1"]


def test_a_head_that_no_rules_made_guards_what_it_says() -> None:
    assert for_server(Trailers(fields("X-Request-ID: 8")), request("PUT /", "X-Request-ID: 7")) is None
    assert for_server(None, head()) is None
    assert for_server(Trailers(fields("X-Sum: 1")), None) is None


class TrailersThroughTheBroker(BrokerCase):
    def test_a_server_sees_only_trailers_that_change_nothing(self) -> None:
        self.start(headers=RULES)
        client = self.client()
        client.sends(
            b"PUT / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n"
            b"2\r\nhi\r\n0\r\n"
            b"X-Forwarded-For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nClient-Cert: :AA==:\r\nProxy: http://6.6.6.6\r\n"
            b"X-User: root\r\nx.debug: 1\r\nX-Hop: 1\r\nX-Sum: 49\r\n\r\n"
        )
        link = self.servers[0].link()
        sent = link.takes()
        self.assertTrue(sent.endswith(b"\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 49\r\n\r\n"), sent)
        link.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 204 "))

    def test_a_client_sees_no_trailer_that_connection_names(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"GET / HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\n\r\n")
        link = self.servers[0].link()
        link.sends(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n"
            b"0\r\nX-Hop: 1\r\nServer-Timing: a\r\n\r\n"
        )
        self.assertTrue(client.takes().endswith(b"\r\n\r\n0\r\nServer-Timing: a\r\n\r\n"))
