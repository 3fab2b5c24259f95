"""The row of slow readers: whether clients that read slowly cost the others their time.

Decides the load: `CLIENTS` that ask for 64 KiB at a rate far below what any proxy can do, first alone, then
with as many that read 64 KiB a second through a small window. Invariant: the others' requests come at the
same times in both; what is compared is their p99.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from ..asking import Answers, ask, beside, order
from ..measuring import Disturbance, cost
from ..proxies import Running
from ..site import SAME_TLS
from . import Aim, Figures, Stage

CLIENTS = 64
RATE = 300.0
_BEFORE = 1.0  # the slow ones are there before the others begin


@dataclass(frozen=True)
class SlowReaders:
    name: str = "slow"
    title: str = "half of the clients read slowly, 64 KiB: p99 of the others"
    aims: Sequence[Aim] = (Aim("slowdown", 2.0),)
    door: str = "ecdsa"
    main: str = "p99_ms"
    workers: Sequence[int] = (1,)
    anew: bool = False

    @property
    def conditions(self) -> str:
        others = f"{CLIENTS} clients, {RATE:.0f} requests a second"
        return f"{others}; {CLIENTS} more read 64 KiB a second each; {SAME_TLS}"

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None:
        self._ask(stage, runs[0], 1.0, slow=False)

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        (run,) = runs
        others = Disturbance.begin((run.pid, *stage.site.servers))
        none = self._ask(stage, run, stage.seconds, slow=False).figures()
        some = self._ask(stage, run, stage.seconds, slow=True).figures()
        return {
            **some,
            "p99_none_ms": none["p99_ms"],
            "slowdown": some["p99_ms"] / none["p99_ms"],
            "rss_mib": cost(run.pid).resident / 2**20,
            "others": others.share(),
        }

    def _ask(self, stage: Stage, run: Running, seconds: float, *, slow: bool) -> Answers:
        paced = {"connections": CLIENTS, "rate": RATE, "seconds": seconds, "regular": False}
        said = order("pace", run, self.door, "64k", **paced)
        dawdling = order("dawdle", run, self.door, "64k", connections=CLIENTS, seconds=seconds + 30)
        cores = stage.site.load_cores
        with beside([dawdling], cores) if slow else nullcontext():
            if slow:
                time.sleep(_BEFORE)
            return ask(said, cores)
