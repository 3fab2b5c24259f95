"""Our TLS transport, against a peer that is played by hand, and beside Twisted's."""

from __future__ import annotations

import contextlib
import functools
import weakref
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import INegotiated, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from sslbroker.sockets.openssl import Public
from sslbroker.sockets.outgoing import HIGH_WATER
from sslbroker.sockets.secure import FIRST

from .ends import Heard, HeardHalves, Wired, shaken

VERSIONS = (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)


class Handshake(SynchronousTestCase):
    def test_both_versions_and_both_sides(self) -> None:
        for version in VERSIONS:
            for is_client in (False, True):
                with self.subTest(version=version, is_client=is_client):
                    wired = shaken(Heard(), version=version, is_client=is_client)
                    self.assertEqual(wired.heard.transport.getHandle().get_protocol_version(), version)
                    wired.heard.transport.write(b"ping")
                    wired.hand.sends(wired.hand.record(b"pong"))
                    self.assertEqual((wired.hand.takes(), wired.heard.received), (b"ping", b"pong"))

    def test_it_may_come_byte_by_byte(self) -> None:
        wired = Wired(Heard(), secure=True)
        hand = wired.hand
        for _ in range(3):
            with contextlib.suppress(SSL.WantReadError):
                hand.tls.do_handshake()
            hand.sends(*[bytes([byte]) for byte in hand.records()])
        self.assertEqual(wired.heard.events, ["made", "shaken"])
        hand.sends(hand.record(b"hello"))
        self.assertEqual(wired.heard.received, b"hello")

    def test_what_is_written_before_it_leaves_after_the_peer_is_judged(self) -> None:
        heard = Heard()
        wired = Wired(heard, secure=True)
        heard.transport.write(b"early ")
        heard.at["shaken"] = lambda: heard.transport.write(b"later")
        wired.hand.shakes()
        wired.settle()
        self.assertEqual(wired.hand.takes(), b"early later")

    def test_a_peer_that_is_found_wanting_gets_nothing(self) -> None:
        for how in ("abortConnection", "raise"):
            heard = Heard()
            wired = Wired(heard, secure=True)
            heard.transport.write(b"secret")
            heard.at["shaken"] = heard.transport.abortConnection if how != "raise" else lambda: 1 // 0
            wired.hand.shakes()
            wired.settle()
            self.assertEqual(wired.hand.takes(), b"")
            self.assertEqual(heard.events[:2], ["made", "shaken"])
            self.assertTrue(heard.events[-1].startswith("lost"))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), how == "raise")

    def test_a_close_before_it_is_an_abort_and_with_bytes_waiting_it_is_not(self) -> None:
        for early in (b"", b"last words"):
            heard = Heard()
            wired = Wired(heard, secure=True)
            if early:
                heard.transport.write(early)
            heard.transport.loseConnection()
            heard.transport.write(b"too late")
            wired.settle()
            if not early:
                self.assertEqual(heard.events, ["made", "lost ConnectionAborted"])
                continue
            wired.hand.shakes()
            self.assertEqual((wired.hand.takes(), wired.hand.has_been_told_goodbye), (early, True))
            wired.hand.sends(wired.hand.goodbye())
            self.assertEqual(heard.events, ["made", "shaken", "lost ConnectionDone"])

    def test_a_half_close_before_it_waits_for_it(self) -> None:
        for early in (b"", b"last words"):
            heard = HeardHalves()
            wired = Wired(heard, secure=True)
            heard.transport.write(early)
            heard.transport.loseWriteConnection()
            wired.settle()
            wired.hand.shakes()
            wired.settle()
            self.assertEqual((wired.hand.takes(), wired.hand.has_been_told_goodbye), (early, True))
            self.assertEqual(heard.events, ["made", "shaken", "write lost"])

    def test_a_producer_is_paused_until_it_is_done(self) -> None:
        heard = Heard()
        wired = Wired(heard, secure=True)
        heard.transport.registerProducer(heard, True)
        heard.transport.write(b"early")
        wired.hand.shakes()
        wired.settle()
        self.assertEqual(heard.events, ["made", "pause", "shaken", "resume"])

    def test_garbage_ends_it_as_twisteds_is_ended(self) -> None:
        for garbage in (b"GET / HTTP/1.1\r\n" * 10, b"\x16\x03\x01\x00\x04abcd", b"\x00" * 100):
            said = []
            for stock in (False, True):
                wired = Wired(Heard(), secure=True, stock=stock)
                wired.hand.sends(garbage)
                self.assertIsInstance(wired.heard.reason, SSL.Error)
                said.append((wired.hand.raw, wired.heard.events))
            self.assertEqual(said[0], said[1])

    def test_the_first_words_are_kept_and_no_more(self) -> None:
        heard = Heard()
        wired = Wired(heard, secure=True)
        transport = heard.transport
        wired.hand.tls.set_connect_state()
        try:
            wired.hand.tls.do_handshake()
        except SSL.WantReadError:
            hello = wired.hand.records()
        wired.hand.sends(hello[:10], hello[10:])
        self.assertEqual((transport.first, transport.refusal), (hello[:FIRST], None))

    def test_the_sockets_end_in_it(self) -> None:
        for stock in (False, True):
            wired = Wired(Heard(), secure=True, stock=stock)
            wired.hand.transport.loseConnection()
            wired.settle()
            self.assertEqual(wired.heard.events, ["made", "lost ConnectionLost"])

    def test_a_protocol_need_not_hear_of_it(self) -> None:
        class Deaf(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(data.upper())  # type: ignore[union-attr]

        wired = Wired(Deaf(), secure=True)  # type: ignore[arg-type]
        wired.hand.shakes()
        wired.hand.sends(wired.hand.record(b"heard"))
        wired.settle()
        self.assertEqual(wired.hand.takes(), b"HEARD")

    def aborts(self, heard: Heard) -> None:
        heard.transport.abortConnection()

    def test_an_abort_before_it_begins_or_within_says_nothing(self) -> None:
        for ends in (None, SSL.WantReadError(), SSL.Error([("", "", "refused")]), "made"):
            heard = Heard()
            if ends == "made":
                heard.at["made"] = functools.partial(self.aborts, heard)
            wired = Wired(heard, secure=True)
            transport: Any = heard.transport
            shaking = mock.Mock(side_effect=ends, return_value=None)

            def shake(transport: Any = transport, shaking: Any = shaking) -> None:
                transport.abortConnection()  # as a callback of OpenSSL's does that refuses a peer
                shaking()

            if ends != "made":
                with mock.patch.object(transport._tls, "do_handshake", shake):
                    wired.hand.sends(b"hello")
            wired.settle()
            self.assertEqual((heard.events, wired.hand.raw), (["made", "lost ConnectionAborted"], b""))

    def test_it_provides_what_it_claims(self) -> None:
        transport = shaken(Heard()).heard.transport
        for interface in (ISSLTransport, ITCPTransport, INegotiated):
            verifyObject(interface, transport)
        self.assertEqual((transport.negotiatedProtocol, transport.getPeerCertificate()), (None, None))
        self.assertIs(transport.getHandle().get_app_data(), transport)


class Reading(SynchronousTestCase):
    def test_records_split_at_every_byte(self) -> None:
        for version in VERSIONS:
            wired = shaken(Heard(), version=version)
            expected = b""
            size = len(wired.hand.record(b"one")) * 2 + 20
            wired = shaken(Heard(), version=version)
            for at in range(size):
                data = wired.hand.record(b"one") + wired.hand.record(b"two" * 5)
                wired.hand.sends(data[:at], data[at:])
                expected += b"one" + b"two" * 5
                self.assertEqual(wired.heard.received, expected)

    def test_several_records_in_one_read_are_one_call(self) -> None:
        wired = shaken(Heard())
        calls: list[bytes] = []
        wired.heard.dataReceived = calls.append  # type: ignore[assignment, method-assign]
        wired.hand.sends(b"".join(wired.hand.record(word) for word in (b"a", b"b", b"c")))
        self.assertEqual(calls, [b"abc"])

    def test_records_and_a_close_notify_in_one_read(self) -> None:
        for protocol, events in ((Heard(), ["lost ConnectionDone"]), (HeardHalves(), ["read lost"])):
            wired = shaken(protocol)
            wired.hand.sends(wired.hand.record(b"bye") + wired.hand.goodbye())
            self.assertEqual((protocol.received, protocol.events), (b"bye", events))

    def test_records_and_a_wrong_one_in_one_read(self) -> None:
        wired = shaken(Heard())
        wired.hand.sends(wired.hand.record(b"good") + b"\x17\x03\x03\x00\x20" + b"x" * 32)
        self.assertEqual(wired.heard.received, b"good")
        self.assertIsInstance(wired.heard.reason, SSL.Error)

    def test_a_fatal_alert(self) -> None:
        for stock in (False, True):
            wired = shaken(Heard(), version=SSL.TLS1_2_VERSION, stock=stock)
            wired.hand.sends(b"\x15\x03\x03\x00\x02\x02\x28")
            self.assertIsInstance(wired.heard.reason, SSL.Error)

    def test_an_end_without_a_close_notify_is_a_loss(self) -> None:
        for stock in (False, True):
            for protocol in (Heard(), HeardHalves()):
                wired = shaken(protocol, stock=stock)
                wired.hand.transport.loseConnection()
                wired.settle()
                self.assertIsInstance(protocol.reason, ConnectionLost)

    def test_what_data_received_raises_is_logged_and_ends_the_connection(self) -> None:
        wired = shaken(Heard())
        wired.heard.at["data"] = lambda: 1 // 0
        wired.hand.sends(wired.hand.record(b"x"))
        self.assertEqual(wired.heard.events, ["lost ZeroDivisionError"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Asking:
    """OpenSSL's connection whose peer asks for new keys by each record: a real one cannot be made to."""

    def __init__(self) -> None:
        self.asked = False
        self.says: list[bytes] = []

    def bio_write(self, data: bytes) -> None:
        self.asked = True

    def recv(self, size: int) -> bytes:
        if self.says:
            return self.says.pop()
        raise SSL.WantReadError

    def bio_read(self, size: int) -> bytes:
        if not self.asked:
            raise SSL.WantReadError
        self.asked = False
        return b"k" * 1000


class Refusing:
    """A session that refuses to seal, two times; all else is another's."""

    def __init__(self, session: Any, error: Exception | None = None) -> None:
        self.take, self.open, self.feed = session.take, session.open, session.feed
        self.session = session
        self.errors = [error or SSL.WantReadError(), SSL.WantReadError()]

    def seal(self, data: bytes, at: int) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.session.seal(data, at)


class Answering(SynchronousTestCase):
    def asked(self, times: int, takes: bool) -> Wired:
        wired = shaken(Heard())
        transport: Any = wired.heard.transport
        transport._session = Public(Asking())
        for _ in range(times):
            if not takes:
                transport.socket.other.pauseProducing()
            transport.socket.inbox += b"asks"
            transport.doRead()
            if takes:
                transport.socket.outbox.clear()
        return wired

    def test_a_peer_that_asks_and_takes_no_answer_is_let_go(self) -> None:
        times = HIGH_WATER // 1000 + 1
        self.assertFalse(self.asked(times - 1, takes=False).heard.transport._aborting)
        self.assertTrue(self.asked(times, takes=False).heard.transport._aborting)

    def test_who_is_let_go_is_not_heard_any_more(self) -> None:
        for times in (HIGH_WATER // 1000 - 1, HIGH_WATER // 1000):
            wired = self.asked(times, takes=False)
            transport: Any = wired.heard.transport
            transport._session._tls.says.append(b"said")
            transport.socket.inbox += b"asks"
            transport.doRead()
            self.assertEqual(wired.heard.received, b"" if transport._aborting else b"said")

    def test_one_that_takes_them_may_ask_on(self) -> None:
        self.assertFalse(self.asked(1000, takes=True).heard.transport._aborting)


class Writing(SynchronousTestCase):
    def test_much_and_little_and_nothing(self) -> None:
        wired = shaken(Heard())
        pieces = [b"a", b"", b"b" * 16384, b"c" * 16385, b"d" * 300_000]
        for piece in pieces:
            wired.heard.transport.write(piece)
        wired.settle()
        self.assertEqual(wired.hand.takes(), b"".join(pieces))
        self.assertRaises(TypeError, wired.heard.transport.write, "text")

    def test_a_peer_that_does_not_read_pauses_the_producer(self) -> None:
        wired = shaken(Heard())
        wired.heard.transport.registerProducer(wired.heard, True)
        wired.socket.window = 10
        wired.heard.transport.write(b"x" * (HIGH_WATER + 1))
        self.assertEqual(wired.heard.events, ["pause"])
        wired.socket.window = 65536
        wired.settle()
        self.assertEqual(wired.heard.events, ["pause", "resume"])
        self.assertEqual(len(wired.hand.takes()), HIGH_WATER + 1)

    def test_who_is_paused_in_the_middle_of_much_writes_after_it(self) -> None:
        wired = shaken(Heard())
        heard, transport = wired.heard, wired.heard.transport
        heard.at["pause"] = lambda: transport.write(b"after")
        transport.registerProducer(heard, True)
        wired.socket.window = 10
        much = b"x" * 3_000_000
        transport.write(much)
        self.assertEqual(heard.events, ["pause", "pause"])
        wired.socket.window = 1 << 20
        wired.settle()
        self.assertEqual(wired.hand.takes(), much + b"after")

    def test_a_pull_producer_is_asked_after_each_write_that_has_left(self) -> None:
        for early in (False, True):
            heard = Heard()
            wired = Wired(heard, secure=True) if early else shaken(heard)
            transport: Any = heard.transport
            pieces = [b"one", b"t" * 100_000, b"three"]

            def resume(transport: Any = transport, pieces: list[bytes] = pieces) -> None:
                if pieces:
                    transport.write(pieces.pop(0))
                else:
                    transport.unregisterProducer()
                    transport.loseConnection()

            heard.resumeProducing = resume  # type: ignore[method-assign]
            transport.registerProducer(heard, False)
            if early:
                wired.hand.shakes()
            wired.settle()
            self.assertEqual(wired.hand.takes(), b"one" + b"t" * 100_000 + b"three")
            self.assertTrue(wired.hand.has_been_told_goodbye)

    def test_what_openssl_refuses_waits_in_order_until_the_peer_has_spoken(self) -> None:
        """As in the middle of a handshake: TLS 1.2 has a second one."""
        wired = shaken(Heard())
        transport: Any = wired.heard.transport
        with mock.patch.object(transport, "_session", Refusing(transport._session)):
            transport.write(b"one ")
            transport.write(b"two ")
            transport.writeSequence([b"three ", b"four "])
            wired.settle()
            self.assertEqual(wired.hand.takes(), b"")
            wired.hand.sends(wired.hand.record(b"go on"))
            wired.settle()
            self.assertEqual(wired.hand.takes(), b"")  # once more
            transport.write(b"five")
            transport.loseConnection()
            wired.hand.sends(wired.hand.record(b"go on"))
            wired.settle()
        self.assertEqual(wired.heard.received, b"go ongo on")
        self.assertEqual(wired.hand.takes(), b"one two three four five")
        self.assertTrue(wired.hand.has_been_told_goodbye)

    def test_who_is_paused_while_what_waited_leaves_writes_after_it(self) -> None:
        for closes in (False, True):
            heard = Heard()
            wired = Wired(heard, secure=True)
            transport: Any = heard.transport
            much = b"x" * 3 * HIGH_WATER
            transport.write(much)
            transport.write(b"before ")
            heard.at["shaken"] = functools.partial(transport.registerProducer, heard, True)
            heard.at["pause"] = functools.partial(transport.write, b"after")
            if closes:
                transport.loseConnection()
            wired.socket.window = 5000
            wired.hand.shakes()
            wired.settle()
            heard.transport.unregisterProducer()
            wired.settle()
            self.assertEqual(wired.hand.takes(), much + b"before after")
            self.assertEqual(wired.hand.has_been_told_goodbye, closes)

    def test_what_openssl_cannot_seal_ends_the_connection(self) -> None:
        wired = shaken(Heard())
        transport: Any = wired.heard.transport
        with mock.patch.object(
            transport, "_session", Refusing(transport._session, SSL.Error([("", "", "no")]))
        ):
            transport.write(b"x")
            wired.settle()
        self.assertEqual(wired.heard.events, ["lost Error"])
        self.assertIs(wired.heard.reason.__traceback__, None)

    def test_a_tail_between_close_and_unregistering_arrives(self) -> None:
        wired = shaken(Heard())
        transport = wired.heard.transport
        transport.registerProducer(wired.heard, True)
        transport.loseConnection()
        transport.write(b"tail")
        transport.unregisterProducer()
        transport.write(b"too late")
        wired.settle()
        self.assertEqual((wired.hand.takes(), wired.hand.has_been_told_goodbye), (b"tail", True))
        wired.hand.sends(wired.hand.goodbye())
        self.assertEqual(wired.heard.events, ["stop", "lost ConnectionDone"][1:])

    def test_nothing_is_said_after_an_abort(self) -> None:
        for when in ("now", "data", "pause"):
            wired = shaken(Heard())
            heard, transport = wired.heard, wired.heard.transport

            def abort(transport: Any = transport) -> None:
                transport.abortConnection()
                transport.write(b"late")
                transport.loseConnection()
                transport.unregisterProducer()
                transport.loseWriteConnection()

            before = len(wired.hand.raw)
            heard.at[when] = abort
            if when == "now":
                abort()
            elif when == "data":
                wired.hand.sends(wired.hand.record(b"x"))
            else:
                wired.socket.window = 0
                transport.registerProducer(heard, True)
                transport.write(b"x" * HIGH_WATER * 2)
            wired.settle()
            self.assertEqual(heard.events[-1], "lost ConnectionAborted")
            self.assertEqual(len(wired.hand.raw), before, when)
            wired.hand.sends(b"x")
            self.assertEqual(wired.hand.lost, "ConnectionLost")


class Ending(SynchronousTestCase):
    def test_the_end_is_told_once(self) -> None:
        wired = shaken(Heard())
        transport: Any = wired.heard.transport
        transport.connectionLost(Failure(ConnectionLost()))
        transport.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(wired.heard.events, ["lost ConnectionLost"])

    def test_a_goodbye_that_openssl_does_not_say_ends_the_connection_all_the_same(self) -> None:
        wired = shaken(Heard())
        transport: Any = wired.heard.transport
        with mock.patch.object(transport._tls, "shutdown", side_effect=SSL.Error([])):
            wired.hand.sends(wired.hand.goodbye())
        wired.settle()
        self.assertEqual(wired.heard.events, ["lost ConnectionDone"])

    def test_an_abort_in_the_callbacks_of_a_half_close_is_the_last_word(self) -> None:
        for side in ("read lost", "write lost"):
            heard = HeardHalves()
            wired = shaken(heard)
            transport: Any = heard.transport

            def abort(transport: Any = transport) -> None:
                transport.abortConnection()
                transport.write(b"late")
                transport.loseConnection()

            heard.at[side] = abort
            if side == "read lost":
                wired.hand.sends(wired.hand.goodbye())
            else:
                transport.loseWriteConnection()
            wired.settle()
            self.assertEqual(heard.events, [side, "lost ConnectionAborted"])
            self.assertNotIn(b"late", wired.hand.takes())
            wired.hand.sends(b"x")
            self.assertEqual(wired.hand.lost, "ConnectionLost")
            self.assertEqual(wired.clock.getDelayedCalls(), [])

    def test_what_half_close_callbacks_raise_is_logged_and_ends_the_connection(self) -> None:
        for side in ("read lost", "write lost"):
            heard = HeardHalves()
            wired = shaken(heard)
            heard.at[side] = lambda: 1 // 0
            if side == "read lost":
                wired.hand.sends(wired.hand.goodbye())
            else:
                heard.transport.loseWriteConnection()
            wired.settle()
            self.assertEqual(heard.events, [side, "lost ZeroDivisionError"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_close_waits_for_the_peers(self) -> None:
        wired = shaken(Heard())
        wired.heard.transport.loseConnection()
        wired.heard.transport.loseConnection()
        wired.settle()
        self.assertEqual((wired.hand.has_been_told_goodbye, wired.heard.events), (True, []))
        wired.hand.sends(wired.hand.record(b"still"), wired.hand.goodbye())
        self.assertEqual((wired.heard.received, wired.heard.events), (b"still", ["lost ConnectionDone"]))

    def test_the_peers_half_leaves_ours(self) -> None:
        wired = shaken(HeardHalves())
        heard = wired.heard
        wired.hand.sends(wired.hand.record(b"question") + wired.hand.goodbye())
        heard.transport.write(b"answer")
        heard.transport.loseConnection()
        wired.settle()
        self.assertEqual((wired.hand.takes(), wired.hand.has_been_told_goodbye), (b"answer", True))
        self.assertEqual(heard.events, ["read lost", "lost ConnectionDone"])

    def test_who_reads_on_after_the_peers_half_may_still_answer_when_its_socket_has_ended(self) -> None:
        wired = shaken(HeardHalves())
        heard = wired.heard
        wired.hand.sends(wired.hand.goodbye())
        wired.hand.transport.loseWriteConnection()
        heard.transport.resumeProducing()
        wired.settle()
        self.assertEqual(heard.events, ["read lost", "read lost"])
        heard.transport.write(b"answer")
        wired.settle()
        self.assertEqual(wired.hand.takes(), b"answer")

    def test_our_half_leaves_the_peers(self) -> None:
        wired = shaken(HeardHalves())
        wired.heard.transport.loseWriteConnection()
        wired.settle()
        wired.heard.transport.write(b"too late")
        wired.hand.sends(wired.hand.record(b"more"))
        self.assertEqual((wired.heard.received, wired.heard.events), (b"more", ["write lost"]))
        wired.heard.transport.loseConnection()
        wired.settle()
        wired.hand.sends(wired.hand.goodbye())
        self.assertEqual(wired.heard.events, ["write lost", "lost ConnectionDone"])

    def test_both_halves_end_the_connection_though_a_producer_is_paused(self) -> None:
        wired = shaken(HeardHalves())
        heard = wired.heard
        wired.hand.sends(wired.hand.goodbye())
        heard.transport.loseWriteConnection()
        heard.transport.registerProducer(heard, True)
        wired.settle()
        self.assertEqual(heard.events, ["read lost", "write lost", "stop", "lost ConnectionDone"])

    def test_what_half_close_callbacks_raise_ends_the_connection(self) -> None:
        for callback in ("read lost", "write lost"):
            wired = shaken(HeardHalves())
            wired.heard.at[callback] = lambda: 1 // 0
            if callback == "read lost":
                wired.hand.sends(wired.hand.goodbye())
            else:
                wired.heard.transport.loseWriteConnection()
                wired.settle()
            self.assertEqual(wired.heard.events, [callback, "lost ZeroDivisionError"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_its_memory_is_free_at_once(self) -> None:
        for end in ("close", "abort", "garbage", "cut"):
            wired = shaken(Heard())
            kept = [weakref.ref(wired.heard.transport), weakref.ref(wired.heard.transport.getHandle())]
            if end == "close":
                wired.heard.transport.loseConnection()
                wired.settle()
                wired.hand.sends(wired.hand.goodbye())
            elif end == "abort":
                wired.heard.transport.abortConnection()
            elif end == "garbage":
                wired.hand.sends(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            else:
                wired.hand.transport.loseConnection()
            wired.settle()
            self.assertTrue(wired.heard.events, end)
            wired.heard.transport = wired.heard.reason = wired.socket.transport = None
            self.assertEqual([one() for one in kept], [None, None], end)


# --- any sequence, beside Twisted's ------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 20_000)),
    st.tuples(st.just("says"), st.integers(1, 20_000)),
    st.tuples(st.just("window"), st.sampled_from([0, 1000, 65536])),
    st.tuples(st.sampled_from(["pause", "resume", "settle", "deaf", "hears"]), st.just(0)),
)


def played(
    steps: list[tuple[str, int]], cut: int, secure: bool, stock: bool
) -> tuple[bytes, bytes, list[str]]:
    """What arrived at both ends after these steps and a close."""
    wired = shaken(Heard(), stock=stock) if secure else Wired(Heard(), stock=stock)
    heard, hand, transport = wired.heard, wired.hand, wired.heard.transport
    for letter, (step, size) in enumerate(steps):
        data = bytes([letter % 251]) * size
        if step == "write":
            transport.write(data)
        elif step == "says":
            sent = hand.record(data) if secure else data
            hand.sends(sent[:cut], sent[cut:])
        elif step == "window" and not stock:
            wired.socket.window = size
        elif step == "pause":
            transport.pauseProducing()
        elif step == "resume":
            transport.resumeProducing()
        elif step == "deaf":
            hand.transport.pauseProducing()
        elif step == "hears":
            hand.transport.resumeProducing()
        else:
            if not stock and wired.socket.window == 0:
                wired.socket.window = 1000
            wired.settle()
    if not stock:
        wired.socket.window = 65536
    transport.resumeProducing()
    hand.transport.resumeProducing()
    wired.settle()
    transport.loseConnection()
    wired.settle()
    if secure:
        hand.sends(hand.goodbye())
    return hand.takes() if secure else hand.raw, heard.received, heard.events[-1:]


class LikeTwisteds(SynchronousTestCase):
    @settings(max_examples=40)
    @given(st.lists(STEP, max_size=8), st.integers(0, 100), st.booleans())
    def test_any_sequence_delivers_the_same(self, steps: Any, cut: int, secure: bool) -> None:
        self.assertEqual(played(steps, cut, secure, False), played(steps, cut, secure, True))
