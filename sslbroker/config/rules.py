"""What settings must agree on among themselves.

Decides which settings contradict each other though each is right alone. Invariant: a rule looks at
sound places only, so no mistake is told twice; it reads objects, so TOML and ``.tac`` files keep
the same rules. Refuses to look at anything outside the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

from ..errors import Problem
from ..settings import (
    Configuration,
    Failover,
    HeaderRules,
    Health,
    KiB,
    Listener,
    ListenerTLS,
    MiB,
    NamedClients,
    Names,
    Network,
    Pacing,
    Pool,
    Storage,
)
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
    """No network twice, in one group or in two; one of IPv4 in an IPv6 one is one of IPv4."""
    networks = (
        (f"{steps('groups', group.name, 'networks')}[{index}]", network)
        for group in configuration.groups
        for index, network in enumerate(group.networks)
    )
    return _each_once(
        (path, str(network), _addresses(network)) for path, network in networks if network is not None
    )


def _addresses(network: Network) -> tuple[object, int]:
    """The first one, and how many there are."""
    first = network.network_address
    return getattr(first, "ipv4_mapped", None) or first, network.num_addresses


def certificates_of_groups_differ(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """What a certificate names leads to one group; and there is a listener that asks for certificates."""
    entries = [
        (path, entry)
        for group in configuration.groups
        for index, entry in enumerate(group.certificates)
        if reading.sound(path := f"{steps('groups', group.name, 'certificates')}[{index}]")
    ]
    yield from _each_once((path, entry, entry) for path, entry in entries)
    if entries and reading.sound("listeners") and not any(map(_asks_clients, configuration.listeners)):
        path, entry = entries[0]
        expected = "a listener that asks clients for certificates"
        yield Problem(path, shown(entry), expected, "listeners.NAME.tls.client_certificate says so")


def _asks_clients(listener: Listener) -> bool:
    tls = listener.tls
    if tls is None:
        return False
    return bool(tls.client_certificate) or any(one.client_certificate for one in tls.names)


def group_headers_are_believed(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """A field that names groups comes from a peer that is trusted."""
    for listener in configuration.listeners:
        path = steps("listeners", listener.name)
        header, trusted = f"{path}.group_header", f"{path}.trusted"
        if listener.group_header and not listener.trusted and reading.sound(header, trusted):
            expected = f"{trusted} to say from whom it is believed"
            yield Problem(header, shown(listener.group_header), expected)
        for pool in configuration.pools:  # the field is taken away at every listener
            key = f"{steps('pools', pool.name, 'failover')}.idempotency_header"
            same_field = listener.group_header.lower() == pool.failover.idempotency_header.lower()
            if listener.group_header and same_field and reading.sound(header, key):
                yield Problem(header, shown(listener.group_header), f"another field than {key}")


def plugins_differ(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """No observer hears of a transaction twice, and no plugin is asked for a group twice."""
    for key, several in (
        ("log.observers", configuration.log.observers),
        ("grouping.plugins", configuration.grouping.plugins),
    ):
        names = ((f"{key}[{index}]", name) for index, name in enumerate(several))
        yield from _each_once((path, name, name) for path, name in names if reading.sound(path))


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


def names_times_are_ordered(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """names.minimum ≤ names.maximum."""
    names = configuration.names
    if reading.sound("names.minimum", "names.maximum") and names.minimum > names.maximum:
        expected = f"at most names.maximum, which is {names.maximum:g}s"
        default = "that is the default: set it too" if names.minimum == Names().minimum else ""
        yield Problem("names.minimum", f"{names.minimum:g}s", expected, default)


def certificates_of_clients_have_a_ca(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """Who asks clients for a certificate says whose, and the other way round; no name has two rules."""
    for listener in configuration.listeners:
        if listener.tls is None:
            continue
        path = steps("listeners", listener.name, "tls")
        asked: list[tuple[str, ListenerTLS | NamedClients]] = [(path, listener.tls)]
        names = [(f"{path}.names.{steps(one.name)}", one) for one in listener.tls.names]
        asked += names
        for place, one in asked:
            ca, wish = f"{place}.client_ca", f"{place}.client_certificate"
            if not reading.sound(ca, wish):
                continue
            if one.client_certificate and one.client_ca is None:
                yield Problem(ca, "nothing", "the CA of the clients' certificates", f"{wish} asks for one")
            elif one.client_ca is not None and not one.client_certificate:
                suggestion = f"{ca} alone asks nobody for a certificate"
                yield Problem(wish, "nothing", '"optional" or "required"', suggestion)
        yield from _each_once(
            (place, one.name, one.name.lower().rstrip(".")) for place, one in names if reading.sound(place)
        )


def findings_are_kept(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """`auto` needs a folder for what it finds out."""
    if configuration.broker.state_directory is not None or not reading.sound("broker"):
        return
    for pool in configuration.pools:
        modes = _link_modes(pool) if _links_sound(pool, reading) else []
        asking = [place for place, mode in modes if mode == "auto"]
        if asking:
            asks = steps("pools", pool.name) if pool.continue_secure_link == "auto" else asking[0]
            suggestion = f'{asks}.continue_secure_link = "auto" needs it: no restart may forget who spoke TLS'
            yield Problem("broker.state_directory", "nothing", "a folder for what is found out", suggestion)
            return


def _links_sound(pool: Pool, reading: Reading) -> bool:
    path = steps("pools", pool.name)
    return reading.sound(f"{path}.servers", f"{path}.continue_secure_link")


def _link_modes(pool: Pool) -> list[tuple[str, bool | str]]:
    """For each server: its path, and its mode."""
    return [
        (
            f"{steps('pools', pool.name, 'servers')}[{index}]",
            pool.continue_secure_link if one.continue_secure_link is None else one.continue_secure_link,
        )
        for index, one in enumerate(pool.servers)
    ]


def trusted_peers_can_tell(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """Whom a listener trusts has an address, and requests that say for whom they are."""
    protocols = {pool.name: pool.protocol for pool in configuration.pools}
    for listener in configuration.listeners:
        path = steps("listeners", listener.name)
        trusted, endpoint, pool = f"{path}.trusted", f"{path}.endpoint", steps("pools", listener.pool)
        if not listener.trusted or not reading.sound(trusted):
            continue
        found = shown(listener.trusted)
        if reading.sound(endpoint) and text.endpoint(listener.endpoint)[:1] == ("unix",):
            expected = "this to be left out for a UNIX socket"
            suggestion = "who connects there is in no network: let the proxy connect to an address"
            yield Problem(trusted, found, expected, suggestion)
        elif protocols.get(listener.pool) == "tcp" and reading.sound(f"{path}.pool", f"{pool}.protocol"):
            expected = 'this to be left out for a pool with protocol = "tcp"'
            yield Problem(
                trusted, found, expected, "a stream has no header fields that tell for whom it comes"
            )


def checks_ask_something(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """Good statuses are for answers: without a path nothing is asked."""
    for pool in configuration.pools:
        health, path = pool.health, steps("pools", pool.name, "health")
        if health is None or health.path or health.statuses == Health().statuses:
            continue
        if reading.sound(f"{path}.statuses", f"{path}.path"):
            expected = "this to be left out without a path"
            suggestion = f"without {path}.path a check is a connection that is made, and nothing is answered"
            yield Problem(f"{path}.statuses", "statuses", expected, suggestion)


def pacing_is_for_somebody(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """Plain traffic gives way to groups; a second try asks `exclude` without them, too."""
    if configuration.groups or not reading.sound("groups"):
        return
    for pool in configuration.pools:
        path = steps("pools", pool.name, "pacing")
        usual = Pacing(exclude=pool.pacing.exclude) if pool.failover.hedge else Pacing()
        if pool.pacing != usual and reading.sound(path, steps("pools", pool.name, "failover")):
            expected = "at least one table [groups.NAME]"
            yield Problem("groups", "nothing", expected, f"without groups {path} has no effect")
            return


def keys_have_a_use(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """A cookie to hash by is for `hash`."""
    for pool in configuration.pools:
        path = steps("pools", pool.name)
        sound = reading.sound(f"{path}.hash_cookie", f"{path}.balance")
        if pool.hash_cookie and pool.balance != "hash" and sound:
            expected = f'"" unless balance is "hash", and it is {shown(pool.balance)}'
            yield Problem(f"{path}.hash_cookie", shown(pool.hash_cookie), expected)


def protocols_know_their_settings(configuration: Configuration, reading: Reading) -> Iterator[Problem]:
    """What a built-in protocol has no use for was meant for another one."""
    for pool in configuration.pools:
        for name, value, default, why in _without_use(pool):
            path = f"{steps('pools', pool.name)}.{name}"
            if value != default and reading.sound(path, steps("pools", pool.name, "protocol")):
                expected = f'this to be left out with protocol = "{pool.protocol}"'
                yield Problem(path, shown(value), expected, why)


def _without_use(pool: Pool) -> Iterator[tuple[str, object, object, str]]:
    """Path in the pool, value, default, and why the pool's protocol has no use for it."""
    failover, default = pool.failover, Failover()
    if pool.protocol == "http":
        why = "failover.methods says what may be repeated"
        yield "failover.replay", failover.replay, default.replay, why
    elif pool.protocol == "tcp":
        for key in ("statuses", "methods", "idempotency_header", "reuse_for_unsafe"):
            why = "a stream has no requests: failover.replay says whether its bytes may be repeated"
            yield f"failover.{key}", getattr(failover, key), getattr(default, key), why
        yield "headers", pool.headers, HeaderRules(), "a stream has no header fields"
        yield "pacing.exclude", pool.pacing.exclude, (), "a stream has no paths, and is not measured"
        yield (
            "hash_cookie",
            pool.hash_cookie,
            "",
            "a stream has no cookies: hash goes by the client's address",
        )
        yield "trusted", pool.trusted, (), "a server of streams cannot tell how often it tried"


RULES: tuple[Rule, ...] = (
    endpoints_differ,
    pools_exist,
    servers_differ,
    networks_differ,
    certificates_of_groups_differ,
    group_headers_are_believed,
    plugins_differ,
    removed_headers_differ,
    storage_is_ordered,
    names_times_are_ordered,
    certificates_of_clients_have_a_ca,
    findings_are_kept,
    trusted_peers_can_tell,
    checks_ask_something,
    pacing_is_for_somebody,
    keys_have_a_use,
    protocols_know_their_settings,
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
