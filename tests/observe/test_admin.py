"""The admin pages answer who may ask, and let nobody hold them up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from sslbroker.core.figures import BrokerFigures, PoolFigures, ServerFigures, StorageFigures
from sslbroker.observe.accesslog import AccessLog
from sslbroker.observe.admin import CONNECTIONS, TIMEOUT, admin_site

from .samples import busy_broker

HERE = IPv4Address("TCP", "127.0.0.1", 9100)
LAN = IPv4Address("TCP", "192.0.2.7", 9100)
FAR = IPv4Address("TCP", "192.0.2.99", 50_000)

PROTECTION = {
    "server": "sslbroker",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Connection:
    """A client's connection to the pages."""

    def __init__(self, site: Site, arrived_at: IAddress = HERE) -> None:
        self.transport = StringTransport(hostAddress=arrived_at, peerAddress=FAR)
        self.protocol: Any = site.buildProtocol(FAR)
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def received(self) -> bytes:
        return bytes(self.transport.value())

    @property
    def status(self) -> int:
        return int(self.received.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.received.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        pairs = [line.split(": ", 1) for line in lines]
        assert len({name.lower() for name, _ in pairs}) == len(pairs)
        return {name.lower(): value for name, value in pairs}

    @property
    def content(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]


class AdminCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.figures = busy_broker()
        self.site = self.pages()

    def pages(
        self,
        *,
        extra: Callable[[], Mapping[str, Any]] | None = None,
        registry: CollectorRegistry | None = None,
        access_log: AccessLog | None = None,
        fresh: Callable[[], Deferred[None]] | None = None,
    ) -> Site:
        return admin_site(
            lambda: self.figures,
            self.clock,
            access_log=access_log,
            extra=extra,
            registry=registry,
            fresh=fresh,
            hosts=["broker.test"],
        )

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        host: str | None = "localhost:9100",
        at: IAddress = HERE,
        site: Site | None = None,
        more: str = "",
    ) -> Connection:
        """One request and its whole answer."""
        connection = Connection(site or self.site, at)
        named = f"Host: {host}\r\n" if host is not None else ""
        connection.send(f"{method} {path} HTTP/1.1\r\n{named}{more}\r\n".encode("latin-1"))
        self.clock.pump([0] * 100)
        return connection

    def finish(self, *connections: Connection) -> None:
        for connection in connections:
            connection.lose()
        assert self.clock.getDelayedCalls() == []


