"""What each group of clients is promised at one pool, in seconds.

Decides the threshold of a group: its own, or what follows from its priority, or with "auto" what also fits
how the pool answers when it has nothing else to do. Invariant: there is always one, for clients in no
group, too: that of priority 1; one that is learnt is never below that of the priority. What a server does
under load, in its beginning, or while it is barred teaches nothing. Refuses to say what follows from a
breach.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from math import ceil

from ..settings import THRESHOLDS, Group
from .members import Member
from .warming import Warming

# The rule of "auto". A server's *idle times* are those of its last `KEPT` good answers that found no other
# try under way there. Of these the pool's is the lower median over its open servers of which enough are
# known, so that slow ones do not raise it while half are well. The threshold is twice their p95. It was
# chosen by playing servers (`tests/core/test_thresholds.py`): of the answers of an idle server about 1 % at
# most are longer, whether its times are even, exponential or log-normal; one that becomes three times
# slower is noticed; and it is found within 8 %. Three times the median would make one in eight of
# exponential times a breach; what is made of the p99 is noise when one answer in a hundred is long.

#: Idle times that are kept of a server, and how many must be known.
KEPT, ENOUGH = 256, 20

#: The threshold of "auto" is this multiple of this quantile of the idle times.
MULTIPLE, SHARE = 2.0, 0.95

#: Seconds from one look at a threshold to the next, and the least part by which it changes.
PAUSE, STEP = 1.0, 0.1

_NO_GROUP = THRESHOLDS[1]


class IdleTimes:
    """Those of one server: the last `KEPT`."""

    __slots__ = ("_came", "_sorted", "warming")

    def __init__(self, member: Member) -> None:
        self.warming = Warming(member)
        self._came: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._came) == KEPT:
            del self._sorted[bisect_left(self._sorted, self._came.popleft())]
        self._came.append(seconds)
        insort(self._sorted, seconds)

    def quantile(self, share: float) -> float | None:
        """None: too few are known."""
        count = len(self._sorted)
        return self._sorted[ceil(share * count) - 1] if count >= ENOUGH else None


class Thresholds:
    """The promises of one pool to these groups."""

    __slots__ = ("_auto", "_due", "_idle", "_seconds", "least")

    def __init__(self, groups: Sequence[Group] = (), members: Sequence[Member] = ()) -> None:
        self._seconds = {group.name: _promised(group) for group in groups}
        self._auto = [group for group in groups if group.threshold == "auto"]
        self._idle = {member: IdleTimes(member) for member in members}
        self._due = 0.0  # when "auto" is looked at again
        #: Of all groups; 0.0: there are none.
        self.least = min(self._seconds.values(), default=0.0)

    def of(self, group: Group | None) -> float:
        """Seconds."""
        if group is None:
            return _NO_GROUP
        return self._seconds.get(group.name) or _promised(group)

    def by_name(self, name: str) -> float:
        """The same for a group of this name; "": clients in no group."""
        return self._seconds[name] if name else _NO_GROUP

    def heard(self, member: Member, seconds: float, load: int, now: float) -> bool:
        """A try had a good answer, `seconds` after its request was sent; it had found `load` others there.

        False: its server is in its beginning, and the time says nothing."""
        idle = self._idle[member]
        if not idle.warming.counts(now):
            return False
        if not load:
            idle.add(seconds)
            if self._auto and now >= self._due:
                self._learn(now)
        return True

    def warm(self, member: Member) -> bool:
        """Is the server past its beginning, so that its times say something?"""
        return self._idle[member].warming.warm

    def idle(self, member: Member | None = None) -> float | None:
        """Seconds that a server, or the pool, takes when it is idle: a median; None: too little is known."""
        if member is not None:
            return self._idle[member].quantile(0.5)
        return self._of_pool(0.5)

    def _of_pool(self, share: float) -> float | None:
        open_ones = (idle.quantile(share) for member, idle in self._idle.items() if member.open)
        known = sorted(seconds for seconds in open_ones if seconds is not None)
        return known[(len(known) - 1) // 2] if known else None

    def _learn(self, now: float) -> None:
        self._due = now + PAUSE
        idle = self._of_pool(SHARE)
        if idle is None:
            return
        for group in self._auto:
            held, fits = self._seconds[group.name], max(_promised(group), MULTIPLE * idle)
            if abs(fits - held) > STEP * held:
                self._seconds[group.name] = fits
        self.least = min(self._seconds.values())


def _promised(group: Group) -> float:
    """What is said of the group, or follows from its priority."""
    threshold = group.threshold
    return threshold if isinstance(threshold, float) else THRESHOLDS[group.priority]
