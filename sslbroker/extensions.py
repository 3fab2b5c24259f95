"""What a broker is given from outside: protocols, and ways to balance, to judge answers, to group clients
and to observe.

Decides which object a name in the configuration stands for, and whether an object can do the work that it
is given for. Invariant: whatever a plugin or an object of a ``.tac`` file is, lacks or raises comes out as
a line for its author that says where, before an address is taken. Refuses to ask any of them about a
transaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.plugin import getPlugins
from zope.interface import Interface

from . import config, plugins
from .config.report import did_you_mean, shown
from .errors import ConfigurationError, StartError
from .interfaces import (
    IBackendProtocol,
    IBalancer,
    IBalancing,
    IClassification,
    IGroups,
    IHealthChecks,
    IHosts,
    IObserver,
    IResponseClassifier,
    IStickiness,
)
from .protocols.examine import examine, lacks
from .protocols.http.backend import HTTPProtocol
from .protocols.tcp.backend import TCP
from .settings import Configuration, Pool

BUILT_IN: tuple[IBackendProtocol, ...] = (HTTPProtocol(time.time), TCP)


@dataclass(frozen=True, slots=True)
class Extensions:
    """Everything that a configuration can name, and what a ``.tac`` file gives as objects."""

    protocols: Mapping[str, IBackendProtocol]
    balancing: Mapping[str, IBalancing]
    classification: Mapping[str, IClassification]
    observing: Mapping[str, IObserver]
    grouping: Mapping[str, IGroups]
    balancers: Mapping[str, IBalancer]  # by pool: in place of what `balance` says
    classifiers: Mapping[str, IResponseClassifier]  # by pool: in place of what `classifier` says
    observers: Sequence[IObserver]  # beside those of `log.observers`
    groups: Sequence[IGroups]  # asked before those of `grouping.plugins`

    @property
    def names(self) -> config.Extensions:
        """The names that a configuration may use."""
        return config.Extensions(
            protocols=tuple(self.protocols),
            balancing=(*config.BALANCING, *self.balancing),
            classification=tuple(self.classification),
            observers=tuple(self.observing),
            grouping=tuple(self.grouping),
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What carries the transactions of one pool; None: the built-in way, the protocol's own."""

    protocol: IBackendProtocol
    balancer: IBalancer | None
    classifier: IResponseClassifier | None


def extensions(
    *,
    protocols: Sequence[IBackendProtocol] = (),
    balancers: Mapping[str, IBalancer] | None = None,
    classifiers: Mapping[str, IResponseClassifier] | None = None,
    observers: Sequence[IObserver] = (),
    groups: Sequence[IGroups] = (),
) -> Extensions:
    """The built-in protocols, those of installed plugins, and what is given here.

    `StartError` with every one that has no name of its own: nobody could tell which one is meant.
    """
    problems: list[str] = []
    found = Extensions(
        protocols=_named("protocol", IBackendProtocol, BUILT_IN, protocols, problems),
        balancing=_named("balancing", IBalancing, (), (), problems, config.BALANCING),
        classification=_named("classification", IClassification, (), (), problems),
        observing=_named("observer", IObserver, (), (), problems),
        grouping=_named("grouping", IGroups, (), (), problems),
        balancers=_typed("balancers", balancers or {}, Mapping, "a dict from the name of a pool", problems),
        classifiers=_typed(
            "classifiers", classifiers or {}, Mapping, "a dict from the name of a pool", problems
        ),
        observers=_typed("observers", observers, Sequence, "a list", problems),
        groups=_typed("groups", groups, Sequence, "a list", problems),
    )
    if problems:
        raise StartError("\n".join(problems))
    return found


def parts(known: Extensions, configuration: Configuration, problems: list[str]) -> dict[str, Parts]:
    """What carries each pool's transactions, by its name, whole ones only; adds to `problems`.

    Raises the `ConfigurationError` with which an extension refuses a pool's settings.
    """
    pools = [pool.name for pool in configuration.pools]
    for keyword, given in (("balancers", known.balancers), ("classifiers", known.classifiers)):
        for name in given:
            if name not in pools:
                hint = did_you_mean(name, pools) or f"the pools are {shown(pools)}"
                problems.append(f"{keyword}: found {shown(name)}, expected the name of a pool ({hint})")
    made = {pool.name: _parts(known, pool, problems) for pool in configuration.pools}
    for listener in configuration.listeners:
        part = made[listener.pool]
        if listener.tls is not None and listener.tls.names and part is not None:
            problems += _hosts_unnamed(listener.name, part.protocol, configuration.pool(listener.pool))
    return {name: one for name, one in made.items() if one is not None}


def observers(known: Extensions, configuration: Configuration, problems: list[str]) -> list[IObserver]:
    """Who hears of every transaction, in order; adds to `problems`."""
    named = _plugins("log.observers", known.observing, configuration.log.observers)
    given = [(f"observers[{index}]", one) for index, one in enumerate(known.observers)]
    for place, one in (*named, *given):
        problems += _lacking(place, IObserver, one)
    return [one for _, one in (*named, *given)]


def groups(known: Extensions, configuration: Configuration, problems: list[str]) -> list[tuple[str, IGroups]]:
    """Who is asked for the group of a client, in order, each with what the log calls it; adds to
    `problems`."""
    given = [(f"groups[{index}] {_origin(one)}", one) for index, one in enumerate(known.groups)]
    asked = [*given, *_plugins("grouping.plugins", known.grouping, configuration.grouping.plugins)]
    for place, one in asked:
        problems += _lacking(place, IGroups, one)
    return asked


