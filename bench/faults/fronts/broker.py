"""The broker under faults: its servers and nothing else, but what the situation says.

Decides how a situation is said in its configuration. Invariant: failover, ejection and resuming are as they
come. Refuses to be told of the faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...proxies import Running, Setting, broker
from ...site import Site
from . import Situation


class Broker:
    name = "broker"

    def __init__(self, python: Path, more: Sequence[str] = ()) -> None:
        self.python = python
        self.more = more

    def version(self) -> str:
        return broker.Broker(self.python, self.more).version()

    def start(self, site: Site, directory: Path, situation: Situation) -> Running:
        ports = tuple(situation.ports)
        where = replace(site, plain=ports, secure=ports)
        asked = broker.Broker(self.python, [*sets(situation), *self.more])
        return asked.start(where, directory, Setting())


def sets(situation: Situation) -> list[str]:
    """The settings that are not as they come; it knows Idempotency-Key by itself."""
    found = []
    if situation.response_timeout != 30:
        found.append(f'pools.servers.failover.response_timeout="{situation.response_timeout}s"')
    return found
