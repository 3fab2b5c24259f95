"""The one time limit of a client's connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.limits import Limit, Wait, seconds_of
from sslbroker.settings import Limits


class Transport:
    """`dataBuffer` is what the client has not taken."""

    dataBuffer = b""


class OneLimit(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.passed: list[tuple[Wait, float]] = []
        self.limit = Limit(self.clock, seconds_of(Limits()), lambda *what: self.passed.append(what))
        self.transport: Any = Transport()
        self.limit.start(self.transport)
        self.addCleanup(self.limit.stop)

    def test_each_wait_has_its_setting(self) -> None:
        expected = {
            Wait.HANDSHAKE: 10.0,
            Wait.IDLE: 60.0,
            Wait.HEAD: 10.0,
            Wait.BODY: 60.0,
            Wait.SERVER: 0.0,
            Wait.READ: 60.0,
            Wait.TUNNEL: 3600.0,
            Wait.CLOSE: 5.0,
        }
        self.assertEqual(seconds_of(Limits()), expected)

    def test_the_server_is_waited_for_without_limit(self) -> None:
        self.limit.set(Wait.IDLE)
        self.limit.set(Wait.SERVER)
        self.clock.pump([30] * 10)
        self.assertEqual(self.passed, [])

    def test_a_byte_renews_some_limits_and_not_others(self) -> None:
        for wait, renewed in ((Wait.BODY, True), (Wait.TUNNEL, True), (Wait.HEAD, False), (Wait.READ, False)):
            seconds = seconds_of(Limits())[wait]
            self.limit.set(wait)
            self.clock.advance(seconds * 0.75)
            self.limit.set(wait)
            self.clock.advance(seconds * 0.5)
            self.assertEqual(self.passed, [] if renewed else [(wait, seconds)])
            self.passed.clear()
            self.limit.met()

    def test_the_next_wait_for_a_head_is_a_new_one(self) -> None:
        self.limit.set(Wait.HEAD)
        self.clock.advance(9)
        self.limit.met()
        self.limit.set(Wait.HEAD)
        self.clock.advance(9)
        self.assertEqual(self.passed, [])
        self.clock.advance(2)
        self.assertEqual(self.passed, [(Wait.HEAD, 10.0)])

    def test_who_takes_some_of_what_waits_for_it_has_not_stopped(self) -> None:
        self.transport.dataBuffer = b"x" * 100
        self.limit.full()
        self.limit.set(Wait.READ)
        for left in (99, 50, 1):
            self.transport.dataBuffer = b"x" * left
            self.clock.advance(60)
            self.assertEqual(self.passed, [])
        self.clock.advance(60)
        self.assertEqual(self.passed, [(Wait.READ, 60.0)])

    def test_nothing_is_left_after_stop(self) -> None:
        self.limit.set(Wait.IDLE)
        self.limit.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.limit.set(Wait.IDLE)
        self.clock.advance(60)
        self.assertEqual(self.passed, [])
