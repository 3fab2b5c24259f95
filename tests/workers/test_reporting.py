"""Figures are told when they have changed, some at a time."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.figures import ListenerFigures
from sslbroker.workers.reporting import INTERVAL, PIECE, TURN, Reporting


class Case(SynchronousTestCase):
    def build(self, count: int) -> None:
        self.clock = Clock()
        self.listeners = [ListenerFigures(str(number), "tcp:0", "shop", False) for number in range(count)]
        self.messages: list[bytes] = []
        self.reporting = Reporting(self.listeners, self.clock, self.messages.append)

    def told(self) -> dict[int, Any]:
        """What was told since the last time, by number."""
        rows = [row for message in self.messages for row in json.loads(message)]
        self.messages.clear()
        return dict(rows)

    def test_changes_are_told_within_a_second(self) -> None:
        for count in (3, 5 * TURN):
            self.build(count)
            self.reporting.start()
            self.clock.pump([INTERVAL / 24] * 26)
            self.assertEqual(len(self.told()), count + 1)
            self.listeners[-1].accepted = 7
            self.clock.pump([INTERVAL / 24] * 26)
            self.assertEqual(self.told()[count][0][0], 7)
            self.reporting.stop()
            self.reporting.stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_one_turn_only_some_are_looked_at(self) -> None:
        self.build(5 * TURN)
        self.reporting.start()
        self.assertEqual(len(self.told()), TURN)
        done = self.reporting.soon()
        self.assertNoResult(done)
        self.assertLessEqual(set(self.told()), {0})  # what it costs changes; the others have been told
        self.clock.advance(0)  # and all that is called at once by what is called
        self.successResultOf(done)
        self.assertEqual([len(json.loads(message)) for message in self.messages], [TURN] * 4 + [1])
        self.reporting.stop()

    def test_at_the_end_all_are_told_at_once(self) -> None:
        self.build(2 * TURN)
        self.reporting.now()
        self.assertEqual(len(self.told()), 2 * TURN + 1)
        self.listeners[0].open = 1
        self.reporting.now()
        self.assertIn(1, self.told())

    def test_a_message_is_bounded(self) -> None:
        self.build(TURN)
        for listener in self.listeners:
            listener.ends = {f"word-{number}": number for number in range(200)}
        self.reporting.now()
        self.assertGreater(len(self.messages), 3)
        self.assertLess(max(map(len, self.messages)), 2 * PIECE)

    def test_what_the_process_costs(self) -> None:
        self.build(0)
        self.reporting.now()
        (cpu,), (memory,), *_ = self.told()[0]
        self.assertGreater(cpu, 0)
        self.assertGreater(memory, 1_000_000)
        with mock.patch("pathlib.Path.read_text", side_effect=OSError):
            self.reporting.now()
        self.assertEqual(self.told()[0][1], [0])
