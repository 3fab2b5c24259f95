"""The demo's fulfillment servers together: one shop, some servers, and the site that breaks them.

Decides what a demo consists of and in which order it starts and ends. Invariant: after `listen` every
address is known and answers, before the reactor runs; after `stop` nothing listens and nothing is
scheduled. Refuses to start a broker: whoever does reads `addresses`.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime

from ..errors import StartError
from .control import ControlSite
from .server import HOST, FulfillmentServer
from .shop import Shop


class DemoServers(Service):
    """`count` servers of one shop on free loopback ports, and a control site.

    `listen` may be called before the service starts, to learn the addresses; else starting calls it.
    """

    name = "demo servers"

    def __init__(
        self, reactor: IReactorTCP, count: int = 3, control_port: int = 0, patience: float = 0.8
    ) -> None:
        """`control_port` 0: any free port.

        `patience` is the seconds for which a poll for chat messages waits at most. It must be shorter
        than the broker's `response_timeout`, or waiting looks like silence.
        """
        self._reactor = reactor
        self._control_number = control_port
        self._control: IListeningPort | None = None
        self.shop = Shop()
        clock = IReactorTime(reactor)
        self.servers = [
            FulfillmentServer(f"server-{number}", self.shop, clock) for number in range(1, count + 1)
        ]
        for server in self.servers:
            server.patience = patience
        self.control_site = ControlSite(self.servers, clock)

    @property
    def addresses(self) -> list[str]:
        """ "host:port" of each server."""
        return [server.address for server in self.servers]

    @property
    def control_address(self) -> str:
        """ "host:port" of the control site."""
        return f"{HOST}:{self._control_number}"

    def hints(self) -> list[str]:
        """Lines for a terminal: where the control site is and how to use it."""
        return [
            f"break a server:   curl -X POST http://{self.control_address}/{self.servers[-1].name}/silence",
            f"mend all of them: curl -X POST http://{self.control_address}/all/none",
            f"or in a browser:  http://{self.control_address}/",
        ]

    def listen(self) -> None:
        """Bind every port now; `StartError` when one is taken, and then none stays bound."""
        if self._control is not None:
            return
        try:
            for server in self.servers:
                server.listen_on(self._reactor)
            try:
                self._control = self._reactor.listenTCP(
                    self._control_number,
                    self.control_site,  # type: ignore[arg-type]
                    interface=HOST,
                )
            except CannotListenError as error:
                raise StartError(
                    f"demo: the control site cannot listen on {self.control_address}: {error.socketError}; "
                    f"end the program that uses this port (another demo?)"
                ) from None
        except StartError:
            self.stop()
            raise
        self._control_number = cast(IPv4Address, self._control.getHost()).port

    def stop(self) -> Deferred[Any]:
        """Stop listening and reset every connection; fires when all ports are closed."""
        self.control_site.abort_all()
        ends = [server.stop() for server in self.servers]
        if self._control is not None:
            ends.append(maybeDeferred(self._control.stopListening))
            self._control = None
        return DeferredList(ends) if ends else succeed(None)

    def startService(self) -> None:
        self.listen()
        super().startService()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        return self.stop()
