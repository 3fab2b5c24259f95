"""What a row is: its load, its figures, and what is to be reached.

Decides the form of a row. Invariant: every proxy gets the same row in the same way; an aim is held against
the figure of the broker, or against its ratio to HAProxy's in the same round. Refuses to know how a proxy is
started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..proxies import Running
from ..site import Site

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Aim:
    """What the broker is to reach: at most `limit`, or at least, or at most so many times HAProxy's."""

    figure: str
    limit: float
    relative: bool = False
    at_least: bool = False


@dataclass(frozen=True)
class Stage:
    """Where a row is measured, and for how long."""

    site: Site
    directory: Path
    seconds: float


class Row(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def conditions(self) -> str:
        """What a reader must know to judge the figures."""

    @property
    def main(self) -> str:
        """The figure that is shown as a ratio to HAProxy's."""

    @property
    def aims(self) -> Sequence[Aim]: ...

    @property
    def workers(self) -> Sequence[int]:
        """With how many workers a proxy is started: one proxy for each number."""

    @property
    def anew(self) -> bool:
        """Whether each round needs freshly started proxies."""

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None: ...

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        """One proxy's figures; `CannotRun` when there are none."""
