"""One connection of a client, from its first byte to its last.

Decides how long the client may take for each thing (spec R3), and when its connection ends. Invariant:
at most one time limit stands at any moment; a closed connection holds no transaction, no timer and no
byte. Refuses to know what a request means, or which server serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import BrokerError, ClientGone, ClientTimeout, ShuttingDown
from ..interfaces import Body, End, Error, Event, Head, ICodec, Origin, Reply
from ..outcome import After
from ..settings import KiB
from .deadline import Deadline
from .relay import Relay
from .transport import backlog

if TYPE_CHECKING:
    from .frontend import Frontend

#: Bytes of pipelined requests that are held while one is under way; above, the client must wait.
PIPELINED = 64 * KiB


class Wait(Enum):
    """What a client's connection can be waiting for; each has its limit in `settings.Limits`."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    SERVER = "server"  # limited on the link, not here
    READ = "read"
    TUNNEL = "tunnel"
    CLOSE = "close"


# A limit that a single byte renewed would be none against a client that sends one at a time.
_NOT_RENEWED = frozenset({Wait.HANDSHAKE, Wait.HEAD, Wait.READ, Wait.CLOSE})
# Here a client may still be taking what was written, slowly.
_WHILE_READING = frozenset({Wait.IDLE, Wait.READ, Wait.CLOSE})


