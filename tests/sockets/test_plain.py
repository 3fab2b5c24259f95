"""Our plain transport: Twisted's contract, in memory and over real sockets, and what it does beyond."""

from __future__ import annotations

import socket
import weakref
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    ILoggingContext,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sslbroker.sockets.addresses import address_of
from sslbroker.sockets.outgoing import HIGH_WATER
from sslbroker.sockets.plain import PlainTransport

from ..memory import Network, OwnEnd
from ..test_memory import Contract, End
from .ends import Heard, HeardHalves, Wired


class TheContract(Contract, TestCase):
    """What holds for Twisted's transport holds for ours."""

    def setUp(self) -> None:
        self.network = Network(MemoryReactorClock())

    async def connect(self) -> tuple[End, End]:
        near, far = End(), End()
        self.network.connect(OwnEnd(near, None, True), OwnEnd(far, None, False), "127.0.0.1", 80)
        return near, far

    async def settle(self) -> None:
        self.network.settle()


class Aborting(SynchronousTestCase):
    """Whatever is going on, an abort is a reset, told in the next turn, and nothing leaves after it."""

    def aborted(self, heard: Heard, act: Any, *events: str) -> None:
        """Abort where `heard.at` says, once `act` has brought that about."""
        wired = Wired(heard)
        socket_ = wired.socket
        act(wired)
        wired.settle()
        self.assertEqual(heard.events[-1], "lost ConnectionAborted", heard.events)
        self.assertEqual(heard.events[:-1], list(events))
        self.assertEqual((socket_.connected, socket_.resets), (False, True))
        self.assertEqual(wired.clock.getDelayedCalls(), [])
        self.assertNotIn(b"late", wired.hand.raw)
        wired.hand.sends(b"x")
        self.assertEqual(wired.hand.lost, "ConnectionLost")

    def abort(self, heard: Heard) -> None:
        transport = heard.transport
        transport.abortConnection()
        transport.abortConnection()
        transport.write(b"late")
        transport.loseConnection()
        transport.loseWriteConnection()
        transport.resumeProducing()
        transport.unregisterProducer()
        transport.write(b"late")

    def heard(self, callback: str) -> HeardHalves:
        heard = HeardHalves()
        heard.at[callback] = lambda: self.abort(heard)
        return heard

    def test_in_connection_made(self) -> None:
        self.aborted(self.heard("made"), lambda wired: None, "made")

    def test_in_data_received(self) -> None:
        self.aborted(self.heard("data"), lambda wired: wired.hand.sends(b"a", b"b"), "made")

    def test_in_read_connection_lost(self) -> None:
        heard = self.heard("read lost")
        self.aborted(heard, lambda wired: wired.hand.transport.loseWriteConnection(), "made", "read lost")

    def test_in_write_connection_lost(self) -> None:
        heard = self.heard("write lost")
        self.aborted(heard, lambda wired: heard.transport.loseWriteConnection(), "made", "write lost")

    def test_in_pause_producing(self) -> None:
        heard = self.heard("pause")

        def act(wired: Wired) -> None:
            wired.socket.window = 0
            heard.transport.registerProducer(heard, True)
            heard.transport.write(b"x" * HIGH_WATER * 2)

        self.aborted(heard, act, "made", "pause")

    def test_in_resume_producing(self) -> None:
        heard = self.heard("resume")

        def act(wired: Wired) -> None:
            wired.socket.window = 0
            heard.transport.registerProducer(heard, True)
            heard.transport.write(b"x" * HIGH_WATER * 2)
            wired.socket.window = HIGH_WATER

        self.aborted(heard, act, "made", "pause", "resume")

    def test_in_the_resume_producing_of_registering(self) -> None:
        heard = self.heard("resume")

        def act(wired: Wired) -> None:
            heard.transport.registerProducer(heard, False)

        self.aborted(heard, act, "made", "resume")

    def test_after_a_close_that_waits(self) -> None:
        heard = HeardHalves()

        def act(wired: Wired) -> None:
            wired.socket.window = 0
            heard.transport.write(b"late")
            heard.transport.loseConnection()
            self.abort(heard)

        self.aborted(heard, act, "made")

    def test_after_a_half_close(self) -> None:
        heard = HeardHalves()

        def act(wired: Wired) -> None:
            wired.hand.transport.pauseProducing()  # it would close
            heard.transport.loseWriteConnection()
            wired.settle()
            self.abort(heard)

        self.aborted(heard, act, "made", "write lost")

    def test_in_connection_lost_it_is_too_late(self) -> None:
        heard = self.heard("lost")
        wired = Wired(heard)
        heard.transport.loseConnection()
        wired.settle()
        self.assertEqual(heard.events, ["made", "lost ConnectionDone"])
        self.assertEqual(wired.hand.lost, "ConnectionDone")

    def test_what_the_reactor_tells_meanwhile_is_not_heard(self) -> None:
        heard = HeardHalves()
        wired = Wired(heard)
        transport = heard.transport
        transport.abortConnection()
        wired.socket.inbox += b"x"
        self.assertIs(transport.doRead(), None)
        self.assertIs(transport.doWrite(), None)
        self.assertEqual(heard.received, b"")
        wired.settle()


