"""One fulfillment server of the demo: a `twisted.web` site that can be told to break.

Decides when it listens, whom it lets in and in what trouble it is. Invariant: the address stays the
same from the first `listen_on` for as long as the server exists, dead or alive; connections are
counted and bounded. Refuses to know that there is a broker.
"""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime

from ..errors import StartError
from .channel import CountingSite
from .resources import tree
from .shop import Shop
from .trouble import Trouble, TroubledRequest

HOST: Final = "127.0.0.1"


class FulfillmentServer(CountingSite):
    """A server of the shop; what it sells, took and heard is in the `shop` that it shares."""

    def __init__(self, name: str, shop: Shop, clock: IReactorTime) -> None:
        super().__init__(tree(shop), TroubledRequest, clock)
        self.name = name
        self.shop = shop
        self.clock = clock
        self.slowness = 2.0
        """Seconds by which `Trouble.SLOW` delays an answer."""
        self.patience = 20.0
        """Seconds for which a request for new chat messages waits for one, at most."""
        self.silent: set[TroubledRequest] = set()  # requests that `Trouble.SILENCE` left without answer
        self._trouble = Trouble.NONE
        self._reactor: IReactorTCP | None = None
        self._number = 0
        self._port: IListeningPort | None = None
        self._closing: Deferred[Any] | None = None
        self._wanted = False  # it shall be listening

    def logPrefix(self) -> str:
        """What Twisted calls it in its own lines of the log."""
        return f"demo {self.name}"

    # --- where it listens --------------------------------------------------------------------

    def listen_on(self, reactor: IReactorTCP, port: int = 0) -> None:
        """Listen on loopback, at once; 0: a free port. `StartError` when the port is taken."""
        try:
            self._port = reactor.listenTCP(port, self, interface=HOST)  # type: ignore[arg-type]
        except CannotListenError as error:
            raise StartError(
                f"demo: {self.name} cannot listen on {HOST}:{port}: {error.socketError}; "
                f"end the program that uses this port, or wait a moment"
            ) from None
        self._reactor = reactor
        self._wanted = True
        self._number = cast(IPv4Address, self._port.getHost()).port

    @property
    def address(self) -> str:
        """ "host:port", as a pool's `servers` has it; the port is 0 before `listen_on`."""
        return f"{HOST}:{self._number}"

    def stop(self) -> Deferred[Any]:
        """Listen no more and reset every connection; fires when the port is closed."""
        self._wanted = False
        self.abort_all()
        if self._port is not None:
            port, self._port = self._port, None
            closing = self._closing = maybeDeferred(port.stopListening)
            closing.addCallback(self._closed)
        return self._closing or succeed(None)

    def _closed(self, _: object) -> None:
        self._closing = None
        if self._wanted:  # it was brought back while the old port was still closing
            self._come_back()

    def _come_back(self) -> None:
        self._wanted = True
        if self._reactor is None or self._port is not None or self._closing is not None:
            return
        try:
            self.listen_on(self._reactor, self._number)
        except StartError:
            self._wanted = False
            self._trouble = Trouble.DEAD
            raise

    # --- what is wrong with it ---------------------------------------------------------------

    @property
    def trouble(self) -> Trouble:
        """What is wrong with it; set it, and requests that are whole from now on suffer it.

        Setting raises `StartError` when a dead server's port was taken meanwhile: it stays dead.
        """
        return self._trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        before, self._trouble = self._trouble, trouble
        if trouble is not before:
            for request in list(self.silent):
                request.hang_up()
        if trouble is Trouble.DEAD:
            self.stop()
        elif before is Trouble.DEAD:
            self._come_back()
