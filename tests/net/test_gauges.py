"""What was measured lately is written each second, and a promise that cannot be kept is told."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from sslbroker.core.figures import BrokerFigures, PoolFigures, StorageFigures
from sslbroker.core.members import Member
from sslbroker.core.thresholds import ENOUGH, Thresholds
from sslbroker.core.warming import FIRST
from sslbroker.core.watch import Watch
from sslbroker.interfaces import Origin
from sslbroker.net.gauges import INTERVAL, QUIET, TURN, Gauges
from sslbroker.net.lag import Lag
from sslbroker.settings import Group, Server

GOLD = Group("gold", (), 5)


class Written(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.gauges = Gauges(self.clock)
        self.said: list[str] = []

        @provider(ILogObserver)
        def hear(event: Any) -> None:
            if event["log_namespace"] == "sslbroker.groups":
                self.said.append(formatEvent(event))

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)

    def tearDown(self) -> None:
        self.gauges.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def watch(self, servers: int = 1, groups: tuple[Group, ...] = (GOLD,)) -> Watch:
        self.members = [Member(Server(f"a:{number}")) for number in range(1, servers + 1)]
        self.figures = PoolFigures("shop", "http", [member.figures for member in self.members])
        self.thresholds = Thresholds(groups, self.members)
        watch = Watch(groups, self.members, self.figures, self.thresholds)
        self.gauges.watch("shop", watch)
        return watch

    def answers(self, watch: Watch, seconds: float) -> None:
        """Each server has answered once."""
        for member in self.members:
            watch.times(member, GOLD).add(seconds, self.clock.seconds())

    def learns(self, watch: Watch, seconds: float) -> None:
        """That a server takes so long, idle as it is."""
        origin = Origin("192.0.2.1", secure=True)
        origin.group = GOLD
        for _ in range(FIRST + ENOUGH):
            watch.ended(origin, seconds)
            self.thresholds.heard(self.members[0], seconds, 0, self.clock.seconds())

    def test_gauges_are_written_each_second(self) -> None:
        watch = self.watch()
        self.gauges.start()
        shown = self.figures.servers[0].watches[0]
        self.answers(watch, 0.25)
        self.clock.advance(INTERVAL)
        self.assertEqual((shown.count, round(shown.mean, 6)), (1, 0.25))
        for _ in range(12):
            self.clock.advance(INTERVAL)
        self.assertEqual(shown.count, 0)

    def test_many_are_written_some_at_a_time_and_all_within_two_seconds(self) -> None:
        watch = self.watch(servers=3 * TURN)
        self.gauges.start()
        self.answers(watch, 0.25)
        counts = []
        for _ in range(9):
            before = [server.watches[0].count for server in self.figures.servers].count(1)
            (call,) = self.clock.getDelayedCalls()
            self.clock.advance(call.getTime() - self.clock.seconds())
            counts.append([server.watches[0].count for server in self.figures.servers].count(1) - before)
            if sum(counts) == 3 * TURN:
                break
        self.assertEqual(sum(counts), 3 * TURN)
        self.assertLessEqual(max(counts), TURN)
        self.assertLessEqual(self.clock.seconds(), 2 * INTERVAL)

    def test_the_broker_s_own_lag_is_shown(self) -> None:
        figures = BrokerFigures([], [], StorageFigures(1, 1), 0.0)
        lag = Lag(self.clock)
        self.watch()
        self.gauges.lag(lag, figures)
        lag.start()
        self.gauges.start()
        self.assertEqual(figures.lag_worst, 0.0)
        self.clock.advance(0.2)
        self.clock.advance(0.8)
        self.clock.advance(0.0)
        self.assertGreater(figures.lag, 0.1)
        self.assertAlmostEqual(figures.lag_worst, 0.78)
        lag.stop()

    def test_without_anything_to_write_there_is_no_timer(self) -> None:
        self.gauges.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_promise_that_cannot_be_kept_is_told_once_an_hour(self) -> None:
        watch = self.watch()
        self.gauges.start()
        self.learns(watch, 0.0315)
        for _ in range(10):
            self.clock.advance(INTERVAL)
        self.assertEqual(
            self.said,
            [
                "pool shop: group gold is promised 10 ms, but the pool takes 31.5 ms even when it is idle "
                "(30 of 30 transactions took longer than promised): set groups.gold.threshold to "
                '"auto", or to more than that'
            ],
        )
        self.clock.advance(QUIET)
        self.clock.advance(INTERVAL)
        self.assertEqual(len(self.said), 2)

    def test_nor_is_one_told_that_nobody_has_asked_for(self) -> None:
        watch = self.watch(groups=(Group("gold", (), 5), Group("iron", (), 4)))
        self.gauges.start()
        self.learns(watch, 0.0315)
        self.clock.advance(INTERVAL)
        self.assertTrue(self.figures.groups[1].too_low)
        self.assertEqual([line.partition(" is promised")[0] for line in self.said], ["pool shop: group gold"])

    def test_clients_in_no_group_are_promised_nothing_that_is_told(self) -> None:
        watch = self.watch(groups=(Group("gold", (), 5, 0.5),))
        self.gauges.start()
        self.learns(watch, 0.1)
        self.clock.advance(INTERVAL)
        self.assertFalse(self.figures.groups[-1].too_low)
        self.assertEqual(self.said, [])
