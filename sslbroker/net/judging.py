"""Whether a server's answer is a failure, as a pool's classifier says.

Decides nothing of its own. Invariant: only what a classifier is asked to give is believed. Anything else,
such as a coroutine, which Python takes for true, is its mistake: it neither makes answers failures nor lets
a request be repeated. Refuses to know what follows from a failing answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ..core.networks import Networks
from ..errors import FailingStatus
from ..interfaces import ICascades, IResponseClassifier, IRests, IUndone
from ..settings import Network


class Judge:
    """The classifier of one pool, and what a broker behind it tells of its own tries."""

    __slots__ = ("_brokers", "_cascades", "_rests", "classifier", "undone")

    def __init__(
        self, classifier: IResponseClassifier, cascades: ICascades | None, brokers: Sequence[Network]
    ) -> None:
        """`brokers` are the networks of servers that are brokers, and believed."""
        self.classifier = classifier
        self.undone = classifier if IUndone.providedBy(classifier) else None
        self._rests = classifier if IRests.providedBy(classifier) else None
        self._cascades = cascades
        self._brokers = Networks(brokers)

    def status(self, message: Any) -> int:
        """Under which number an answer is counted; 0: none."""
        status: Any = self.classifier.status(message)
        if not isinstance(status, int):
            raise TypeError(f"the classifier's status gave {status!r}, expected an integer")
        return status

    def status_told(self, message: Any) -> int:
        """The same for an answer that a client got.

        That may be the broker's own, about a classifier that failed, so it never raises.
        """
        try:
            return self.status(message)
        except Exception:
            return 0

    def failing(self, message: Any) -> bool:
        """Shall another server be tried after this answer?"""
        return _yes_or_no("failing", self.classifier.failing(message))

    def failure(self, message: Any, status: int) -> FailingStatus:
        """The error that a failing answer is."""
        error = FailingStatus(f"status {status}" if status else "a failing answer")
        if self.undone is not None:
            error.nothing_done = _yes_or_no("nothing_done", self.undone.nothing_done(message))
        if self._cascades is not None:
            error.final = self._cascades.looped(message)
        return error

    def rest(self, message: Any) -> float:
        """For how many seconds a failing answer asks that its server be left alone."""
        if self._rests is None:
            return 0.0
        seconds: Any = self._rests.rest(message)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not isfinite(seconds):
            raise TypeError(f"the classifier's rest gave {seconds!r}, expected a number of seconds")
        return seconds

    def tried_elsewhere(self, message: Any, peer: str) -> int:
        """How many tries a broker at `peer` made for this failing answer, besides the one that we count."""
        if self._cascades is None or peer not in self._brokers:
            return 0
        return max(self._cascades.tried(message) - 1, 0)


def _yes_or_no(asked: str, answer: object) -> bool:
    if answer is True or answer is False:
        return answer
    raise TypeError(f"the classifier's {asked} gave {answer!r}, expected True or False")
