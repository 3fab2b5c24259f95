"""One group of clients at one server: is it as fast there as the group is promised?

Decides whether the group's next transactions shall rather go elsewhere (R17). Invariant: one slow answer
among fast ones sends nobody away, but the first after a silence does, and a try that is slower than promised
and has no answer, as long as that lasts; who was sent away comes back after a time that grows only while
nothing gets better. Refuses to know what the group is promised, and to count. Times are seconds of the clock
that `now` is of.
"""

from __future__ import annotations

from ..settings import Group
from .response_times import ResponseTimes

#: The weight of one answer in the mean, and the seconds without one after which it is forgotten.
WEIGHT, MEMORY = 0.25, 1.0

#: Seconds for which the group stays away: each time twice as long, until an answer is fast enough.
FIRST_REST, LONGEST_REST = 0.25, 8.0


class Standing:
    """How one group stands at one server, with its plain or with its secure tries."""

    __slots__ = ("_at", "_mean", "_rest", "_until", "group", "late", "plain", "times")

    def __init__(self, group: Group | None, plain: bool) -> None:
        self.group = group
        self.plain = plain
        self.late = 0  # tries that are slower than promised, and have no answer
        self.times: ResponseTimes | None = None  # where its server times are shown from, if anywhere
        self._mean = 0.0
        self._at = 0.0
        self._until = 0.0
        self._rest = FIRST_REST

    def over(self, now: float) -> bool:
        """Is the server slower than the group is promised?"""
        return self.late > 0 or now < self._until

    def answered(self, seconds: float, threshold: float, now: float) -> None:
        """An answer came."""
        if now - self._at > MEMORY:
            self._mean = seconds
        else:
            self._mean += (seconds - self._mean) * WEIGHT
        self._at = now
        if self._mean <= threshold:
            self._until, self._rest = 0.0, FIRST_REST
        elif now >= self._until:
            self._until = now + self._rest
            self._rest = min(LONGEST_REST, 2.0 * self._rest)
