"""Who of a pool may be chosen for a try now, and by which law.

Decides which members a balancer is asked about, and when it is better to wait than to give up. Invariant: a
try goes to a member that the transaction has not used while an open one is left, even if it has to wait for
its place; a client that is stuck to a member goes there while that member is open; where nobody is open,
those stand for open ones that are only doubted. Refuses to know laws, links and who waits.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NoServer
from ..interfaces import Origin
from .balancing import Balancer
from .members import DOUBTS, UNREACHABLE, Member
from .pool_limit import PoolLimit
from .promises import Promises

_MAY_RETURN = DOUBTS | {UNREACHABLE}


class Choosing:
    """The choice among the members of one pool.

    A member that drains is there for the clients that are stuck to it. Others get it only as the last one
    left: when every member that does not drain is barred (a draining server that works is better than an
    error), or when the transaction has tried all others. When all members drain, the operator wants the pool
    empty, and there is no server for whoever is new.

    When no member is open, those are taken for open that are barred by doubts only: ejected, resting,
    unhealthy. All may be so by one cause that is none of theirs, and a try shows more than a doubt. Who has
    tried all open ones in vain gets a doubted one, too, before any of them again.
    """

    __slots__ = (
        "_balancer",
        "_doubted",
        "_keys",
        "_limit",
        "_limited",
        "_members",
        "_open",
        "_outage",
        "_promises",
        "_ready",
        "_stale",
    )

    def __init__(
        self,
        members: Sequence[Member],
        balancer: Balancer,
        promises: Promises | None = None,
        limit: PoolLimit | None = None,
    ) -> None:
        """`promises` say where plain transactions have room, and where secure ones are served in time;
        `limit` is that of the pool, beside those of its members."""
        self._members = members
        self._balancer = balancer
        self._promises = promises
        self._limit = limit
        self._keys = {member.key: member for member in members}
        self._open: Sequence[Member] = ()  # or those that stand for open ones
        self._ready: Sequence[Member] = ()  # the open ones that take whoever is new
        self._doubted: Sequence[Member] = ()  # those that are barred by doubts only
        self._limited = False  # one of the open ones has limits
        self._outage = False
        self._stale = True
        for member in members:
            member.watch(self._changed)

    def choose(
        self,
        used: Sequence[Member],
        origin: Origin,
        key: bytes,
        stuck: str,
        now: float,
        since: float | None = None,
    ) -> Member | None:
        """The member for the next try; None: none has a place now, or can be reached, and waiting helps.

        `used` are those that were tried before, the last one last; `stuck` is the `key` of the member that
        the client came back with, or "". `since` is when the transaction began to wait, if it does. Raises
        `NoServer` when nobody may be chosen. A balancer that is not ours may give a Deferred, a coroutine or
        anything else in place of a member: it is handed on as it is.
        """
        if self._stale:
            self._look()
        members = self._ready
        if stuck:
            member = self._keys.get(stuck)
            if member is not None and (member.open or member in self._open) and member not in used:
                return member if self._has_place(member) and self._suits(member, origin, now) else None
        if used:
            members = (
                [member for member in members if member not in used]
                or [member for member in self._open if member not in used]
                or [member for member in self._doubted if member not in used]
                or [member for member in members if member is not used[-1]]
                or members
                or self._open
            )
        if not members:
            if self._outage:
                return None
            raise NoServer(self.why_none())
        if self._limit is not None and not self._limit.has_place():
            return None
        if self._promises is not None:
            members = self._promises.suitable(members, origin, now, now if since is None else since)
            if not members:
                return None
        if self._limited:
            members = [member for member in members if member.has_place()]
            if not members:
                return None
        return self._balancer.choose(members, origin, key, now)

    def beside(self, used: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member | None:
        """The member for a try beside one that takes long; None: there is none for that.

        It is open, takes whoever is new, was not used, and has a place at once: it is not needed so much that
        anybody waits for it, or doubts are forgotten. Who is not too slow for the client, too, comes first.
        What a balancer gives is handed on as by `choose`.
        """
        if self._stale:
            self._look()
        members = [
            member
            for member in self._ready
            if member.open and not member.draining and member not in used and member.has_place()
        ]
        if not members or (self._limit is not None and self._limit.reached):
            return None
        suitable = members if self._promises is None else self._promises.suitable(members, origin, now, now)
        return self._balancer.choose(suitable, origin, key, now)

    @property
    def outage(self) -> bool:
        """Nobody can be chosen, but a member that cannot be reached may be back at any time."""
        if self._stale:
            self._look()
        return self._outage

    @property
    def limited(self) -> bool:
        """May somebody have to wait because all have as much to do as they may? As of the last choice."""
        return self._limited or self._limit is not None

    @property
    def waits(self) -> bool:
        """May `choose` say that waiting helps?"""
        if self._stale:
            self._look()
        return self._limited or self._outage or self._promises is not None or self._limit is not None

    def _suits(self, member: Member, origin: Origin, now: float) -> bool:
        """May a client that is stuck to it go there now? A secure one always does."""
        promises = self._promises
        return promises is None or origin.secure or bool(promises.suitable((member,), origin, now, now))

    @property
    def full(self) -> bool:
        """Has the pool as many transactions as it may have, whatever its servers have?"""
        return self._limit is not None and self._limit.reached

    def takes(self, member: Member) -> bool:
        """May this one be chosen by somebody, now?"""
        if self._stale:
            self._look()
        return (member in self._open or member in self._doubted) and self._has_place(member)

    def worth_asking(self) -> bool:
        """May `choose` have another answer than to wait?

        A place is free, or nobody takes anybody new, which who waits must be told.
        """
        if self._stale:
            self._look()
        if self._outage:
            return False
        several = (*self._open, *self._doubted)
        if (self._limit is None or self._limit.has_place()) and any(one.has_place() for one in several):
            return True
        return all(member.draining for member in self._open)

    def _has_place(self, member: Member) -> bool:
        return (self._limit is None or self._limit.has_place()) and member.has_place()

    def _changed(self) -> None:
        self._stale = True

    def _look(self) -> None:
        """Sort the members anew: new sequences, so that a balancer knows that something has changed."""
        self._stale = False
        members = self._members
        self._doubted = tuple(one for one in members if one.bars and one.bars.keys() <= DOUBTS)
        self._open = tuple(member for member in members if member.open) or self._doubted
        self._ready = tuple(member for member in self._open if not member.draining)
        emptied = all(member.draining for member in members)
        if not self._ready and not emptied:
            self._ready = self._open
        self._outage = not (self._open or emptied) and any(
            member.bars.keys() <= _MAY_RETURN for member in members
        )
        self._limited = any(member.limited for member in (*self._open, *self._doubted))

    def why_none(self) -> str:
        """Who bars whom, and why."""
        reasons = [
            f"{m.address}: {w}: {d}" if d else f"{m.address}: {w}"
            for m in self._members
            for w, d in m.bars.items()
        ]
        reasons += [f"{member.address}: drain" for member in self._open]
        return "; ".join(reasons) or "the pool has no server"
