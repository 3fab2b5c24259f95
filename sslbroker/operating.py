"""What a program asks of a broker, and an operator changes while it runs: links, servers, certificates,
networks of groups.

Decides which pool and which server are meant, and tells each change in the log. Invariant: transactions under
way go on as they began; a change that cannot be made raises an error in words and changes nothing. Refuses to
know how a change is carried out: the pool, the links and the contexts do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from .config.report import did_you_mean, shown
from .errors import StartError
from .net import link_tls
from .net.addresses import Addresses
from .net.pool import Pool
from .net.regrouping import Regrouping
from .net.tls import ListenerContexts
from .settings import Configuration

_log = Logger("sslbroker")


class OperatedService(MultiService):
    """The side of a broker that an operator's code calls, whether it is one process or several. Call it in
    the reactor's thread."""

    #: What the service is called among those of an application.
    name = "broker"

    configuration: Configuration
    pools: Mapping[str, Pool]
    contexts: Mapping[str, ListenerContexts]
    addresses: Addresses
    regrouping: Regrouping | None = None  # None: there are no groups

    def bind(self) -> None:
        """Take every address; `StartError` with every one that cannot be had, and then none is kept."""
        self.addresses.take()

    def address(self, listener: str) -> str:
        """Where `listener` is bound, as "host:port"; `KeyError` before `bind`."""
        return self.addresses.of(listener)

    @property
    def admin_address(self) -> str:
        """Where the admin pages are, as "host:port"; "" when there are none."""
        return self.addresses.admin.address if self.addresses.admin else ""

    def privilegedStartService(self) -> None:
        self.bind()
        super().privilegedStartService()

    def set_link_mode(self, pool: str, mode: bool | str, server: str | None = None) -> None:
        """How links are made from now on: False (plain), True (secure) or "auto".

        For one server (its address as the configuration writes it), or for all of the pool, also those that
        have a mode of their own. Transactions under way end on the links that they have.

        Raises `KeyError` for an unknown pool or server, `ValueError` for another mode, or for "auto" without
        ``broker.state_directory``, and `StartError` when secure links cannot be made by the pool's settings.
        """
        if mode == "auto" and self.configuration.broker.state_directory is None:
            raise ValueError(
                'found the mode "auto", expected a broker.state_directory where findings are kept'
            )
        found = self._pool(pool)
        if server is not None:
            _check_known(found, server)
        found.set_link_mode(mode, server)
        _log.info(
            "pools.{where}: links are {mode} from now on", where=_where(pool, server), mode=_MODES[mode]
        )
        self.changed("link_mode", pool, server, mode)
        if mode:
            several = [
                links.contexts for member, links in found.links.items() if server in (None, member.address)
            ]
            _warn(f"pools.{pool}", [contexts for contexts in several if contexts is not None])

    def set_server(
        self, pool: str, server: str, state: str | None = None, *, weight: int | None = None
    ) -> None:
        """Take a server out, bring it back, change its weight. What is None stays as it is.

        `state` is "up"; "drain": it gets no new clients, but those that are stuck to it; or "down": it gets
        no more transactions. Transactions under way go on. `weight` is from 1 to 1000.

        Raises `KeyError` for an unknown pool or server and `ValueError` for another state or weight.
        """
        found = self._pool(pool)
        _check_known(found, server)
        found.set_server(server, state=state, weight=weight)
        if state is not None:
            _log.info("pools.{where}: {state}", where=_where(pool, server), state=state)
            self.changed("state", pool, server, state)
        if weight is not None:
            _log.info("pools.{where}: weight {weight}", where=_where(pool, server), weight=weight)
            self.changed("weight", pool, server, weight)

    def clear_pin(self, pool: str, server: str) -> None:
        """Forget what was found out about a server in mode "auto": it may be found plain again.

        Raises `KeyError` for an unknown pool or server.
        """
        found = self._pool(pool)
        _check_known(found, server)
        found.clear_pin(server)
        _log.info("pools.{where}: what it speaks is found out anew", where=_where(pool, server))
        self.changed("clear_pin", pool, server)

    def reopen_logs(self) -> None:
        """After a rotation: go on in a new file of the same name."""
        raise NotImplementedError

    def reload(self) -> None:
        """SIGHUP: logs are opened, certificates and the files of groups read anew. Problems are logged, and
        nothing is lost."""
        self.reopen_logs()
        try:
            self.reload_certificates()
        except StartError as error:
            _keep(Failure(error))
        self.reload_groups().addErrback(_keep)

    def reload_groups(self) -> Deferred[None]:
        """Read the files of networks of all groups anew, in small steps beside what the broker does.

        Fires when all clients that are connected are in the groups that they belong to now; transactions
        under way go on as they began. With a mistake in any file all groups keep what they had: then it
        fails with a `StartError`, with every mistake. Asked for again meanwhile, it begins again, and whoever
        has asked waits for that. It fires, too, when the broker stops.
        """
        if self.regrouping is None or not self.regrouping.needed:
            return succeed(None)
        return self.regrouping.start().addCallback(self._regrouped)

    def _regrouped(self, done: bool) -> None:
        if done:
            self.regrouped()

    def regrouped(self) -> None:
        """The files of networks have been read, for all who have asked until now."""
        _log.info("networks of groups are read anew")

    def reload_certificates(self) -> None:
        """Read the files of all `tls` tables anew: certificates, keys and CAs of listeners and of links.

        New connections use them; open ones go on, but links serve no further transaction. A listener or a
        pool with a problem keeps what it had, and all others are reloaded: then `StartError` is raised, with
        every problem. It reads files, so it takes milliseconds.
        """
        problems = self.read_certificates(_warn)
        if problems:
            raise StartError("\n".join(problems))
        _log.info("certificates are read anew")

    def read_certificates(self, read: Callable[[str, Sequence[_Warning]], None]) -> list[str]:
        """Do it, and give the problems; `read` is told each place that has none."""
        problems: list[str] = []
        for place, reload, contexts in self._reloadable():
            try:
                reload()
            except StartError as error:
                problems += [f"{place}: {line}" for line in str(error).splitlines()]
            else:
                read(place, contexts)
        return problems

    def changed(self, name: str, *values: Any) -> None:
        """An operator's change has been carried out: one of `CHANGES`, with the values that it takes."""

    def _reloadable(self) -> Iterator[tuple[str, Callable[[], None], Sequence[_Warning]]]:
        for name, one in self.contexts.items():
            yield f"listeners.{name}.tls", one.reload, (one,)
        for name, pool in self.pools.items():
            if several := [links.contexts for links in pool.links.values() if links.contexts is not None]:
                yield f"pools.{name}", partial(link_tls.reload, several), several

    def _pool(self, name: str) -> Pool:
        if name not in self.pools:
            raise KeyError(_unknown("pool", name, list(self.pools)))
        return self.pools[name]


