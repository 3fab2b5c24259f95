"""A server as the broker sees it while running: its settings, what it is doing, and what bars it.

Decides whether a server may be chosen now, and how much it counts. Invariant: whoever bars a server has a
word of its own for it and is the only one to take that bar away; a server is open while nobody bars it.
Refuses to know why anybody bars it, links and clocks.
"""

from __future__ import annotations

from hashlib import sha256

from zope.interface import implementer

from ..interfaces import IMember
from ..settings import Server
from .figures import ServerFigures

#: The share of its weight that a server begins its slow start with.
FIRST_SHARE = 0.1


@implementer(IMember)
class Member:
    """One server of a pool. Times are seconds of the clock that `now` comes from."""

    __slots__ = ("_back", "_bars", "_slow_start", "draining", "figures", "key", "settings", "weight")

    def __init__(self, settings: Server, slow_start: float = 0.0) -> None:
        self.settings = settings
        self.weight = settings.weight
        self.draining = False  # only clients that are stuck to it
        #: What a client is told that shall come back to it: the same in every worker, and no address.
        self.key = sha256(settings.address.encode()).hexdigest()[:16]
        self.figures = ServerFigures(settings.address, settings.weight)
        self._slow_start = slow_start
        self._back: float | None = None  # when it was last open again
        self._bars: dict[str, str] = {}

    @property
    def address(self) -> str:
        return self.settings.address

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
        self._bars[word] = detail

    def unbar(self, word: str, now: float) -> None:
        """The bar is gone; without any other one the slow start begins."""
        if self._bars.pop(word, None) is not None and not self._bars:
            self._back = now

    def has_place(self) -> bool:
        """Its limits of transactions and links leave room for one more try."""
        settings, figures = self.settings, self.figures
        if settings.maximum_transactions and figures.outstanding >= settings.maximum_transactions:
            return False
        return not settings.maximum_links or figures.links_idle > 0 or figures.links < settings.maximum_links

    # --- how much does it count? ---

    def weight_at(self, now: float) -> float:
        """Its weight; during slow start a share of it that grows evenly."""
        if self._back is None:
            return self.weight
        share = (now - self._back) / self._slow_start if self._slow_start else 1.0
        if share >= 1.0:
            self._back = None
            return self.weight
        return self.weight * max(share, FIRST_SHARE)

    def response_time(self, now: float) -> float | None:
        """The exponentially weighted mean of its server times."""
        return None

    # --- what a relay tells of its tries; `attempt` is any object that stands for one ---

    def began(self, attempt: object, now: float) -> None:
        """A try on it has begun."""
        self.figures.outstanding += 1

    def answered(self, attempt: object, seconds: float, good: bool) -> None:
        """The try has an answer, `seconds` after its request was sent."""

    def ended(self, attempt: object) -> None:
        """The try is over, whether it had an answer or not."""
        self.figures.outstanding -= 1
