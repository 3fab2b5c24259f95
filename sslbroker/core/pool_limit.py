"""How many transactions the servers of one pool may have under way together.

Decides whether the pool has a place for one more. Invariant: it counts what the servers count, the tries
under way, so nothing has to be kept in step with them. Refuses to know which server is free, and who waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .members import TRANSACTIONS, Member


class PoolLimit:
    """The limit of a pool that has one."""

    __slots__ = ("_members", "lacking", "most", "total")

    def __init__(self, members: Sequence[Member], total: int) -> None:
        self._members = members
        self.total = total  # as the configuration says
        #: How many there may be; all, or this worker's part of them.
        self.most = total
        #: Told that there was no place; None: nobody could do anything about it.
        self.lacking: Callable[[str], None] | None = None

    @property
    def outstanding(self) -> int:
        """Tries that are under way."""
        return sum([member.figures.outstanding for member in self._members])

    @property
    def reached(self) -> bool:
        return self.outstanding >= self.most

    def has_place(self) -> bool:
        """It leaves room for one more try."""
        if not self.reached:
            return True
        if self.lacking is not None:
            self.lacking(TRANSACTIONS)
        return False
