"""What groups of clients are promised at one pool, and what is done so that it is kept (R17).

Decides to which servers a transaction may go now: a plain one to those that have room for it (`pacing`), a
secure one of a group rather to those that are not too slow for the group (`standing`). Hears of every try,
and of how long secure transactions took. Invariant: secure transactions are never held back; plain ones only
while there are secure ones; the first transactions of a server that has just begun are no breach, nor is what
the broker's own event loop was too busy for. Refuses to know why a transaction waits, HTTP, and timers. Times
are seconds of the clock that `now` is of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from ..interfaces import Origin
from ..settings import Group
from ..settings import Pacing as PacingSettings
from .account import Account, Breach
from .attempt import Attempt
from .figures import PoolFigures
from .members import Member
from .pacing import STEP, Pace
from .plain_share import PlainShare
from .standing import Standing
from .thresholds import Thresholds
from .transaction import Transaction
from .watch import Watch

#: Nothing is held back any more when no secure transaction of a group has come for so many of the times that
#: usually pass between two, in these bounds: seconds. Else all that waits would flood a server in each gap.
GAPS, LATELY = 8.0, (1.0, 8.0)

#: The weight of the last such time in its mean.
GAP_WEIGHT = 1 / 16

#: Who is faster than others is rather chosen while it has less than so many times its window under way: where
#: most are too slow, the few others would be flooded one after the other.
CROWD = 1.5

#: A sample is no breach when the broker's own event loop was busy for this part of the threshold, unless it
#: is slower than promised by so many times that: then the server is slow, too.
OWN_SHARE, OWN_TIMES = 0.25, 4.0

#: The queue is to blame when so many of a group's transactions are too slow only because they waited.
QUEUED_SHARE, QUEUED_WEIGHT = 0.1, 1 / 32

#: What is then left of the transactions under way: places are left free, of which each is idle for a time.
PLACES_LESS = 0.9

#: What is known of a try: no answer yet, none though one was promised by now, one; its client is waited for.
WAITS, LATE, HEARD, AWAITED = range(4)


class Overload(Protocol):
    """The broker as a whole: may one more plain transaction begin, wherever?"""

    def has_room(self) -> bool: ...


class Promises:
    """The promises of one pool, and the pace of its plain traffic."""

    __slots__ = (
        "_due",
        "_figures",
        "_gap",
        "_lag",
        "_looked",
        "_narrow",
        "_pool",
        "_queued",
        "_secure_at",
        "_secure_until",
        "_servers",
        "_share",
        "_slow",
        "_watch",
        "overload",
        "plain",
        "reduced_for",
        "thresholds",
    )

    def __init__(
        self,
        members: Sequence[Member],
        settings: PacingSettings,
        thresholds: Thresholds,
        figures: PoolFigures,
        lag: Callable[[float, float], float],
        watch: Watch | None = None,
    ) -> None:
        """`lag` says for how many seconds at most the event loop was busy at once between two times. `watch`
        shows the server times of secure transactions, if anybody does."""
        self._figures = figures
        self._lag = lag
        self._watch = watch
        self.thresholds = thresholds
        #: The state of the broker as a whole, if anybody watches it.
        self.overload: Overload | None = None
        self.plain = 0  # plain transactions under way
        self.reduced_for: Breach | None = None  # lately
        self._servers = {member: Account(member, settings) for member in members}
        self._pool = Pace(settings, less=PLACES_LESS)  # of all servers together, where the queue is the cause
        self._due: dict[str, deque[tuple[float, Attempt]]] = {}  # by group: when tries will be too slow
        #: By group: the servers that were too slow for it when they were last looked at.
        self._slow: dict[str, dict[Member, Standing]] = {}
        self._queued: dict[str, float] = {}  # by group: the part of those that the queue made too slow
        self._secure_at = 0.0  # when one last began
        self._gap = 0.0  # seconds between two, on average
        self._secure_until = -inf  # nothing is held back from then on
        self._looked = -inf
        self._narrow = False  # a server has a window
        self._share = PlainShare()

    # --- where may a transaction go? ---

    def suitable(
        self, members: Sequence[Member], origin: Origin, now: float, since: float
    ) -> Sequence[Member]:
        """Those of the members that the transaction should go to now; () for a plain one that has to wait.

        `since` is when it began to wait, or `now`. It is the same object where all are suitable.
        """
        self.look(now)
        if not origin.secure:
            return self._roomy(members, now) if self.pacing(now) else members
        group = origin.group
        slow = self._slow.get(group.name) if group is not None else None
        if not slow or now >= since + self.thresholds.of(group):
            return members  # any server is better than to wait for longer
        return self._faster(members, slow, now)

    def choosy_until(self, origin: Origin, since: float) -> float:
        """Until when a secure transaction that waits since then keeps away, perhaps, from servers with a
        place."""
        group = origin.group
        if group is None or not self._slow.get(group.name):
            return since
        return since + self.thresholds.of(group)

    def _faster(
        self, members: Sequence[Member], slow: dict[Member, Standing], now: float
    ) -> Sequence[Member]:
        """Those that are not too slow, and would not become so if all came to them."""
        for member, standing in list(slow.items()):
            if not standing.over(now):
                del slow[member]
        servers = self._servers
        found = [
            member
            for member in members
            if member not in slow and servers[member].under_way < CROWD * servers[member].pace.window
        ]
        return found if found and len(found) < len(members) else members

    def _roomy(self, members: Sequence[Member], now: float) -> Sequence[Member]:
        if self.overload is not None and not self.overload.has_room():
            return ()
        pool = self._pool
        if pool.window != inf and not pool.has_room(self._under_way()):
            pool.held(now)
            return ()
        if not self._narrow:
            return members
        servers = self._servers
        found = [member for member in members if servers[member].has_room()]
        if len(found) == len(members):
            return members
        if not found:
            for member in members:
                servers[member].pace.held(now)
        return found

    def holding(self, now: float) -> bool:
        """May plain transactions have to wait for the sake of secure ones?"""
        return self.pacing(now) and (
            self._pool.window != inf
            or (self.overload is not None and not self.overload.has_room())
            or self._narrow
        )

    @property
    def whole(self) -> Pace:
        """The window of all servers together."""
        return self._pool

    def pacing(self, now: float) -> bool:
        """Are there secure transactions that plain ones may have to wait for?"""
        return now < self._secure_until

    def _under_way(self) -> int:
        return sum(server.under_way for server in self._servers.values())

    # --- what becomes of transactions ---

    def arrived(self, now: float) -> None:
        """A plain transaction has come, whether it is to be measured or not."""
        self._share.arrived(now)

    def placed(self, now: float) -> None:
        """One that had come has a server for its first try."""
        self._share.began(now)

    def began(self, attempt: Attempt, origin: Origin, now: float) -> None:
        """A try begins that is to be measured; its server knows of it already."""
        group = origin.group
        plain = not origin.secure
        self._servers[attempt.member].began(attempt, group, plain, self._watch)
        if self._pool.window != inf:
            self._pool.began(plain, self._under_way() - 1)
        if plain:
            self.plain += 1
        elif group is not None:
            self._comes(now)
            self._watch_for(attempt, group, now)

    def _watch_for(self, attempt: Attempt, group: Group, now: float) -> None:
        """It is looked at when its answer is due."""
        due = self._due.get(group.name)
        if due is None:
            self._due[group.name] = due = deque()
        due.append((now + self.thresholds.of(group), attempt))

    def _comes(self, now: float) -> None:
        """A secure transaction of a group begins."""
        least, most = LATELY
        gap = now - self._secure_at
        self._gap += ((gap if gap < most else most) - self._gap) * GAP_WEIGHT
        lately = GAPS * self._gap
        self._secure_at = now
        self._secure_until = now + (least if lately < least else lately if lately < most else most)

    def asked(self, attempt: Attempt, now: float) -> None:
        """All of the request went to the server of this try, for whose client had to be waited, perhaps."""
        if attempt.stage == AWAITED and attempt.standing is not None:
            assert attempt.standing.group is not None
            attempt.stage = WAITS
            self._watch_for(attempt, attempt.standing.group, now)

    def answered(self, attempt: Attempt, now: float, good: bool) -> None:
        """The try has an answer. One that is not `good`, or that its client made late, tells nothing of how
        fast its server is, and is told as not good."""
        standing, was = attempt.standing, attempt.stage
        if standing is None or was == HEARD:
            return
        attempt.stage = HEARD
        if was == LATE:
            standing.late -= 1
        if not good:
            return
        seconds = now - attempt.sent
        server = self._servers[attempt.member]
        if standing.times is not None:
            standing.times.add(seconds, now)
        if not self.thresholds.heard(attempt.member, seconds, attempt.load, now):
            return
        server.loads.add(attempt.load, seconds, now, standing.plain)
        if standing.plain:
            self._canary(server, attempt, seconds, now)
        elif standing.group is not None:
            threshold = self.thresholds.of(standing.group)
            if seconds <= threshold:
                server.pace.kept(seconds / threshold, attempt.sent, now)
                standing.answered(seconds, threshold, now)
            elif not self._ours(seconds, threshold, now):
                standing.answered(seconds, threshold, now)
                self._doubted(server, standing)
                if was != LATE:
                    self._breached(server, attempt, standing.group, seconds, now)

    def outrun(self, attempt: Attempt, now: float) -> None:
        """The try is given up, because another server has answered: what is known is that it took longer.

        That counts as an answer after that time where it was too long by then, so that a server is not the
        better for what was not waited for; what is shorter shows nothing."""
        self.look(now)
        standing = attempt.standing
        if standing is not None and attempt.stage == LATE:
            assert standing.group is not None
            standing.answered(now - attempt.sent, self.thresholds.of(standing.group), now)

    def over(self, attempt: Attempt, origin: Origin, now: float) -> None:
        """The only try of a transaction that did not wait has its answer, a good one, and with it is over."""
        self.answered(attempt, now, True)
        self.ended(attempt)
        if origin.secure and origin.group is not None:
            seconds = now - attempt.began
            self.waited(origin.group, seconds, 0.0, now)

    def ended(self, attempt: Attempt) -> None:
        """The try is over, with an answer or without."""
        standing = attempt.standing
        if standing is None:
            return
        attempt.standing = None
        self._servers[attempt.member].under_way -= 1
        if attempt.stage == LATE:
            standing.late -= 1
        if standing.plain:
            self.plain -= 1

    def passed(self, transaction: Transaction, origin: Origin) -> None:
        """The client has the begin of its answer: was that as soon as promised?"""
        if origin.secure and origin.group is not None and len(transaction.attempts) == 1:
            began, now = transaction.began, transaction.now
            self.waited(origin.group, now - began, transaction.attempts[0].began - began, now)

    def waited(self, group: Group, client_time: float, queued: float, now: float) -> None:
        """A secure transaction of this group has its answer after so many seconds, of which it was `queued`
        for so many: is the queue the cause when that is too long?"""
        threshold, name = self.thresholds.of(group), group.name
        guilty = client_time > threshold >= client_time - queued
        if guilty and self._ours(client_time, threshold, now):
            return
        share = self._queued.get(name, 0.0)
        self._queued[name] = share = share + ((1.0 if guilty else 0.0) - share) * QUEUED_WEIGHT
        if not guilty:
            self._pool.kept(client_time / threshold, now - client_time, now)
        elif share > QUEUED_SHARE:
            part, under_way = client_time / threshold, self._under_way()
            if self._pool.breached(part, now - client_time, under_way, now):
                self.reduced_for = Breach(name, threshold, client_time, "")

    def _doubted(self, server: Account, standing: Standing) -> None:
        assert standing.group is not None
        server.doubted(standing)
        self._slow.setdefault(standing.group.name, {})[server.member] = standing

    def _canary(self, server: Account, attempt: Attempt, seconds: float, now: float) -> None:
        """While a group keeps away from a server, plain transactions show how it does."""
        group = server.avoided_by(now)
        if group is not None and seconds > self.thresholds.of(group):
            self._breached(server, attempt, group, seconds, now)

    def _breached(self, server: Account, attempt: Attempt, group: Group, seconds: float, now: float) -> None:
        breach = server.breached(attempt, group, self.thresholds.of(group), seconds, now)
        if breach is not None:
            self._narrow = True
            self.reduced_for = breach

    # --- what time does ---

    def look(self, now: float) -> bool:
        """Find the tries that are too slow by now, and let windows grow. True: there may be more room."""
        for name, due in self._due.items():
            while due and due[0][0] <= now:
                self._late(name, due, now)
        if now - self._looked < STEP:
            return False
        self._looked = now
        more = self._pool.look(now)
        self._narrow = False
        for server in self._servers.values():
            more = server.pace.look(now) or more
            self._narrow = self._narrow or server.pace.window != inf
        self._tell(now)
        return more

    def _late(self, name: str, due: deque[tuple[float, Attempt]], now: float) -> None:
        """The first of them was to have its answer by now."""
        attempt = due.popleft()[1]
        standing = attempt.standing
        if standing is None or attempt.stage == HEARD:
            return
        assert standing.group is not None
        server, threshold = self._servers[attempt.member], self.thresholds.of(standing.group)
        seconds = now - attempt.sent
        if not attempt.member.waits_for(attempt):
            attempt.stage = AWAITED
        elif (
            attempt.sent
            and seconds >= threshold
            and self.thresholds.warm(attempt.member)
            and not self._ours(seconds, threshold, now)
        ):
            attempt.stage = LATE
            standing.late += 1
            self._doubted(server, standing)
            self._breached(server, attempt, standing.group, seconds, now)
        else:  # it waits for a link, a server that has just begun, or for us
            due.append((now + threshold, attempt))

    def _ours(self, seconds: float, threshold: float, now: float) -> bool:
        """Are so many seconds until now, which are too many, due to our own event loop?"""
        lag = self._lag(now - seconds, now)
        return lag > OWN_SHARE * threshold and seconds - threshold <= OWN_TIMES * lag

    def _tell(self, now: float) -> None:
        self._figures.plain_share = self._share.share(now)
        for server in self._servers.values():
            server.show(now)