class Pages(AdminCase):
    def test_metrics_are_prometheus_text(self) -> None:
        answer = self.ask("/metrics")

        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        metrics = {metric.name: metric for metric in text_string_to_metric_families(answer.content.decode())}
        assert metrics["sslbroker_listener_connections"].samples[0].value == 3
        assert "python_info" in metrics
        self.finish(answer)

    def test_metrics_include_the_access_log_when_there_is_one(self) -> None:
        log = AccessLog("-", self.clock)
        log.lost = 17

        answer = self.ask("/metrics", site=self.pages(access_log=log))

        assert b"\nsslbroker_access_log_lost_lines_total 17.0\n" in answer.content

    def test_state_is_json(self) -> None:
        self.clock.advance(self.figures.started + 5)

        answer = self.ask("/state", site=self.pages(extra=lambda: {"draining": True, "odd": HERE}))
        shown = json.loads(answer.content)

        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert (shown["uptime"], shown["draining"]) == (5.0, True)
        assert shown["pools"][0]["servers"][0]["address"] == "10.0.0.1:80"
        self.finish(answer)

    def test_the_index_links_to_both_and_runs_nothing(self) -> None:
        answer = self.ask("/")

        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert b'href="/metrics"' in answer.content
        assert b'href="/state"' in answer.content
        assert b"<script" not in answer.content
        self.finish(answer)

    def test_a_query_changes_nothing(self) -> None:
        assert self.ask("/?a=1&b[]=2").content == self.ask("/").content

    def test_head_says_what_get_would_and_sends_no_content(self) -> None:
        for path in ("/", "/state"):
            get, head = self.ask(path), self.ask(path, method="HEAD")

            assert head.status == 200
            assert head.content == b""
            assert head.headers["content-length"] == str(len(get.content))

    def test_every_answer_is_protected_and_not_kept(self) -> None:
        for answer in (
            self.ask("/"),
            self.ask("/state"),
            self.ask("/metrics"),
            self.ask("/nothing"),
            self.ask("/", method="POST"),
            self.ask("/", host="evil.example"),
        ):
            assert PROTECTION.items() <= answer.headers.items()

    def test_a_page_of_many_pieces_is_sent_whole(self) -> None:
        servers = [ServerFigures(f"10.0.0.{number}:80", 1) for number in range(100)]
        self.figures = BrokerFigures([], [PoolFigures("shop", "http", servers)], StorageFigures(1, 2), 0.0)
        connection = Connection(self.site)
        with patch.object(self.clock, "callLater", wraps=self.clock.callLater) as turns:
            connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.clock.advance(0)

        assert turns.call_count > 5
        assert int(connection.headers["content-length"]) == len(connection.content)
        assert connection.content.count(b"\nsslbroker_server_weight{") == 100
        self.finish(connection)

    def test_a_client_that_leaves_stops_the_making_of_its_page(self) -> None:
        connection = Connection(self.site)
        connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert len(self.clock.getDelayedCalls()) == 1

        self.finish(connection)

    def test_a_failing_figure_answers_500_without_a_traceback(self) -> None:
        class Broken(Collector):
            def collect(self) -> Any:
                raise RuntimeError("secret detail")

        registry = CollectorRegistry()
        registry.register(Broken())

        answer = self.ask("/metrics", site=self.pages(registry=registry))

        assert answer.status == 500
        assert b"secret" not in answer.received
        assert b"Traceback" not in answer.received
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        self.finish(answer)

    def test_a_page_waits_until_the_figures_are_those_of_now(self) -> None:
        asked: list[Deferred[None]] = []

        def fresh() -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

        site = self.pages(fresh=fresh)
        waiting, failing, leaving, left = (self.ask("/state", site=site) for _ in range(4))
        self.figures.listeners[0].transactions = 4321
        self.assertEqual(waiting.received, b"")
        for connection in (leaving, left):
            connection.lose()
        asked[0].callback(None)
        asked[1].errback(ZeroDivisionError())
        asked[2].callback(None)
        asked[3].errback(ZeroDivisionError())
        self.clock.pump([0] * 100)
        self.assertIn(b'"transactions":4321', waiting.content)
        self.assertEqual(failing.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.finish(waiting, failing)


class Refusals(AdminCase):
    def test_any_other_page_is_404(self) -> None:
        for path in (
            "/metrics/",
            "/state/x",
            "/favicon.ico",
            "/%6detrics",
            "//metrics",
            "http://localhost/metrics",
        ):
            answer = self.ask(path)
            assert answer.status == 404, path
            assert path.encode() not in answer.content

    def test_any_other_method_is_405(self) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "FROB"):
            answer = self.ask("/state", method=method)
            assert answer.status == 405, method
            assert answer.headers["allow"] == "GET, HEAD"
            self.finish(answer)

    def test_content_is_refused_before_it_is_read(self) -> None:
        for method, status in (("POST", 405), ("GET", 413)):
            for length in ("Content-Length: 1000000000", "Transfer-Encoding: chunked"):
                answer = self.ask("/", method=method, more=f"{length}\r\nExpect: 100-continue\r\n")

                assert answer.status == status
                assert answer.headers["allow"] == "GET, HEAD"
                assert answer.headers["connection"] == "close"
                assert answer.content == b""
                assert answer.transport.disconnecting
                answer.send(b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
                assert answer.content == b""
                self.finish(answer)

    def test_an_empty_content_is_no_content(self) -> None:
        assert self.ask("/", more="Content-Length: 0\r\n").status == 200

    def test_two_hosts_are_refused(self) -> None:
        assert self.ask("/", more="Host: localhost\r\n").status == 400

    def test_a_connection_carries_one_request(self) -> None:
        answer = self.ask("/", more="\r\nGET /state HTTP/1.1\r\nHost: localhost\r\n")

        assert answer.received.count(b"HTTP/1.1 ") == 1
        assert answer.headers["connection"] == "close"
        assert answer.transport.disconnecting

    def test_a_head_that_is_too_long_is_refused(self) -> None:
        answer = self.ask("/", more="X-Long: " + "x" * 9000 + "\r\n")

        assert answer.status == 400
        assert answer.transport.disconnecting

    def test_only_http_1_is_offered_over_tls(self) -> None:
        with patch("twisted.web.http.H2_ENABLED", True):
            assert self.site.acceptableProtocols() == [b"http/1.1"]


class Rebinding(AdminCase):
    """A web page elsewhere may point its own name at 127.0.0.1; its browser then sends that name."""

    def test_a_foreign_name_is_refused_on_a_loopback_address(self) -> None:
        for at in (HERE, IPv6Address("TCP", "::1", 9100), IPv6Address("TCP", "::ffff:127.0.0.1", 9100)):
            for host in (
                "evil.example",
                "evil.example:9100",
                "127.0.0.1.evil.example",
                "localhost.evil",
                "",
                "[",
                "[x]",
            ):
                answer = self.ask("/state", host=host, at=at)
                assert answer.status == 421, (at, host)
                assert b"pools" not in answer.content

    def test_own_names_and_addresses_are_answered(self) -> None:
        for host in ("localhost", "LOCALHOST:9100", "127.0.0.1:9100", "[::1]", "[::1]:9100", "broker.test:1"):
            assert self.ask("/state", host=host).status == 200, host

    def test_a_program_that_names_no_host_is_answered(self) -> None:
        assert self.ask("/state", host=None).status == 200

    def test_elsewhere_any_name_is_answered(self) -> None:
        for at in (LAN, UNIXAddress("/run/admin")):
            assert self.ask("/state", host="broker-1.internal", at=at).status == 200


class Bounds(AdminCase):
    def test_a_slow_sender_is_cut_off_however_often_it_sends(self) -> None:
        connection = Connection(self.site)
        for byte in b"GET /stat":
            connection.send(bytes([byte]))
            self.clock.advance(TIMEOUT / 10)
        assert not connection.transport.disconnected

        self.clock.advance(TIMEOUT / 10)

        assert connection.transport.disconnected
        assert connection.received == b""
        self.finish(connection)

    def test_a_slow_reader_is_cut_off(self) -> None:
        connection = self.ask("/")
        assert connection.transport.disconnecting
        assert not connection.transport.disconnected

        self.clock.advance(TIMEOUT)

        assert connection.transport.disconnected
        self.finish(connection)

    def test_a_client_that_stays_after_a_refusal_is_cut_off(self) -> None:
        connection = self.ask("/", method="PUT", more="Content-Length: 9\r\n")
        assert not connection.transport.disconnected

        self.clock.advance(TIMEOUT)

        assert connection.transport.disconnected
        self.finish(connection)

    def test_connections_are_limited_and_room_comes_back(self) -> None:
        open_now = [Connection(self.site) for _ in range(CONNECTIONS)]
        assert self.site.buildProtocol(FAR) is None

        open_now.pop().lose()

        open_now.append(Connection(self.site))
        assert self.site.buildProtocol(FAR) is None
        self.finish(*open_now)

    def test_an_idle_site_has_no_timer_and_no_log(self) -> None:
        self.site.startFactory()
        assert self.clock.getDelayedCalls() == []
        self.ask("/").lose()
        self.site.stopFactory()

        assert self.clock.getDelayedCalls() == []


@pytest.mark.parametrize("path", ["/", "/metrics", "/state"])
def test_pages_change_no_figure(path: str) -> None:
    figures = busy_broker()
    before = json.dumps(_everything(figures))
    clock = Clock()
    connection = Connection(admin_site(lambda: figures, clock))

    connection.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    clock.pump([0] * 10)

    assert connection.status == 200
    assert json.dumps(_everything(figures)) == before


def _everything(thing: Any) -> Any:
    names = getattr(type(thing), "__slots__", None)
    if names is not None:
        return {name: _everything(getattr(thing, name)) for name in names}
    return [_everything(item) for item in thing] if isinstance(thing, list) else thing
