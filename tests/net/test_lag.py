"""How late the broker's own loop is: turn by turn where the reactor tells, else by a timer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import exp
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.lag import MOST, TICK, Lag

if sys.platform == "linux":
    from sslbroker.sockets.reactor import DirectEPollReactor


class Telling(Clock):
    """A reactor that tells of its long turns, as that of `sockets` does."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = 1000.0
        self.turn_began = 0.0
        self.long_turn: Callable[[float, float], object] | None = None

    def watch_turns(self, long_turn: Callable[[float, float], object]) -> None:
        self.long_turn = long_turn
        self.turn_began = self.seconds()

    def unwatch_turns(self, long_turn: Callable[[float, float], object]) -> None:
        assert self.long_turn == long_turn
        self.long_turn = None

    def waits(self, seconds: float) -> None:
        self.rightNow += seconds
        self.turn_began = self.rightNow

    def busy(self, seconds: float) -> None:
        """Up to the end of the turn."""
        self.rightNow += seconds
        assert self.long_turn is not None
        self.long_turn(self.turn_began, self.rightNow)
        self.turn_began = self.rightNow


class Turns(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Telling()
        self.lag = Lag(self.reactor)
        self.lag.start()
        self.addCleanup(self.lag.stop)

    def worst(self, ago: float) -> float:
        now = self.reactor.seconds()
        return round(self.lag.worst(now - ago, now), 6)

    def test_none_without_a_turn(self) -> None:
        self.reactor.waits(5.0)
        self.assertEqual((self.worst(10.0), self.lag.mean(self.reactor.seconds())), (0.0, 0.0))

    def test_the_longest_of_those_that_ended_since(self) -> None:
        for busy in (0.050, 0.010, 0.030, 0.005):
            self.reactor.busy(busy)
            self.reactor.waits(0.1)
        told = [self.worst(ago) for ago in (0.5, 0.46, 0.44, 0.21, 0.2, 0.11, 0.09)]
        self.assertEqual(told, [0.05, 0.05, 0.03, 0.03, 0.005, 0.005, 0.0])

    def test_one_that_began_before_counts_whole(self) -> None:
        self.reactor.busy(0.050)
        self.reactor.waits(0.001)
        self.assertEqual(self.worst(0.01), 0.05)

    def test_the_one_that_is_under_way_counts_so_far(self) -> None:
        self.reactor.waits(1.0)
        self.reactor.rightNow += 0.03
        self.assertEqual(self.worst(0.04), 0.03)
        self.assertAlmostEqual(self.lag.mean(self.reactor.seconds()), 0.03 * (1 - exp(-0.03)))

    def test_mean_of_a_loop_that_never_waits_is_the_length_of_its_turns(self) -> None:
        for _ in range(1000):
            self.reactor.busy(0.008)
        self.assertAlmostEqual(self.lag.mean(self.reactor.seconds()), 0.008, 4)

    def test_mean_of_one_that_is_busy_a_quarter_of_the_time_is_a_quarter_of_that(self) -> None:
        for _ in range(1000):
            self.reactor.waits(0.015)
            self.reactor.busy(0.005)
        self.assertAlmostEqual(self.lag.mean(self.reactor.seconds()), 0.005 / 4, 4)

    def test_mean_forgets(self) -> None:
        for _ in range(1000):
            self.reactor.busy(0.01)
        self.reactor.waits(1.0)
        self.assertAlmostEqual(self.lag.mean(self.reactor.seconds()), 0.01 / exp(1), 5)
        self.reactor.waits(20.0)
        self.assertLess(self.lag.mean(self.reactor.seconds()), 1e-6)

    def test_a_clock_that_is_put_back_is_borne(self) -> None:
        self.reactor.busy(0.05)
        self.reactor.rightNow -= 500.0
        self.assertLess(self.lag.worst(self.reactor.seconds() - 0.01, self.reactor.seconds()), 0.051)
        self.assertLess(self.lag.mean(self.reactor.seconds()), 0.05)
        self.reactor.turn_began = self.reactor.rightNow
        self.reactor.busy(0.01)
        self.assertEqual(self.worst(0.05), 0.01)
        self.assertLess(self.lag.mean(self.reactor.seconds()), 0.01)

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(2 * MOST):
            self.reactor.busy(1.0 - number / 1000.0)
        self.assertEqual(len(self.lag._ends), MOST)
        self.assertEqual(len(self.lag._lengths), MOST)
        self.assertEqual(self.worst(1e6), 1.0 - MOST / 1000.0)

    def test_nothing_is_heard_after_the_stop_nor_left(self) -> None:
        self.lag.stop()
        self.assertEqual((self.reactor.long_turn, self.reactor.getDelayedCalls()), (None, []))
        self.reactor.rightNow += 5.0
        self.assertEqual(self.worst(10.0), 0.0)
        self.lag.stop()

    def test_no_wait_is_longer_than_a_tick(self) -> None:
        for _ in range(5):
            (call,) = self.reactor.getDelayedCalls()
            self.assertAlmostEqual(call.getTime() - self.reactor.seconds(), TICK)
            self.reactor.advance(TICK)


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.floats(0.0, 0.1)), max_size=60), st.floats(0.0, 40.0))
def test_worst_is_what_a_list_of_all_turns_says(turns: list[tuple[float, float]], ago: float) -> None:
    reactor = Telling()
    lag = Lag(reactor)
    lag.start()
    heard: list[tuple[float, float]] = []
    for busy, waits in turns:
        reactor.busy(busy)
        heard.append((reactor.seconds(), busy))
        reactor.waits(waits)
    now = reactor.seconds()
    expected = max((length for ended, length in heard if ended > now - ago), default=0.0)
    assert abs(lag.worst(now - ago, now) - expected) < 1e-9


