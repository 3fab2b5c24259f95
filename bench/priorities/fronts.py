"""The proxies: each as it comes, which knows the servers only, and each told how much a server can do.

Decides their configurations. Invariant: all have the doors of `bench.proxies`, so the same TLS, logs and
time limits. HAProxy with limits has one more setting that serves it: those who come over TLS go first in its
queue. nginx's free edition has no queue: who finds no place gets 502. Refuses to tune one for a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..programs import CannotRun
from ..proxies import Proxy, Running, Setting, haproxy, nginx
from ..proxies.broker import Broker
from ..site import Site
from .cases import PLACES, PRIORITY, THRESHOLD

TITLES = {
    "broker": "sslbroker",
    "broker-limits": "sslbroker, limits",
    "haproxy": "HAProxy",
    "haproxy-limits": "HAProxy, limits and priorities",
    "nginx": "nginx",
    "nginx-limits": "nginx, limits",
}

SECURE, PLAIN = "ecdsa", "plain"  # the doors

GROUP = (
    'groups.gold.networks=["127.0.0.2/32"]',
    f"groups.gold.priority={PRIORITY}",
    f'groups.gold.threshold="{THRESHOLD}"',
)


class Front(Protocol):
    def version(self) -> str: ...

    def start(self, site: Site, directory: Path) -> Running: ...


@dataclass(frozen=True)
class Peer:
    """HAProxy or nginx."""

    proxy: Proxy

    def version(self) -> str:
        return self.proxy.version()

    def start(self, site: Site, directory: Path) -> Running:
        return self.proxy.start(site, directory, Setting())


@dataclass(frozen=True)
class Ours:
    python: Path
    sets: Sequence[str] = ()
    limits: bool = False

    def version(self) -> str:
        return Broker(self.python).version()

    def start(self, site: Site, directory: Path) -> Running:
        sets = [*limited(site.plain), *self.sets] if self.limits else self.sets
        return Broker(self.python, sets).start(site, directory, Setting())


def limited(ports: Sequence[int]) -> list[str]:
    """The setting that says how much each server can do."""
    servers = (f'{{address = "127.0.0.1:{port}", maximum_transactions = {PLACES}}}' for port in ports)
    return [f"pools.servers.servers=[{', '.join(servers)}]"]


def fronts(python: Path, sets: Sequence[str]) -> Mapping[str, Front]:
    first = haproxy.Words(
        secure="http-request set-priority-class int(-100)",
        back="timeout queue 2500ms",  # with more it served clients who had given up
        server=f"maxconn {PLACES}",
    )
    return {
        "broker": Ours(python, sets),
        "broker-limits": Ours(python, sets, limits=True),
        "haproxy": Peer(haproxy.HAProxy()),
        "haproxy-limits": Peer(haproxy.HAProxy(first)),
        "nginx": Peer(nginx.Nginx()),
        "nginx-limits": Peer(nginx.Nginx(f"max_conns={PLACES}")),
    }


def versions(there: Mapping[str, Front]) -> dict[str, str]:
    """Of each program, by the name of its first front; one that is absent is told when it is to run."""
    found = {}
    for name, front in there.items():
        program = name.partition("-")[0]
        if program not in found:
            try:
                found[program] = front.version()
            except CannotRun:
                continue
    return found
