"""The watch over the response times of one pool: what its groups are promised, and what they get.

Decides what is counted of groups, and of their server times at each server. Invariant: of a group only
secure transactions are counted, since only they can be held to a promise, and clients in no group are
promised nothing that can be broken. What was lately is written into the figures only when somebody asks for
it, in small parts. Refuses to know clocks, and what follows from a breach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..interfaces import Origin
from ..settings import Group
from .figures import GroupFigures, PoolFigures, WatchFigures
from .members import Member
from .response_times import ResponseTimes
from .thresholds import Thresholds

Promise = tuple[float, bool]
"""The threshold of a transaction's group, in seconds, and whether it was breached."""


class Watch:
    """Made where there are groups; it gives the pool and its members their figures of them."""

    __slots__ = ("_recent", "_servers", "_thresholds", "groups")

    def __init__(
        self,
        groups: Sequence[Group],
        members: Sequence[Member],
        figures: PoolFigures,
        thresholds: Thresholds,
    ) -> None:
        figures.groups = [
            *(GroupFigures(group.name, group.priority) for group in groups),
            GroupFigures("", 1),
        ]
        self._thresholds = thresholds
        self.groups = {group.name: group for group in figures.groups}
        self._servers: dict[Member, dict[str, WatchFigures]] = {}
        for member in members:
            self._servers[member] = watches = {name: WatchFigures(name) for name in self.groups}
            member.figures.watches = list(watches.values())
        self._recent: list[tuple[WatchFigures, ResponseTimes]] = []
        self._show_groups()

    def times(self, member: Member, group: Group | None) -> ResponseTimes:
        """Where the server times of the group at the server are added from now on. To be asked once."""
        times = ResponseTimes()
        self._recent.append((self._servers[member]["" if group is None else group.name], times))
        return times

    def promise(self, origin: Origin) -> Promise:
        """Of what was no transaction, or is not measured: nothing is breached."""
        return self._thresholds.of(origin.group), False

    def ended(self, origin: Origin, waited: float) -> Promise:
        """A transaction is over: its client `waited` so many seconds for the response, or for none."""
        group = origin.group
        threshold = self._thresholds.of(group)
        if not origin.secure:
            return threshold, False
        figures = self.groups["" if group is None else group.name]
        figures.transactions += 1
        figures.client_times.add(waited)
        if group is None or waited <= threshold:
            return threshold, False
        figures.breaches += 1
        return threshold, True

    def parts(self) -> Iterator[Callable[[float], None]]:
        """What writes the gauges, each call a part of them, as they are at the time that it is given."""
        yield self._show_groups
        for figures, times in self._recent:
            yield partial(_show, figures, times)

    @property
    def size(self) -> int:
        """How many parts there are."""
        return 1 + len(self._recent)

    def _show_groups(self, now: float = 0.0) -> None:
        idle = self._thresholds.idle()
        for name, figures in self.groups.items():
            figures.threshold = self._thresholds.by_name(name)
            if idle is not None:
                figures.idle = idle


def _show(figures: WatchFigures, times: ResponseTimes, now: float) -> None:
    figures.count = times.count(now)
    figures.mean = times.mean(now) or 0.0
    figures.p50, figures.p95, figures.p99 = times.quantiles((0.5, 0.95, 0.99), now) or (0.0, 0.0, 0.0)
