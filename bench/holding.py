"""Hold each worker of a proxy to a share of a core, as if it had that much of a machine to itself.

Decides how: a control group with a quota for each worker (version 1, and root), which can hold a thread too.
Invariant: whoever was held is free again after the block, and no group is left. Where there are no such
groups the row cannot run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .measuring import family
from .programs import CannotRun
from .proxies import Running

#: Microseconds: the kernel's own. In one of 5 ms a fast proxy pays twice as much for a transaction as when it
#: is free, where the machine is quiet: the load sleeps more often, and has to be woken.
_PERIOD = 100_000


@contextlib.contextmanager
def held(workers: Sequence[Sequence[int]], share: float) -> Iterator[None]:
    """`workers`: the threads of each."""
    above = own_group()
    made: list[Path] = []
    try:
        for number, threads in enumerate(workers):
            group = above / f"sslbroker-bench-{os.getpid()}-{number}"
            group.mkdir()
            made.append(group)
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(int(_PERIOD * share)))
            for thread in threads:
                (group / "tasks").write_text(str(thread))
        yield
    finally:
        for group in made:
            for thread_text in (group / "tasks").read_text().split():
                (above / "tasks").write_text(thread_text)
            group.rmdir()


def own_group() -> Path:
    """The group of this process, in which others may be made."""
    root = Path("/sys/fs/cgroup/cpu")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            group = root / path.lstrip("/")
            if os.access(group / "tasks", os.W_OK):
                return group
    raise CannotRun(f"workers are held by control groups (version 1) in {root}: not there, or not writable")


def workers_of(run: Running) -> list[list[int]]:
    """The threads of each worker: of the processes that have none below them, for the others only watch."""
    workers = [pid for pid in family(run.pid) if len(family(pid)) == 1]
    if workers == [run.pid] and run.setting.workers > 1:
        return [[thread] for thread in threads(run.pid)]
    return [threads(pid) for pid in workers]


def threads(pid: int) -> list[int]:
    return sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())
