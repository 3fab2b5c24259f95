"""Start `clients` beside a proxy, on the cores for load, and read what they saw.

Decides what one order to them is. Invariant: a run with errors is no figure; whoever was started has ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from .measuring import quantile
from .programs import ROOT, CannotRun, find
from .proxies import DOORS, Running


@dataclass(frozen=True)
class Answers:
    """What paced clients saw: milliseconds from when a request was due; `late`: how late the load was."""

    times: Sequence[float]
    late: Sequence[float]
    ended: float  # seconds from when the first request was due to the last answer

    def figures(self) -> dict[str, float]:
        return {
            "p50_ms": quantile(self.times, 0.5),
            "p99_ms": quantile(self.times, 0.99),
            "late_ms": quantile(self.late, 0.99),
        }


def order(what: str, run: Running, door: str, file: str, **more: float) -> dict[str, Any]:
    secure = bool(DOORS[door][0])
    return {"what": what, "port": run.doors[door], "secure": secure, "file": file, **more}


def ask(said: Mapping[str, Any], cores: Sequence[int]) -> Answers:
    """Requests at a rate that does not depend on the answers."""
    with _clients(said, cores) as child:
        seen = _read(child, said["seconds"] + 40)
    if seen["errors"] or not seen["times"]:
        told = ", ".join(f"{count} {name}" for name, count in seen["errors"].items())
        raise CannotRun(f"{len(seen['times'])} transactions, errors: {told or 'none'}")
    return Answers(seen["times"], seen["late"], seen["ended"])


@contextmanager
def beside(orders: Sequence[Mapping[str, Any]], cores: Sequence[int]) -> Iterator[None]:
    """Clients that are there while the block runs: "hold" or "dawdle", a program for each order."""
    with ExitStack() as stack:
        for child in [stack.enter_context(_clients(said, cores)) for said in orders]:
            _read_line(child)
        yield


@contextmanager
def _clients(said: Mapping[str, Any], cores: Sequence[int]) -> Iterator[subprocess.Popen[str]]:
    argv = [find("taskset"), "-c", ",".join(map(str, cores)), sys.executable, "-m", "bench.clients"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*argv, json.dumps(said)], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _read(child: subprocess.Popen[str], patience: float) -> dict[str, Any]:
    try:
        output, errors = child.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise CannotRun("the clients did not end") from None
    if child.returncode:
        raise CannotRun(f"the clients: {errors.strip()[-300:]}")
    seen: dict[str, Any] = json.loads(output)
    return seen


def _read_line(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    if not child.stdout.readline():
        _, errors = child.communicate()
        raise CannotRun(f"the clients: {errors.strip()[-300:]}")
