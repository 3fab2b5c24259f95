"""One case for one proxy: start the servers and the proxy, ask while the fault befalls, count, end it all.

Decides the order, and what of it becomes a figure. Invariant: each run has its own servers, proxy and folder,
so nothing is remembered from the one before; the proxy has ended before its log is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..measuring import quantile
from ..programs import ROOT, CannotRun, find
from ..site import Site
from . import reasons, servers
from .asking import Order
from .befalling import befalling
from .cases import Case
from .fronts import DOOR, Front, Situation
from .seen import Seen

_SPARE = 60.0  # seconds that a run may take longer than it should


def run(case: Case, front: Front, site: Site, requests: int, seed: int) -> dict[str, Any]:
    """The figures of one case and one proxy."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as made:
        directory = Path(made)
        directory.chmod(0o755)  # nginx drops to another user when root starts it
        with servers.started(case.kinds, directory, site.load_cores, size=case.size) as trio:
            keyed = case.posts and case.keyed
            situation = Situation(trio.ports, case.response_timeout, keyed)
            with (running := front.start(site, directory, situation)).program as program:
                hashes = {} if case.posts else dict(trio.hashes)
                order = Order(
                    running.doors[DOOR],
                    hashes,
                    requests,
                    seconds=requests / case.rate,
                    keyed=keyed,
                    patience=case.patience,
                    seed=seed,
                )
                time.sleep(1.2)  # checks of servers have had their turn
                with befalling(case.fault, trio.servers, seed) as told:
                    seen = ask(order, site.load_cores)
                if program.child.poll() is not None:
                    raise CannotRun(f"{front.name} ended: {program.output()}")
        found: dict[str, Any] = {**seen.figures(), "faults": told.count}
        if told.away:
            found["away_ms"] = quantile(told.away, 0.5) * 1e3
        if case.posts:
            found |= executed(directory, seen)
        if front.name == "broker":
            log = reasons.entries(directory / "broker.access.log")
            found["tries"] = reasons.tries(log)
            found["why"] = reasons.reasons(seen.failed, log)
            found["tracebacks"] = program.log.read_text(errors="replace").count("Traceback")
    return found


def ask(order: Order, cores: Sequence[int]) -> Seen:
    argv = [find("taskset"), "-c", ",".join(map(str, cores)), sys.executable, "-m", "bench.faults.asking"]
    told: Mapping[str, Any] = clients([*argv, order.words()], order.seconds * 3 + order.patience + _SPARE)
    return Seen.heard(told)


def clients(argv: Sequence[str], patience: float) -> Any:
    """Run a program that asks, and what it tells."""
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=patience)
    except subprocess.TimeoutExpired:
        raise CannotRun(f"the clients did not end in {patience:.0f} s") from None
    if done.returncode:
        raise CannotRun(f"the clients: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def executed(directory: Path, seen: Seen) -> dict[str, int]:
    """How often what was sent has been executed, as the servers counted it."""
    counts = Counter((directory / "executed").read_text().split())
    counts.update(file.name for file in directory.glob("key-*"))
    return {
        "executed": len(counts),
        "twice": sum(count > 1 for count in counts.values()),
        "lost": max(0, seen.good - len(counts)),
    }
