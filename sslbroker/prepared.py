"""What a start can find out before it takes an address: certificates, extensions, and findings of before.

Decides whether the files and objects that a configuration names can be used. Invariant: every problem of all
of them is told at once, each with its path in the configuration, and nothing is opened, bound or written.
Refuses to build a broker: `service` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .errors import StartError
from .extensions import Extensions, Parts, extensions, observers, parts
from .interfaces import IObserver
from .net import tls
from .net.link_tls import LinkContexts
from .net.pins import Pins
from .settings import Configuration, Pool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a broker is made of, besides its configuration."""

    pools: Mapping[str, Parts]  # by pool
    observers: Sequence[IObserver]
    listeners: Mapping[str, tls.ListenerContexts]  # by listener, secure ones only
    links: Mapping[str, Mapping[str, LinkContexts]]  # by pool and by server: where links may be secure
    pins: Pins

    def warnings(self) -> Iterator[str]:
        """What works but should be looked at, each line once, with its path in the configuration."""
        lines = [
            f"listeners.{name}.tls: {line}" for name, one in self.listeners.items() for line in one.warnings
        ]
        for pool, servers in self.links.items():
            lines += [f"pools.{pool}.tls: {line}" for one in servers.values() for line in one.warnings]
        return iter(dict.fromkeys(lines))


def prepare(configuration: Configuration, known: Extensions | None = None) -> Prepared:
    """Read every file and look every extension up; `StartError` with every problem at once.

    `known` has the names of the configuration, which has been checked with them. Raises the
    `ConfigurationError` with which a protocol refuses a pool's settings.
    """
    known = extensions() if known is None else known
    problems: list[str] = []
    pools = parts(known, configuration, problems)
    heard = observers(known, configuration, problems)
    if problems:  # without a whole protocol nothing more can be said of its listeners and links
        raise StartError("\n".join(problems))
    listeners: dict[str, tls.ListenerContexts] = {}
    for listener in configuration.listeners:
        if listener.tls is not None:
            try:
                listeners[listener.name] = tls.ListenerContexts(
                    listener.tls, pools[listener.pool].protocol.alpn
                )
            except StartError as error:
                problems += _lines(f"listeners.{listener.name}.tls", error)
    links = {
        pool.name: _links(pool, pools[pool.name].protocol.alpn, problems) for pool in configuration.pools
    }
    try:
        pins = Pins(configuration.broker.state_directory)
    except StartError as error:
        problems += _lines("broker.state_directory", error)
    if problems:
        raise StartError("\n".join(dict.fromkeys(problems)))
    return Prepared(pools, heard, listeners, links, pins)


def _links(pool: Pool, alpn: Sequence[bytes], problems: list[str]) -> dict[str, LinkContexts]:
    """How secure links to the pool's servers are made, by address; adds to `problems`."""
    made: dict[str, LinkContexts] = {}
    for index, server in enumerate(pool.servers):
        mode = server.continue_secure_link
        if (pool.continue_secure_link if mode is None else mode) is False:
            continue
        place = f"pools.{pool.name}.tls" if server.tls is None else f"pools.{pool.name}.servers[{index}].tls"
        try:
            made[server.address] = LinkContexts(server.tls or pool.tls, server.host, alpn)
        except StartError as error:
            problems += _lines(place, error)
    return made


def _lines(place: str, error: StartError) -> Iterable[str]:
    return (f"{place}: {line}" for line in str(error).splitlines())
