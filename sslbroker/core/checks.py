"""What the active checks of one server come to, and when the next one is due.

Decides the verdict: a server is taken as healthy until `fall` checks in a row have failed, and again when
`rise` in a row have passed. Invariant: one check that says otherwise begins the count anew, so a server that
answers now and then keeps the verdict that it has; two checks of a server are never due closer together than
the interval less its jitter. Refuses to make a check, and to know a clock: `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..outcome import Cause
from ..settings import Health
from .jitter import jittered

#: By which share of itself an interval is longer or shorter, at most: brokers that were started together
#: must not go on asking a server in the same moment.
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found: a word, and for people what that was."""

    cause: Cause  # OK: it has passed
    detail: str


class Checking:
    """How one server stands by its checks."""

    __slots__ = ("_against", "_random", "_settings", "healthy")

    def __init__(self, settings: Health, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1."""
        self.healthy = True
        self._settings = settings
        self._random = random
        self._against = 0  # checks in a row that say otherwise

    def heard(self, result: Result) -> bool:
        """A check is over. True: the verdict is another one now.

        A check that failed by a mistake or a want of the broker, or of a plugin, says nothing of the server.
        """
        if result.cause is Cause.INTERNAL:
            return False
        if (result.cause is Cause.OK) is self.healthy:
            self._against = 0
            return False
        self._against += 1
        if self._against < (self._settings.fall if self.healthy else self._settings.rise):
            return False
        self._against = 0
        self.healthy = not self.healthy
        return True

    def first(self, now: float, turn: int, servers: int) -> float:
        """When the first check of one of so many servers is due: they are spread over the interval."""
        return now + self._settings.interval * (turn + self._random()) / servers

    def next(self, began: float, now: float) -> float:
        """When the next check is due, if the last one began then and is over now."""
        return max(now, began + jittered(self._settings.interval, JITTER, self._random()))
