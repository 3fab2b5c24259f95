"""Which server gets the next try.

Decides among the members of a pool by a law of its own: round-robin or least-connections. Invariant:
a try goes to a member that the transaction has not used while there is one. Refuses to know links,
clocks and health: it is given members and picks one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..interfaces import Origin
from .members import Member


class Balancer(Protocol):
    """A law of choice. `members` is never empty and keeps its order from call to call."""

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member: ...


class RoundRobin:
    """Each in turn: the one whose last turn is longest ago."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns = Turns()

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        return self._turns.took(min(members, key=self._turns.last))


class LeastConnections:
    """The one with the fewest tries under way; of equal ones, the one whose last turn is longest ago."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns = Turns()

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        last = self._turns.last
        return self._turns.took(min(members, key=lambda m: (m.figures.outstanding, last(m))))


class Turns:
    """Who was chosen when. Turns are kept for each member, so that leaving some out skews nothing."""

    __slots__ = ("_last", "_turn")

    def __init__(self) -> None:
        self._turn = 0
        self._last: dict[Member, int] = {}

    def last(self, member: Member) -> int:
        """The number of its last turn, 0 before the first."""
        return self._last.get(member, 0)

    def took(self, member: Member) -> Member:
        """It is the member's turn now."""
        self._turn += 1
        self._last[member] = self._turn
        return member


BALANCERS: dict[str, type[RoundRobin] | type[LeastConnections]] = {
    "round-robin": RoundRobin,
    "least-connections": LeastConnections,
    "least-time": LeastConnections,
}
