"""What befalls the servers while clients ask: one after the other is killed and started again, or stopped.

Decides when, by a seed. Invariant: at the end of the block every server runs; how often it happened, and how
long a server was away, is told. Refuses to know who notices.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from .servers import Server


@dataclass(frozen=True)
class Fault:
    """Each `every` seconds, give or take a tenth, one server, or so many `together`, is away."""

    what: str  # "kill" or "stop"; "" for nothing
    every: float = 1.0
    away: float = 0.2  # seconds, and how long it takes to start
    together: int = 1


@dataclass
class Told:
    count: int = 0
    away: list[float] = field(default_factory=list)  # seconds from its end until it listens again


@contextmanager
def befalling(fault: Fault, servers: Sequence[Server], seed: int) -> Iterator[Told]:
    told = Told()
    if not fault.what:
        yield told
        return
    with _Thread(fault, servers, seed, told):
        yield told


class _Thread(threading.Thread):
    def __init__(self, fault: Fault, servers: Sequence[Server], seed: int, told: Told) -> None:
        super().__init__(daemon=True)
        self.fault = fault
        self.servers = servers
        self.chance = random.Random(seed)
        self.told = told
        self.over = threading.Event()
        self.mistake: BaseException | None = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.join()
        if self.mistake is not None:
            raise self.mistake

    def run(self) -> None:
        try:
            for number, moment in enumerate(moments(self.fault, self.chance)):
                if self.over.wait(moment):
                    return
                first = number % len(self.servers)
                self.befall([*self.servers[first:], *self.servers[:first]][: self.fault.together])
        except BaseException as error:
            self.mistake = error

    def befall(self, servers: Sequence[Server]) -> None:
        self.told.count += 1
        begin = time.monotonic()
        for server in servers:
            server.kill() if self.fault.what == "kill" else server.stop()
        try:
            self.over.wait(self.fault.away)
        finally:
            for server in servers:
                server.start() if self.fault.what == "kill" else server.go_on()
                self.told.away.append(time.monotonic() - begin)


def moments(fault: Fault, chance: random.Random) -> Iterator[float]:
    """For how long to wait before each; the time that a server is away comes off."""
    while True:
        yield fault.every * chance.uniform(0.9, 1.1) - fault.away