class ByATimer(SynchronousTestCase):
    """A reactor that tells nothing."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lag = Lag(self.clock)
        self.lag.start()
        self.addCleanup(self.lag.stop)

    def worst(self) -> float:
        return round(self.lag.worst(self.clock.seconds() - 0.1, self.clock.seconds()), 6)

    def test_a_timer_that_is_called_in_time_shows_none(self) -> None:
        for _ in range(10):
            self.clock.advance(TICK)
        self.assertEqual((self.worst(), self.lag.mean(self.clock.seconds())), (0.0, 0.0))

    def test_how_late_it_is_called(self) -> None:
        self.clock.advance(TICK + 0.03)
        self.assertEqual(self.worst(), 0.03)
        self.assertAlmostEqual(self.lag.mean(self.clock.seconds()), 0.03 * (1 - exp(-0.03)))
        self.clock.advance(TICK)
        self.assertEqual(self.worst(), 0.03)

    def test_that_it_is_due_and_was_not_called_yet(self) -> None:
        self.clock.rightNow += TICK + 0.03
        self.assertEqual(self.worst(), 0.03)

    def test_a_little_is_none(self) -> None:
        self.clock.advance(TICK + 0.0009)
        self.assertEqual(self.worst(), 0.0)

    def test_no_timer_is_left_after_the_stop(self) -> None:
        self.lag.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(5.0)
        self.assertEqual(self.worst(), 0.0)


def stalled(reactor: Any) -> tuple[float, float]:
    """What is told of a stall of 30 ms in the midst of the loop's work: within it, and afterwards."""
    lag = Lag(reactor)
    told: list[float] = []
    lag.start()
    began = reactor.seconds()

    def stall() -> None:
        time.sleep(0.03)
        told.append(lag.worst(began, reactor.seconds()))

    reactor.callLater(0.025, stall)
    while not told or reactor.seconds() < began + 0.1:
        reactor.iterate(0.01)
    told.append(lag.worst(began, reactor.seconds()))
    lag.stop()
    return told[0], told[1]


class OfOurReactor(SynchronousTestCase):
    if sys.platform != "linux":
        skip = "epoll is Linux's"

    def test_a_stall_is_seen_within_and_afterwards(self) -> None:
        reactor = DirectEPollReactor()
        self.addCleanup(reactor._poller.close)
        self.addCleanup(reactor.waker.connectionLost, Failure(CONNECTION_DONE))
        within, after = stalled(reactor)
        self.assertGreaterEqual(within, 0.0299)
        self.assertGreaterEqual(after, within)


class OfAnotherReactor(SynchronousTestCase):
    def test_a_stall_is_seen_by_the_timer(self) -> None:
        reactor = SelectReactor()
        self.addCleanup(reactor.waker.connectionLost, Failure(CONNECTION_DONE))
        _, after = stalled(reactor)
        self.assertGreaterEqual(after, 0.0299 - TICK)
