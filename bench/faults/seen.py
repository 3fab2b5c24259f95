"""What clients saw: good answers, wrong ones, visible errors by kind, and how long it took.

Decides the kinds of errors and the figures. Invariant: each request is counted once, as good, wrong or
failed. A wrong hash is not a kind of error: it is what must be impossible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..measuring import quantile

#: How a failure shows to a client, in the order of the columns.
KINDS = ("status", "cut", "reset", "refused", "timeout", "malformed")


@dataclass(frozen=True)
class Failure:
    target: str
    kind: str
    detail: str
    at: float  # seconds after the first request


@dataclass
class Seen:
    good: int = 0
    wrong: list[str] = field(default_factory=list)  # targets
    failed: list[Failure] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # milliseconds, of all of them
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.good + len(self.wrong) + len(self.failed)

    def figures(self) -> dict[str, float]:
        kinds = Counter(each.kind for each in self.failed)
        return {
            "requests": self.requests,
            "good": self.good,
            "errors": len(self.failed),
            **{kind: kinds[kind] for kind in KINDS},
            "wrong": len(self.wrong),
            "p50_ms": quantile(self.times, 0.5),
            "p99_ms": quantile(self.times, 0.99),
            "max_ms": max(self.times),
            "seconds": self.seconds,
        }

    def told(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Seen:
        """What another process told."""
        return cls(**{**told, "failed": [Failure(**each) for each in told["failed"]]})
