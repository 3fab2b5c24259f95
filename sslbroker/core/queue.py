"""Who waits for a place in a pool, and whose turn it is.

Decides the order. Invariant: who has the higher priority comes first, and of one priority who came first; but
of the places that are given past somebody of a lower priority, every 16th goes to whoever of those has waited
longest, if that is a second or more: nobody starves, and a long queue of them does not take over. Where one
of a *kind* has no place no other of that kind has one, so what a free place costs does not depend on how many
wait. Refuses to know clocks, what a place is, and why anybody leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Set
from itertools import islice
from operator import attrgetter
from typing import Generic, TypeVar

from .figures import PRIORITIES, PoolFigures

#: Of so many places that are given past somebody of a lower priority, the last one is given out of turn.
OUT_OF_TURN = 16

#: Seconds after which somebody may be served out of turn.
PATIENCE = 1.0


class Queued:
    """Somebody who waits, or may have to: what the queue must know."""

    __slots__ = ("came", "held", "kind", "number", "priority")

    def __init__(self, priority: int, kind: Hashable, held: bool = False) -> None:
        self.priority = priority  # 1 to 5, which is the highest
        #: Where one of a kind has no place, no other of that kind has one; all of a kind are held, or none.
        self.kind = kind
        self.held = held  # it gives way to others, and is counted apart
        self.number = 0  # in the order of their coming; 0: it is not in the queue
        self.came: float | None = None  # when it first was; None: it never had to wait


Waits = TypeVar("Waits", bound=Queued)

#: Those of one priority, by their kind: who came first first.
_Line = dict[Hashable, OrderedDict[Waits, None]]

_number = attrgetter("number")


class PoolQueue(Generic[Waits]):
    """The queue of one pool. Times are seconds of the clock that `now` comes from."""

    __slots__ = ("_arrivals", "_figures", "_length", "_lines", "_passed", "held")

    def __init__(self, figures: PoolFigures) -> None:
        self._figures = figures
        #: For each priority, the lowest first. A kind of whom nobody waits is not kept: there is no end of
        #: kinds.
        self._lines: tuple[_Line[Waits], ...] = tuple({} for _ in PRIORITIES)
        self._length = 0
        self.held = 0  # of them, those that give way
        self._arrivals = 0
        self._passed = 0  # places given past somebody of a lower priority, since the last one out of turn

    def __len__(self) -> int:
        return self._length

    def push(self, one: Waits, now: float) -> None:
        """It waits from now on, behind all others of its priority."""
        if one.came is None:
            one.came = now
        self._arrivals += 1
        one.number = self._arrivals
        line = self._lines[one.priority - 1]
        same = line.get(one.kind)
        if same is None:
            same = line[one.kind] = OrderedDict()
        same[one] = None
        self._count(one, 1)

    def remove(self, one: Waits) -> None:
        """It does not wait any more, whatever the reason; or it never did."""
        if not one.number:
            return
        one.number = 0
        line = self._lines[one.priority - 1]
        same = line[one.kind]
        del same[one]
        if not same:
            del line[one.kind]
        self._count(one, -1)

    def served(self, one: Waits, now: float) -> None:
        """It has a place; one that never had to wait for it is not counted."""
        if one.came is None:
            return
        self.remove(one)
        waited = now - one.came
        self._figures.queues[one.priority - 1].waits.add(waited)
        lines, priority = self._lines, one.priority
        if self._passed >= OUT_OF_TURN - 1 and waited >= PATIENCE and any(lines[priority:]):
            self._passed = 0  # it was its turn by age
        elif any(lines[: priority - 1]):
            self._passed += 1
        else:
            self._passed = 0

    def turns(self, hopeless: Set[Hashable], now: float) -> Iterator[Waits]:
        """Who is to be asked for in turn, one of each kind and priority, until one has got a place.

        Kinds in `hopeless` have none; whoever goes on to the next one has added the one before.
        """
        lines = self._lines
        if self._passed >= OUT_OF_TURN - 1:
            highest = next((index for index in reversed(range(len(lines))) if lines[index]), 0)
            for one in self._first(lines[:highest], hopeless):
                if one.kind not in hopeless and one.came is not None and now - one.came >= PATIENCE:
                    yield one
        for line in reversed(lines):
            if line:
                yield from self._first((line,), hopeless)

    def last_below(self, priority: int, held: bool = False) -> Waits | None:
        """Who came last of the lowest priority below this one: of those who are held, or of the others."""
        for line in islice(self._lines, priority - 1):
            last = [one for one in map(next, map(reversed, line.values())) if one.held is held]
            if last:
                return max(last, key=_number)
        return None

    @staticmethod
    def _first(lines: Iterable[_Line[Waits]], hopeless: Set[Hashable]) -> list[Waits]:
        """Who came first of each kind of each of these lines, in the order of their coming."""
        first = [next(iter(same)) for line in lines for kind, same in line.items() if kind not in hopeless]
        if len(first) > 1:
            first.sort(key=_number)
        return first

    def _count(self, one: Waits, change: int) -> None:
        self._length += change
        if one.held:
            self.held += change
        figures = self._figures
        figures.queued = self._length
        figures.queues[one.priority - 1].length += change
