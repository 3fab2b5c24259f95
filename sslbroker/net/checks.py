"""The active checks of all servers of all pools that have them.

Decides nothing: `core.checks` says when a server is checked and what its checks come to. Invariant: of a
server one check is under way at a time; each change of a verdict is one line in the log, a bar of the member
or its end, and told once to who is to know it; after `stop` nothing is left in the reactor. Refuses to ask
a server of which nobody knows where it is, or whether it speaks TLS: it is barred for that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.checks import Checking, Result
from ..core.figures import count
from ..core.members import Member
from ..settings import Health
from ..settings import Pool as PoolSettings
from .checking import Check
from .links import Links
from .pool import Pool

_log = Logger("sslbroker.checks")


class Checks:
    """Made by the one process of a broker that checks; used by no worker."""

    def __init__(
        self,
        pools: Mapping[str, Pool],
        clock: Any,
        told: Callable[[str, str, str], None] | None = None,
        *,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`told` is called with pool, address, and why the server is unhealthy ("": it is healthy), at each
        change; `random` gives numbers from 0 to 1."""
        self._pools: list[list[_Server]] = []
        for pool in pools.values():
            health = pool.settings.health
            if health is not None:
                limited = _limited(pool.settings, health)
                self._pools.append(
                    [_Server(pool, member, health, limited, clock, told, random) for member in pool.members]
                )

    def start(self) -> None:
        """Begin to check, spread over an interval; when the pools have begun."""
        for servers in self._pools:
            for turn, server in enumerate(servers):
                server.start(turn, len(servers))

    def stop(self) -> None:
        """End checks under way; verdicts stay."""
        for servers in self._pools:
            for server in servers:
                server.stop()


class _Server:
    """The checks of one server."""

    def __init__(
        self,
        pool: Pool,
        member: Member,
        settings: Health,
        limited: PoolSettings,
        clock: Any,
        told: Callable[[str, str, str], None] | None,
        random: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._member = member
        self._settings = settings
        self._limited = limited
        self._clock = clock
        self._told = told
        self._checking = Checking(settings, random)
        self._next: IDelayedCall | None = None
        self._began = 0.0
        self._under_way: Deferred[Result] | None = None

    def start(self, turn: int, servers: int) -> None:
        now = self._clock.seconds()
        self._wait(self._checking.first(now, turn, servers))

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.cancel()

    def _wait(self, due: float) -> None:
        self._next = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._check)

    def _check(self) -> None:
        self._next = None
        self._began = self._clock.seconds()
        links = self._pool.links[self._member]
        if _can_be_asked(links):
            check = Check(
                links.apart(self._limited),
                self._settings,
                self._pool.health_checks if self._settings.path else None,
                self._pool.judge,
                self._clock,
            )
            self._under_way = check.begin()
            self._under_way.addCallback(self._heard).addErrback(self._given_up)
        else:
            self._wait(self._checking.next(self._began, self._began))

    def _heard(self, result: Result) -> None:
        self._under_way = None
        self._wait(self._checking.next(self._began, self._clock.seconds()))
        figures = self._member.figures
        count(figures.checks, result.cause.value)
        figures.last_check, figures.last_check_at = result.detail, time.time()
        if self._checking.heard(result):
            self._changed(result.detail)

    def _changed(self, detail: str) -> None:
        pool, server, settings = self._pool.name, self._member.address, self._settings
        if self._checking.healthy:
            tell, stands, row, why = _log.info, "healthy again", f"passed in a row: {settings.rise}", ""
        else:
            tell, stands, row, why = _log.warn, "unhealthy", f"failed in a row: {settings.fall}", detail
        line = "pool {pool}: server {server} is {stands}: {detail} (checks {row})"
        tell(line, pool=pool, server=server, stands=stands, detail=detail, row=row)
        self._pool.set_health(server, why)
        if self._told is not None:
            self._told(pool, server, why)

    def _given_up(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            _log.failure("A verdict on server {server} had a mistake", failure, server=self._member.address)


def _limited(settings: PoolSettings, health: Health) -> PoolSettings:
    """The pool's settings for links of checks: what a check cannot wait for is not gone on with."""
    failover = settings.failover
    timeout = min(failover.connect_timeout, health.timeout)
    return replace(
        settings,
        failover=replace(failover, connect_timeout=timeout),
        links=replace(settings.links, idle=0),
    )


def _can_be_asked(links: Links) -> bool:
    return bool(links.addresses) and links.mode.secure is not None
