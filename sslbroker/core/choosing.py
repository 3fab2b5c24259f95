"""Who of a pool may be chosen for a try now, and by which law.

Decides which members a balancer is asked about. Invariant: a try goes to a member that the transaction has
not used while an open one is left, even if it has to wait for its place; a client that is stuck to a member
goes there while that member is open. Refuses to know laws, links and who waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import NoServer
from ..interfaces import Origin
from .balancing import Balancer
from .members import Member


class Choosing:
    """The choice among the members of one pool."""

    __slots__ = ("_balancer", "_members")

    def __init__(self, members: Sequence[Member], balancer: Balancer) -> None:
        self._members = members
        self._balancer = balancer

    def choose(
        self, used: Collection[Member], origin: Origin, key: bytes, stuck: str, now: float
    ) -> Member | None:
        """The member for the next try; None: none has a place now, and waiting helps.

        `used` are those that were tried before; `stuck` is the `key` of the member that the client came
        back with, or "". Raises `NoServer` when nobody is open. A balancer that is not ours may give a
        Deferred or a coroutine in place of a member: it is handed on as it is.
        """
        members = [member for member in self._members if member.open]
        if not members:
            raise NoServer(self._why_none())
        for member in members:
            if member.key == stuck and member not in used:
                return member if member.has_place() else None
        members = [member for member in members if not member.draining] or members
        if used:
            members = [member for member in members if member not in used] or members
        members = [member for member in members if member.has_place()]
        return self._balancer.choose(members, origin, key, now) if members else None

    def _why_none(self) -> str:
        bars = [
            f"{m.address}: {w}: {d}" if d else f"{m.address}: {w}"
            for m in self._members
            for w, d in m.bars.items()
        ]
        return "; ".join(bars) or "the pool has no server"
