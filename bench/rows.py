"""The rows: what is measured, under which conditions, and what is to be reached.

Decides each row's load and its main figure. Invariant: every proxy gets the same row in the same way, and
what a figure is compared with is HAProxy's in the same round. Refuses to know how a proxy is started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import wrk
from .measuring import Disturbance, cost
from .proxies import DOORS, Running
from .site import SAME_TLS, Site

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """Where a row is measured, and for how long."""

    site: Site
    directory: Path
    seconds: float


class Row(Protocol):
    """`settings` are the numbers of workers that the row starts a proxy with, one proxy for each."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def conditions(self) -> str:
        """What a reader must know to judge the figures."""

    @property
    def main(self) -> str:
        """The figure that `reach` is about."""

    @property
    def reach(self) -> float | None:
        """What the main figure, as a ratio to HAProxy's, is to be at most."""

    @property
    def workers(self) -> Sequence[int]: ...
    @property
    def anew(self) -> bool:
        """Whether each round needs freshly started proxies."""

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None: ...
    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures: ...


@dataclass(frozen=True)
class Throughput:
    """As many transactions as the proxy does on its core: what one costs it."""

    name: str
    title: str
    door: str
    file: str
    reach: float | None
    connections: int = 32
    close: bool = False
    main: str = "cpu_us"
    workers: Sequence[int] = (1,)
    anew: bool = False

    @property
    def conditions(self) -> str:
        how = "a new connection each" if self.close else "kept alive"
        tls = SAME_TLS if DOORS[self.door][0] else "no TLS"
        return f"{self.connections} connections, {how}; {tls}"

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None:
        for run in runs:
            self._load(stage, run, 1.0)

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        others = Disturbance.begin((runs[0].pid, *stage.site.servers))
        before = cost(runs[0].pid)
        load = self._load(stage, runs[0], stage.seconds)
        spent = cost(runs[0].pid) - before
        disturbed = others.share()
        return {
            "cpu_us": spent.cpu / load.requests * 1e6,
            "rate": load.rate,
            "p50_ms": load.p50 * 1e3,
            "p99_ms": load.p99 * 1e3,
            "rss_mib": cost(runs[0].pid).resident / 2**20,
            "busy": spent.cpu / load.seconds,
            "others": disturbed,
        }

    def _load(self, stage: Stage, run: Running, seconds: float) -> wrk.Load:
        return wrk.load(
            run.url(self.door, self.file),
            connections=self.connections,
            seconds=seconds,
            cores=stage.site.load_cores,
            directory=stage.directory,
            close=self.close,
        )


ROWS: Sequence[Row] = (
    Throughput("1k", "1 KiB over TLS, kept alive", "ecdsa", "1k", 2.5),
    Throughput("64k", "64 KiB over TLS, kept alive", "ecdsa", "64k", 1.5),
    Throughput("1m", "1 MB over TLS, kept alive", "ecdsa", "1m", 1.5, connections=16),
    Throughput("new-ecdsa", "new TLS connection + 1 KiB, ECDSA P-256", "ecdsa", "1k", 1.3, close=True),
    Throughput("new-rsa", "new TLS connection + 1 KiB, RSA-2048", "rsa", "1k", 1.3, close=True),
    Throughput("reencrypted", "1 KiB over TLS, link TLS too, kept alive", "reencrypted", "1k", 2.5),
    Throughput("plain", "1 KiB without TLS, kept alive", "plain", "1k", None),
)
