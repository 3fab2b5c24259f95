"""When bytes leave, what waits, and who is asked for more."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.sockets.outgoing import HIGH_WATER, LARGE, SEND

from .ends import Heard, HeardHalves, Wired, shaken


class Writing(SynchronousTestCase):
    def setUp(self) -> None:
        self.wired = Wired(HeardHalves())
        self.heard, self.socket = self.wired.heard, self.wired.socket
        self.transport: Any = self.heard.transport

    def arrived(self) -> bytes:
        self.wired.settle()
        return self.wired.hand.raw

    def test_bytes_leave_in_the_call_that_writes_them(self) -> None:
        self.transport.write(b"now")
        self.assertEqual((bytes(self.socket.outbox), self.transport.unsent), (b"now", 0))
        self.assertFalse(self.socket.writers)

    def test_what_the_kernel_does_not_take_follows_in_order(self) -> None:
        for window, taken in ((3, b"abc"), (0, b"")):
            with self.subTest(window=window):
                self.wired.hand.raw = b""
                self.socket.window = window
                self.transport.write(b"abcde")
                self.transport.writeSequence([b"f", b"", b"gh"])
                self.assertEqual(bytes(self.socket.outbox), taken)
                self.assertEqual((self.transport.unsent, self.socket.writers), (8 - window, True))
                self.socket.window = 2
                self.assertEqual(self.arrived(), b"abcdefgh")
                self.assertEqual((self.transport.unsent, self.socket.writers), (0, False))

    def test_the_kernel_may_take_nothing_when_it_said_it_would(self) -> None:
        self.socket.window = 0
        self.transport.write(b"abc")
        self.assertIs(self.transport.doWrite(), None)
        self.assertEqual((self.transport.unsent, self.socket.writers), (3, True))

    def test_many_small_pieces_leave_together_and_large_ones_alone(self) -> None:
        sizes: list[int] = []
        self.socket.window = 1
        pieces = [b"ab", b"c", b"d" * SEND, b"e" * 10, b"f"]
        for piece in pieces:
            self.transport.write(piece)
        self.socket.outbox.clear()
        self.socket.window = 1 << 20
        real = self.socket.send
        self.socket.send = lambda data: sizes.append(len(data)) or real(data)  # type: ignore[method-assign, func-returns-value]
        self.wired.settle()
        self.assertEqual(sizes, [2 + SEND, 11])
        self.assertEqual(self.wired.hand.raw, b"".join(pieces)[1:])

    def test_only_bytes_are_taken(self) -> None:
        for wrong in ("text", bytearray(b"x"), None):
            self.assertRaises(TypeError, self.transport.write, wrong)
        self.assertRaises(TypeError, self.transport.writeSequence, ["text"])

    def test_a_broken_connection_is_told_in_the_next_turn(self) -> None:
        self.transport.registerProducer(self.heard, True)
        self.socket.got_reset = True
        self.transport.write(b"x")
        self.transport.write(b"y" * HIGH_WATER)
        self.assertEqual(self.heard.events, ["made", "pause"])
        self.wired.settle()
        self.assertEqual(self.heard.events, ["made", "pause", "stop", "lost ConnectionLost"])

    def test_a_connection_breaks_while_bytes_wait(self) -> None:
        self.socket.window = 0
        self.transport.write(b"x")
        self.transport.pauseProducing()
        self.socket.got_reset = True
        self.wired.settle()
        self.assertEqual(self.heard.events, ["made", "lost ConnectionLost"])

    def test_nothing_is_written_after_the_end(self) -> None:
        self.transport.loseWriteConnection()
        self.wired.settle()
        self.transport.write(b"x")
        self.transport.loseWriteConnection()
        self.transport.loseConnection()
        self.transport.write(b"x")
        self.assertEqual(self.arrived(), b"")

    def test_a_close_waits_for_what_is_written(self) -> None:
        self.socket.window = 2
        self.transport.write(b"abcdef")
        self.transport.loseConnection()
        self.transport.loseConnection()
        self.transport.stopProducing()
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.arrived(), b"abcdef")
        self.assertIsInstance(self.heard.reason, ConnectionDone)
        self.assertEqual(self.wired.hand.lost, "ConnectionDone")

    def test_a_close_with_bytes_unread_is_an_end_and_no_reset(self) -> None:
        self.transport.pauseProducing()
        self.socket.inbox += b"unread"
        self.transport.write(b"answer")
        self.transport.loseConnection()
        self.assertEqual(self.arrived(), b"answer")
        self.assertEqual(self.wired.hand.lost, "ConnectionDone")


class Producing(SynchronousTestCase):
    def setUp(self) -> None:
        self.wired = Wired(HeardHalves())
        self.heard, self.socket = self.wired.heard, self.wired.socket
        self.transport: Any = self.heard.transport
        self.heard.events.clear()

    def test_a_pull_producer_is_asked_after_each_write_that_has_left(self) -> None:
        pieces = [b"a", b"bcd", b"e"]

        def produce() -> None:
            self.heard.at["resume"] = produce
            self.transport.write(pieces.pop(0)) if pieces else self.transport.unregisterProducer()

        self.heard.at["resume"] = produce
        self.socket.window = 2
        self.transport.registerProducer(self.heard, False)
        self.transport.loseConnection()
        self.wired.settle()
        self.assertEqual(self.wired.hand.raw, b"abcde")
        self.assertEqual(self.heard.events, ["resume"] * 4 + ["lost ConnectionDone"])

    def test_a_push_producer_pauses_above_the_high_water_and_resumes_when_all_has_left(self) -> None:
        self.transport.registerProducer(self.heard, True)
        self.socket.window = 0
        self.transport.write(b"x" * HIGH_WATER)
        self.assertEqual(self.heard.events, [])
        self.transport.write(b"x")
        self.assertEqual(self.heard.events, ["pause"])
        self.socket.window = HIGH_WATER
        self.wired.settle()
        self.assertEqual(self.heard.events, ["pause", "resume"])

    def test_a_second_producer_is_refused(self) -> None:
        self.transport.registerProducer(self.heard, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, self.heard, True)

    def test_a_push_producer_that_runs_does_not_hold_a_close_up(self) -> None:
        self.transport.registerProducer(self.heard, True)
        self.transport.loseConnection()
        self.wired.settle()
        self.assertEqual(self.heard.events, ["stop", "lost ConnectionDone"])

    def test_an_exception_of_stop_producing_is_logged_and_the_protocol_hears_of_the_end(self) -> None:
        self.heard.at["stop"] = lambda: 1 // 0
        self.transport.registerProducer(self.heard, True)
        self.transport.loseConnection()
        self.wired.settle()
        self.assertEqual(self.heard.events, ["stop", "lost ConnectionDone"])
        self.assertFalse(self.socket.connected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_exception_of_a_producer_ends_the_connection(self) -> None:
        self.transport.registerProducer(self.heard, True)
        self.heard.at["resume"] = lambda: 1 // 0
        self.socket.window = 0
        self.transport.write(b"x" * HIGH_WATER * 2)
        self.socket.window = HIGH_WATER
        self.wired.settle()
        self.assertEqual(self.heard.events, ["pause", "resume", "stop", "lost ZeroDivisionError"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class AtTheEndOfATurn(SynchronousTestCase):
    """With a reactor that tells of its turns' ends."""

    def wired(self, secure: bool, heard: Heard | None = None) -> tuple[Wired, Any, list[Any]]:
        heard = heard or Heard()
        wired = shaken(heard) if secure else Wired(heard)
        turn: list[Any] = []
        heard.transport._turn = turn
        heard.events.clear()
        return wired, heard.transport, turn

    def end(self, turn: list[Any]) -> None:
        ending, turn[:] = turn[:], []
        for transport in ending:
            transport.end_turn()

    def arrived(self, wired: Wired) -> bytes:
        wired.settle()
        return wired.hand.raw if wired.hand.tls is None else wired.hand.takes()

    def test_small_writes_leave_together(self) -> None:
        for secure in (False, True):
            wired, transport, turn = self.wired(secure)
            before = len(wired.hand.raw)
            for piece in (b"a", b"b", b"c"):
                transport.write(piece)
            self.assertEqual((turn, len(wired.hand.raw), len(wired.socket.outbox)), ([transport], before, 0))
            self.end(turn)
            self.assertEqual((transport.unsent, wired.socket.writers), (0, False))
            self.assertEqual(self.arrived(wired), b"abc")

    def test_a_large_one_leaves_at_once_unless_a_small_one_waits(self) -> None:
        for secure in (False, True):
            wired, transport, turn = self.wired(secure)
            transport.write(b"x" * LARGE)
            self.assertEqual((turn, transport.unsent), ([], 0))
            transport.write(b"y")
            transport.write(b"z" * LARGE)
            self.assertEqual(turn, [transport])
            self.end(turn)
            self.assertEqual(self.arrived(wired), b"x" * LARGE + b"y" + b"z" * LARGE)

    def test_what_is_gone_by_then_sends_nothing(self) -> None:
        for secure in (False, True):
            for ends in ("abortConnection", "connectionLost"):
                wired, transport, turn = self.wired(secure)
                before = len(wired.hand.raw)
                transport.write(b"late")
                if ends == "connectionLost":
                    transport.connectionLost(Failure(ConnectionLost()))
                else:
                    transport.abortConnection()
                self.end(turn)
                wired.settle()
                self.assertEqual(len(wired.hand.raw), before)

    def test_what_the_kernel_does_not_take_follows(self) -> None:
        wired, transport, turn = self.wired(False)
        wired.socket.window = 2
        transport.write(b"abcde")
        self.end(turn)
        self.assertEqual((transport.unsent, wired.socket.writers), (3, True))
        wired.socket.window = 100
        self.assertEqual(self.arrived(wired), b"abcde")

    def test_a_close_waits_for_it(self) -> None:
        for secure in (False, True):
            wired, transport, turn = self.wired(secure)
            transport.write(b"last words")
            transport.loseConnection()
            self.end(turn)
            self.assertEqual(self.arrived(wired), b"last words")
            if secure:
                self.assertTrue(wired.hand.has_been_told_goodbye)

    def test_a_pull_producer_is_asked_again(self) -> None:
        for secure in (False, True):
            heard = Heard()
            wired, transport, turn = self.wired(secure, heard)
            pieces = [b"one", b"two", b"three"]

            def resume(transport: Any = transport, pieces: list[bytes] = pieces) -> None:
                if pieces:
                    transport.write(pieces.pop(0))
                else:
                    transport.unregisterProducer()

            heard.resumeProducing = resume  # type: ignore[method-assign]
            transport.registerProducer(heard, False)
            for _ in range(5):
                self.end(turn)
                wired.settle()
            self.assertEqual(self.arrived(wired), b"onetwothree")
            self.assertIs(transport.producer, None)

    def test_a_producer_that_was_paused_is_resumed(self) -> None:
        heard = Heard()
        wired, transport, turn = self.wired(False, heard)
        transport.registerProducer(heard, True)
        for _ in range(HIGH_WATER // 1000 + 1):
            transport.write(b"x" * 1000)
        self.assertEqual(heard.events, ["pause"])
        self.end(turn)
        wired.settle()
        self.assertEqual(heard.events, ["pause", "resume"])
