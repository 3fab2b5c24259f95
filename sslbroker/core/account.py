"""What is known of one server: its pace, what its load makes of response times, and how groups stand there.

Decides what one try tells of its server, and when a promise that was broken there makes its window smaller.
Invariant: a group has one standing here for its secure tries, and one for its plain ones, from the first such
try on. Refuses to know other servers, what groups are promised, and to whom transactions go: `promises` does.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from ..settings import Group
from ..settings import Pacing as PacingSettings
from .attempt import Attempt
from .loads import Loads
from .members import Member
from .pacing import Pace
from .standing import Standing
from .watch import Watch


class Breach(NamedTuple):
    """A promise that was broken, and for which a window was made smaller."""

    group: str
    threshold: float
    seconds: float  # that it took at least
    server: str  # which was too slow; "": none, it had waited


class Account:
    """Made for each member of a pool in which groups are promised something."""

    __slots__ = ("_slow", "loads", "member", "pace", "standings", "under_way")

    def __init__(self, member: Member, settings: PacingSettings) -> None:
        self.member = member
        self.loads = Loads()
        self.pace = Pace(settings, self.loads)
        self.standings: dict[tuple[str, bool], Standing] = {}
        self._slow: dict[Standing, None] = {}  # those of them that were over when they were last looked at
        self.under_way = 0  # tries that are measured: a tunnel that is open for hours is no load

    def standing(self, group: Group | None, plain: bool) -> Standing:
        """A new one."""
        name = group.name if group is not None else ""
        self.standings[name, plain] = standing = Standing(group, plain)
        return standing

    def has_room(self) -> bool:
        """May another plain transaction begin there?"""
        return self.under_way + 1 <= self.pace.window or self.pace.has_room(self.under_way)

    def began(self, attempt: Attempt, group: Group | None, plain: bool, watch: Watch | None) -> None:
        """A try begins here that is to be measured; its member knows of it already."""
        attempt.load = load = self.under_way
        self.under_way = load + 1
        standing = self.standings.get((group.name if group is not None else "", plain))
        if standing is None:
            standing = self.standing(group, plain)
            if not plain and watch is not None:
                standing.times = watch.times(self.member, group)
        attempt.standing = standing
        self.pace.began(plain, load)

    def doubted(self, standing: Standing) -> None:
        """With its secure transactions this group may keep away from now on."""
        self._slow[standing] = None

    def avoided_by(self, now: float) -> Group | None:
        """A group that keeps away with its secure transactions; None: none does."""
        slow = self._slow
        while slow:
            standing = next(iter(slow))
            if standing.over(now):
                return standing.group
            del slow[standing]
        return None

    def breached(
        self, attempt: Attempt, group: Group, threshold: float, seconds: float, now: float
    ) -> Breach | None:
        """The try takes longer than the group is promised: for what the window is smaller now, if it is."""
        if not self.pace.breached(seconds / threshold, attempt.sent, attempt.load, now):
            return None
        self.member.figures.reductions += 1
        return Breach(group.name, threshold, seconds, self.member.address)

    def show(self, now: float) -> None:
        """The window, in the figures of the server."""
        figures, window = self.member.figures, self.pace.window
        figures.window = 0 if window == inf else int(window)
        figures.pacing = self.pace.state(now)
