"""The two ends of a connection in memory: protocols that note what they hear, and a peer played by hand.

Decides nothing. `Heard` does at one of its callbacks what a test asks for; `Wired` gives it our transport, or
Twisted's to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

from sslbroker.net.transports import Wrapping

from ..memory import MemorySocket, Network, OwnEnd
from ..net.servers import server_context

SERVER = server_context()


@implementer(IHandshakeListener)
class Heard(Protocol):
    """Notes what its transport tells it, as a producer too; `at` has what to do at a callback's next call."""

    transport: Any

    def __init__(self) -> None:
        self.events: list[str] = []
        self.received = b""
        self.at: dict[str, Callable[[], object]] = {}
        self.reason: Any = None

    def connectionMade(self) -> None:
        self._note("made")

    def handshakeCompleted(self) -> None:
        self._note("shaken")

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._note("data")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value
        self._note("lost", f"lost {type(reason.value).__name__}")

    def pauseProducing(self) -> None:
        self._note("pause")

    def resumeProducing(self) -> None:
        self._note("resume")

    def stopProducing(self) -> None:
        self._note("stop")

    def _note(self, name: str, text: str = "") -> None:
        if name != "data":
            self.events.append(text or name)
        action = self.at.pop(name, None)
        if action is not None:
            action()


@implementer(IHalfCloseableProtocol)
class HeardHalves(Heard):
    """The same, of a protocol that knows half-closed connections."""

    def readConnectionLost(self) -> None:
        self._note("read lost")

    def writeConnectionLost(self) -> None:
        self._note("write lost")


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Creator:
    """TLS by one context, for either side."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self.context, None)

    serverConnectionForTLS = clientConnectionForTLS


class Hand(Protocol):
    """A peer played by hand: what came, and what it sends, byte for byte; with a context, by TLS."""

    transport: Any

    def __init__(self, network: Network, context: SSL.Context | None = None, is_client: bool = True) -> None:
        self.network = network
        self.raw = b""
        self.lost = ""
        self.tls: Any = None
        if context is not None:
            self.tls = SSL.Connection(context, None)
            (self.tls.set_connect_state if is_client else self.tls.set_accept_state)()

    def dataReceived(self, data: bytes) -> None:
        self.raw += data
        if self.tls is not None:
            self.tls.bio_write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = type(reason.value).__name__

    def sends(self, *pieces: bytes) -> None:
        """Each piece arrives in a read of its own."""
        for piece in pieces:
            self.transport.write(piece)
            self.network.settle()

    def shakes(self) -> None:
        """The handshake, to its end."""
        for _ in range(4):
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self.sends(self.records())
            else:
                self.sends(self.records())
                return
        raise AssertionError("the handshake does not end")

    def records(self) -> bytes:
        """What TLS has to send."""
        try:
            return self.tls.bio_read(1 << 24)  # type: ignore[no-any-return]
        except SSL.WantReadError:
            return b""

    def record(self, data: bytes) -> bytes:
        """`data` in records, not sent yet."""
        self.tls.send(data)
        return self.records()

    def goodbye(self) -> bytes:
        """A close_notify, not sent yet."""
        self.tls.shutdown()
        return self.records()

    def takes(self) -> bytes:
        """What came by TLS."""
        data = b""
        try:
            while True:
                data += self.tls.recv(65536)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return data

    @property
    def has_been_told_goodbye(self) -> bool:
        self.takes()
        return bool(self.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN)


def client_context(version: int = SSL.TLS1_3_VERSION) -> SSL.Context:
    """A client's that believes everybody and speaks this version."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    return context


class Wired:
    """`heard` on a transport of ours or Twisted's, `hand` at the other end."""

    def __init__(
        self,
        heard: Heard,
        *,
        secure: bool = False,
        stock: bool = False,
        is_client: bool = False,
        version: int = SSL.TLS1_3_VERSION,
    ) -> None:
        self.clock = MemoryReactorClock()
        self.network = Network(self.clock)
        self.heard = heard
        ours, theirs = client_context(version), SERVER
        self.hand = Hand(self.network, (theirs if is_client else ours) if secure else None, not is_client)
        creator = Creator(ours if is_client else theirs) if secure else None
        near: Any = heard
        if not stock:
            near = OwnEnd(heard, creator, is_client)
        elif creator is not None:
            factory = Factory()
            factory.buildProtocol = lambda addr: heard  # type: ignore[method-assign]
            near = Wrapping(creator, is_client, factory, clock=self.clock).buildProtocol(
                IPv4Address("TCP", "192.0.2.1", 1)
            )
        self.network.connect(near, self.hand, "192.0.2.9", 443)
        self.socket: MemorySocket = self.network.ends[0]

    def settle(self) -> None:
        self.network.settle()


def shaken(heard: Heard, **how: Any) -> Wired:
    """A secure connection after its handshake; the events of that are forgotten."""
    wired = Wired(heard, secure=True, **how)
    if wired.hand.tls is not None and not how.get("is_client"):
        wired.hand.shakes()
    else:
        wired.settle()
        wired.hand.shakes()
    assert heard.events == ["made", "shaken"], heard.events
    heard.events.clear()
    return wired
