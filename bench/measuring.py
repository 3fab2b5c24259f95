"""What a proxy has cost so far: CPU time of all its processes and threads, resident memory.

Decides what counts as the proxy: the process that was started and everything below it. Invariant: time is
the kernel's own, in nanoseconds, and the time of threads and children that have ended stays counted; what
others did meanwhile (`Disturbance`) is told. Refuses to sample: two readings and a difference.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK = 1e9 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """A reading, or the difference of two."""

    cpu: float  # seconds
    wall: float
    resident: int  # bytes

    def __sub__(self, earlier: Cost) -> Cost:
        return Cost(self.cpu - earlier.cpu, self.wall - earlier.wall, self.resident - earlier.resident)


def cost(pid: int) -> Cost:
    """What the process `pid` and all below it have cost until now."""
    tree = family(pid)
    spent = sum(cpu_time(each) for each in tree)
    return Cost(spent / 1e9, time.monotonic(), sum(resident(each) for each in tree))


def cpu_time(pid: int) -> float:
    """Nanoseconds of user and system time of all threads, the ended ones and ended children included."""
    with suppress(OSError):
        # What clock_getcpuclockid(3) gives: the scheduler's clock of a whole process.
        own = time.clock_gettime_ns((~pid << 3) | 2)
        return own + children_time(Path(f"/proc/{pid}/stat").read_text())
    return 0


def children_time(stat: str) -> float:
    """From /proc/PID/stat: nanoseconds of the children that have ended and were waited for."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * _TICK


def resident(pid: int) -> int:
    """Bytes of resident memory; 0 when the process is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024
    return 0


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:  # grows while it is read
        found.extend(child for child, parent in parents.items() if parent == each)
    return found


@dataclass(frozen=True)
class Disturbance:
    """Processor time that went to nobody of this run: `share` of one core, since it was made."""

    busy: float
    known: float
    at: float
    pids: Sequence[int]

    @classmethod
    def begin(cls, pids: Sequence[int]) -> Disturbance:
        """`pids`: those that belong to the run, besides itself and the children that it waits for."""
        return cls(_machine_busy(), _known(pids), time.monotonic(), pids)

    def share(self) -> float:
        strange = (_machine_busy() - self.busy) - (_known(self.pids) - self.known)
        return max(0.0, strange / (time.monotonic() - self.at))


def _machine_busy() -> float:
    """Seconds that all cores together have worked."""
    return busy_time(Path("/proc/stat").read_text())


def busy_time(stat: str) -> float:
    """From /proc/stat: all but idle time and waiting for a disk; guests are in user time already."""
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) * _TICK / 1e9


def _known(pids: Sequence[int]) -> float:
    waited = os.times()
    own = waited.user + waited.system + waited.children_user + waited.children_system
    return own + sum(cost(pid).cpu for pid in pids)


@dataclass(frozen=True)
class Spread:
    """Several values of one figure: an odd one out shows, instead of moving a mean."""

    low: float
    median: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """None when there is no value at all."""
    if not values:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Spread(ordered[0], median, ordered[-1], len(ordered))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed; `ValueError` without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
