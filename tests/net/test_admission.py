"""The broker's own overload: who is told of it, what it narrows, and that nothing is left behind."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.attempt import Attempt
from sslbroker.core.figures import BrokerFigures, PoolFigures, StorageFigures
from sslbroker.core.members import Member
from sslbroker.core.promises import Promises
from sslbroker.core.thresholds import Thresholds
from sslbroker.interfaces import Origin
from sslbroker.net.admission import Admission
from sslbroker.net.lag import TICK, Lag
from sslbroker.settings import Group, Pacing, Server

GOLD = Group("gold", (), 5)
SLOW = Group("slow", (), 1, 2.0)


class AnAdmission(SynchronousTestCase):
    groups: tuple[Group, ...] = (SLOW, GOLD)

    def setUp(self) -> None:
        self.clock = Clock()
        self.lag = Lag(self.clock)
        self.lag.start()
        self.figures = BrokerFigures([], [], StorageFigures(1, 1), 0.0)
        self.members = [[Member(Server("a:1"))] for _ in range(2)]
        self.promises = [self.pool(members) for members in self.members]
        self.admission = Admission(self.lag, self.promises, 0.1, self.figures, self.clock)
        self.admission.start()
        self.said: list[Any] = []

    def pool(self, members: list[Member]) -> Promises:
        figures = PoolFigures("shop", "http", [member.figures for member in members])
        return Promises(members, Pacing(), Thresholds(self.groups, members), figures, self.lag.worst)

    def under_way(self, *plain: int) -> None:
        for promises, number in zip(self.promises, plain, strict=True):
            promises.plain = number

    def busy(self, turn: float, seconds: float) -> None:
        """The loop of this reactor is late by `turn`, again and again."""
        with capturedLogs() as logs:
            until = self.clock.seconds() + seconds
            while self.clock.seconds() < until:
                self.clock.advance(TICK + turn)
        self.said += [formatEvent(event) for event in logs if event["log_namespace"] == "sslbroker.overload"]

    def tearDown(self) -> None:
        self.lag.stop()
        self.admission.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([promises.overload for promises in self.promises], [None, None])


class Overloads(AnAdmission):
    def test_without_lag_everybody_has_room_and_nothing_is_said(self) -> None:
        self.under_way(10_000, 10_000)
        self.busy(0.0, 30.0)
        self.assertTrue(self.admission.has_room())
        self.assertEqual((self.said, self.figures.overloaded), ([], 0))

    def test_lag_that_lasts_narrows_all_pools_together(self) -> None:
        self.under_way(30, 70)
        self.busy(0.03, 2.0)
        self.assertEqual(self.figures.overloaded, 1)
        self.assertFalse(self.admission.has_room())
        self.under_way(9, 0)
        self.assertTrue(self.admission.has_room())
        self.busy(0.03, 20.0)
        self.under_way(0, 0)
        self.assertTrue(self.admission.has_room())

    def test_it_is_told_when_it_does_not_help(self) -> None:
        self.under_way(0, 0)
        self.busy(0.03, 9.0)
        self.assertEqual(self.figures.overloaded, 0)
        self.assertTrue(self.admission.has_room())
        self.assertIn("holding plain transactions back to 1 did not help", self.said[-1])
        self.busy(0.0, 40.0)

    def test_it_is_told_once_and_its_end_too(self) -> None:
        self.under_way(30, 70)
        self.busy(0.03, 2.0)
        self.under_way(4, 5)
        self.busy(0.02, 10.0)
        (line,) = self.said
        self.assertIn("the broker is overloaded: its event loop was busy for ", line)
        self.assertIn("(overload is above 5.0 ms), so of 100 plain transactions ", line)
        self.assertIn("it lets in no more than 70 while ", line)
        self.busy(0.0, 20.0)
        self.assertEqual(len(self.said), 2)
        self.assertIn("overload is over after ", self.said[1])
        self.assertIn(" held to 10 at the narrowest", self.said[1])
        self.assertEqual(self.figures.overloaded, 0)

    def test_pools_ask_it_for_plain_ones_beside_secure_ones(self) -> None:
        promises = self.promises[0]
        members = self.members[0]

        def suitable() -> object:
            secure = Origin("192.0.2.1", secure=True)
            secure.group = GOLD
            now = self.clock.seconds()
            promises.began(Attempt(members[0], now), secure, now)
            return promises.suitable(members, Origin("192.0.2.2", secure=False), now, now)

        self.under_way(30, 70)
        self.assertEqual(suitable(), members)
        self.busy(0.03, 2.0)
        self.assertEqual(suitable(), ())


class OfGenerousGroups(AnAdmission):
    groups = (SLOW,)

    def test_what_they_are_promised_says_what_lag_is(self) -> None:
        self.under_way(30, 70)
        self.busy(0.2, 20.0)
        self.assertTrue(self.admission.has_room())
        self.assertEqual(self.admission.overload.enter, 0.5)
