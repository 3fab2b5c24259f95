"""The row of idle clients: what a TLS connection costs in memory while nothing happens on it.

Decides how it is measured: growth of resident memory of a freshly started proxy (an older one would have
memory to spare), after each client has done one request. Invariant: all connections are still open when
memory is read. The kernel's memory for sockets is in nobody's figure.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..asking import beside, order
from ..measuring import cost
from ..programs import CannotRun, sockets
from ..proxies import Running
from ..site import SAME_TLS
from . import Aim, Figures, Stage

_ESTABLISHED = "01"
_SETTLED = 1.0


@dataclass(frozen=True)
class Idle:
    name: str
    title: str
    wanted: int
    aims: Sequence[Aim]
    door: str = "ecdsa"
    main: str = "memory_kib"
    workers: Sequence[int] = (1,)
    anew: bool = True

    @property
    def count(self) -> int:
        """As many as are wanted, unless a process may not have files for a client and a link each."""
        return min(self.wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 9 // 20 // 100 * 100)

    @property
    def conditions(self) -> str:
        return f"{self.count} connections, each idle after one request; {SAME_TLS}"

    def warm(self, stage: Stage, runs: Sequence[Running]) -> None:
        with self._held(stage, runs[0], 100):
            time.sleep(_SETTLED)

    def measure(self, stage: Stage, runs: Sequence[Running]) -> Figures:
        (run,) = runs
        before = cost(run.pid)
        with self._held(stage, run, self.count):
            time.sleep(_SETTLED)
            grown = cost(run.pid) - before
            if (still := len(sockets(run.doors[self.door], _ESTABLISHED))) < self.count:
                raise CannotRun(f"only {still} of {self.count} connections stayed open")
        return {
            "memory_kib": grown.resident / self.count / 1024,
            "rss_mib": (before.resident + grown.resident) / 2**20,
            "cpu_us": grown.cpu / self.count * 1e6,
        }

    def _held(self, stage: Stage, run: Running, count: int) -> AbstractContextManager[None]:
        """Two programs share the clients, so that one of them can have a full turn while the other waits."""
        parts = (count // 2, count - count // 2)
        said = [order("hold", run, self.door, "1k", connections=part) for part in parts]
        return beside(said, stage.site.load_cores)
