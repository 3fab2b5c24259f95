"""Twice as much as the servers can do, for ten seconds: how often they are asked, and what is left after it.

Decides the load and what is to be reached. Invariant: the servers count what they are asked, so tries per
transaction are known of every proxy; the proxy's memory is watched all the time. Refuses to call a failed
answer a fault here: half of what is asked cannot be served.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..measuring import cost
from ..programs import CannotRun, find
from ..site import Site
from ..watching import repeated
from . import reasons, servers
from .arriving import AFTER, BEFORE, DURING, SETTLED, Order
from .fronts import DOOR, Front, Situation
from .running import clients
from .seen import Seen

SERVERS, PLACES, SERVICE = 3, 2, 0.04
CAPACITY = SERVERS * PLACES / SERVICE  # transactions a second
SHARE, RESERVE = 0.1, 100  # of the broker's budget, as they come


def run(front: Front, site: Site, seed: int, during: float = 10.0) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as made:
        directory = Path(made)
        directory.chmod(0o755)  # nginx drops to another user when root starts it
        with (
            servers.started(
                ["places"] * SERVERS, directory, site.load_cores, places=PLACES, service=SERVICE
            ) as trio,
            (running := front.start(site, directory, Situation(trio.ports))).program as program,
        ):
            order = Order(running.doors[DOOR], few=CAPACITY / 5, many=2 * CAPACITY, during=during)
            time.sleep(1.2)  # checks of servers have had their turn
            asked = asked_of(trio.ports)
            with memory(running.pid) as resident:
                phases = arrive(order, site.load_cores)
            asked = asked_of(trio.ports) - asked
            if program.child.poll() is not None:
                raise CannotRun(f"{front.name} ended: {program.output()}")
        found = figures(phases, asked, resident)
        if front.name == "broker":
            log = reasons.entries(directory / "broker.access.log")
            found["tries"] = reasons.tries(log)
            found["tries_each"] = sum(len(each["tries"]) for each in log) / max(1, len(log))
            late = [each for phase in (AFTER, SETTLED) for each in phases[phase].failed]
            found["why"] = reasons.reasons([*phases[BEFORE].failed, *late], log)
            found["tracebacks"] = program.log.read_text(errors="replace").count("Traceback")
    return found


def figures(phases: Sequence[Seen], asked: int, resident: Sequence[int]) -> dict[str, Any]:
    names = {BEFORE: "before", DURING: "during", AFTER: "after", SETTLED: "settled"}
    transactions = sum(seen.requests for seen in phases)
    return {
        **{name: phases[phase].figures() for phase, name in names.items()},
        "transactions": transactions,
        "asked": asked,
        "tries_each": asked / transactions,
        "tries_most": 1 + SHARE + RESERVE / transactions,
        "rss_before_mib": resident[0] / 2**20,
        "rss_most_mib": max(resident) / 2**20,
        "unanswered": sum(each.kind == "timeout" for seen in phases for each in seen.failed),
    }


def arrive(order: Order, cores: Sequence[int]) -> list[Seen]:
    argv = [find("taskset"), "-c", ",".join(map(str, cores)), sys.executable, "-m", "bench.faults.arriving"]
    patience = order.before + order.during + order.after + 2 * order.patience + 30
    return [Seen.heard(each) for each in clients([*argv, order.words()], patience)]


def asked_of(ports: Sequence[int]) -> int:
    """How many requests the servers have had."""
    total = 0
    for port in ports:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as told:
            told.request("GET", "/told")
            total += json.loads(told.getresponse().read())["asked"]
    return total


@contextmanager
def memory(pid: int) -> Iterator[list[int]]:
    """What the process and those below it hold, ten times a second: bytes."""
    found = [cost(pid).resident]
    with repeated(0.1, lambda: found.append(cost(pid).resident)):
        yield found
