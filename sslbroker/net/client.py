"""One connection of a client, from its first byte to its last.

Decides when the connection reads, and how it ends. Invariant: a request is begun only when the answers
before it are whole and the client takes them; a closed connection holds no transaction, no timer and no
byte. A mistake of a plugin ends the transaction that met it, or this connection, and nothing else. Refuses
to know what a request means, or which server serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import BrokerError, ClientGone, FramingError, InternalError, ShuttingDown
from ..interfaces import Body, End, Error, Event, Head, ICodec, Origin, Reply, Upgraded
from ..outcome import After
from ..settings import KiB
from .fast_path import FastTransaction, begin
from .limits import Limit, Wait
from .relay import Relay
from .transport import backlog, broken_off, ended_in_order, half_close

if TYPE_CHECKING:
    from .frontend import Frontend
    from .link import Link

_log = Logger("sslbroker.client")
_REUSABLE = After.REUSABLE
_IDLE = Wait.IDLE

#: Bytes of pipelined requests that are held while one is under way; above, the client must wait.
PIPELINED = 64 * KiB


@implementer(IHandshakeListener, IHalfCloseableProtocol, IPushProducer)
class ClientConnection(Protocol):
    """One client's connection, through all its transactions."""

    transport: Any

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.codec: ICodec
        self.origin: Origin
        self.full = False  # the client does not take what was written
        self.held = False  # a relay does not want more of the client's bytes now
        self.closing = False
        self.tunnelled = False  # the one exchange is, or became, a stream
        self.answer_ended = False  # and its server sends no more
        self.pinned: Link | None = None  # the link that has this client's state, between its exchanges
        self.fast: FastTransaction | None = None  # the transaction under way, while it may be one
        self._relays: dict[int, Relay] = {}  # by exchange: the other ones
        self._answered = 0  # an exchange that is over, but for the client's taking its answer
        self._limit = Limit(frontend.clock, frontend.seconds, self)
        self._shaken = False
        self._paused = False  # the transport was told not to read
        self._feeding = False
        self._again = False
        self._ended = False  # the client sends no more
        self._pin_lost = False  # the client's state is gone
        self._may_be_fast = frontend.pool.takes_fast_path
        self._most = frontend.settings.limits.body_size  # bytes of a request's content; 0: no limit

    @property
    def relays(self) -> dict[int, Relay]:
        """The transactions under way, by exchange; a fast one becomes a relay for whoever asks."""
        if self.fast is not None:
            self.fast.relay()
        return self._relays

    def begin_relay(self, exchange: int, message: Any, stream: bool, carried: Origin | None = None) -> Relay:
        """A transaction begins as a relay; `carried` as for that."""
        self._limit.met()
        self.tunnelled = stream
        relay = Relay(self, exchange, message, stream, self.frontend.pool.now(), carried)
        self._relays[exchange] = relay
        self.frontend.began()
        return relay

    def begin_fast(self, transaction: FastTransaction) -> None:
        self._limit.met()
        self.tunnelled = False
        self.fast = transaction
        self.frontend.began()

    # --- what a relay calls ---

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def hold(self) -> None:
        """Stop reading from the client until `go_on`."""
        self.held = True
        self._apply_hold()
        self._limit.renew()

    def go_on(self) -> None:
        if self.held:
            self.held = False
            self._apply_hold()
            self._limit.renew()

    def touch(self) -> None:
        """Something moved in a tunnel."""
        self._limit.renew()

    def tunnel(self) -> None:
        """The exchange became a tunnel: what the client sent early, and its end, belong to it."""
        self.tunnelled = True
        self._limit.renew()
        if self._ended or self.codec.held():
            self._feed(b"")

    def end_writing(self) -> None:
        """The server of a tunnel sends no more."""
        self.answer_ended = True
        self.full = False  # nothing more is written, and nobody would tell when that is taken
        half_close(self.transport)
        self._limit.renew()

    def pin_lost(self) -> None:
        """The link that had the client's state is gone: no other can do what the client would ask next."""
        self.pinned = None
        self._pin_lost = True
        if not (self.relays or self._answered or self.closing):
            self.close()

    def cut(self) -> None:
        """End the connection so that nothing can look complete."""
        self.closing = True
        self.transport.abortConnection()

    def exchange_over(self, relay: Relay) -> None:
        """The relay's transaction is over: log it; serve the next request, or close."""
        del self._relays[relay.exchange]
        self.frontend.ended(relay)
        self._exchange_over(relay.exchange)

    def fast_over(self, transaction: FastTransaction, response: Any, size: int) -> None:
        """The same for a fast one, which had this response, with so many bytes of content."""
        self.frontend.fast_ended(transaction, response, size)
        self._exchange_over(transaction.exchange)

    def _exchange_over(self, exchange: int) -> None:
        if self.closing:
            return
        self.held = False
        self._answered = exchange
        if self.full:
            # A client that asks and asks and takes no answer must not fill our memory with them.
            self._apply_hold()
            self._limit.renew()
        else:
            self._next()

    # --- what the listener and the limit call ---

    def drain(self) -> None:
        """Serve what is under way and the next request, then close."""
        if self._shaken and not self.closing:
            try:
                data = self.codec.drain()
            except Exception:
                self._mistake()
                return
            if data:
                self.write(data)

    def shut(self) -> None:
        """The drain's deadline has passed: end now."""
        if self.relays or self.closing or not self._shaken or backlog(self.transport):
            self.give_up(ShuttingDown("the drain deadline passed"))
        else:
            self.close()

    def close(self) -> None:
        """End the connection when everything written has been taken, within `limits.close`."""
        if self.closing:
            return
        self.closing = True
        self.transport.unregisterProducer()
        self.held = False
        self._apply_hold()
        self._limit.renew()
        if self.origin.secure or self._ended:
            self.transport.loseConnection()
        else:
            # Half-close first and read on: closing at once would answer what the client still
            # sends with a reset, which destroys the response on its way (RFC 9112 §9.6).
            self.transport.loseWriteConnection()

    def refuse(self, error: FramingError) -> None:
        """No more of a head or a body is waited for: answer by `error`, or end where that is too late."""
        try:
            self._events(self.codec.refuse(error))
        except Exception:
            self._mistake()
        if not (self.closing or self._answered):
            self.give_up(error)

    def give_up(self, error: BrokerError) -> None:
        """End the connection and its transactions at once."""
        self.closing = True
        self._end_relays(error)
        self.transport.abortConnection()

    # --- what Twisted calls ---

    def connectionMade(self) -> None:
        frontend = self.frontend
        frontend.connections.add(self)
        frontend.figures.accepted += 1
        frontend.figures.open += 1
        self._limit.start(self.transport)
        self.origin = frontend.origin(self.transport)
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)  # a client that waits for long may have gone unseen
        if self.origin.secure:
            self._limit.set(Wait.HANDSHAKE)
        else:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        limits = self.frontend.settings.limits
        protocol = self.frontend.pool.protocol
        if self.origin.secure:
            fault = self.frontend.shaken(self.transport, self.origin)
            if fault:
                self.closing = True
                self.transport.abortConnection()
                return
        self._shaken = True
        try:
            self.codec = protocol.client_codec(limits.head_size, limits.headers)
        except Exception:
            self._mistake()
            return
        self.transport.registerProducer(self, True)
        self._limit.renew()
        if self.frontend.draining:
            self.drain()
        if protocol.server_first:
            self._feed(b"")

    def dataReceived(self, data: bytes) -> None:
        if self.closing:
            return
        if not self._may_be_fast:
            self._feed(data)
            return
        try:
            events = self.codec.receive(data)
            if len(events) != 2 or not begin(self, events):
                self._feed(b"", events)
            elif self.fast is None or self._ended or self.codec.held():
                self._fed()
        except Exception:
            self._mistake()

    def readConnectionLost(self) -> None:
        """The client sends no more, and may still read."""
        if self.closing:
            self._ended = True
            self.transport.loseConnection()
        elif not self._ended:  # whoever reads on after an end is told of it again
            self._ended = True
            try:
                self._events(self.codec.receive_end())
            except Exception:
                self._mistake()
            if not self.closing:
                self._limit.renew()
                self._close_if_ended()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        frontend = self.frontend
        frontend.connections.discard(self)
        frontend.figures.open -= 1
        if not self._shaken:
            frontend.not_shaken(self.transport, self.origin, reason)
        self.closing = True
        lost = self.transport, self.origin.secure, reason
        clean = self._took_all or ended_in_order(*lost)
        cut = not clean and broken_off(*lost)
        self._end_relays(ClientGone("the client closed the connection"), clean, cut)
        pinned, self.pinned = self.pinned, None
        if pinned is not None:
            pinned.close()
        self._limit.stop()
        frontend.connection_lost()

    # --- a push producer of the responses that its transport takes ---

    def pauseProducing(self) -> None:
        self.full = True
        self._limit.full()
        for relay in self.relays.values():
            relay.client_full()
        self._limit.renew()

    def resumeProducing(self) -> None:
        self.full = False
        for relay in self.relays.values():
            relay.client_ready()
        if self._answered:
            self._next()
        else:
            self._limit.renew()

    def stopProducing(self) -> None:
        pass

    # --- bytes to events to relays ---

    def _feed(self, data: bytes, events: Sequence[Event] | None = None) -> None:
        if self._feeding:
            self._again = True
            return
        self._feeding = True
        try:
            self._events(self.codec.receive(data) if events is None else events)
            while self._again and not self.closing:
                # Not by recursion: a client may pipeline thousands of requests answered at once.
                self._again = False
                self._events(self.codec.receive(b""))
        except Exception:
            self._mistake()
        finally:
            self._feeding = self._again = False
        self._fed()

    def _fed(self) -> None:
        """What has come is where it belongs: what is waited for now?"""
        if not self.closing:
            if self.held or self._paused or self.codec.held():
                self._apply_hold()
            self._limit.renew()
            if self._ended:
                self._close_if_ended()

    def _events(self, events: Sequence[Event]) -> None:
        begun: list[Relay] = []
        for event in events:
            if self.closing:
                break
            kind = type(event)
            exchange = event.exchange
            relay = self.relays.get(exchange)
            try:
                if kind is Head or kind is Upgraded:
                    relay = self.begin_relay(exchange, event.message, kind is Upgraded)  # type: ignore[attr-defined]
                    begun.append(relay)
                    lengths = self.frontend.pool.lengths
                    if self._most and kind is Head and lengths is not None:
                        self._check_size(exchange, lengths.length(event.message))  # type: ignore[attr-defined]
                elif kind is Error:
                    self._client_failed(exchange, event.error)  # type: ignore[attr-defined]
                elif kind is Reply:
                    self.write(event.data)  # type: ignore[attr-defined]
                elif relay is None:
                    continue
                elif kind is Body:
                    if self._most and not self.tunnelled:
                        size = relay.upload.bytes_in + len(event.data)  # type: ignore[attr-defined]
                        if self._check_size(exchange, size):
                            continue
                    relay.upload.body(event.data)  # type: ignore[attr-defined]
                elif kind is End:
                    relay.upload.end(event.trailers)  # type: ignore[attr-defined]
            except Exception:
                if relay is not None:
                    relay.mistake()
                else:
                    self._mistake(exchange if kind is Head or kind is Upgraded else 0)
        # Only now, so that what one read brought of a request leaves in one write, and what is wrong
        # with it is known before a server sees it.
        for relay in begun:
            relay.begin()

    def _check_size(self, exchange: int, size: int) -> bool:
        """Is that more content than a request may have? Then no more of it is waited for."""
        if size <= self._most:
            return False
        error = FramingError(f"more than {self._most} bytes of content", 413)
        # One that is whole already has nothing that could be refused any more.
        self._events(self.codec.refuse(error) or (Error(exchange, error),))
        return True

    def _client_failed(self, exchange: int, error: BrokerError) -> None:
        relay = self.relays.get(exchange)
        if relay is not None:
            relay.client_failed(error)
            return
        answer: Sequence[Event] = ()
        try:
            answer = self.frontend.pool.rules.error_answer(error, None, exchange)
        finally:  # it is logged whatever a plugin raises
            head = next((event.message for event in answer if isinstance(event, Head)), None)
            self.frontend.refused(self.origin, error, head)
        data = b""
        for event in answer:
            data += self.codec.send(event)
        self.write(data)
        self.close()

    def _next(self) -> None:
        """The client has taken the answer: what it sent meanwhile is the next request."""
        exchange, self._answered = self._answered, 0
        codec = self.codec
        try:
            reusable = not self._pin_lost and codec.after(exchange) is _REUSABLE
            if reusable:
                codec.release(exchange)
        except Exception:
            self._mistake()
            return
        if not reusable:
            self.close()
            return
        if self._paused:
            self._apply_hold()
        if self._feeding:
            self._again = True
        elif codec.held() or self._ended:
            self._feed(b"")
        elif self.full or self._relays:
            self._limit.renew()
        else:
            self._limit.set(_IDLE)

    def _close_if_ended(self) -> None:
        if self._ended and not (self.relays or self._answered):
            self.close()

    def _apply_hold(self) -> None:
        # Of a head alone the codec limits the size.
        waiting = bool(self.relays or self._answered)
        paused = self.held or (waiting and self.codec.held() > PIPELINED)
        if paused is not self._paused:
            self._paused = paused
            if paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # --- ends ---

    def _mistake(self, exchange: int = 0) -> None:
        """In an `except`: a mistake outside of any transaction ends the connection.

        By a 502 when it can be given as the answer of `exchange`, else by a cut.
        """
        _log.failure("A connection of listener {name} ended by a mistake", name=self.frontend.settings.name)
        error = InternalError("a mistake in the broker or in a plugin")
        if exchange:
            with suppress(Exception):
                self._client_failed(exchange, error)
                return
        self.give_up(error)

    @property
    def _took_all(self) -> bool:
        """Of a stream over TLS, to its end: many clients answer that by closing without a close_notify."""
        return self.answer_ended and self.origin.secure and not backlog(self.transport)

    def _end_relays(self, error: BrokerError, clean: bool = False, cut: bool = True) -> None:
        for relay in list(self.relays.values()):
            relay.client_lost(error, clean, cut)
