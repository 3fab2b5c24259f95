"""One check of one server, over plain and secure links: what it asks, what passes, and how it ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs
from zope.interface import implementer

from sslbroker.core.checks import Result
from sslbroker.interfaces import IExchangeRules, IHealthChecks
from sslbroker.net.checking import LIMIT, Check
from sslbroker.settings import Health, LinkTLS

from ..memory import BrokerCase, Peer
from . import lines
from .test_secure_links import FOLDER, OTHER_CA, speaks

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class CheckCase(BrokerCase):
    secure = False

    def begin(self, path: str = "/healthz", timeout: float = 2.0, **settings: Any) -> None:
        """The first server of a pool is checked."""
        if self.secure:
            settings.setdefault("tls", LinkTLS(ca=FOLDER / "ca.pem"))
        self.start(1, continue_secure_link=self.secure, health=Health(path, timeout=timeout), **settings)
        if self.secure:
            self.servers[0].contexts = speaks("10.0.0.1")
        self.check()

    def check(self) -> None:
        pool, health = self.pool, self.pool.settings.health
        assert health is not None
        (links,) = pool.links.values()
        self.results: list[Result] = []
        rules = pool.health_checks if health.path else None
        check = Check(links.apart(pool.settings), health, rules, pool.judge, self.clock)
        self.under_way: Deferred[Result] = check.begin()
        self.under_way.addCallback(self.results.append)
        self.settle()

    def asked(self) -> Peer:
        """The server, which has been asked."""
        server = self.servers[0].link()
        self.request = server.takes()
        return server

    def found(self) -> tuple[str, str]:
        self.settle()
        ((cause, detail),) = [(result.cause.value, result.detail) for result in self.results]
        return cause, detail

    def tearDown(self) -> None:
        """Nothing of a check is in the figures of the server, whatever became of it."""
        figures = self.pool.members[0].figures
        self.assertEqual((figures.links_opened, figures.links, figures.outstanding), (0, 0, 0))
        self.assertEqual((figures.outcomes, figures.statuses), ({}, {}))
        super().tearDown()


class Asking(CheckCase):
    def test_a_good_answer_passes_and_the_link_is_closed(self) -> None:
        self.begin()
        server = self.asked()
        self.assertTrue(self.request.startswith(b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.1"))
        self.assertIn(b"\r\nUser-Agent: sslbroker/", self.request)
        self.assertIn(b"\r\nConnection: close\r\n", self.request)
        server.sends(OK)
        self.assertEqual(self.found(), ("ok", "/healthz: status 200"))
        self.assertTrue(server.closed)

    def test_so_does_one_that_comes_byte_by_byte_after_others_and_ends_with_the_connection(self) -> None:
        self.begin()
        server = self.asked()
        for byte in b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 Good\r\nConnection: close\r\n\r\n":
            self.assertEqual(self.results, [])
            server.sends(bytes([byte]))
        self.assertEqual(self.found(), ("ok", "/healthz: status 204"))
        self.check()
        server = self.asked()
        server.sends(b"HTTP/1.0 302 Elsewhere\r\n\r\nhere")
        self.assertEqual(self.results, [])
        server.closes()
        self.assertEqual(self.found(), ("ok", "/healthz: status 302"))

    def test_a_status_that_is_not_listed_fails(self) -> None:
        for status in (b"404 Not Found", b"503 Busy"):
            self.begin()
            self.asked().sends(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(self.found(), ("status", f"/healthz: status {status[:3].decode()}"))
            self.tearDown()

    def test_what_is_no_answer_fails(self) -> None:
        for said, cause in (
            (b"SSH-2.0-OpenSSH\r\n", "malformed"),
            (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "malformed"),
            (b"HTTP/1.1 103 Early\r\n\r\n" * 33, "malformed"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "malformed"),
        ):
            self.begin()
            server = self.asked()
            server.sends(said)
            self.assertEqual(self.found()[0], cause)
            self.assertTrue(server.closed)
            self.tearDown()

    def test_a_server_that_ends_before_its_answer_is_whole_fails(self) -> None:
        for said, cause in (
            (b"", "empty"),
            (b"HTTP/1.1 200 O", "broken"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "broken"),
        ):
            self.begin()
            server = self.asked()
            server.sends(said)
            self.assertEqual(self.results, [])
            server.closes()
            self.assertEqual(self.found()[0], cause)
            self.tearDown()

    def test_one_that_resets_the_connection_fails(self) -> None:
        self.begin()
        self.asked().resets()
        self.assertEqual(self.found()[0], "broken")

    def test_the_time_is_for_all_of_it(self) -> None:
        self.begin(timeout=1.0)
        server = self.asked()
        server.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(9):
            self.wait(0.1)
            server.sends(b"1\r\nx\r\n")
        self.assertEqual(self.results, [])
        self.wait(0.2)
        self.assertEqual(self.found(), ("silent", "/healthz: silent: no whole answer within 1 s"))
        self.assertTrue(server.closed)

    def test_of_a_long_answer_no_more_is_read_than_judges_it(self) -> None:
        for status, cause in ((b"200 OK", "ok"), (b"500 Sorry", "status")):
            self.begin()
            server = self.asked()
            server.sends(b"HTTP/1.1 " + status + b"\r\nContent-Length: 100000000\r\n\r\n")
            server.sends(b"x" * LIMIT)
            self.assertEqual(self.results, [])
            server.sends(b"x" * 65536 * 10)
            self.assertEqual(self.found()[0], cause)
            self.assertTrue(server.closed)
            self.tearDown()

    def test_a_server_that_does_not_read_costs_its_time_and_no_more(self) -> None:
        self.begin("/" + "x" * 1000, timeout=1.0)
        server = self.servers[0].link()
        server.stops_reading()
        self.wait(1.1)
        self.assertEqual(self.found()[0], "silent")

    def test_it_can_be_given_up_at_any_time(self) -> None:
        for early in (False, True):
            self.begin()
            server = None if early else self.asked()
            self.under_way.cancel()
            self.failureResultOf(self.under_way, CancelledError)
            self.assertEqual(self.results, [])
            self.settle()
            self.assertTrue(server is None or server.closed)
            self.tearDown()

    def test_another_check_goes_over_another_link(self) -> None:
        self.begin()
        self.asked().sends(OK)
        self.check()
        self.asked().sends(OK)
        self.assertEqual(self.found()[0], "ok")
        self.assertEqual(self.servers[0].accepted, 2)

    def test_it_takes_no_place_of_a_transaction(self) -> None:
        self.begin(limits_of_servers={"maximum_links": 1, "maximum_transactions": 1})
        server = self.asked()
        client = self.client()
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        other = self.servers[0].link()
        self.assertTrue(other.takes().startswith(b"GET / HTTP/1.1"))
        server.sends(OK)
        self.check()  # all places are taken, and it is made all the same
        self.asked().sends(OK)
        self.assertEqual(self.found()[0], "ok")
        other.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        figures = self.pool.members[0].figures
        self.assertEqual((figures.links_opened, figures.outcomes), (1, {"ok": 1}))
        other.closes()
        figures.links_opened, figures.outcomes, figures.statuses = 0, {}, {}


class AskingSecurely(Asking):
    """The same over TLS."""

    secure = True

    def test_the_name_that_the_server_proves_is_asked_for(self) -> None:
        self.start(1, continue_secure_link=True, health=Health("/up"),
                   tls=LinkTLS(ca=FOLDER / "ca.pem", server_name="shop.test"))  # fmt: skip
        self.servers[0].contexts = speaks("shop.test")
        self.check()
        self.asked().sends(OK)
        self.assertIn(b"\r\nHost: shop.test:80\r\n", self.request)
        self.assertEqual(self.found()[0], "ok")

    def test_a_server_that_is_somebody_else_fails(self) -> None:
        for path in ("/healthz", ""):
            for wrong in (speaks("other.test"), speaks("10.0.0.1", ca=OTHER_CA)):
                self.start(1, continue_secure_link=True, health=Health(path),
                           tls=LinkTLS(ca=FOLDER / "ca.pem"))  # fmt: skip
                self.servers[0].contexts = wrong
                self.check()
                cause, detail = self.found()
                self.assertEqual(cause, "tls-failed")
                self.assertTrue(detail.startswith("tls-failed: "), detail)
                self.tearDown()

    def test_one_that_speaks_no_tls_fails(self) -> None:
        self.begin()
        self.servers[0].contexts = None
        self.tearDown()
        self.begin(path="")
        self.servers[0].contexts = None
        self.check()
        self.servers[0].link()  # of the first check
        self.servers[0].link().sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertEqual(self.found()[0], "tls-failed")

    def test_one_that_is_silent_in_the_handshake_fails(self) -> None:
        self.start(1, continue_secure_link=True, health=Health(timeout=1.0),
                   tls=LinkTLS(ca=FOLDER / "ca.pem"))  # fmt: skip
        self.check()
        self.wait(1.1)
        self.assertEqual(self.found(), ("connect-timeout", "connect-timeout: no link within 1 s"))


class Connecting(CheckCase):
    """Without a path a check is a link that is made."""

    def test_a_link_passes_and_is_closed(self) -> None:
        for protocol in ("http", "tcp"):
            self.begin("", protocol=protocol)
            server = self.servers[0].link()
            self.assertEqual(server.takes(), b"")
            self.assertEqual(self.found(), ("ok", "connected"))
            self.assertTrue(server.closed)
            self.tearDown()

    def test_a_server_that_greets_is_not_in_the_way(self) -> None:
        self.begin("", protocol="tcp")
        server = self.servers[0].link()
        server.sends(b"220 hello\r\n")
        self.assertEqual(self.found(), ("ok", "connected"))
        self.assertTrue(server.closed)

    def test_a_link_that_cannot_be_made_fails(self) -> None:
        for behaviour, cause in (("refuse", "refused"), ("unreachable", "unreachable")):
            self.start(1, health=Health())
            self.servers[0].behaviour = behaviour
            self.check()
            self.assertEqual(self.found()[0], cause)
            self.tearDown()

    def test_a_server_that_does_not_accept_has_the_time_of_the_check(self) -> None:
        self.start(1, health=Health(timeout=0.5))
        self.servers[0].behaviour = "silent"
        self.check()
        self.wait(0.4)
        self.assertEqual(self.results, [])
        self.wait(0.2)
        self.assertEqual(self.found(), ("connect-timeout", "connect-timeout: no link within 0.5 s"))
        self.servers[0].behaviour = "accept"  # too late: nobody wants this link any more
        self.settle()
        self.assertTrue(self.servers[0].link().closed)


class ConnectingSecurely(CheckCase):
    secure = True

    def test_a_server_that_proves_who_it_is_passes(self) -> None:
        for protocol in ("http", "tcp"):
            self.begin("", protocol=protocol)
            self.assertEqual(self.found(), ("ok", "connected"))
            self.assertTrue(self.servers[0].link().closed)
            self.tearDown()


@implementer(IExchangeRules, IHealthChecks)
class CheckedRules(lines.Rules):
    """Rules of lines, with checks; what is to go wrong stands in the path."""

    def check_request(self, address: str, path: str, secure_link: bool) -> bytes:
        if path == "/unasked":
            raise ZeroDivisionError
        return b"how are you, " + path[1:].encode()

    def healthy(self, response: bytes) -> bool:
        if response == b"mistake":
            raise ZeroDivisionError
        return response == b"well"


class CheckedLines(lines.Lines):
    def rules(self, pool: Any, broker_name: str) -> CheckedRules:
        return CheckedRules()


class OfAnotherProtocol(CheckCase):
    def begin(self, path: str = "/server", timeout: float = 2.0, **settings: Any) -> None:
        super().begin(path, timeout, protocols=[CheckedLines()], protocol="lines", **settings)

    def test_it_has_requests_and_judges_of_its_own(self) -> None:
        for said, cause, detail in (
            (b"well\n", "ok", "/server: good"),
            (b"ill\n", "status", "/server: not good"),
        ):
            self.begin()
            server = self.asked()
            self.assertEqual(self.request, b"how are you, server\n")
            server.sends(said)
            self.assertEqual(self.found(), (cause, detail))
            self.tearDown()

    def test_its_mistakes_are_logged_and_end_the_check(self) -> None:
        for path, said in (("/unasked", b""), ("/server", b"mistake\n")):
            with capturedLogs() as events:
                self.begin(path)
                server = self.servers[0].link()
                server.sends(said)
            self.assertEqual(self.found()[0], "internal")
            self.assertTrue(server.closed)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertIn("ended by a mistake", str(events[-1]["log_format"]))
            self.tearDown()
