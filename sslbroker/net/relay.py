"""One transaction's way through the broker: does what its state machine says, and moves its bytes.

Decides nothing: `core.transaction` does. Invariant: a chunk of a body is framed once and written once;
what the client sent goes into storage before it goes to a server; a paused side pauses the other. Every
entry point (a method without underscore that handles input) ends in `flush`, so that all bytes of one
turn leave in one write for each side. Refuses to know HTTP, timers of connections, and the choice of
servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.transaction import DONE, RELAY, Action, Attempt, Input, Transaction
from ..errors import AttemptError, BrokerError, FailingStatus, InternalError, NoServer, Stalled, Truncated
from ..interfaces import Body, End, Event, Head, Interim, Origin, Upgraded
from ..outcome import Cause, Replay

if TYPE_CHECKING:
    from .client import ClientConnection
    from .link import Link

_log = Logger("sslbroker.relay")

# Bind once: a lookup in an Enum class costs more than the test it is made for.
_REPLAYABLE = Replay.REPLAYABLE
_CHOSEN, _NO_SERVER, _LINKED, _FAILED = Input.CHOSEN, Input.NO_SERVER, Input.LINKED, Input.FAILED
_ANSWERED, _ENDED, _REFUSED, _LOST = Input.ANSWERED, Input.ENDED, Input.REFUSED, Input.LOST


class Relay:
    """Made by a `ClientConnection` for each request's head; forgotten when the transaction is over."""

    __slots__ = (
        "_ahead",
        "_attempt",
        "_connecting",
        "_half_closed",
        "_link_exchange",
        "_response",
        "_to_client",
        "_to_link",
        "_trailers",
        "_tunnel",
        "_withheld",
        "arrived",
        "bytes_in",
        "bytes_out",
        "connection",
        "exchange",
        "link",
        "link_kind",
        "origin",
        "pool",
        "request",
        "request_ended",
        "request_sent",
        "stored",
        "transaction",
    )

    def __init__(self, connection: ClientConnection, exchange: int, request: Any, now: float) -> None:
        pool = connection.frontend.pool
        self.connection = connection
        self.exchange = exchange
        self.request = request
        self.pool = pool
        self.origin: Origin = pool.rules.origin(request, connection.origin)
        self.stored = pool.storage.open()
        self.transaction = Transaction(pool.rules.replay(request), self.stored, pool.tries, now)
        self.arrived = now
        self.bytes_in = 0
        self.bytes_out = 0
        self.request_ended = False
        self.request_sent = False  # all of it went to the link
        self.link: Link | None = None
        self.link_kind: str | None = None  # of the last try: "plain" or "secure"
        self._link_exchange = 0
        self._connecting: Deferred[Link] | None = None
        self._attempt: Attempt | None = None  # the one that counts as outstanding
        self._withheld = False  # the body waits for the server's go-ahead
        self._ahead: IDelayedCall | None = None  # the end of that wait
        self._response: Any = None
        self._trailers: Any = None
        self._tunnel = False
        self._half_closed = False
        self._to_client: list[bytes] = []
        self._to_link: list[bytes] = []

    # --- from the client's connection ---

    def begin(self) -> None:
        """The request's head has come: refuse it, or set out for a server."""
        refusal = self.pool.rules.admit(self.request, self.origin)
        if refusal is None:
            self._choose()
        else:
            self._step(_REFUSED, refusal)
        self.flush()

    def request_body(self, data: bytes) -> None:
        self.bytes_in += len(data)
        stored = self.stored
        stored.append(data)
        link = self.link
        if link is not None and not self._withheld and not link.full:
            self._send_stored(link)
            self.flush()
        elif stored.over_share or self.pool.storage.full:
            self.connection.hold()
            if self.pool.storage.full:
                stored.when_room(self._room)

    def request_end(self, trailers: Any) -> None:
        """The request is whole; or, in a tunnel, the client sends no more."""
        self._half_closed = self._tunnel
        self.request_ended = True
        self._trailers = trailers
        link = self.link
        if link is not None and not self._withheld and not link.full:
            self._send_stored(link)
            self.flush()

    def client_failed(self, error: BrokerError) -> None:
        """The client broke its protocol or a time limit; its connection can still be written to."""
        self._step(_REFUSED, error)
        self.flush()

    def client_lost(self, error: BrokerError) -> None:
        """The client is gone."""
        self._step(_LOST, error)

    def client_full(self) -> None:
        """The client reads more slowly than the server sends."""
        if self.link is not None:
            self.link.pause()

    def client_ready(self) -> None:
        if self.link is not None:
            self.link.resume()

    # --- from the link ---

    def link_event(self, link: Link, event: Event) -> None:
        """An event of the response. The link calls `flush` after the last one of a read."""
        if link is not self.link:
            return
        kind = type(event)
        event.exchange = self.exchange
        if kind is Body:
            size = len(event.data)  # type: ignore[attr-defined]
            self.bytes_out += size
            link.links.member.figures.bytes_in += size
            if self._tunnel:
                self.connection.touch()
            self._to_client.append(self.connection.codec.send(event))
        elif kind is Head or kind is Upgraded:
            self._judge(link, event.message, kind is Upgraded)  # type: ignore[attr-defined]
        elif kind is End:
            self._to_client.append(self.connection.codec.send(event))
            self._step(_ENDED)
        elif kind is Interim:
            self._interim(link, event)  # type: ignore[arg-type]

    def link_failed(self, link: Link, error: AttemptError) -> None:
        """The link, or the server's answer on it, has failed."""
        if link is not self.link:
            return
        if self.transaction.state is RELAY:
            broken = Stalled if error.cause is Cause.SILENT else Truncated
            error = broken(error.detail)
        self._step(_FAILED, error)
        self.flush()

    def link_full(self) -> None:
        """The server reads more slowly than the client sends."""
        self.connection.hold()

    def link_ready(self) -> None:
        link = self.link
        if link is not None and not self._withheld:
            self._send_stored(link)
            self.flush()

    def flush(self) -> None:
        """Write what this turn has gathered: once to the server, once to the client."""
        if self._to_link:
            data = b"".join(self._to_link)
            self._to_link.clear()
            if self.link is not None and data:
                self.link.write(data)
        if self._to_client:
            data = b"".join(self._to_client)
            self._to_client.clear()
            if data:
                self.connection.write(data)

    # --- what the state machine asks for ---

    def _step(self, event: Input, subject: object = None) -> None:
        for action in self.transaction.receive(event, self.pool.clock.seconds(), subject):
            _DO[action](self)

    def _choose(self) -> None:
        member = self.pool.choose(self.transaction.attempts)
        if member is None:
            self._step(_NO_SERVER, NoServer("the pool has no server"))
        else:
            self._step(_CHOSEN, member)

    def _get_link(self) -> None:
        self._attempt = attempt = self.transaction.attempt
        member = attempt.member
        member.figures.outstanding += 1
        links = self.pool.links[member]
        unsafe = self.transaction.replay is not _REPLAYABLE
        link = None if unsafe and not self.pool.settings.failover.reuse_for_unsafe else links.take()
        if link is not None:
            self._linked(link)
        else:
            self._connecting = connecting = links.connect()
            connecting.addCallbacks(self._linked, self._not_linked)
            connecting.addErrback(self._mistake)

    def _linked(self, link: Link) -> None:
        self._connecting = None
        self.link = link
        self.link_kind = "secure" if link.secure else "plain"
        self._link_exchange = link.begin(self)
        self._step(_LINKED, link.reused)
        self.flush()

    def _not_linked(self, failure: Failure) -> None:
        self._connecting = None
        if not isinstance(failure.value, CancelledError):
            error = failure.value
            assert isinstance(error, AttemptError)
            self._step(_FAILED, error)
            self.flush()

    def _send(self) -> None:
        link = self.link
        assert link is not None
        rules = self.pool.rules
        head = rules.to_server(self.request, self.origin, link.links.member.address, link.secure)
        self._to_link.append(link.codec.send(Head(self._link_exchange, head)))
        self.request_sent = False
        replay = self.transaction.replay
        if replay is not _REPLAYABLE:
            self.stored.give_up(replay)
        wait = rules.go_ahead_wait(self.request)
        self._withheld = wait > 0
        if self._withheld:
            self._ahead = self.pool.clock.callLater(wait, self._go_ahead)
        else:
            self._send_stored(link)

    def _send_stored(self, link: Link) -> None:
        """Everything that is stored and not sent goes to the link; then the client may go on."""
        exchange, codec = self._link_exchange, link.codec
        for data in self.stored.take():
            self._to_link.append(codec.send(Body(exchange, data)))
            link.links.member.figures.bytes_out += len(data)
        if self._half_closed:
            self.flush()
            link.end_writing()
        elif self.request_ended:
            if not self.request_sent:
                self._to_link.append(codec.send(End(exchange, self._trailers)))
                self.request_sent = True
                self.transaction.attempt.sent = self.pool.clock.seconds()
                link.progress()
        else:
            link.progress()
        self.connection.go_on()

    def _go_ahead(self) -> None:
        """The server has said 100, or has not for long enough: send the body."""
        self._stop_waiting()
        if self._withheld and self.link is not None:
            self._withheld = False
            self._send_stored(self.link)
            self.flush()

    def _judge(self, link: Link, message: Any, upgraded: bool) -> None:
        attempt = self.transaction.attempt
        attempt.first_byte = self.pool.clock.seconds()
        attempt.status = status = self.pool.classifier.status(message)
        self._response = message
        self._tunnel = upgraded
        if not upgraded and self.pool.classifier.failing(message):
            self._step(_FAILED, FailingStatus(f"status {status}"))
        else:
            self._step(_ANSWERED)

    def _interim(self, link: Link, event: Interim) -> None:
        rewritten = self.pool.rules.to_client(event.message, self.request, self.origin)
        interim = Interim(self.exchange, rewritten, event.go_ahead)
        self._to_client.append(self.connection.codec.send(interim))
        if event.go_ahead:
            self._go_ahead()

    def _pass(self) -> None:
        connection = self.connection
        # A final status instead of the go-ahead: the body is not wanted (RFC 9110 §10.1.1).
        self._stop_waiting()
        message = self.pool.rules.to_client(self._response, self.request, self.origin)
        if self._tunnel:
            self._to_client.append(connection.codec.send(Upgraded(self.exchange, message)))
            assert self.link is not None
            self.link.tunnel()
            connection.tunnel()
        else:
            self._to_client.append(connection.codec.send(Head(self.exchange, message)))

    def _answer(self) -> None:
        error = self.transaction.error
        assert error is not None
        codec = self.connection.codec
        self._response = None
        for event in self.pool.rules.error_answer(error, self.request, self.exchange):
            if type(event) is Head:
                self._response = event.message
            elif type(event) is Body:
                self.bytes_out += len(event.data)
            self._to_client.append(codec.send(event))

    def _cut(self) -> None:
        self._to_client.clear()
        self.connection.cut()

    def _drop(self) -> None:
        """The try is over, and its link with it."""
        self._to_link.clear()
        self._stop_waiting()
        link, self.link = self.link, None
        if link is not None:
            if self._tunnel:
                link.close()
            else:
                link.drop()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        self._attempt_over()

    def _finish(self) -> None:
        """The transaction is over: everything it held goes back, and its record is written."""
        self.flush()
        self._stop_waiting()
        link, self.link = self.link, None
        if link is not None:
            link.leave(self._link_exchange)
            self._attempt_over()
        self.stored.close()
        self.connection.exchange_over(self)

    def _attempt_over(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.member.figures.outstanding -= 1
            self.pool.monitor.heard(attempt)

    # --- small things ---

    @property
    def response(self) -> Any:
        """The final response's message, a server's or the broker's own; None before there is one."""
        return self._response

    def _stop_waiting(self) -> None:
        if self._ahead is not None:
            if self._ahead.active():
                self._ahead.cancel()
            self._ahead = None

    def _room(self) -> None:
        if not self.stored.over_share and (self.link is None or not self.link.full):
            self.connection.go_on()

    def _mistake(self, failure: Failure) -> None:
        """A mistake in the broker or a plugin: this transaction ends visibly, nothing else does."""
        _log.failure("A transaction of pool {pool} ended by a mistake", failure, pool=self.pool.name)
        if self.transaction.state is not DONE:
            self.client_failed(InternalError(failure.getErrorMessage()))


_DO = {
    Action.CHOOSE: Relay._choose,
    Action.LINK: Relay._get_link,
    Action.SEND: Relay._send,
    Action.DROP: Relay._drop,
    Action.PASS: Relay._pass,
    Action.ANSWER: Relay._answer,
    Action.CUT: Relay._cut,
    Action.FINISH: Relay._finish,
}
