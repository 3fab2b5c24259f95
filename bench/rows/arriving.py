"""Rows of arrivals: new TLS connections at a fixed rate, whether or not the earlier ones are answered.

Decides whether a rate is held. Invariant: clients come as independent users do (the same times for every
proxy), each does a handshake and one request, and its time counts from when it was due. `late_ms` is how late
the load itself was: a p99 near it says nothing about the proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..asking import Answers, ask, order
from ..measuring import Disturbance, cost
from ..proxies import Running
from ..site import SAME_TLS
from . import Aim, Figures, Stage

SECONDS = 10.0


@dataclass(frozen=True)
class Arriving:
    name: str
    title: str
    door: str
    rate: float = 600.0
    main: str = "busy"
    workers: Sequence[int] = (1,)
    anew: bool = False

    @property
    def aims(self) -> Sequence[Aim]:
        # Held: the last answer came no later than a twentieth after the last client was due.
        return (Aim("rate", 0.95 * self.rate, at_least=True), Aim("busy", 1.0))

    @property
    def conditions(self) -> str:
        clients = f"{self.rate:.0f} clients a second for {SECONDS:.0f} s at random times"
        return f"{clients}, no session resumed; {SAME_TLS}"

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None:
        self._ask(stage, runs[0], self.rate / 4, 1.0)

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        (run,) = runs
        others = Disturbance.begin((run.pid, *stage.site.servers))
        before = cost(run.pid)
        answers = self._ask(stage, run, self.rate, SECONDS)
        spent = cost(run.pid) - before
        taken = max(SECONDS, answers.ended)
        return {
            "cpu_us": spent.cpu / len(answers.times) * 1e6,
            "rate": len(answers.times) / taken,
            **answers.figures(),
            "rss_mib": cost(run.pid).resident / 2**20,
            "busy": spent.cpu / taken,
            "others": others.share(),
        }

    def _ask(self, stage: Stage, run: Running, rate: float, seconds: float) -> Answers:
        said = order("arrive", run, self.door, "1k", rate=rate, seconds=seconds, regular=False)
        return ask(said, stage.site.load_cores)
