"""Who of a pool may be chosen for a try now, and by which law.

Decides which members a balancer is asked about. Invariant: a try goes to a member that the transaction has
not used while an open one is left, even if it has to wait for its place; a client that is stuck to a member
goes there while that member is open. Refuses to know laws, links, who waits, and why a member is barred.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import NoServer
from ..interfaces import Origin
from .balancing import Balancer
from .members import Member


class Choosing:
    """The choice among the members of one pool.

    A member that drains is there for the clients that are stuck to it. Others get it only as the last one
    left: when every member that does not drain is barred (a draining server that works is better than an
    error), or when the transaction has tried all others. When all members drain, the operator wants the pool
    empty, and there is no server for whoever is new.
    """

    __slots__ = ("_balancer", "_keys", "_limited", "_members", "_open", "_ready", "_stale")

    def __init__(self, members: Sequence[Member], balancer: Balancer) -> None:
        self._members = members
        self._balancer = balancer
        self._keys = {member.key: member for member in members}
        self._open: Sequence[Member] = ()
        self._ready: Sequence[Member] = ()  # the open ones that take whoever is new
        self._limited = False  # one of the open ones has limits
        self._stale = True
        for member in members:
            member.watch(self._changed)

    def choose(
        self, used: Collection[Member], origin: Origin, key: bytes, stuck: str, now: float
    ) -> Member | None:
        """The member for the next try; None: none has a place now, and waiting helps.

        `used` are those that were tried before; `stuck` is the `key` of the member that the client came
        back with, or "". Raises `NoServer` when nobody may be chosen. A balancer that is not ours may give a
        Deferred, a coroutine or anything else in place of a member: it is handed on as it is.
        """
        if self._stale:
            self._look()
        members = self._ready
        if stuck:
            member = self._keys.get(stuck)
            if member is not None and member.open and member not in used:
                return member if member.has_place() else None
        if used:
            members = (
                [member for member in members if member not in used]
                or [member for member in self._open if member not in used]
                or members
                or self._open
            )
        if not members:
            raise NoServer(self._why_none())
        if self._limited:
            members = [member for member in members if member.has_place()]
            if not members:
                return None
        return self._balancer.choose(members, origin, key, now)

    def _changed(self) -> None:
        self._stale = True

    def _look(self) -> None:
        """Sort the members anew: new sequences, so that a balancer knows that something has changed."""
        self._stale = False
        members = self._members
        self._open = tuple(member for member in members if member.open)
        self._ready = tuple(member for member in self._open if not member.draining)
        if not self._ready and not all(member.draining for member in members):
            self._ready = self._open
        self._limited = any(member.limited for member in self._open)

    def _why_none(self) -> str:
        reasons = [
            f"{m.address}: {w}: {d}" if d else f"{m.address}: {w}"
            for m in self._members
            for w, d in m.bars.items()
        ]
        reasons += [f"{member.address}: drain" for member in self._open]
        return "; ".join(reasons) or "the pool has no server"
