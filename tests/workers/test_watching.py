"""Who does not answer is told by looks, not by the clock."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.workers.watching import LOOKS, Watch

from .wire import Wire

TIMEOUT = 30.0
STEP = TIMEOUT / LOOKS


class Watching(SynchronousTestCase):
    def setUp(self) -> None:
        self.wire = Wire()
        self.wire.flush()
        self.clock = self.wire.clock
        self.living: list[Any] = [self.wire.pipe]
        self.told: list[str] = []
        self.watch = Watch(
            self.clock,
            TIMEOUT,
            lambda: self.living,
            lambda worker: self.told.append("hung"),
            lambda worker: self.told.append("stuck"),
        )
        self.watch.start()

    def looks(self, number: int, *, answers: bool = False) -> None:
        for _ in range(number):
            self.clock.advance(STEP)
            if answers:
                self.wire.flush()

    def test_who_answers_is_asked_again_and_again(self) -> None:
        self.looks(5 * LOOKS, answers=True)
        self.assertEqual(self.told, [])

    def test_who_does_not_is_told_once_and_then_as_one_who_lives_all_the_same(self) -> None:
        self.looks(LOOKS)
        self.assertEqual(self.told, [])
        self.looks(1)
        self.assertEqual(self.told, ["hung"])
        self.looks(2)
        self.assertEqual(self.told, ["hung", "stuck", "stuck"])

    def test_an_answer_begins_it_anew(self) -> None:
        self.looks(LOOKS)
        self.wire.flush()
        self.looks(LOOKS)
        self.assertEqual(self.told, [])

    def test_a_machine_that_slept_for_hours_is_one_look(self) -> None:
        self.looks(2)
        self.clock.advance(3600.0)
        self.looks(LOOKS - 3)
        self.assertEqual(self.told, [])
        self.looks(1)
        self.assertEqual(self.told, ["hung"])

    def test_who_is_gone_is_forgotten(self) -> None:
        self.looks(1)
        self.wire.pipe.connectionLost(Failure(ConnectionLost()))
        self.living.clear()
        self.looks(2 * LOOKS)
        self.assertEqual(self.told, [])

    def test_who_is_going_is_not_asked(self) -> None:
        self.wire.pipe.connectionLost(Failure(ConnectionLost()))
        self.looks(2 * LOOKS)
        self.assertEqual(self.told, [])

    def test_it_ends(self) -> None:
        self.watch.stop()
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
