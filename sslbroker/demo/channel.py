"""A server's side of its connections: HTTP/1.1, until a request turns one into a tunnel.

Decides who gets a connection's bytes, and how many connections there may be. Invariant: after
`become` the tunnel gets every byte and, once, the end of the connection; HTTP gets nothing more.
Refuses to know what runs in the tunnel.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource
from twisted.web.server import Site

MAXIMUM_CONNECTIONS: Final = 2000  # of one site
IDLE: Final = 75.0  # seconds between requests


class Tunnel(Protocol):
    """What a connection becomes by an Upgrade (RFC 9110 §7.8)."""

    def begin(self, channel: Channel) -> None:
        """The answer 101 went out."""

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""

    def ended(self) -> None:
        """The connection is gone."""


class Channel(HTTPChannel):
    """A connection that its server counts."""

    site: CountingSite
    tunnel: Tunnel | None = None
    congested = False  # the peer does not read what was written

    def connectionMade(self) -> None:
        self.site.channels.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.channels.discard(self)
        super().connectionLost(reason)
        if self.tunnel is not None:
            self.tunnel.ended()

    def rawDataReceived(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.receive(data)
        else:
            super().rawDataReceived(data)

    def pauseProducing(self) -> None:
        self.congested = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.congested = False
        super().resumeProducing()

    def become(self, tunnel: Tunnel, fields: Sequence[tuple[str, str]]) -> None:
        """Answer 101 with these header fields, and hand the connection over."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.send(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode())
        self.tunnel = tunnel
        tunnel.begin(self)

    def abort(self) -> None:
        """Reset the connection; what was not sent is lost."""
        cast(ITCPTransport, self.transport).abortConnection()

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        cast(ITCPTransport, self.transport).write(data)


class CountingSite(Site):
    """A site that knows its connections, bounds them and can end them all."""

    protocol = Channel  # type: ignore[assignment]  # Twisted's own is for HTTP/2 too
    displayTracebacks = False
    noisy = False

    def __init__(self, root: Resource, request_factory: type[Request], clock: IReactorTime) -> None:
        super().__init__(
            root,
            requestFactory=request_factory,
            parsePOSTFormSubmission=False,
            timeout=IDLE,
            reactor=clock,
        )
        self.channels: set[Channel] = set()

    def buildProtocol(self, addr: IAddress | None) -> Channel | None:  # type: ignore[override]
        if len(self.channels) >= MAXIMUM_CONNECTIONS:
            return None
        channel: Channel = super().buildProtocol(addr)
        return channel

    def abort_all(self) -> None:
        """Reset every connection."""
        for channel in list(self.channels):
            channel.abort()

    def log(self, request: Request) -> None:
        """Nothing: the broker's access log says it all."""
