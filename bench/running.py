"""One row: rounds by proxies, interleaved, so that a slow moment of the machine hits all alike.

Decides the order. Invariant: each row starts its own proxies, and in each round they are measured one after
the other; what could not run is in the result with its reason, and never as a figure.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .profiling import by_machine
from .programs import CannotRun
from .proxies import Proxy, Running, Setting
from .rows import Figures, Row, Stage
from .site import Site


@dataclass(frozen=True)
class Plan:
    proxies: Sequence[Proxy]
    rounds: int
    seconds: float
    profiles: Path | None = None  # the folder for the broker's profiles
    perf: bool = False  # by perf, instead of cProfile

    def profile(self, proxy: str, row: str, kind: str) -> Path | None:
        """Where this row's profile goes, if there is one of this kind."""
        if self.profiles is None or proxy != "broker" or self.perf is not (kind == "perf"):
            return None
        return self.profiles / f"{row}.{kind}"


def measure_row(row: Row, plan: Plan, site: Site) -> dict[str, Any]:
    """All rounds of one row: the figures of each proxy, and why others have none."""
    rounds: list[dict[str, Figures]] = [{} for _ in range(plan.rounds)]
    not_run: dict[str, str] = {}
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
        Path(made).chmod(0o755)  # nginx drops to another user when root starts it
        stage = Stage(site, Path(made), plan.seconds)
        kept: dict[str, list[Running]] = {}
        for number, figures in enumerate(rounds):
            for proxy in plan.proxies:
                if proxy.name in not_run:
                    continue
                print(f"… {row.name} {number + 1}/{plan.rounds} {proxy.name}", flush=True)
                try:
                    if row.anew:
                        with ExitStack() as once:
                            figures[proxy.name] = _measure(
                                row, plan, stage, _start(row, proxy, plan, stage, once)
                            )
                    else:
                        if proxy.name not in kept:
                            kept[proxy.name] = _start(row, proxy, plan, stage, stack)
                        figures[proxy.name] = _measure(row, plan, stage, kept[proxy.name])
                except CannotRun as error:
                    not_run[proxy.name] = str(error)
    return {
        "title": row.title,
        "conditions": row.conditions,
        "main": row.main,
        "aims": [asdict(aim) for aim in row.aims],
        "profiled": plan.profiles is not None,
        "rounds": rounds,
        "not_run": not_run,
    }


def _measure(row: Row, plan: Plan, stage: Stage, runs: Sequence[Running]) -> Figures:
    file = plan.profile(runs[-1].proxy, row.name, "perf")
    with by_machine(runs[-1].pid, file) if file else nullcontext():
        return row.measure(stage, runs)


def _start(row: Row, proxy: Proxy, plan: Plan, stage: Stage, stack: ExitStack) -> list[Running]:
    """One proxy for each number of workers that the row compares; warm."""
    runs = []
    for workers in row.workers:
        directory = Path(tempfile.mkdtemp(prefix=f"{proxy.name}-", dir=stage.directory))
        directory.chmod(0o755)
        setting = Setting(workers, plan.profile(proxy.name, row.name, "cprofile"))
        run = proxy.start(stage.site, directory, setting)
        stack.enter_context(run.program)
        runs.append(run)
    row.warm(stage, runs)
    return runs
