"""One call to a server that may have several addresses: the first connection wins.

Decides when the next address is tried, and which of several failures is told (RFC 8305 §5, in its simple
form). Invariant: the factory hears of one connection or of one failure, never of both, and its protocol is
built for the winner only; with one address the call is the reactor's own. Refuses to look names up, to
choose the first address (`rotated` is for who calls), and to go beyond its one time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.error import (
    ConnectionRefusedError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IProtocol
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

#: Connects a factory to an IP address, within seconds; the port and the kind of transport are known.
Connect = Callable[[str, ClientFactory[Any], float], IConnector]

#: Seconds that an address has to itself before the next one is tried beside it (RFC 8305 §5).
APART = 0.25


def rotated(addresses: Sequence[str], turn: int) -> tuple[str, ...]:
    """The same addresses, beginning with another one each turn, so that they share the load."""
    start = turn % len(addresses) if addresses else 0
    return (*addresses[start:], *addresses[:start])


def call(
    clock: Any,
    connect: Connect,
    addresses: Sequence[str],
    factory: ClientFactory[Any],
    timeout: float,
) -> Call:
    """Connect `factory` to the first of `addresses` (IP addresses, at least one) that accepts.

    After `timeout` seconds in all the factory hears of the failure, `twisted.internet.error.TimeoutError` or
    a more telling one. What `connect` raises for the first address comes out of here.
    """
    if len(addresses) == 1:
        return Call(connect(addresses[0], factory, timeout))
    return _Race(clock, connect, addresses, factory, timeout)


class Call:
    """A call under way to one address."""

    def __init__(self, connector: IConnector) -> None:
        self._connector = connector

    def cancel(self) -> None:
        """Give up, unless it is over: then the factory hears of the failure `UserError`."""
        with suppress(NotConnectingError):
            self._connector.stopConnecting()


class _Race(Call):
    """A call under way to several addresses."""

    def __init__(
        self,
        clock: Any,
        connect: Connect,
        addresses: Sequence[str],
        factory: ClientFactory[Any],
        timeout: float,
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._left = list(reversed(addresses))
        self.factory = factory
        self._deadline = clock.seconds() + timeout
        self._trying: dict[_Address, None] = {}
        self._timer: IDelayedCall | None = None
        self._why = Failure(TimeoutError())
        self._rank = -1
        self._over = False
        factory.doStart()
        try:
            self._try()
        except Exception:
            factory.doStop()
            raise

    def cancel(self) -> None:
        """Give up, unless it is over: then the factory hears of the failure `UserError`."""
        if not self._over:
            self._stop()
            self._failed(Failure(UserError()))

    def won(self, winner: _Address) -> bool:
        """Is this connection the first? Then all the others are given up."""
        if self._over:
            return False
        self._trying.pop(winner, None)
        self._stop()
        return True

    def failed(self, address: _Address, reason: Failure) -> None:
        """One address is out of the race; the next one begins at once."""
        if self._over:
            return
        self._trying.pop(address, None)
        rank = _telling(reason)
        if rank >= self._rank:
            self._why, self._rank = reason, rank
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next()

    def _next(self) -> None:
        """Try the next address; when none can be tried any more, wait for the others or give up."""
        self._timer = None
        while self._left and self._clock.seconds() < self._deadline:
            try:
                self._try()
            except Exception:
                self._why = Failure()
            else:
                return
        if not self._trying:
            self._stop()
            self._failed(self._why)

    def _try(self) -> None:
        address = self._left.pop()
        remaining = self._deadline - self._clock.seconds()
        attempt = _Address(self)
        self._trying[attempt] = None
        try:
            attempt.connector = self._connect(address, attempt, remaining)
        except Exception:
            del self._trying[attempt]
            raise
        if self._left and not self._over and self._timer is None:
            self._timer = self._clock.callLater(APART, self._next)

    def _stop(self) -> None:
        """It is over: no timer and no other connection is left."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for attempt in list(self._trying):
            Call(attempt.connector).cancel()
        self._trying.clear()

    def _failed(self, reason: Failure) -> None:
        self.factory.clientConnectionFailed(None, reason)  # type: ignore[arg-type]
        self.factory.doStop()


class _Address(ClientFactory[Any]):
    """One address in the race, as the reactor sees it."""

    noisy = False
    connector: IConnector

    def __init__(self, race: _Race) -> None:
        self._race = race
        self._won = False

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        if not self._race.won(self):
            return None
        self._won = True
        return self._race.factory.buildProtocol(addr)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        if self._won:  # its protocol could not be built
            self._race.factory.clientConnectionFailed(connector, reason)
            self._race.factory.doStop()
        else:
            self._race.failed(self, reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        if self._won:
            self._race.factory.clientConnectionLost(connector, reason)
            self._race.factory.doStop()


def _telling(reason: Failure) -> int:
    """How much a failure says of the server: a refusal comes from it, silence may, no route does not."""
    if reason.check(ConnectionRefusedError):
        return 2
    if reason.check(TimeoutError):
        return 1
    return 0
