"""The three servers as processes: started, asked what they did, ended.

Decides how they are started. Invariant: they have ended when the block does.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..programs import ROOT, Program, free_ports
from .cases import PLACES, SERVERS, SERVICE
from .server import PLAIN, SECURE, TOLD


@dataclass(frozen=True)
class Done:
    """What all of them did."""

    secure: Sequence[float]  # when each transaction had its time, by the machine's clock
    plain: Sequence[float]
    late: Sequence[float]  # milliseconds
    cpu: float  # seconds

    @property
    def all(self) -> Sequence[float]:
        return [*self.secure, *self.plain]


@contextmanager
def started(directory: Path, cores: Sequence[int]) -> Iterator[list[Program]]:
    with ExitStack() as stack:
        programs = []
        for number, port in enumerate(free_ports(SERVERS)):
            said = json.dumps({"port": port, "places": PLACES, "service": SERVICE})
            argv = [sys.executable, "-m", "bench.priorities.server", said]
            env = {"PYTHONPATH": str(ROOT)}
            program = Program(f"s{number}", argv, directory, cores=cores, ports=[port], env=env)
            programs.append(stack.enter_context(program))
        yield programs


def done(ports: Sequence[int]) -> Done:
    told = [_told(port) for port in ports]
    return Done(
        secure=[at for each in told for at in each["done"][SECURE]],
        plain=[at for each in told for at in each["done"][PLAIN]],
        late=[late for each in told for late in each["late"]],
        cpu=sum(each["cpu"] for each in told),
    )


def _told(port: int) -> Mapping[str, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as asked:
        asked.request("GET", TOLD)
        found: Mapping[str, Any] = json.loads(asked.getresponse().read())
    return found
