"""What was looked at once is set aside, and garbage is collected all the same."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net import heap
from sslbroker.net.heap import FEW, ONE_LOOK, THRESHOLDS, Heap

ROOT = Path(__file__).resolve().parents[2]


class Collector:
    """The calls of `gc`, and how many objects there are of each kind."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []
        self.new = 200_000
        self.frozen = self.counted = self.collected = 0
        self.whole: list[int] = []  # at how many objects a look was, that looked at all
        self.threshold: tuple[int, ...] = ()

    def collect(self) -> None:
        """A look, as the collector takes one by itself when enough has come."""
        for callback in self.callbacks:
            callback("start", {"generation": 2})
        self.collected += 1
        if not self.frozen:
            self.whole.append(self.new)
        for callback in self.callbacks:
            callback("stop", {"generation": 2})

    def freeze(self) -> None:
        self.frozen, self.new = self.frozen + self.new, 0

    def unfreeze(self) -> None:
        self.frozen, self.new = 0, self.frozen + self.new

    def get_freeze_count(self) -> int:
        self.counted += 1
        return self.frozen

    def set_threshold(self, *values: int) -> None:
        self.threshold = values


class Looking(SynchronousTestCase):
    def setUp(self) -> None:
        self.gc = Collector()
        Heap(self.gc).begin()

    def come(self, number: int, *, gone: int = 0) -> None:
        """So many looks' worth of objects, while others go without the collector."""
        for _ in range(number):
            self.gc.new += ONE_LOOK
            self.gc.collect()
            self.gc.frozen -= gone

    def test_what_is_there_at_the_start_is_set_aside(self) -> None:
        self.assertEqual((self.gc.frozen, self.gc.new, self.gc.collected), (200_000, 0, 1))
        self.assertEqual(self.gc.threshold, THRESHOLDS)

    def test_what_has_been_looked_at_is_not_looked_at_again(self) -> None:
        self.come(3)
        self.assertEqual((self.gc.frozen, self.gc.new), (200_000 + 3 * ONE_LOOK, 0))
        self.assertEqual(self.gc.whole, [200_000])
        self.assertEqual(self.gc.counted, 1)

    def test_young_objects_are_left_to_the_collector(self) -> None:
        self.gc.new = 500
        for phase, generation in (("start", 2), ("stop", 0), ("stop", 1)):
            self.gc.callbacks[0](phase, {"generation": generation})
        self.assertEqual(self.gc.new, 500)

    def test_all_is_looked_at_when_it_has_doubled_and_again_when_that_has(self) -> None:
        self.come(100)
        self.assertEqual(len(self.gc.whole), 4, self.gc.whole)
        for before, after in zip(self.gc.whole, self.gc.whole[1:], strict=False):
            self.assertGreater(after, 2 * before)
            self.assertLess(after, 2 * before + 3 * ONE_LOOK)

    def test_few_are_not_looked_at_again_though_they_have_doubled(self) -> None:
        self.gc = Collector()
        self.gc.new = 50_000
        Heap(self.gc).begin()
        self.come((FEW - 50_000) // ONE_LOOK)
        self.assertEqual(self.gc.whole, [50_000])
        self.come(4)
        self.assertEqual(len(self.gc.whole), 2)

    def test_while_as_many_go_as_come_it_is_only_counted_now_and_then(self) -> None:
        self.come(1000, gone=ONE_LOOK)
        self.assertEqual(self.gc.whole, [200_000])
        self.assertLess(self.gc.counted, 1000 / 5)


#: Objects that refer to themselves, kept until they are set aside, then dropped; what is left of them.
PROGRAM = """
import gc
from sslbroker.net.heap import settle

class Cycle:
    living = most = 0
    def __init__(self):
        self.itself = self
        Cycle.living += 1
    def __del__(self):
        Cycle.living -= 1

settle()
for _ in range(20):
    kept = [Cycle() for _ in range(30_000)]
    gc.collect()
    Cycle.most = max(Cycle.most, Cycle.living)
    del kept
print(Cycle.most)
"""


class Real(SynchronousTestCase):
    def test_garbage_in_what_is_set_aside_is_bounded(self) -> None:
        argv = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
        self.assertLess(int(done.stdout), FEW)  # of more than twice as many

    def test_it_happens_when_the_reactor_runs(self) -> None:
        begun: list[str] = []
        self.patch(heap, "settle", lambda: begun.append("settled"))
        reactor = MemoryReactor()
        heap.settle_when_running(reactor)
        self.assertEqual(begun, [])
        reactor.run()
        self.assertEqual(begun, ["settled"])

    def test_the_collector_is_pythons(self) -> None:
        for name in ("collect", "freeze", "unfreeze", "get_freeze_count", "set_threshold", "callbacks"):
            self.assertTrue(hasattr(gc, name), name)
