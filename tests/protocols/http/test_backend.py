"""HTTP as the broker finds it: one object with everything that a backend protocol answers."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyClass, verifyObject

from sslbroker.errors import NoServer
from sslbroker.interfaces import Head, IBackendProtocol, ICodec, IExchangeRules, IProbe, IResponseClassifier
from sslbroker.protocols.http.backend import HTTP, HTTPProtocol

from .written import BROKER, CLIENT, SERVER, line, pool, request


def test_the_interfaces_are_provided() -> None:
    verifyClass(IBackendProtocol, HTTPProtocol)
    verifyObject(IBackendProtocol, HTTP)
    verifyClass(IProbe, HTTPProtocol)
    verifyObject(IProbe, HTTP)
    verifyObject(IExchangeRules, HTTP.rules(pool(), BROKER))
    verifyObject(IResponseClassifier, HTTP.classifier(pool()))
    verifyObject(ICodec, HTTP.client_codec(1024, 10))
    verifyObject(ICodec, HTTP.server_codec(1024, 10))


def test_it_is_http_and_the_client_speaks_first() -> None:
    assert (HTTP.name, HTTP.server_first) == ("http", False)


def test_answers_are_dated_by_the_given_clock() -> None:
    [head, *_] = HTTPProtocol(lambda: 0.0).rules(pool(), BROKER).error_answer(NoServer(), None, 1)
    assert isinstance(head, Head)
    assert line(head.message, "Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


def test_a_request_goes_through_codecs_and_rules() -> None:
    client, link = HTTP.client_codec(1024, 10), HTTP.server_codec(1024, 10)
    rules = HTTP.rules(pool(), BROKER)
    head, *_ = client.receive(b"GET /a HTTP/1.1\r\nHost: shop\r\nConnection: X-B\r\nX-B: 1\r\nX-C: 2\r\n\r\n")
    assert isinstance(head, Head)
    on = link.send(Head(link.open(), rules.to_server(head.message, CLIENT, SERVER, False)))
    assert on.startswith(b"GET /a HTTP/1.1\r\nHost: shop\r\nX-C: 2\r\nX-Forwarded-For: 198.51.100.7\r\n")
    assert b"X-B" not in on


def test_a_refused_connect_is_answered_through_the_codec() -> None:
    client = HTTP.client_codec(1024, 10)
    rules = HTTP.rules(pool(), BROKER)
    head, *_ = client.receive(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
    assert isinstance(head, Head)
    error = rules.admit(head.message, CLIENT)
    assert error is not None
    answer = b"".join(map(client.send, rules.error_answer(error, head.message, head.exchange)))
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: GET, " in answer


def test_an_answer_to_head_passes_the_codec() -> None:
    client = HTTP.client_codec(1024, 10)
    head, *_ = client.receive(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert isinstance(head, Head)
    events = HTTP.rules(pool(), BROKER).error_answer(NoServer(), head.message, head.exchange)
    answer = b"".join(map(client.send, events))
    start, _, content = answer.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 503 ")
    assert start.lower().count(b"\r\ncontent-length: ") == 1
    assert content == b""


def test_request_test_helpers_agree_with_the_codec() -> None:
    """The rules are tested with messages of `written`: they have to be what a codec gives."""
    lines = ("Host: a", "Connection: Upgrade, X-B", "Upgrade: websocket", "X-B: 1")
    raw = "\r\n".join(("GET /a HTTP/1.1", *lines, "", "")).encode()
    head, *_ = HTTP.client_codec(1024, 10).receive(raw)
    assert isinstance(head, Head)
    ours, theirs = request("GET /a", *lines), head.message
    for name in ("method", "target", "minor", "host", "upgrade", "framing", "length"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert set(ours.options) == set(theirs.options)
    assert set(theirs.fields) <= set(ours.fields)


# --- the probe --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "named"), [("shop.internal", b"shop.internal"), ("10.0.0.9", b"10.0.0.9"), ("::1", b"[::1]")]
)
def test_a_probe_is_a_request_that_servers_understand_and_that_changes_nothing(
    host: str, named: bytes
) -> None:
    asked = HTTP.probe(host)
    assert asked == b"OPTIONS / HTTP/1.1\r\nHost: " + named + b"\r\nConnection: close\r\n\r\n"
    head, _ = HTTP.client_codec(1024, 10).receive(asked)
    assert isinstance(head, Head)
    assert (head.message.method, head.message.close) == (b"OPTIONS", True)


_STATUS_LINES = [
    "HTTP/1.1 200 OK",
    "HTTP/1.0 501 Unsupported method ('OPTIONS')",
    "HTTP/1.1 405",
    "HTTP/1.1 401 ",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 200 " + "x" * (1024 - 15),
]


@pytest.mark.parametrize("line", _STATUS_LINES)
def test_a_status_line_is_an_answer_in_http_and_its_beginning_may_become_one(line: str) -> None:
    whole = line.encode() + b"\r\n"
    assert len(whole) <= 1024
    for size in range(len(whole)):
        assert HTTP.answers(whole[:size]) is None
    assert HTTP.answers(whole) is True
    assert HTTP.answers(whole + b"Server: x\r\n\r\n" + b"y" * 100_000) is True


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"HTTP/1.0 400\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\n",
        b"HTTP/1.1 301 Moved Permanently\r\n",
        b"HTTP/1.1 308 Permanent Redirect\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"220 mail.example ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"http/1.1 200 OK\r\n",
        b"HTTP/2 200\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        b"HTTP/1.1 200 OK\nServer: x",
        b"HTTP/1.1 200 OK\rServer: x",
        b"HTTP/1.1 200 OK\nServer: x\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 1011,
        b"HTTP/1.1 200 " + b"x" * 1010 + b"\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
    ],
)
def test_anything_else_is_no_answer_in_http(received: bytes) -> None:
    assert HTTP.answers(received) is False
