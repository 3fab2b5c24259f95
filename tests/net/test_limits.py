"""The one time limit of a client's connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.errors import BrokerError
from sslbroker.net.limits import Limit, Wait, seconds_of
from sslbroker.settings import Limits


class Transport:
    """`dataBuffer` is what the client has not taken."""

    dataBuffer = b""


class Connection:
    """Keeps what its limit makes it do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def close(self) -> None:
        self.done.append("close")

    def refuse(self, error: BrokerError) -> None:
        self.done.append(f"refuse: {error.detail}")

    def give_up(self, error: BrokerError) -> None:
        self.done.append(f"give up: {error.detail}")


class OneLimit(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        connection: Any = Connection()
        self.done = connection.done
        self.limit = Limit(self.clock, seconds_of(Limits()), connection)
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
            Wait.REST: 60.0,
            Wait.CLOSE: 5.0,
        }
        self.assertEqual(seconds_of(Limits()), expected)

    def test_the_server_is_waited_for_without_limit(self) -> None:
        self.limit.set(Wait.IDLE)
        self.limit.set(Wait.SERVER)
        self.clock.pump([30] * 10)
        self.assertEqual(self.done, [])

    def test_a_byte_renews_some_limits_and_not_others(self) -> None:
        for wait, renewed in ((Wait.BODY, True), (Wait.TUNNEL, True), (Wait.HEAD, False), (Wait.READ, False)):
            seconds = seconds_of(Limits())[wait]
            self.limit.set(wait)
            self.clock.advance(seconds * 0.75)
            self.limit.set(wait)
            self.clock.advance(seconds * 0.5)
            self.assertEqual(len(self.done), 0 if renewed else 1)
            self.done.clear()
            self.limit.met()

    def test_the_next_wait_for_a_head_is_a_new_one(self) -> None:
        self.limit.set(Wait.HEAD)
        self.clock.advance(9)
        self.limit.met()
        self.limit.set(Wait.HEAD)
        self.clock.advance(9)
        self.assertEqual(self.done, [])
        self.clock.advance(2)
        self.assertEqual(self.done, ["refuse: no whole head within 10 s"])

    def test_who_takes_some_of_what_waits_for_it_has_not_stopped(self) -> None:
        self.transport.dataBuffer = b"x" * 100
        self.limit.full()
        self.limit.set(Wait.READ)
        for left in (99, 50, 1):
            self.transport.dataBuffer = b"x" * left
            self.clock.advance(60)
            self.assertEqual(self.done, [])
        self.clock.advance(60)
        self.assertEqual(self.done, ["give up: read: nothing for 60 s"])

    def test_nothing_is_left_after_stop(self) -> None:
        self.limit.set(Wait.IDLE)
        self.limit.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.limit.set(Wait.IDLE)
        self.clock.advance(60)
        self.assertEqual(self.done, [])
