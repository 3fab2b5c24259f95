"""How often a pool repeats what it has sent: the retry budget (R15).

Decides whether one more try of something sent may be made. Invariant: of n transactions such tries are never
more than n x `share` and the reserve, unless there are so few that `minimum` a second is more; so a pool that
fails gets little more work than one that does not. What was not used in quiet times is not saved up beyond
`MOST`. Refuses to look at transactions, and costs one that needs no second try an addition.
"""

from __future__ import annotations

from ..settings import RetryBudget

#: Tokens that are there from the beginning, and refill, with what first tries deposit, by `minimum` a second.
RESERVE = 100.0

#: Tokens of first tries that are kept: what thousands of good transactions have left must not allow thousands
#: of vain ones.
MOST = 100.0


class Budget:
    """The tokens of one pool. Times are seconds of the clock that `now` comes from."""

    __slots__ = ("_at", "_deposits", "_minimum", "_reserve", "_seen", "_share", "first_tries")

    def __init__(self, settings: RetryBudget, now: float) -> None:
        self._share = settings.share
        self._minimum = settings.minimum
        #: How many first tries have begun: counted by whoever begins one.
        self.first_tries = 0
        self._seen = 0
        self._deposits = 0.0
        self._reserve = RESERVE
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token for another try of something sent; False: there is none."""
        deposited = (self.first_tries - self._seen) * self._share
        self._seen = self.first_tries
        self._deposits = min(MOST, self._deposits + deposited)
        refilled = (now - self._at) * self._minimum - deposited
        if refilled > 0.0:
            self._reserve = min(RESERVE, self._reserve + refilled)
        self._at = now
        if self._deposits >= 1.0:
            self._deposits -= 1.0
        elif self._reserve >= 1.0:
            self._reserve -= 1.0
        else:
            return False
        return True
