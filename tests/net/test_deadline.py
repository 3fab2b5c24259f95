"""One time limit at a time, cheaply."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.deadline import Deadline


class Deadlines(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fired: list[float] = []
        self.deadline = Deadline(self.clock, lambda: self.fired.append(self.clock.seconds()))

    def pass_time(self, *steps: float) -> None:
        for step in steps:
            self.clock.advance(step)

    def test_it_fires_once(self) -> None:
        self.deadline.set(5)
        self.pass_time(4.9, 0.1, 10)
        self.assertEqual(self.fired, [5])

    def test_a_later_limit_replaces_an_earlier_one(self) -> None:
        self.deadline.set(5)
        self.pass_time(3)
        self.deadline.set(5)
        self.pass_time(2, 2.9)
        self.assertEqual(self.fired, [])
        self.pass_time(0.1)
        self.assertEqual(self.fired, [8])

    def test_an_earlier_limit_replaces_a_later_one(self) -> None:
        self.deadline.set(50)
        self.deadline.set(5)
        self.pass_time(5)
        self.assertEqual(self.fired, [5])

    def test_a_cleared_limit_does_not_fire_and_can_be_set_again(self) -> None:
        self.deadline.set(5)
        self.deadline.clear()
        self.pass_time(6)
        self.deadline.set(5)
        self.pass_time(5)
        self.assertEqual(self.fired, [11])

    def test_renewing_makes_no_new_delayed_calls(self) -> None:
        for _ in range(1000):
            self.deadline.set(5)
            self.pass_time(0.001)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_nothing_is_left_after_stop(self) -> None:
        self.deadline.stop()
        self.deadline.set(5)
        self.deadline.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pass_time(10)
        self.assertEqual(self.fired, [])

    def test_after_stop_it_calls_nobody(self) -> None:
        self.deadline.stop()
        self.deadline.set(5)
        self.pass_time(5)
        self.assertEqual((self.fired, self.clock.getDelayedCalls()), ([], []))
