"""One transaction's way through the broker: does what its state machine says, and moves its answer.

Decides nothing: `core.transaction` does. Invariant: a chunk of a body is framed once and written once; a
client that is full pauses its server. Every entry point (a method without underscore that handles input)
ends in `flush`, so that all bytes of one turn leave in one write for each side. What a plugin raises ends
this transaction, by 502 or visibly, and comes no further. Refuses to know HTTP, timers of connections, and
the choice of servers; `upload` moves the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.transaction import DONE, RELAY, Action, Attempt, Input, Transaction
from ..errors import (
    AttemptError,
    BrokerError,
    ClientGone,
    FailingStatus,
    InternalError,
    NoServer,
    Stalled,
    Truncated,
)
from ..interfaces import Body, End, Event, Head, Interim, Origin, Upgraded
from ..outcome import Cause, Replay
from .upload import Upload

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
        "_attempt",
        "_connecting",
        "_link_exchange",
        "_over",
        "_to_client",
        "arrived",
        "bytes_out",
        "connection",
        "exchange",
        "link",
        "link_kind",
        "origin",
        "pool",
        "request",
        "response",
        "transaction",
        "tunnel",
        "upload",
    )

    def __init__(self, connection: ClientConnection, exchange: int, request: Any, now: float) -> None:
        pool = connection.frontend.pool
        self.connection = connection
        self.exchange = exchange
        self.request = request
        self.pool = pool
        self.origin: Origin = pool.rules.origin(request, connection.origin)
        stored = pool.storage.open()
        self.upload = Upload(self, stored)
        self.transaction = Transaction(pool.rules.replay(request), stored, pool.tries, now)
        self.arrived = now
        self.bytes_out = 0  # content of the answer
        #: The final response's message, a server's or the broker's own; None before there is one.
        self.response: Any = None
        self.tunnel = False  # the final answer was an `Upgraded`
        self.link: Link | None = None
        self.link_kind: str | None = None  # of the last try: "plain" or "secure"
        self._link_exchange = 0
        self._connecting: Deferred[Link] | None = None
        self._attempt: Attempt | None = None  # the one that counts as outstanding
        self._to_client: list[bytes] = []
        self._over = False

    # --- from the client's connection ---

    def begin(self) -> None:
        """The request's head has come: refuse it, or set out for a server, if it has not failed already."""
        if self._over:
            return
        try:
            refusal = self.pool.rules.admit(self.request, self.origin)
            if refusal is None:
                self._choose()
            else:
                self._step(_REFUSED, refusal)
            self.flush()
        except Exception:
            self.mistake()

    def client_failed(self, error: BrokerError) -> None:
        """The client broke its protocol or a time limit; its connection can still be written to."""
        self._step(_REFUSED, error)
        self.flush()

    def client_lost(self, error: BrokerError) -> None:
        """The client is gone."""
        try:
            if self.tunnel:
                self.upload.last_words()
            self._step(_LOST, error)
        except Exception:
            self.mistake()

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
            if self.tunnel:
                self.connection.touch()
            self._to_client.append(self.connection.codec.send(event))
        elif kind is Head or kind is Upgraded:
            self._judge(event.message, kind is Upgraded)  # type: ignore[attr-defined]
        elif kind is End:
            self._to_client.append(self.connection.codec.send(event))
            self._step(_ENDED)
        elif kind is Interim:
            self._interim(event)  # type: ignore[arg-type]

    def link_failed(self, link: Link, error: AttemptError) -> None:
        """The link, or the server's answer on it, has failed."""
        if link is not self.link:
            return
        if self.transaction.state is RELAY:
            broken = Stalled if error.cause is Cause.SILENT else Truncated
            error = broken(error.detail)
        self._step(_FAILED, error)
        self.flush()

    def flush(self) -> None:
        """Write what this turn has gathered: once to the server, once to the client."""
        self.upload.flush()
        if self._to_client:
            data = b"".join(self._to_client)
            self._to_client.clear()
            if data:
                self.connection.write(data)

    # --- from the upload ---

    def request_sent(self) -> None:
        """All of the request went to the link: from here on the server's time counts."""
        attempt = self.transaction.attempt
        if not attempt.first_byte:  # it may answer earlier
            attempt.sent = self.pool.clock.seconds()

    # --- from whoever catches what a plugin raises ---

    def mistake(self, failure: Failure | None = None) -> None:
        """A mistake in the broker or in a plugin: this transaction ends, nothing else does.

        Call it in an `except`, or with the failure. The client gets 502, or a cut when an answer has
        begun or cannot be made.
        """
        failure = failure or Failure()
        _log.failure("A transaction of pool {pool} ended by a mistake", failure, pool=self.pool.name)
        if self._over:
            return
        try:
            if self.transaction.state is not DONE:
                self._step(_REFUSED, InternalError(failure.getErrorMessage()))
                self.flush()
                return
        except Exception:
            _log.failure("and the answer to its client by another", pool=self.pool.name)
        if self.transaction.state is not DONE:
            self.transaction.receive(_LOST, self.pool.clock.seconds(), ClientGone("cut"))
        self._drop()
        self._cut()
        self._finish()

    # --- what the state machine asks for ---

    def _step(self, event: Input, subject: object = None) -> None:
        for action in self.transaction.receive(event, self.pool.clock.seconds(), subject):
            _DO[action](self)

    def _choose(self) -> None:
        self.response = None  # of the try before
        member = self.pool.choose(self.transaction.attempts, self.origin)
        if member is None:
            self._step(_NO_SERVER, NoServer("the pool has no server"))
        else:
            self._step(_CHOSEN, member)

    def _get_link(self) -> None:
        self._attempt = attempt = self.transaction.attempt
        member = attempt.member
        member.began(attempt, self.pool.clock.seconds())
        links = self.pool.links[member]
        unsafe = self.transaction.replay is not _REPLAYABLE
        link = None if unsafe and not self.pool.settings.failover.reuse_for_unsafe else links.take()
        if link is not None:
            self._linked(link)
        else:
            self._connecting = connecting = links.connect()
            connecting.addCallbacks(self._connected, self._not_linked)
            connecting.addErrback(self.mistake)

    def _linked(self, link: Link) -> None:
        self.link = link
        self.link_kind = "secure" if link.secure else "plain"
        self._link_exchange = link.begin(self)
        if self.connection.full:
            link.pause()
        self._step(_LINKED, link.reused)

    def _connected(self, link: Link) -> None:
        self._connecting = None
        self._linked(link)
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
        sent = link.codec.send(Head(self._link_exchange, head))
        replay = self.transaction.replay
        if replay is not _REPLAYABLE:
            self.upload.stored.give_up(replay)
        self.upload.start(link, self._link_exchange, sent, rules.go_ahead_wait(self.request))

    def _judge(self, message: Any, upgraded: bool) -> None:
        attempt = self.transaction.attempt
        attempt.first_byte = self.pool.clock.seconds()
        attempt.status = status = self.pool.classifier.status(message)
        self.response = message
        self.tunnel = upgraded
        if not upgraded and self.pool.classifier.failing(message):
            self._step(_FAILED, FailingStatus(f"status {status}"))
        else:
            self._step(_ANSWERED)

    def _interim(self, event: Interim) -> None:
        rewritten = self.pool.rules.to_client(event.message, self.request, self.origin)
        interim = Interim(self.exchange, rewritten, event.go_ahead)
        self._to_client.append(self.connection.codec.send(interim))
        if event.go_ahead:
            self.upload.go_ahead()

    def _pass(self) -> None:
        connection = self.connection
        message = self.pool.rules.to_client(self.response, self.request, self.origin)
        if self.tunnel:
            self._to_client.append(connection.codec.send(Upgraded(self.exchange, message)))
            assert self.link is not None
            self.link.tunnel()
            self.upload.go_ahead()
            connection.tunnel()
        else:
            self._to_client.append(connection.codec.send(Head(self.exchange, message)))
            self.upload.answered()

    def _answer(self) -> None:
        error = self.transaction.error
        assert error is not None
        codec = self.connection.codec
        self.response = None
        for event in self.pool.rules.error_answer(error, self.request, self.exchange):
            if type(event) is Head:
                self.response = event.message
            elif type(event) is Body:
                self.bytes_out += len(event.data)
            self._to_client.append(codec.send(event))

    def _cut(self) -> None:
        self._to_client.clear()
        self.connection.cut()

    def _drop(self) -> None:
        """The try is over, and its link with it."""
        self.upload.stop()
        link, self.link = self.link, None
        if link is not None:
            if self.tunnel:
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
        link = self.link
        if link is not None:
            link.leave(self._link_exchange)
            self.link = None
            self._attempt_over()
        self._over = True
        self.upload.close()
        self.connection.exchange_over(self)

    def _attempt_over(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.member.ended(attempt)
            self.pool.monitor.heard(attempt)


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