def _link_mode(pool: Pool, server: str | None, mode: bool | str) -> None:
    pool.set_link_mode(mode, server)


def _state(pool: Pool, server: str, state: str) -> None:
    pool.set_server(server, state=state)


def _weight(pool: Pool, server: str, weight: int) -> None:
    pool.set_server(server, weight=weight)


def _pin_cleared(pool: Pool, server: str) -> None:
    pool.links[pool.member(server)].mode.cleared()


def _health(pool: Pool, server: str, why: str) -> None:
    pool.set_health(server, why)


#: How a process carries out what was changed, checked and logged in its parent.
CHANGES: Mapping[str, Callable[..., None]] = {
    "link_mode": _link_mode,
    "state": _state,
    "weight": _weight,
    "clear_pin": _pin_cleared,
    "health": _health,
}


class _Warning(Protocol):
    """What has warnings: the contexts of listeners and of links."""

    @property
    def warnings(self) -> list[str]: ...


def _warn(place: str, several: Sequence[_Warning]) -> None:
    """Log what should be looked at, each line once."""
    for warning in dict.fromkeys(line for one in several for line in one.warnings):
        _log.warn("{place}: {warning}", place=place, warning=warning)


_MODES: Mapping[Any, str] = {False: "plain", True: "secure", "auto": "as each server turns out to speak"}


def _keep(failure: Failure) -> None:
    failure.trap(StartError)
    for line in str(failure.value).splitlines():
        _log.error("kept as it was: {line}", line=line)


def _check_known(pool: Pool, server: str) -> None:
    addresses = [member.address for member in pool.members]
    if server not in addresses:
        raise KeyError(_unknown(f"server of pool {pool.name}", server, addresses))


def _unknown(what: str, found: str, known: list[str]) -> str:
    hint = did_you_mean(found, known) or f"there are {shown(known)}"
    return f"found {shown(found)}, expected a {what} ({hint})"


def _where(pool: str, server: str | None) -> str:
    return pool if server is None else f"{pool} server {server}"