def _plugins(setting: str, known: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, Any]]:
    """Those that a setting names, each with its place."""
    return [(f"{setting}: plugin {_origin(known[name])}", known[name]) for name in names]


def _parts(known: Extensions, pool: Pool, problems: list[str]) -> Parts | None:
    before = len(problems)
    protocol = known.protocols[pool.protocol]
    place = f"pools.{pool.name}"
    faults = examine(protocol, pool)
    problems += [f"{place}.protocol: plugin {_origin(protocol)}: {fault}" for fault in faults]
    if not faults:
        problems += _without_use(place, protocol, pool)
    balancer = _given(IBalancer, "balancers", known.balancers, pool, problems)
    if balancer is None and (balancing := known.balancing.get(pool.balance)):
        balancer = _made(IBalancer, f"{place}.balance", IBalancing, balancing, "balancer", pool, problems)
    classifier = _given(IResponseClassifier, "classifiers", known.classifiers, pool, problems)
    if classifier is None and (judging := known.classification.get(pool.classifier)):
        setting = f"{place}.classifier"
        classifier = _made(
            IResponseClassifier, setting, IClassification, judging, "classifier", pool, problems
        )
    return None if len(problems) > before else Parts(protocol, balancer, classifier)


def _without_use(place: str, protocol: IBackendProtocol, pool: Pool) -> Iterator[str]:
    """Settings that only some protocols can follow."""
    rules = protocol.rules(pool, "sslbroker")
    expected = f'expected this to be left out with protocol = "{pool.protocol}", which has no'
    if pool.sticky and not IStickiness.providedBy(rules):
        yield f"{place}.sticky: found a table, {expected} cookies"
    if pool.health is not None and pool.health.path and not IHealthChecks.providedBy(rules):
        found, hint = shown(pool.health.path), "without it a check is a connection that is made"
        yield f"{place}.health.path: found {found}, {expected} requests for it ({hint})"


def _hosts_unnamed(listener: str, protocol: IBackendProtocol, pool: Pool) -> Iterator[str]:
    """Rules for single names protect nothing where a client need not say again which name it means."""
    if not IHosts.providedBy(protocol.rules(pool, "sslbroker")):
        path = f"listeners.{listener}.tls"
        expected = f'this to be left out with protocol = "{pool.protocol}", whose requests name no host'
        hint = f"all names lead to the same servers: write {path}.client_certificate"
        yield f"{path}.names: found names with rules of their own, expected {expected} ({hint})"


def _given(
    interface: type[Interface], keyword: str, objects: Mapping[str, Any], pool: Pool, problems: list[str]
) -> Any:
    """The object that a ``.tac`` file gives for the pool, else None."""
    if pool.name not in objects:
        return None
    one = objects[pool.name]
    problems += _lacking(f"{keyword}[{pool.name!r}]", interface, one)
    return one


def _made(
    interface: type[Interface],
    place: str,
    sort: type[Interface],
    plugin: Any,
    method: str,
    pool: Pool,
    problems: list[str],
) -> Any:
    """What a plugin makes for the pool; `sort` is the interface of the plugin itself."""
    place = f"{place}: plugin {_origin(plugin)}"
    faults = list(_lacking(place, sort, plugin))
    made = None
    if not faults:
        try:
            made = getattr(plugin, method)(pool)
        except ConfigurationError:
            raise
        except Exception as error:  # a plugin may raise anything
            faults = [f"{place}: {method}(…) raised {type(error).__name__}: {error}"]
        else:
            faults = list(_lacking(f"{place}: {method}(…)", interface, made))
    problems += faults
    return made


def _named(
    what: str,
    interface: type[Interface],
    built_in: Sequence[Any],
    given: Sequence[Any],
    problems: list[str],
    taken: Sequence[str] = (),
) -> dict[str, Any]:
    """By name: what is built in, what plugins give, and what a ``.tac`` file gives."""
    found: dict[str, Any] = {one.name: one for one in built_in}
    given = _typed(f"{what}s", given, Sequence, "a list", problems)
    for place, one in (
        *((f"{what} plugin", one) for one in getPlugins(interface, plugins)),
        *((f"{what}s[{index}]:", one) for index, one in enumerate(given)),
    ):
        name = getattr(one, "name", None)
        if not isinstance(name, str) or not name or name in found or name in taken:
            owner = _origin(found[name]) if name in found else "a built-in one" if name in taken else ""
            problems.append(
                f"{place} {_origin(one)}: found the name {name!r}{owner and f': {owner} has it'}, "
                f"expected a text that no other {what} has; mend or remove it"
            )
        else:
            found[name] = one
    return found


def _typed(keyword: str, given: Any, kind: type[Any], expected: str, problems: list[str]) -> Any:
    """`given` when it is of this kind; else an empty one, after telling."""
    if isinstance(given, kind) and not isinstance(given, str):
        return given
    problems.append(f"{keyword}: found {shown(given)}, expected {expected}")
    return {} if kind is Mapping else ()


def _lacking(place: str, interface: type[Interface], one: object) -> Iterator[str]:
    """A line for each thing that `one` lacks."""
    if isinstance(one, type):
        yield f"{place}: found the class {one.__qualname__}, expected an object of it: {one.__name__}(…)"
        return
    yield from (f"{place}: {line}" for line in lacks(interface, one, _origin(one)))


def _origin(one: object) -> str:
    """Where somebody finds the code of an object."""
    kind = one if isinstance(one, type) else type(one)
    return f"{kind.__module__}.{kind.__qualname__}"
