"""The row of two workers beside one: what they cost, how clients are split, what is gained.

Decides three comparisons of the same proxy with one worker and with two. Invariant: cost is compared on one
core with nothing held; the gain with each worker held to a quarter of a core, so that a machine with few
cores has enough of them, and with what it depends on: how much of that was used, and what a transaction cost;
the split is counted in the kernel's table of sockets, over many idle clients.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .. import wrk
from ..asking import beside, order
from ..holding import held, workers_of
from ..measuring import Disturbance, cost
from ..programs import CannotRun, sockets
from ..proxies import Running
from ..site import SAME_TLS
from . import Aim, Figures, Stage

CLIENTS = 400
HELD = 0.25
_ESTABLISHED = "01"


@dataclass(frozen=True)
class Held:
    """What workers did that were held."""

    rate: float
    cpu: float  # seconds a transaction
    used: float  # share of what they might use


@dataclass(frozen=True)
class Workers:
    name: str = "workers"
    title: str = "two workers beside one, 1 KiB over TLS, kept alive"
    aims: Sequence[Aim] = (
        Aim("cost_ratio", 1.15),
        Aim("split", 0.6),
        Aim("gain", 1.8, at_least=True),
    )
    door: str = "ecdsa"
    main: str = "cpu_us"
    workers: Sequence[int] = (1, 2)
    anew: bool = False
    conditions: str = (
        f"64 connections; split of {CLIENTS} connections; gain with each worker held to "
        f"{HELD:.0%} of a core; {SAME_TLS}"
    )

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None:
        for run in runs:
            self._load(stage, run, 1.0)

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        one, two = runs
        if len(workers_of(two)) != 2:
            raise CannotRun(f"two workers were asked for, {len(workers_of(two))} are there")
        others = Disturbance.begin((one.pid, two.pid, *stage.site.servers))
        costs = [self._cost(stage, run) for run in runs]
        alone, both = (self._held(stage, run) for run in runs)
        return {
            "cpu_us": costs[1],
            "cost_ratio": costs[1] / costs[0],
            **self._split(stage, two),
            "rate": both.rate,
            "gain": both.rate / alone.rate,
            "held_used": min(alone.used, both.used),
            "held_ratio": both.cpu / alone.cpu,
            "rss_mib": cost(two.pid).resident / 2**20,
            "others": others.share(),
        }

    def _cost(self, stage: Stage, run: Running) -> float:
        before = cost(run.pid)
        load = self._load(stage, run, stage.seconds)
        return (cost(run.pid) - before).cpu / load.requests * 1e6

    def _held(self, stage: Stage, run: Running) -> Held:
        workers = workers_of(run)
        with held(workers, HELD):
            before = cost(run.pid)
            load = self._load(stage, run, stage.seconds)
            spent = cost(run.pid) - before
        return Held(load.rate, spent.cpu / load.requests, spent.cpu / load.seconds / HELD / len(workers))

    def _split(self, stage: Stage, run: Running) -> dict[str, float]:
        """The share of the busier worker; threads share their descriptors, and have no such figure."""
        if run.proxy == "haproxy":
            return {}
        said = order("hold", run, self.door, "1k", connections=CLIENTS)
        with beside([said], stage.site.load_cores):
            inodes = set(sockets(run.doors[self.door], _ESTABLISHED))
            counts = sorted(len(inodes & owned(first)) for first, *_ in workers_of(run))
        return {"split": counts[-1] / sum(counts)}

    def _load(self, stage: Stage, run: Running, seconds: float) -> wrk.Load:
        return wrk.load(
            run.url(self.door, "1k"),
            connections=64,
            seconds=seconds,
            cores=stage.site.load_cores,
            directory=stage.directory,
        )


def owned(pid: int) -> set[str]:
    """The inodes of the sockets that a process has."""
    found = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            name = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return found
