"""A server as the broker sees it while running: its settings, what it is doing, and what bars it.

Decides whether a server may be chosen now, how much it counts, and how fast it answers. Invariant: whoever
bars a server has a word of its own for it and is the only one to take that bar away; a server is open while
nobody bars it. A fast failure never makes a server look better than it was: neither faster nor less busy.
Refuses to know why anybody bars it, links and clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from math import exp, inf

from zope.interface import implementer

from ..interfaces import IMember
from ..settings import Server
from .figures import ServerFigures

#: The share of its weight that a server begins its slow start with.
FIRST_SHARE = 0.1

#: Words of bars: what its tries have shown of a server, and what checks have. The operator's word, an unknown
#: name and an unknown kind of link are others.
UNREACHABLE, EJECTED, RESTING, UNHEALTHY = "unreachable", "ejected", "resting", "unhealthy"

#: Those of them that are no facts: who has no others is tried when nobody else is left.
DOUBTS = frozenset((EJECTED, RESTING, UNHEALTHY))

#: What a server may have a limit of.
TRANSACTIONS, LINKS = "transactions", "links"

#: Seconds in which the mean of server times forgets: what was known so long before an answer keeps 37 % (1/e)
#: of its weight, as in Finagle's peak EWMA; and the drift toward what is typical takes so long.
MEMORY = 10.0

#: Seconds for which a try that failed counts as under way, as a mean: it fades out.
LINGERS = 1.0


@implementer(IMember)
class Member:
    """One server of a pool. Times are seconds of the clock that `now` comes from."""

    __slots__ = (
        "_back",
        "_bars",
        "_doubt",
        "_draining",
        "_failed",
        "_failed_at",
        "_failed_now",
        "_mean",
        "_measured",
        "_slow_start",
        "_waiting",
        "_watchers",
        "address",
        "figures",
        "key",
        "lacking",
        "most_links",
        "most_transactions",
        "settings",
        "suspect",
        "typical",
    )

    def __init__(self, settings: Server, slow_start: float = 0.0) -> None:
        self.settings = settings
        self.address = settings.address
        #: What a client is told that shall come back to it: the same in every worker, and no address.
        self.key = sha256(settings.address.encode()).hexdigest()[:16]
        self.figures = ServerFigures(settings.address, settings.weight)
        #: The server time that is usual in its pool, toward which its own mean drifts. Whoever compares
        #: the members sets it; None: there is no drift.
        self.typical: float | None = None
        #: How many transactions and links there may be; the settings', or this worker's part of them.
        self.most_transactions: float = settings.maximum_transactions or inf
        self.most_links: float = settings.maximum_links or inf
        #: Told of which of them there was no place; None: nobody could do anything about it.
        self.lacking: Callable[[str], None] | None = None
        #: Tries on it have failed, so that it matters when one goes well.
        self.suspect = False
        self._slow_start = slow_start
        self._back: float | None = None  # when it was last open again
        self._draining = False
        self._bars: dict[str, str] = {}
        self._watchers: list[Callable[[], None]] = []
        self._waiting: dict[object, float] = {}  # tries without an answer: when they began, the oldest first
        self._mean: float | None = None
        self._doubt = 1.0  # the variance of the mean, in those of one answer
        self._measured = 0.0  # when the mean last changed
        self._failed = 0.0  # what is left of failed tries, at `_failed_at`
        self._failed_at = 0.0
        self._failed_now = 0  # tries that failed since

    @property
    def outstanding(self) -> int:
        return self.figures.outstanding

    # --- may it be chosen? ---

    @property
    def open(self) -> bool:
        return not self._bars

    @property
    def bars(self) -> dict[str, str]:
        """Who bars it, and why."""
        return self._bars

    def bar(self, word: str, detail: str = "") -> None:
        """It must not be chosen until `unbar` with the same word."""
        new = word not in self._bars
        self._bars[word] = detail
        if new:
            self._tell()

    def unbar(self, word: str, now: float, slowly: bool = True) -> None:
        """The bar is gone; without any other one the slow start begins, if it shall come back `slowly`."""
        if self._bars.pop(word, None) is None:
            return
        if slowly and not self._bars:
            self._back = now
        self._tell()

    @property
    def draining(self) -> bool:
        """It takes nobody new: only clients that are stuck to it (`Choosing` knows the exceptions)."""
        return self._draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        if draining is not self._draining:
            self._draining = draining
            self._tell()

    def watch(self, changed: Callable[[], None]) -> None:
        """`changed` is called when a bar comes or goes, the member drains or not, or has another weight."""
        self._watchers.append(changed)

    def _tell(self) -> None:
        for changed in self._watchers:
            changed()

    @property
    def limited(self) -> bool:
        """It has limits, so `has_place` may say no."""
        return self.settings.maximum_transactions > 0 or self.settings.maximum_links > 0

    def has_place(self) -> bool:
        """Its limits of transactions and links leave room for one more try."""
        figures = self.figures
        if figures.outstanding >= self.most_transactions:
            lacking = TRANSACTIONS
        elif figures.links_idle > 0 or figures.links < self.most_links:
            return True
        else:
            lacking = LINKS
        if self.lacking is not None:
            self.lacking(lacking)
        return False

    # --- how much does it count? ---

    @property
    def weight(self) -> int:
        """Its share of the pool as the operator set it. `ValueError` for one that is not above 0."""
        return self.figures.weight

    @weight.setter
    def weight(self, weight: int) -> None:
        if weight <= 0:
            raise ValueError(f"{self.address}: found weight {weight}, expected a number above 0")
        self.figures.weight = weight
        self._tell()

    def weight_at(self, now: float) -> float:
        """Its weight; during slow start a share of it that grows evenly."""
        if self._back is None:
            return self.figures.weight
        share = (now - self._back) / self._slow_start if self._slow_start else 1.0
        if share >= 1.0:
            self._back = None
            return self.figures.weight
        return self.figures.weight * max(share, FIRST_SHARE)

    def response_time(self, now: float) -> float | None:
        """Seconds: the exponentially weighted mean of its server times; None before the first.

        Where a law has said what is `typical`, a mean that is not renewed moves evenly toward that, and is
        there after `MEMORY`: what nobody has looked at for so long is not held against a server.
        """
        mean, typical = self._mean, self.typical
        if mean is None or typical is None:
            return mean
        age = now - self._measured
        if age >= MEMORY:
            return typical
        return mean + (typical - mean) * (age / MEMORY) if age > 0.0 else mean

    def oldest(self, now: float) -> float:
        """Seconds since the oldest try began of those that have no answer; 0.0: there is none."""
        for began in self._waiting.values():
            return now - began
        return 0.0

    def waits_for(self, attempt: object) -> bool:
        """Is it the server that this try waits for now?"""
        return attempt in self._waiting

    def load(self, now: float) -> float:
        """Tries under way, with those that failed lately: they fade out (`LINGERS`).

        A server that fails at once has nothing under way, and would seem the least busy of all.
        """
        if not self._failed and not self._failed_now:
            return self.figures.outstanding
        # A clock that was put back is not to make more of them, nor too much for `exp`.
        left = self._failed * exp(min(0.0, self._failed_at - now) / LINGERS) + self._failed_now
        self._failed = left if left > 0.01 else 0.0
        self._failed_at = now
        self._failed_now = 0
        return self.figures.outstanding + left

    def burden(self, now: float, usual: float, shortest: float) -> float:
        """Its response time (`usual` before the first, `shortest` at least) or the age of its oldest try
        without an answer, whichever is more, times what it would have to do, by its weight."""
        time = self.response_time(now)
        if time is None:
            time = usual
        elif time < shortest:
            time = shortest
        for began in self._waiting.values():
            if now - began > time:
                time = now - began
            break
        figures = self.figures
        load = self.load(now) if self._failed or self._failed_now else figures.outstanding
        weight = figures.weight if self._back is None else self.weight_at(now)
        return time * (load + 1) / weight

    # --- what a relay tells of its tries; `attempt` is any object that stands for one ---

    def began(self, attempt: object, now: float) -> None:
        """A try on it has begun."""
        self.figures.outstanding += 1
        self._waiting[attempt] = now

    def excuse(self, attempt: object) -> None:
        """The try tells nothing of the server, neither by its age nor by its answer: it waits for its client
        (a slow upload, until `asked`), or no server could have done it."""
        self._waiting.pop(attempt, None)

    def asked(self, attempt: object, now: float) -> None:
        """All of the try's request went to the server. One that was excused waits for the server from here
        on, as if it had begun now."""
        self._waiting.setdefault(attempt, now)

    def answered(self, attempt: object, seconds: float, good: bool) -> None:
        """The try has an answer, `seconds` after its request was sent.

        One that is not good may only raise the mean. A try has one answer: further ones are not heard.
        """
        began = self._waiting.pop(attempt, None)
        if began is None:
            return
        if not good:
            self._failed_now += 1
        # Now, but for the time that the link took.
        now = began + seconds
        mean = self.response_time(now)
        if mean is None:
            if good:
                self._mean, self._measured = seconds, now
        elif good or seconds > mean:
            age = max(0.0, now - self._measured)
            # By the time that has passed; but no less than in an even mean, so that one answer, which came
            # first or after a long silence, is not believed for long against many that follow.
            share = max(1.0 - exp(-age / MEMORY), self._doubt / (1.0 + self._doubt))
            rest = 1.0 - share
            self._doubt = rest * rest * self._doubt + share * share
            self._mean = mean + (seconds - mean) * share
            self._measured += age

    def outrun(self, attempt: object, seconds: float) -> None:
        """The try is given up for one at another server, `seconds` after its request was sent.

        That is no failure. But its answer would have taken longer than that, so that counts as its time where
        that is more than is known of the server: it must not look better than if the answer had been awaited.
        """
        began = self._waiting.get(attempt)
        if began is None:
            return
        known = self.response_time(began + seconds)
        if known is None:
            known = self.typical or 0.0
        if seconds > known:
            self.answered(attempt, seconds, True)
        else:
            self.excuse(attempt)

    def broke_off(self) -> None:
        """A good answer, of which it had told, came to nothing: the try has failed after all."""
        self._failed_now += 1

    def ended(self, attempt: object) -> None:
        """The try is over, whether it had an answer or not."""
        self.figures.outstanding -= 1
        if self._waiting.pop(attempt, None) is not None:
            self._failed_now += 1