class Ending(SynchronousTestCase):
    def test_a_protocol_without_half_closes_is_lost_at_the_peers_end(self) -> None:
        wired = Wired(Heard())
        wired.hand.transport.loseWriteConnection()
        wired.settle()
        self.assertEqual(wired.heard.events, ["made", "lost ConnectionDone"])

    def test_a_protocol_without_half_closes_is_not_told_of_its_own(self) -> None:
        wired = Wired(Heard())
        wired.heard.transport.loseWriteConnection()
        wired.settle()
        self.assertTrue(wired.network.ends[1].got_eof)
        self.assertEqual(wired.heard.events[:1], ["made"])

    def test_both_halves_end_apart_and_the_connection_by_a_close(self) -> None:
        wired = Wired(HeardHalves())
        wired.hand.transport.loseWriteConnection()
        wired.settle()
        wired.heard.transport.write(b"after")
        wired.heard.transport.loseWriteConnection()
        wired.settle()
        self.assertEqual(
            (wired.hand.raw, wired.heard.events), (b"after", ["made", "read lost", "write lost"])
        )
        wired.heard.transport.loseConnection()
        self.assertEqual(wired.heard.events[-1], "lost ConnectionDone")

    def test_what_half_close_callbacks_raise_is_logged_and_ends_the_connection(self) -> None:
        for side in ("read lost", "write lost"):
            wired = Wired(HeardHalves())
            wired.heard.at[side] = lambda: 1 // 0
            ends = wired.hand.transport if side == "read lost" else wired.heard.transport
            ends.loseWriteConnection()
            wired.settle()
            self.assertEqual(wired.heard.events, ["made", side, "lost ZeroDivisionError"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_end_is_told_once(self) -> None:
        wired = Wired(Heard())
        told: list[Any] = []
        transport = wired.heard.transport
        transport.ended = told.append
        transport.connectionLost(Failure(ConnectionDone()))
        transport.connectionLost(Failure(ConnectionLost()))
        transport.resumeProducing()
        transport.writeConnectionLost(Failure(ConnectionLost()))
        self.assertEqual(wired.heard.events, ["made", "lost ConnectionDone"])
        self.assertEqual([type(reason.value) for reason in told], [ConnectionDone])

    def test_who_else_wants_to_know_hears_of_an_end_whose_protocol_raises(self) -> None:
        wired = Wired(Heard())
        wired.heard.at["lost"] = lambda: 1 // 0
        told: list[Any] = []
        wired.heard.transport.ended = told.append
        self.assertRaises(ZeroDivisionError, wired.heard.transport.connectionLost, Failure(ConnectionDone()))
        self.assertEqual(len(told), 1)

    def test_its_memory_is_free_at_once(self) -> None:
        for end in ("loseConnection", "abortConnection"):
            wired = Wired(Heard())
            remembered = weakref.ref(wired.heard.transport)
            getattr(wired.heard.transport, end)()
            wired.settle()
            wired.heard.transport = None
            wired.socket.transport = None
            self.assertIs(remembered(), None, end)


@implementer(ILoggingContext)
class Named(Protocol):
    def logPrefix(self) -> str:
        return "a name"


class OverLoopback(SynchronousTestCase):
    """What only a kernel can show."""

    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.peer = socket.create_connection(listening.getsockname())
            near, name = listening.accept()
        self.peer.settimeout(5)
        near.setblocking(False)
        self.addCleanup(self.peer.close)
        self.addCleanup(near.close)
        self.heard = Heard()
        self.transport = PlainTransport(self.clock, near, self.heard, address_of(near.family, name))
        self.transport.start()

    def test_it_provides_what_it_claims(self) -> None:
        for interface in (ITCPTransport, ISystemHandle, ILoggingContext, IHalfCloseableDescriptor):
            verifyObject(interface, self.transport)
        self.assertIs(self.transport.getHandle(), self.transport.socket)

    def test_addresses_and_options(self) -> None:
        self.assertEqual(self.transport.getPeer(), IPv4Address("TCP", *self.peer.getsockname()))
        self.assertEqual(self.transport.getHost(), IPv4Address("TCP", *self.peer.getpeername()))
        for value in (True, False):
            self.transport.setTcpNoDelay(value)
            self.transport.setTcpKeepAlive(value)
            self.assertIs(self.transport.getTcpNoDelay(), value)
            self.assertIs(self.transport.getTcpKeepAlive(), value)
        self.transport.connectionLost(Failure(ConnectionDone()))
        self.transport.setTcpNoDelay(True)

    def test_it_is_named_in_the_log_as_its_protocol(self) -> None:
        self.assertEqual(self.transport.logPrefix(), "Heard")
        named = PlainTransport(self.clock, self.transport.socket, Named(), None)  # type: ignore[arg-type]
        self.assertEqual((named.logPrefix(), named.logPrefix()), ("a name", "a name"))

    def test_there_may_be_nothing_to_read(self) -> None:
        self.assertIs(self.transport.doRead(), None)
        self.assertEqual(self.heard.received, b"")

    def test_an_abort_is_a_reset(self) -> None:
        self.transport.abortConnection()
        self.clock.advance(0)
        self.assertIsInstance(self.heard.reason, ConnectionAborted)
        self.assertRaises(ConnectionResetError, self.peer.recv, 1)

    def test_an_abort_is_a_reset_even_when_the_process_ends_first(self) -> None:
        self.transport.abortConnection()
        self.transport.socket.close()
        self.assertRaises(ConnectionResetError, self.peer.recv, 1)
        self.clock.advance(0)

    def test_a_close_with_bytes_unread_is_an_end_and_no_reset(self) -> None:
        self.peer.sendall(b"unread")
        self.transport.write(b"answer")
        self.transport.loseConnection()
        self.transport.connectionLost(Failure(self.transport.doWrite()))
        self.assertEqual((self.peer.recv(6), self.peer.recv(1)), (b"answer", b""))

    def test_a_half_close_after_the_peers_reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.peer.close()
        self.transport.loseWriteConnection()
        self.assertIs(self.transport.doWrite(), None)
        self.assertIsInstance(self.transport.doRead(), ConnectionLost)
