"""The proxies under faults, a file for each: configured for the best failover that each of them has.

Decides what a case tells them (`Situation`). Invariant: all have one secure door with the TLS of all
(`bench.site`), the same servers, an access log, and the same time limit for a response; what one cannot do is
in docs/failover.md. Refuses to tune one for a case: only what the situation says differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...proxies import Running
from ...site import Site

DOOR = "ecdsa"


@dataclass(frozen=True)
class Situation:
    ports: Sequence[int]  # of the servers
    response_timeout: int = 30  # seconds
    keyed: bool = False  # what has an Idempotency-Key may be sent again


class Front(Protocol):
    @property
    def name(self) -> str: ...

    def version(self) -> str:
        """`CannotRun` when it is not there."""

    def start(self, site: Site, directory: Path, situation: Situation) -> Running:
        """Start it; `DOOR` is its door."""
