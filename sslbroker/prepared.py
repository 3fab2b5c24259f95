"""What a start can find out before it takes an address: certificates, extensions, and findings of before.

Decides whether the files and objects that a configuration names can be used. Invariant: every problem of all
of them is told at once, each with its path in the configuration, and nothing is opened, bound or written.
Refuses to build a broker: `service` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .config.report import shown, steps
from .core.groups import GroupNames, GroupNetworks, is_subject
from .errors import StartError
from .extensions import Extensions, Parts, extensions, groups, observers, parts
from .interfaces import IGroups, IObserver
from .net import group_files, tls
from .net.client_certificates import whole_subject
from .net.link_tls import LinkContexts, Trust, of_pool
from .net.pins import Pins
from .settings import Configuration, Group, LinkTLS, Pool
from .workers import shares


@dataclass(frozen=True, slots=True)
class Groups:
    """How the group of a client is found."""

    networks: GroupNetworks
    names: GroupNames
    plugins: Sequence[tuple[str, IGroups]]  # each with what the log calls it


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a broker is made of, besides its configuration."""

    pools: Mapping[str, Parts]  # by pool
    observers: Sequence[IObserver]
    listeners: Mapping[str, tls.ListenerContexts]  # by listener, secure ones only
    links: Mapping[str, Mapping[str, LinkContexts]]  # by pool and by server; none where all links are plain
    pins: Pins
    groups: Groups
    without_effect: Sequence[str]  # what of the groups is

    def warnings(self) -> Iterator[str]:
        """What works but should be looked at, each line once, with its path in the configuration."""
        lines = [
            f"listeners.{name}.tls: {line}" for name, one in self.listeners.items() for line in one.warnings
        ]
        for pool, servers in self.links.items():
            lines += [f"pools.{pool}: {line}" for one in servers.values() for line in one.warnings]
        lines += self.without_effect
        return iter(dict.fromkeys(lines))


def prepare(configuration: Configuration, known: Extensions | None = None) -> Prepared:
    """Read every file and look every extension up; `StartError` with every problem at once.

    `known` has the names of the configuration, which has been checked with them. Raises the
    `ConfigurationError` with which a protocol refuses a pool's settings.
    """
    known = extensions() if known is None else known
    problems = [str(problem) for problem in shares.problems(configuration)]
    pools = parts(known, configuration, problems)
    heard = observers(known, configuration, problems)
    asked = groups(known, configuration, problems)
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
    links: dict[str, Mapping[str, LinkContexts]] = {}
    shared: dict[tuple[LinkTLS, tuple[bytes, ...]], Trust] = {}
    for pool in configuration.pools:
        try:
            alpn = pools[pool.name].protocol.alpn
            links[pool.name] = of_pool(pool, alpn, shared=shared) if _may_be_secure(pool) else {}
        except StartError as error:
            problems += str(error).splitlines()
    try:
        networks = group_files.read_now(configuration.groups)
    except StartError as error:
        problems += str(error).splitlines()
    names = GroupNames(_certificates(configuration.groups, problems))
    try:
        pins = Pins(configuration.broker.state_directory)
    except StartError as error:
        problems += _lines("broker.state_directory", error)
    if problems:
        raise StartError("\n".join(problems))
    without_effect = list(_without_effect(configuration, bool(asked)))
    return Prepared(pools, heard, listeners, links, pins, Groups(networks, names, asked), without_effect)


def _certificates(groups: Sequence[Group], problems: list[str]) -> list[tuple[Group, str]]:
    """What certificates name, by group; whole subjects as they are compared. Adds to `problems`."""
    entries: list[tuple[Group, str]] = []
    for group in groups:
        for index, entry in enumerate(group.certificates):
            try:
                entries.append((group, whole_subject(entry) if is_subject(entry) else entry))
            except ValueError:
                problems.append(
                    f"{steps('groups', group.name, 'certificates')}[{index}]: found {shown(entry)}, expected "
                    'a subject as RFC 4514 writes it, such as "CN=crawler,O=Partners", without blanks after '
                    "the commas"
                )
    return entries


def _without_effect(configuration: Configuration, asked: bool) -> Iterator[str]:
    """Groups that nobody is in, or that are promised something in vain; `asked`: plugins may know others."""
    listeners, groups = configuration.listeners, configuration.groups
    if groups and not any(listener.secure or listener.trusted for listener in listeners):
        yield (
            "groups: no listener is secure or trusts a proxy, so nothing is promised, and plain traffic "
            "gives way to nobody: priorities count only where transactions wait for a server with a limit"
        )
    if asked or any(listener.group_header for listener in listeners):
        return
    for group in groups:
        if not (group.networks or group.files or group.certificates):
            yield (
                f"{steps('groups', group.name)}: nobody is in it: it has no networks, files or certificates, "
                "no listener has a group_header, and no plugin is asked"
            )


def _may_be_secure(pool: Pool) -> bool:
    """Is there a server to which links are or may become secure by themselves, or a table for that?

    With a table an operator may make them secure at any time: its files are read at the start.
    """
    if pool.tls is not None or any(server.tls is not None for server in pool.servers):
        return True
    modes = (server.continue_secure_link for server in pool.servers)
    return any((pool.continue_secure_link if mode is None else mode) is not False for mode in modes)


def _lines(place: str, error: StartError) -> Iterable[str]:
    return (f"{place}: {line}" for line in str(error).splitlines())
