"""Rows of throughput: as many transactions as the proxy does on its core, and what one costs it.

Decides the load: wrk or, for connections without a session to resume, ab, as fast as it is answered.
Invariant: the cost is divided by the transactions that were counted in the same time. What is sent before and
after (handshakes of kept connections) is in it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import ab, wrk
from ..measuring import Disturbance, cost
from ..proxies import DOORS, Running
from ..site import SAME_TLS
from . import Aim, Figures, Stage


@dataclass(frozen=True)
class Throughput:
    name: str
    title: str
    door: str
    file: str
    aims: Sequence[Aim] = ()
    connections: int = 32
    close: bool = False  # the clients' connections
    resume: bool = False  # whether those that are made anew resume a session
    main: str = "cpu_us"
    workers: Sequence[int] = (1,)
    anew: bool = False

    @property
    def conditions(self) -> str:
        how = "kept alive"
        if self.close:
            how = f"a new one for each request, {'sessions resumed' if self.resume else 'no session resumed'}"
        tls = SAME_TLS if DOORS[self.door][0] else "no TLS"
        return f"{self.connections} connections, {how}; {tls}"

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None:
        for run in runs:
            self._load(stage, run, 1.0)

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        (run,) = runs
        others = Disturbance.begin((run.pid, *stage.site.servers))
        before = cost(run.pid)
        load = self._load(stage, run, stage.seconds)
        spent = cost(run.pid) - before
        return {
            "cpu_us": spent.cpu / load.requests * 1e6,
            "rate": load.rate,
            "p50_ms": load.p50 * 1e3,
            "p99_ms": load.p99 * 1e3,
            "rss_mib": cost(run.pid).resident / 2**20,
            "busy": spent.cpu / load.seconds,
            "others": others.share(),
        }

    def _load(self, stage: Stage, run: Running, seconds: float) -> wrk.Load:
        url, cores = run.url(self.door, self.file), stage.site.load_cores
        count, place = self.connections, stage.directory
        if self.close and not self.resume:
            return ab.load(url, connections=count, seconds=seconds, cores=cores, directory=place)
        close = self.close
        return wrk.load(url, connections=count, seconds=seconds, cores=cores, directory=place, close=close)
