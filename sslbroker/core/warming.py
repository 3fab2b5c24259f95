"""Whether a server is past its beginning, so that its response times say something of it.

Decides that the first answers after the start, and those of the first moments after a bar went, count for
nothing: caches are cold then, links new, code not compiled. Invariant: a bar that comes and goes begins it
anew, whoever set it. Refuses to know what is measured.
"""

from __future__ import annotations

from .members import Member

#: Answers of a server since the start that do not count.
FIRST = 10

#: Seconds, from its first answer after a bar went, in which no answer counts.
AFTER_BAR = 2.0


class Warming:
    """One server's."""

    __slots__ = ("_back", "_left", "_member", "_open", "_until", "_warm")

    def __init__(self, member: Member) -> None:
        self._member = member
        self._open = member.open
        self._left = FIRST
        self._back = False  # a bar has gone, and nothing has come since
        self._until = 0.0
        self._warm = False
        member.watch(self._changed)

    def counts(self, now: float) -> bool:
        """It has answered once more: does that count?"""
        if self._warm:
            return True
        if self._back:
            self._back = False
            self._until = now + AFTER_BAR
        if self._left:
            self._left -= 1
            return False
        self._warm = now >= self._until
        return self._warm

    @property
    def warm(self) -> bool:
        """Does what it does now count?"""
        return self._warm

    def _changed(self) -> None:
        now_open = self._member.open
        if now_open and not self._open:
            self._warm, self._back = False, True
        self._open = now_open
