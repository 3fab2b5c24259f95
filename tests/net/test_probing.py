"""What a probe takes for proof, against servers played by hand and against real TLS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError, UserError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sslbroker.errors import Unreachable
from sslbroker.interfaces import IProbe
from sslbroker.net import tls
from sslbroker.net.pins import Finding
from sslbroker.net.probing import LIMIT, Found, probe, speaks_tls
from sslbroker.net.transports import Wrapping
from sslbroker.protocols.http.backend import HTTPProtocol
from sslbroker.settings import THROWAWAY, ListenerTLS
from tests.memory import Network

TIMEOUT = 2.0

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n\r\n"
FINE = b"FINE of course"
ALERT = bytes.fromhex("15030300020228")
SERVER_HELLO = bytes.fromhex("160303007a02000076")


@implementer(IOpenSSLClientConnectionCreator)
class Creator:
    """TLS as a link would begin it."""

    def __init__(self, minimum: int = 0) -> None:
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if minimum:
            self.context.set_min_proto_version(minimum)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self.context, None)
        connection.set_tlsext_host_name(b"shop.test")
        return connection


class Stream:
    """A protocol of streams, where a client speaks first."""

    name = "stream"
    server_first = False


class Greeting(Stream):
    name = "greeting"
    server_first = True


@implementer(IProbe)
class Asked(Greeting):
    """A protocol with a question of its own."""

    name = "asked"

    def probe(self, host: str) -> bytes:
        return b"HOW ARE YOU %b\n" % host.encode()

    def answers(self, received: bytes) -> bool | None:
        if len(received) < len(b"FINE"):
            return None if b"FINE".startswith(received) else False
        return received.startswith(b"FINE")


class Talker(Protocol):
    """A server in plain: what it says unasked, and to what it hears."""

    def __init__(
        self, greeting: bytes = b"", answer: bytes | Callable[[bytes], bytes] = b"", ends: bool = False
    ) -> None:
        self.greeting, self.answer, self.ends = greeting, answer, ends
        self.heard = b""
        self.lost = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.greeting)
        if self.ends and not self.answer:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.heard += data
        answer = self.answer if isinstance(self.answer, bytes) else self.answer(data)
        self.transport.write(answer)
        if self.ends:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.lost = True


def secure(clock: Any, **settings: Any) -> Any:
    """A server that speaks real TLS."""
    contexts = tls.ListenerContexts(ListenerTLS((THROWAWAY,), **settings), ())
    return Wrapping(contexts, False, Factory.forProtocol(Protocol), clock=clock).buildProtocol(
        IPv4Address("TCP", "192.0.2.1", 1)
    )


REFUSES = ConnectionRefusedError()
NEVER = None


class ProbingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.network = Network(self.clock)
        self.made = 0
        self.given_up = 0

    def connecting(self, servers: Sequence[Any]) -> Any:
        """A `connect` whose calls meet these servers, one after the other, the last one again and again."""

        def connect(factory: Any, timeout: float) -> Any:
            case = self

            class Call:
                def cancel(self) -> None:
                    case.given_up += 1
                    factory.clientConnectionFailed(None, Failure(UserError()))

            server = servers[min(self.made, len(servers) - 1)]
            self.made += 1
            if isinstance(server, Exception):
                self.clock.callLater(0, factory.clientConnectionFailed, None, Failure(server))
            elif server is not NEVER:
                far = server() if callable(server) else server
                self.clock.callLater(
                    0, lambda: self.network.connect(factory.buildProtocol(None), far, "10.0.0.1", 80)
                )
            return Call()

        return connect

    def begin(self, protocol: Any, *servers: Any, creator: Any = None) -> Deferred[Found]:
        probing = probe(
            self.connecting(servers), creator or Creator(), protocol, "shop.test", TIMEOUT, self.clock
        )
        self.network.settle()
        return probing

    def probe(self, protocol: Any, *servers: Any, creator: Any = None) -> Found:
        probing = self.begin(protocol, *servers, creator=creator)
        for _ in range(6):
            if probing.called:
                break
            self.clock.advance(TIMEOUT)
            self.network.settle()
        found = self.successResultOf(probing)
        self.assertEqual(self.clock.getDelayedCalls(), [], "a timer is left")
        for end in self.network.ends:
            self.assertFalse(end.connected, "a connection is left")
        return found

    def finds(self, finding: Finding, protocol: Any, *servers: Any, detail: str = "", made: int = 0) -> None:
        self.made = 0
        found = self.probe(protocol, *servers)
        self.assertIs(found.finding, finding, found.detail)
        self.assertIn(detail, found.detail)
        if made:
            self.assertEqual(self.made, made)


class FoundTLS(ProbingCase):
    def test_a_server_that_speaks_tls_is_found_by_one_connection(self) -> None:
        self.finds(Finding.TLS, Stream(), secure(self.clock), made=1)

    def test_a_server_that_wants_another_version_speaks_tls(self) -> None:
        creator = Creator()
        creator.context.set_max_proto_version(SSL.TLS1_2_VERSION)
        found = self.probe(Stream(), secure(self.clock, minimum="TLSv1.3"), creator=creator)
        self.assertIs(found.finding, Finding.TLS)

    def test_an_alert_is_tls_whether_it_comes_whole_or_by_the_byte(self) -> None:
        self.finds(Finding.TLS, Stream(), Talker(answer=ALERT), made=1)
        probing = self.begin(Stream(), Talker())
        far = self.network.ends[-1].protocol
        for byte in ALERT[:6]:
            self.assertNoResult(probing)
            far.transport.write(bytes([byte]))
            self.network.settle()
        self.assertIs(self.successResultOf(probing).finding, Finding.TLS)

    def test_what_follows_the_first_record_is_not_listened_to(self) -> None:
        self.finds(Finding.TLS, Stream(), Talker(answer=SERVER_HELLO + b"x" * 100_000))

    def test_tls_outweighs_what_was_plain_before(self) -> None:
        plain, tls = Talker(answer=BAD_REQUEST), Talker(answer=ALERT)
        self.finds(Finding.TLS, Stream(), plain, tls, made=2)
        silent, fine = lambda: Talker(ends=True), lambda: Talker(answer=FINE)
        self.finds(Finding.TLS, Asked(), silent, fine, tls, made=3)

    def test_an_alert_in_answer_to_a_plain_question_is_tls(self) -> None:
        self.finds(Finding.TLS, Asked(), lambda: Talker(ends=True), lambda: Talker(answer=ALERT), made=2)

    def test_an_alert_to_a_plain_connection_is_tls(self) -> None:
        self.finds(Finding.TLS, Greeting(), lambda: Talker(ends=True), lambda: Talker(greeting=ALERT))


class FoundPlain(ProbingCase):
    def test_other_bytes_in_answer_to_two_handshakes_are_plain(self) -> None:
        self.finds(Finding.PLAIN, Stream(), lambda: Talker(answer=BAD_REQUEST), made=2)

    def test_a_server_that_sends_back_what_it_hears_is_plain(self) -> None:
        self.finds(Finding.PLAIN, Stream(), lambda: Talker(answer=lambda data: data), made=2)

    def test_a_server_that_greets_is_plain(self) -> None:
        self.finds(Finding.PLAIN, Greeting(), lambda: Talker(greeting=b"220 mail.test\r\n"), made=2)

    def test_a_server_that_hates_handshakes_and_knows_the_protocol_is_plain(self) -> None:
        heard: list[Talker] = []

        def server() -> Talker:
            def answer(data: bytes) -> bytes:
                return FINE if data.startswith(b"HOW ARE YOU shop.test\n") else b""

            heard.append(Talker(answer=answer))
            return heard[-1]

        self.finds(Finding.PLAIN, Asked(), server, made=3)
        self.assertTrue(all(each.lost for each in heard))
        for ends in (True, False):
            silent, fine = lambda ends=ends: Talker(ends=ends), lambda: Talker(answer=FINE)
            self.finds(Finding.PLAIN, Asked(), silent, fine, silent, made=3)

    def test_a_server_that_answers_one_of_two_handshakes_is_asked_in_plain(self) -> None:
        odd, silent, fine = Talker(answer=b"-ERR\r\n"), lambda: Talker(), lambda: Talker(answer=FINE)
        self.finds(Finding.PLAIN, Asked(), odd, silent, fine, silent, made=4)
        self.finds(Finding.PLAIN, Asked(), silent, fine, lambda: Talker(answer=b"-ERR\r\n"), made=3)

    def test_the_greeting_comes_late_and_only_in_plain(self) -> None:
        silent = lambda: Talker(ends=True)  # noqa: E731
        self.finds(Finding.PLAIN, Greeting(), silent, lambda: Talker(greeting=b"hello"), silent, made=3)

    def test_the_answer_may_come_by_the_byte(self) -> None:
        probing = self.begin(Asked(), lambda: Talker(ends=True), lambda: Talker(), lambda: Talker(ends=True))
        far = self.network.ends[-1].protocol
        for byte in b"FINE":
            self.assertNoResult(probing)
            far.transport.write(bytes([byte]))
            self.network.settle()
        self.assertIs(self.successResultOf(probing).finding, Finding.PLAIN)


class NotFound(ProbingCase):
    def test_a_server_that_cannot_be_reached(self) -> None:
        self.finds(Finding.UNKNOWN, Asked(), REFUSES, detail="it cannot be reached (Connection was refused")
        self.finds(Finding.UNKNOWN, Asked(), lambda: Talker(ends=True), REFUSES, detail="cannot be reached")

    def test_a_server_that_is_gone_before_the_last_question(self) -> None:
        servers = (lambda: Talker(ends=True), lambda: Talker(answer=FINE), REFUSES)
        self.finds(Finding.UNKNOWN, Asked(), *servers, detail="cannot be reached", made=3)
        self.finds(Finding.UNKNOWN, Stream(), Talker(answer=BAD_REQUEST), REFUSES, made=2)

    def test_an_address_that_cannot_be_used_at_all(self) -> None:
        for error, detail in (
            (OSError("no such address"), "no such address"),
            (Unreachable("the name does not resolve"), "the name does not resolve"),
            (Unreachable(), "Unreachable"),
        ):
            connect = mock.Mock(side_effect=error)
            found = self.successResultOf(
                probe(connect, Creator(), Stream(), "shop.test", TIMEOUT, self.clock)  # type: ignore[arg-type]
            )
            self.assertEqual(found, Found(Finding.UNKNOWN, f"it cannot be reached ({detail})"))

    def test_a_server_that_says_nothing(self) -> None:
        details = {
            False: "it did not answer a TLS handshake in 2 s, and ",
            True: "it answered a TLS handshake by closing the connection, and ",
        }
        for ends, detail in details.items():
            server = lambda ends=ends: Talker(ends=ends)  # noqa: E731
            self.finds(Finding.UNKNOWN, Stream(), server, made=1)
            without = 'protocol "stream" has no question to ask it in plain'
            self.finds(Finding.UNKNOWN, Stream(), server, detail=detail + without, made=1)
            self.finds(Finding.UNKNOWN, Greeting(), server, detail=detail, made=2)
            self.finds(Finding.UNKNOWN, Asked(), server, detail=detail, made=2)

    def test_a_busy_tls_server_that_answers_plain_words_with_plain_words(self) -> None:
        # nginx: a TLS port that closes connections when it is full, and says 400 to plain HTTP otherwise
        closing, telling = lambda: Talker(ends=True), lambda: Talker(answer=BAD_REQUEST)
        detail = "its answer to a plain question is not what was asked for"
        self.finds(Finding.UNKNOWN, Asked(), closing, telling, detail=detail, made=2)

    def test_a_plain_server_that_does_not_know_the_protocol(self) -> None:
        for answer in (b"F", b"FIN", b"WHAT", b"\x16\x03"):
            servers = (lambda: Talker(), lambda answer=answer: Talker(answer=answer))
            self.finds(Finding.UNKNOWN, Asked(), *servers, made=2)

    def test_a_greeting_does_not_stand_for_an_answer(self) -> None:
        self.finds(Finding.UNKNOWN, Asked(), lambda: Talker(), lambda: Talker(greeting=b"220 mail\r\n"))

    def test_what_begins_like_tls_and_is_cut_or_strange_is_not_plain(self) -> None:
        for said in (
            b"\x15",
            b"\x16\x03\x03",
            ALERT[:5],
            SERVER_HELLO[:5],
            b"\x16\x03\x03\x00\x10\x05" + b"x" * 99,
        ):
            for ends in (True, False):
                server = lambda said=said, ends=ends: Talker(answer=said, ends=ends)  # noqa: E731
                self.finds(Finding.UNKNOWN, Asked(), server, detail="too short or too strange", made=1)

    def test_the_beginning_of_an_alert_is_no_greeting(self) -> None:
        for cut in range(1, 6):
            servers = (lambda: Talker(ends=True), lambda cut=cut: Talker(greeting=ALERT[:cut]))
            self.finds(Finding.UNKNOWN, Greeting(), *servers, made=2)

    def test_a_flood_of_what_cannot_be_told_is_cut(self) -> None:
        probing = self.begin(
            Stream(), lambda: Talker(answer=b"\x17\x03\x03\x00\x10\x05" + b"x" * (3 * LIMIT))
        )
        self.assertIs(self.successResultOf(probing).finding, Finding.UNKNOWN)

    def test_mistakes_of_a_plugin_are_logged_and_no_evidence(self) -> None:
        class Mistaken(Asked):
            def answers(self, received: bytes) -> bool | None:
                raise ZeroDivisionError

        class Worse(Asked):
            def probe(self, host: str) -> bytes:
                raise ZeroDivisionError

        class Silly(Asked):
            def answers(self, received: bytes) -> bool | None:
                return "yes"  # type: ignore[return-value]

        for protocol, error in (
            (Mistaken(), ZeroDivisionError),
            (Worse(), ZeroDivisionError),
            (Silly(), KeyError),
        ):
            servers = (lambda: Talker(ends=True), lambda: Talker(answer=FINE))
            self.finds(Finding.UNKNOWN, protocol, *servers, detail="see the log")
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)


class Trouble(ProbingCase):
    """A TLS server with HTTP inside, as nginx is, in every trouble that three connections can meet."""

    def server(self, trouble: str, to_plain: bytes = BAD_REQUEST) -> Any:
        def works(data: bytes) -> bytes:
            return SERVER_HELLO if data.startswith(b"\x16") else to_plain

        return {
            "refuses": REFUSES,
            "closes": lambda: Talker(ends=True),
            "is silent": Talker,
            "breaks off": lambda: Talker(answer=SERVER_HELLO[:3], ends=True),
            "works": lambda: Talker(answer=works),
        }[trouble]

    def test_no_trouble_makes_it_plain(self) -> None:
        troubles = ("refuses", "closes", "is silent", "breaks off", "works")
        findings = set()
        for sequence in itertools.product(troubles, repeat=3):
            self.made = 0
            found = self.probe(HTTPProtocol(), *map(self.server, sequence))
            findings.add(found.finding)
            self.assertIsNot(found.finding, Finding.PLAIN, sequence)
        self.assertEqual(findings, {Finding.TLS, Finding.UNKNOWN})

    def test_no_word_to_a_plain_client_makes_it_plain(self) -> None:
        for status in (b"400 Bad Request", b"426 Upgrade Required", b"301 Moved Permanently", b"307 X"):
            working = self.server("works", b"HTTP/1.1 %b\r\n\r\n" % status)
            closing = self.server("closes")
            self.finds(Finding.UNKNOWN, HTTPProtocol(), closing, working, closing, made=2)


class GivenUp(ProbingCase):
    def test_while_it_connects(self) -> None:
        probing = self.begin(Stream(), NEVER)
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        self.assertEqual((self.made, self.given_up), (1, 1))

    def test_while_it_listens(self) -> None:
        server = Talker()
        probing = self.begin(Stream(), server)
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.network.settle()
        self.assertTrue(server.lost)
        self.assertEqual((self.made, self.given_up), (1, 0))


class Records(SynchronousTestCase):
    def test_what_begins_a_tls_servers_first_record(self) -> None:
        for version in range(5):
            self.assertIs(speaks_tls(bytes([0x16, 3, version, 0, 80, 2])), True)
            self.assertIs(speaks_tls(bytes([0x15, 3, version, 0, 2, 2])), True)
        self.assertIs(speaks_tls(bytes([0x15, 3, 1, 0, 2, 1])), True)

    def test_what_does_not(self) -> None:
        for said in (
            b"H",
            b"HTTP/1.1 400",
            b"\x00",
            b"\x16H",
            b"\x16\x02\x01",
            b"\x16\x03\x01\x02\x00\x01",
            b"\x13\x03",
        ):
            self.assertIs(speaks_tls(said), False, said)

    def test_what_cannot_be_told(self) -> None:
        for said in (
            b"",
            b"\x15",  # NAK, or an alert's first byte
            b"\x16\x03",
            b"\x16\x03\x03\x00\x50",
            b"\x16\x03\x03\x00\x00\x02",
            b"\x16\x03\x03\x40\x01\x02",
            b"\x16\x03\x03\x00\x50\x0b",
            b"\x15\x03\x03\x00\x02\x03",
            b"\x15\x03\x03\x00\x1a\x02",
            b"\x17\x03\x03\x00\x02\x02",
        ):
            self.assertIs(speaks_tls(said), None, said)

    @given(st.binary(min_size=1, max_size=40), st.integers(1, 40))
    @example(ALERT, 3)
    def test_a_verdict_holds_whatever_follows(self, said: bytes, cut: int) -> None:
        early = speaks_tls(said[:cut])
        if early is not None:
            self.assertIs(speaks_tls(said), early)

    def test_a_client_hello_of_ours_is_none(self) -> None:
        connection = Creator().clientConnectionForTLS(None)
        connection.set_connect_state()
        with self.assertRaises(SSL.WantReadError):
            connection.do_handshake()
        self.assertIs(speaks_tls(connection.bio_read(2**16)), False)