@implementer(IHandshakeListener, IHalfCloseableProtocol, IPushProducer)
class ClientConnection(Protocol):
    """One client's connection, through all its transactions."""

    transport: Any

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.codec: ICodec
        self.origin: Origin
        self._relays: dict[int, Relay] = {}
        self._wait = Wait.HANDSHAKE
        self._deadline = Deadline(frontend.clock, self._expired)
        self._shaken = False
        self._held = False  # a relay does not want more of the client's bytes now
        self._paused = False  # the transport was told so
        self._full = False  # the client does not take what was written
        self._feeding = False
        self._again = False
        self._ended = False  # the client sends no more
        self._closing = False
        self._tunnel = False
        self._backlog = -1

    # --- what a relay calls ---

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def hold(self) -> None:
        """Stop reading from the client until `go_on`."""
        self._held = True
        self._apply_hold()

    def go_on(self) -> None:
        if self._held:
            self._held = False
            self._apply_hold()
            self._set_limit()

    def touch(self) -> None:
        """Something moved in a tunnel."""
        self._set_limit()

    def tunnel(self) -> None:
        """The exchange became a tunnel: what the client sent early belongs to it."""
        self._tunnel = True
        self._set_limit()
        if self.codec.held():
            self._feed(b"")

    def cut(self) -> None:
        """End the connection so that nothing can look complete."""
        self._closing = True
        self.transport.abortConnection()

    def exchange_over(self, relay: Relay) -> None:
        """The relay's transaction is over: log it; serve the next request, or close."""
        del self._relays[relay.exchange]
        self.frontend.ended(relay)
        if self._closing:
            return
        self._held = False
        if self._ended or self.codec.after(relay.exchange) is not After.REUSABLE:
            self.close()
            return
        self.codec.release(relay.exchange)
        self._apply_hold()
        if self._feeding:
            self._again = True
        elif self.codec.held():
            self._feed(b"")
        else:
            self._set_limit()

    # --- what the listener calls ---

    def drain(self) -> None:
        """Serve what is under way and the next request, then close."""
        if self._shaken and not self._closing:
            data = self.codec.drain()
            if data:
                self.write(data)

    def shut(self) -> None:
        """The drain's deadline has passed: end now."""
        if self._relays or self._closing or not self._shaken:
            self._give_up(ShuttingDown("the drain deadline passed"))
        else:
            self.close()

    def close(self) -> None:
        """End the connection when everything written has been taken, within `limits.close`."""
        if self._closing:
            return
        self._closing = True
        self.transport.unregisterProducer()
        self._held = False
        self._apply_hold()
        self._set_limit()
        if self.origin.secure or self._ended:
            self.transport.loseConnection()
        else:
            # Half-close first and read on: closing at once would answer what the client still
            # sends with a reset, which destroys the response on its way (RFC 9112 §9.6).
            self.transport.loseWriteConnection()

    # --- what Twisted calls ---

    def connectionMade(self) -> None:
        frontend = self.frontend
        frontend.connections.add(self)
        frontend.figures.accepted += 1
        frontend.figures.open += 1
        self.transport.setTcpNoDelay(True)
        self.origin = frontend.origin(self.transport)
        if self.origin.secure:
            self._deadline.set(frontend.settings.limits.handshake)
        else:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        limits = self.frontend.settings.limits
        self._shaken = True
        self.codec = self.frontend.pool.protocol.client_codec(limits.head_size, limits.headers)
        self.transport.registerProducer(self, True)
        self._set_limit()
        if self.frontend.draining:
            self.drain()

    def dataReceived(self, data: bytes) -> None:
        if not self._closing:
            self._feed(data)

    def readConnectionLost(self) -> None:
        """The client of a plain listener sends no more, and may still read."""
        self._ended = True
        if self._closing:
            self.transport.loseConnection()
            return
        self._events(self.codec.receive_end())
        if not self._relays and not self._closing:
            self.close()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        frontend = self.frontend
        frontend.connections.discard(self)
        frontend.figures.open -= 1
        if not self._shaken:
            frontend.figures.tls_failed += 1
        self._closing = True
        for relay in list(self._relays.values()):
            relay.client_lost(ClientGone("the client closed the connection"))
        self._deadline.stop()
        frontend.connection_lost()

    # --- a push producer of the responses that its transport takes ---

    def pauseProducing(self) -> None:
        self._full = True
        self._backlog = backlog(self.transport)
        for relay in self._relays.values():
            relay.client_full()
        self._set_limit()

    def resumeProducing(self) -> None:
        self._full = False
        for relay in self._relays.values():
            relay.client_ready()
        self._set_limit()

    def stopProducing(self) -> None:
        pass

    # --- bytes to events to relays ---

    def _feed(self, data: bytes) -> None:
        if self._feeding:
            self._again = True
            return
        self._feeding = True
        try:
            self._events(self.codec.receive(data))
            while self._again:
                # Not by recursion: a client may pipeline thousands of requests answered at once.
                self._again = False
                self._events(self.codec.receive(b""))
        finally:
            self._feeding = False
        if not self._closing:
            self._apply_hold()
            self._set_limit()

    def _events(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._closing:
                return
            kind = type(event)
            relay = self._relays.get(event.exchange)
            if kind is Head:
                relay = Relay(self, event.exchange, event.message, self.frontend.clock.seconds())  # type: ignore[attr-defined]
                self._relays[event.exchange] = relay
                self.frontend.began()
                relay.begin()
            elif kind is Error:
                self._client_failed(event.exchange, event.error)  # type: ignore[attr-defined]
            elif kind is Reply:
                self.write(event.data)  # type: ignore[attr-defined]
            elif relay is None:
                continue
            elif kind is Body:
                relay.request_body(event.data)  # type: ignore[attr-defined]
            elif kind is End:
                relay.request_end(event.trailers)  # type: ignore[attr-defined]

    def _client_failed(self, exchange: int, error: BrokerError) -> None:
        relay = self._relays.get(exchange)
        if relay is not None:
            relay.client_failed(error)
            return
        self.frontend.refused(self.origin, error, error.status)
        data = b""
        for event in self.frontend.pool.rules.error_answer(error, None, exchange):
            data += self.codec.send(event)
        self.write(data)
        self.close()

    def _apply_hold(self) -> None:
        paused = self._held or (bool(self._relays) and self.codec.held() > PIPELINED)
        if paused is not self._paused:
            self._paused = paused
            if paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # --- time limits ---

    def _waits_for(self) -> Wait:
        if self._closing:
            return Wait.CLOSE
        if self._full:
            return Wait.READ
        if self._relays:
            if self._tunnel:
                return Wait.TUNNEL
            if not self._held and not all(relay.request_ended for relay in self._relays.values()):
                return Wait.BODY
            return Wait.SERVER
        return Wait.HEAD if self.codec.held() else Wait.IDLE

    def _set_limit(self) -> None:
        """The one limit that stands now, by what the connection waits for."""
        wait = self._waits_for()
        if wait is self._wait and wait in _NOT_RENEWED:
            return
        self._wait = wait
        seconds = self.frontend.seconds[wait]
        if seconds:
            self._deadline.set(seconds)
        else:
            self._deadline.clear()

    def _expired(self) -> None:
        wait = self._wait
        seconds = self.frontend.seconds[wait]
        if wait in _WHILE_READING and self._reader_moves():
            self._deadline.set(seconds)
        elif wait is Wait.IDLE:
            self.close()
        elif wait is Wait.HEAD:
            self._events(self.codec.refuse(ClientTimeout(f"no whole head within {seconds:g} s")))
        elif wait is Wait.BODY:
            self._events(self.codec.refuse(ClientTimeout(f"nothing of the body for {seconds:g} s")))
        else:
            self._give_up(ClientTimeout(f"{wait.value}: nothing for {seconds:g} s"))

    def _reader_moves(self) -> bool:
        left = backlog(self.transport)
        moved = left > 0 and left != self._backlog
        self._backlog = left
        return moved

    def _give_up(self, error: BrokerError) -> None:
        self._closing = True
        for relay in list(self._relays.values()):
            relay.client_lost(error)
        self.transport.abortConnection()
