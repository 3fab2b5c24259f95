"""Which server gets the next try.

Decides among the members of a pool by a law of its own: round-robin or least-connections. Invariant:
a try goes to a member that the transaction has not used while there is one. Refuses to know links,
clocks and health: it is given members and picks one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from ..settings import Server
from .figures import ServerFigures


class Member:
    """A server as the broker sees it while running: its settings, and what it is doing now."""

    __slots__ = ("figures", "settings")

    def __init__(self, settings: Server) -> None:
        self.settings = settings
        self.figures = ServerFigures(settings.address, settings.weight)

    @property
    def address(self) -> str:
        return self.settings.address


class Balancer(Protocol):
    """A law of choice. `members` is never empty and keeps its order from call to call."""

    def choose(self, members: Sequence[Member]) -> Member: ...


class RoundRobin:
    """Each in turn."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, members: Sequence[Member]) -> Member:
        self._turn += 1
        return members[(self._turn - 1) % len(members)]


class LeastConnections:
    """The one with the fewest tries under way; equal ones in turn."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, members: Sequence[Member]) -> Member:
        self._turn += 1
        start = self._turn - 1
        count = len(members)
        best = members[start % count]
        for step in range(1, count):
            member = members[(start + step) % count]
            if member.figures.outstanding < best.figures.outstanding:
                best = member
        return best


BALANCERS: dict[str, type[RoundRobin] | type[LeastConnections]] = {
    "round-robin": RoundRobin,
    "least-connections": LeastConnections,
}


def choose(balancer: Balancer, members: Sequence[Member], used: Collection[Member]) -> Member | None:
    """The member for the next try, one that is not in `used` while there is one; None without members."""
    if not members:
        return None
    if used:
        fresh = [member for member in members if member not in used]
        return balancer.choose(fresh or members)
    return balancer.choose(members)
