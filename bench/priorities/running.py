"""One case for one proxy: start servers and proxy, let clients come, count, end it all.

Decides the order, and what is told of the run beside its figures: how busy the proxy, the load and the
servers were. Invariant: each run has its own servers, proxy and folder; the proxy has ended before its log
is read.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..faults.reasons import entries
from ..faults.running import clients
from ..measuring import Disturbance, cost
from ..programs import CannotRun, find
from ..proxies import Running
from ..site import Site
from . import servers
from .arriving import Order, Row
from .cases import CAPACITY, SETTLED, Case
from .figures import chosen, figures
from .fronts import PLAIN, SECURE, Front
from .windows import figures as window_figures
from .windows import watched

_SPARE = 60.0  # seconds that a run may take longer than it should


def run(case: Case, front: Front, site: Site, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="priorities-", ignore_cleanup_errors=True) as made:
        directory = Path(made)
        directory.chmod(0o755)  # nginx drops to another user when root starts it
        with servers.started(directory, site.load_cores) as trio:
            ports = [port for program in trio for port in program.ports]
            where = replace(site, plain=tuple(ports))
            with (running := front.start(where, directory)).program as program:
                time.sleep(1.2)  # checks of servers have had their turn
                order = ordered(case, running, ports, seed)
                before = cost(running.pid)
                others = Disturbance.begin([running.pid, *(each.pid for each in trio)])
                with watched(directory / "broker.toml") as windows:
                    told = clients(arriving(order, site), order.seconds + 2 * order.patience + _SPARE)
                spent = cost(running.pid) - before
                disturbed = others.share()
                if program.child.poll() is not None:
                    raise CannotRun(f"{running.proxy} ended: {program.output()}")
                done = servers.done(ports)
        rows = [Row(*each) for each in told["rows"]]
        found = figures(case, rows, done, told["begin"])
        found |= {
            "proxy_busy": spent.cpu / spent.wall,
            "proxy_us": spent.cpu / len(rows) * 1e6,
            "load_busy": told["cpu"] / spent.wall,
            "servers_busy": done.cpu / spent.wall,
            "others": disturbed,
        }
        log = entries(directory / "broker.access.log")
        if log:
            found["windows"] = window_figures(windows[: round(case.seconds)])
            found["choose"] = chosen(log, rows, min(SETTLED, case.seconds / 2))
            found["tracebacks"] = program.log.read_text(errors="replace").count("Traceback")
    return found


def ordered(case: Case, running: Running, ports: list[int], seed: int) -> Order:
    slow = [
        (at, ports[0], factor)
        for span in case.slow
        for at, factor in zip(span, (case.factor, 1.0), strict=True)
    ]
    phases = [(share * CAPACITY, seconds) for share, seconds in case.phases]
    return Order(running.doors[SECURE], running.doors[PLAIN], phases, slow, seed=seed)


def arriving(order: Order, site: Site) -> list[str]:
    cores = ",".join(map(str, site.load_cores))
    return [find("taskset"), "-c", cores, sys.executable, "-m", "bench.priorities.arriving", order.words()]
