"""What settings must agree on among themselves.

Decides which settings contradict each other though each is right alone. Invariant: a rule looks at
sound places only, so no mistake is told twice; it reads objects, so TOML and ``.tac`` files keep
the same rules. Refuses to look at anything outside the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

from ..errors import Problem
from ..settings import Configuration, KiB, MiB, Storage
from . import text
from .report import Reading, did_you_mean, shown, steps

Rule = Callable[[Configuration, Reading], Iterator[Problem]]


def endpoints_differ(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """No two listeners, or a listener and the admin page, for the same clients."""
    endpoints = [(steps("listeners", one.name, "endpoint"), one.endpoint) for one in configuration.listeners]
    if configuration.admin is not None:
        endpoints.append(("admin.endpoint", configuration.admin.endpoint))
    before: list[tuple[str, tuple[str, ...]]] = []
    for path, endpoint in endpoints:
        place = text.endpoint(endpoint) if reading.sound(path) else ()
        if not place:
            continue
        for other, taken in before:
            if place == taken or text.covers(place, taken) or text.covers(taken, place):
                suggestion = f"{other} has it"
                if place != taken:
                    suggestion += ": one is for all addresses of this port, tcp6 for those of IPv4 too"
                yield Problem(path, shown(endpoint), "one that is not used yet", suggestion)
                break
        before.append((path, place))


def pools_exist(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """A listener's pool is one of the pools."""
    pools = [pool.name for pool in configuration.pools]
    if reading.doubted("pools"):
        return
    for listener in configuration.listeners:
        path = steps("listeners", listener.name, "pool")
        if listener.pool not in pools and reading.sound(path):
            suggestion = did_you_mean(listener.pool, pools) or f"the pools are {shown(pools)}"
            yield Problem(path, shown(listener.pool), "the name of a pool", suggestion)


def servers_differ(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """No address twice in a pool."""
    for pool in configuration.pools:
        addresses = (
            (f"{steps('pools', pool.name, 'servers')}[{index}]", server.address)
            for index, server in enumerate(pool.servers)
        )
        yield from _each_once(
            (path, address, text.address(address))
            for path, address in addresses
            if reading.sound(f"{path}.address")
        )


def networks_differ(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """No network twice, in one group or in two."""
    networks = (
        (f"{steps('groups', group.name, 'networks')}[{index}]", network)
        for group in configuration.groups
        for index, network in enumerate(group.networks)
    )
    # The line that says that groups are not built yet stands at "groups", above all of them.
    return _each_once((path, str(network), network) for path, network in networks if network is not None)


def removed_headers_differ(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """No header field is removed twice; case does not matter (RFC 9110 §5.1)."""
    for pool in configuration.pools:
        path = steps("pools", pool.name, "headers", "remove")
        names = ((f"{path}[{index}]", name) for index, name in enumerate(pool.headers.remove))
        yield from _each_once((path, name, name.lower()) for path, name in names if reading.sound(path))


def storage_is_ordered(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """minimum ≤ initial ≤ maximum, per_transaction ≤ maximum, shrink_below < grow_above."""
    storage = configuration.storage
    for low, high in (
        ("minimum", "maximum"),
        ("minimum", "initial"),
        ("initial", "maximum"),
        ("per_transaction", "maximum"),
        ("shrink_below", "grow_above"),
    ):
        if not reading.sound(f"storage.{low}", f"storage.{high}"):
            continue
        least, most = getattr(storage, low), getattr(storage, high)
        share = low == "shrink_below"
        if least > most or (share and least == most):
            relation = "less than" if share else "at most"
            expected = f"{relation} storage.{high}, which is {_told(most)}"
            default = "that is the default: set it too" if least == getattr(Storage(), low) else ""
            yield Problem(f"storage.{low}", _told(least), expected, default)


RULES: tuple[Rule, ...] = (
    endpoints_differ,
    pools_exist,
    servers_differ,
    networks_differ,
    removed_headers_differ,
    storage_is_ordered,
)


def _each_once(places: Iterable[tuple[str, str, Hashable]]) -> Iterator[Problem]:
    """For triples of path, text and what it stands for: a problem for each that stood before."""
    first: dict[Hashable, str] = {}
    for path, found, meaning in places:
        before = first.setdefault(meaning, path)
        if before != path:
            yield Problem(path, shown(found), "one that is not used yet", f"{before} has it")


def _told(amount: float) -> str:
    """An amount of the storage table: a share, or bytes in their largest whole unit."""
    if isinstance(amount, float):
        return f"{amount:g}"
    for unit, name in ((1024 * MiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if amount and amount % unit == 0:
            return f"{amount // unit}{name}"
    return f"{amount}B"
