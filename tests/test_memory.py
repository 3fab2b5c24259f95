"""The fake transport behaves as Twisted's TCP transport does: the same tests against both."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from .memory import Network


@implementer(IHalfCloseableProtocol, IPushProducer)
class End(Protocol):
    """Notes what its transport does to it."""

    transport: Any

    def __init__(self) -> None:
        self.events: list[str] = []
        self.size = 0

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)

    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(f"lost {type(reason.value).__name__}")

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")

    def stopProducing(self) -> None:
        self.events.append("stop")


class Contract:
    """`connect` gives a connected pair; `settle` lets everything happen."""

    async def connect(self) -> tuple[End, End]:
        raise AssertionError

    async def settle(self) -> None:
        raise AssertionError

    async def test_bytes_arrive_and_a_close_reaches_the_other_side_behind_them(self: Any) -> None:
        near, far = await self.connect()
        near.transport.write(b"x" * 300_000)
        near.transport.loseConnection()
        await self.settle()
        self.assertEqual((far.size, far.events), (300_000, ["made", "read lost"]))
        self.assertEqual(near.events, ["made", "lost ConnectionDone"])

    async def test_an_abort_is_a_reset(self: Any) -> None:
        near, far = await self.connect()
        near.transport.abortConnection()
        self.assertEqual(near.events, ["made"])
        await self.settle()
        self.assertEqual(near.events, ["made", "lost ConnectionAborted"])
        self.assertEqual(far.events[-1], "lost ConnectionLost")

    async def test_half_close_leaves_the_other_direction(self: Any) -> None:
        near, far = await self.connect()
        near.transport.write(b"x")
        near.transport.loseWriteConnection()
        await self.settle()
        self.assertEqual((far.size, far.events), (1, ["made", "read lost"]))
        self.assertEqual(near.events, ["made", "write lost"])
        far.transport.write(b"yy")
        far.transport.loseConnection()
        await self.settle()
        self.assertEqual((near.size, near.events[-1]), (2, "read lost"))

    async def test_a_paused_reader_pauses_the_writers_producer(self: Any) -> None:
        near, far = await self.connect()
        far.transport.pauseProducing()
        near.transport.registerProducer(near, True)
        for _ in range(80):
            near.transport.write(b"x" * 100_000)
        await self.settle()
        self.assertEqual(near.events[:2], ["made", "pause"])
        self.assertNotIn("resume", near.events)
        far.transport.resumeProducing()
        await self.settle()
        self.assertEqual(
            (far.size, near.events), (8_000_000, ["made", *["pause"] * near.events.count("pause"), "resume"])
        )
        near.transport.unregisterProducer()

    async def test_each_write_into_a_full_buffer_pauses_again(self: Any) -> None:
        near, far = await self.connect()
        far.transport.pauseProducing()
        near.transport.registerProducer(near, True)
        near.transport.write(b"x" * 70_000)
        near.transport.write(b"x")
        self.assertEqual(near.events, ["made", "pause", "pause"])

    async def test_an_end_is_seen_only_by_who_reads_and_again_by_who_reads_on(self: Any) -> None:
        near, far = await self.connect()
        far.transport.pauseProducing()
        near.transport.loseWriteConnection()
        await self.settle()
        self.assertEqual(far.events, ["made"])
        far.transport.resumeProducing()
        await self.settle()
        self.assertEqual(far.events, ["made", "read lost"])
        far.transport.resumeProducing()
        await self.settle()
        self.assertEqual(far.events, ["made", "read lost", "read lost"])

    async def test_a_reset_is_seen_only_by_who_reads_or_writes(self: Any) -> None:
        for write in (False, True):
            near, far = await self.connect()
            far.transport.pauseProducing()
            near.transport.abortConnection()
            await self.settle()
            self.assertEqual(far.events, ["made"])
            if write:
                far.transport.write(b"x")
            else:
                far.transport.resumeProducing()
            await self.settle()
            self.assertEqual(far.events, ["made", "lost ConnectionLost"])

    async def test_who_closes_reads_no_more(self: Any) -> None:
        near, far = await self.connect()
        far.transport.write(b"x")
        near.transport.loseConnection()
        near.transport.resumeProducing()
        await self.settle()
        self.assertEqual((near.size, near.events), (0, ["made", "lost ConnectionDone"]))

    async def test_what_is_written_after_a_close_still_goes_before_it(self: Any) -> None:
        near, far = await self.connect()
        near.transport.loseConnection()
        near.transport.write(b"x")
        await self.settle()
        self.assertEqual((far.size, far.events), (1, ["made", "read lost"]))

    async def test_a_close_after_a_half_close_is_told_at_once(self: Any) -> None:
        near, _ = await self.connect()
        near.transport.loseWriteConnection()
        await self.settle()
        near.transport.loseConnection()
        self.assertEqual(near.events, ["made", "write lost", "lost ConnectionDone"])

    async def test_a_half_close_while_the_producer_is_paused_must_be_asked_for_again(self: Any) -> None:
        near, far = await self.connect()
        far.transport.pauseProducing()
        near.transport.registerProducer(near, True)
        near.transport.write(b"x" * 8_000_000)
        near.transport.loseWriteConnection()
        far.transport.resumeProducing()
        await self.settle()
        self.assertEqual((far.size, far.events), (8_000_000, ["made"]))
        self.assertEqual(near.events, ["made", "pause", "resume"])
        near.transport.loseWriteConnection()
        await self.settle()
        self.assertEqual(far.events, ["made", "read lost"])

    async def test_a_close_waits_for_a_producer_that_is_paused(self: Any) -> None:
        near, far = await self.connect()
        far.transport.pauseProducing()
        near.transport.registerProducer(near, True)
        near.transport.write(b"x" * 8_000_000)
        near.transport.loseConnection()
        far.transport.resumeProducing()
        await self.settle()
        self.assertEqual((far.size, near.events), (8_000_000, ["made", "pause", "resume"]))
        near.transport.unregisterProducer()
        await self.settle()
        self.assertEqual(near.events[-1], "lost ConnectionDone")

    async def test_a_producer_hears_of_the_end(self: Any) -> None:
        near, far = await self.connect()
        near.transport.registerProducer(near, True)
        far.transport.abortConnection()
        await self.settle()
        self.assertEqual(near.events, ["made", "stop", "lost ConnectionLost"])
        near.transport.write(b"x")
        near.transport.loseConnection()
        near.transport.abortConnection()
        near.transport.registerProducer(near, True)
        self.assertEqual(near.events, ["made", "stop", "lost ConnectionLost", "stop"])

    async def test_what_a_protocol_raises_is_logged_and_closes_in_order(self: Any) -> None:
        near, far = await self.connect()
        far.dataReceived = lambda data: 1 // 0
        near.transport.write(b"x")
        await self.settle()
        self.assertEqual(far.events, ["made", "lost ZeroDivisionError"])
        self.assertEqual(near.events, ["made", "read lost"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_it_provides_what_it_claims(self: Any) -> None:
        near, _ = await self.connect()
        for interface in (ITCPTransport, IConsumer, IPushProducer):
            verifyObject(interface, near.transport)


class InMemory(Contract, TestCase):
    def setUp(self) -> None:
        self.network = Network(MemoryReactorClock())

    async def connect(self) -> tuple[End, End]:
        near, far = End(), End()
        self.network.connect(near, far, "127.0.0.1", 80)
        return near, far

    async def settle(self) -> None:
        self.network.settle()


class OverLoopback(Contract, TestCase):
    def setUp(self) -> None:
        self.pairs: list[tuple[End, End]] = []

    async def connect(self) -> tuple[End, End]:
        near, far = End(), End()
        server, client = ServerFactory(), ClientFactory()
        server.noisy = client.noisy = False
        server.buildProtocol = lambda addr: far  # type: ignore[method-assign]
        client.buildProtocol = lambda addr: near  # type: ignore[method-assign]
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        reactor.connectTCP("127.0.0.1", port.getHost().port, client)  # type: ignore[attr-defined]
        while not (near.events and far.events):
            await deferLater(reactor, 0.001)
        await port.stopListening()  # type: ignore[misc]
        self.pairs.append((near, far))
        return near, far

    async def settle(self) -> None:
        quiet, before = 0, ""
        while quiet < 30:
            await deferLater(reactor, 0.001)
            now = repr([(end.size, end.events) for pair in self.pairs for end in pair])
            quiet, before = (quiet + 1, before) if now == before else (0, now)

    def tearDown(self) -> Deferred[None]:  # type: ignore[override]
        async def end() -> None:
            for pair in self.pairs:
                for side in pair:
                    side.transport.abortConnection()
            await self.settle()

        return Deferred.fromCoroutine(end())
