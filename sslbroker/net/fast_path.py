"""The fast path: a transaction whose request and whose answer each come whole, in one read.

Decides when a transaction need not be a `Relay`: its request has no content and may be replayed, an idle link
to the chosen server is at hand, and the server's good answer comes in one piece. Invariant: what clients,
servers, figures and the log see is what a `Relay` would have made of the same bytes; as soon as anything else
happens (a part of an answer, a failing one, an end, a limit, a client that sends on or goes) the transaction
becomes the `Relay` that it would have been, which then hears of it. Refuses to decide anything that the state
machine decides: it only knows the one way on which there is nothing to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.attempt import Attempt
from ..core.members import Member
from ..interfaces import Body, End, Event, Head, Origin
from ..outcome import Cause
from .relay import Relay

if TYPE_CHECKING:
    from .client import ClientConnection
    from .link import Link
    from .pool import Pool

_log = Logger("sslbroker.fast_path")

_OK = Cause.OK


class FastTransaction:
    """One that is under way: its request is at the server. Made by `begin`."""

    __slots__ = (
        "attempt",
        "connection",
        "exchange",
        "link",
        "link_exchange",
        "origin",
        "pool",
        "promises",
        "request",
    )

    tunnel = False

    def __init__(
        self,
        connection: ClientConnection,
        pool: Pool,
        exchange: int,
        request: Any,
        origin: Origin,
        attempt: Attempt,
        link: Link,
        counts: bool,
    ) -> None:
        self.connection = connection
        self.pool = pool
        self.exchange = exchange
        self.request = request
        self.origin = origin
        self.attempt = attempt
        self.link = link
        self.link_exchange = 0
        #: Who watches over its response times, if anybody does.
        self.promises = pool.promises if counts else None

    @property
    def answer_time(self) -> float:
        return self.pool.settings.failover.response_timeout

    def send(self) -> None:
        """The request goes to the server."""
        attempt, link, member = self.attempt, self.link, self.attempt.member
        member.began(attempt, attempt.began)
        if self.promises is not None:
            self.promises.began(attempt, self.origin, attempt.began)
        self.pool.budget.first_tries += 1
        attempt.reused = link.exchanges > 0
        self.link_exchange = exchange = link.begin(self)
        data = self.pool.short_cuts.send_request(
            link.codec, exchange, self.request, self.origin, member.address, link.secure
        )
        attempt.wrote = True
        link.transport.write(data)
        link.progress()

    def receive(self, data: bytes) -> None:
        """The server has sent this."""
        try:
            events = self.link.codec.receive(data)
            if events and self._answered(events):
                return
        except Exception:
            self.relay().mistake()
            return
        self.link.give(self.relay(), events)

    def _answered(self, events: Sequence[Event]) -> bool:
        """Was that the answer, whole and good? False: nothing has been done with these events."""
        head: Any = events[0]
        end: Any = events[-1]
        if type(head) is not Head or type(end) is not End or end.trailers is not None:
            return False
        content = b""
        if len(events) > 2:
            if len(events) > 3:
                return False
            body: Any = events[1]
            if type(body) is not Body:
                return False
            content = body.data
        pool, link, response, attempt = self.pool, self.link, head.message, self.attempt
        judge = pool.judge
        status = judge.status(response)
        if judge.failing(response):
            return False
        promises, measured = self.promises, pool.measured
        counts = promises is not None and (measured is None or measured.measured_answer(response))
        connection, member = self.connection, attempt.member
        now = pool.now()
        data = pool.short_cuts.send_response(
            connection.codec, self.exchange, response, content, self.request, self.origin
        )
        # Nothing raises from here on, and whoever is told that the client is full finds no transaction.
        connection.fast = None
        connection.transport.write(data)
        size = len(content)
        link.figures.bytes_in += size
        attempt.first_byte = attempt.ended = now
        attempt.status = status
        attempt.outcome = _OK
        member.answered(attempt, now - attempt.sent, True)
        member.ended(attempt)
        if promises is not None:
            if counts:
                promises.over(attempt, self.origin, now)
            else:
                promises.ended(attempt)
        pool.monitor.heard(attempt)
        try:
            link.leave(self.link_exchange, connection)
        except Exception:  # the codec's
            _log.failure("A link of pool {pool} ended by a mistake", pool=pool.name)
            link.drop()
        pool.places.freed()  # whatever becomes of the link
        connection.fast_over(self, response, size)
        return True

    def relay(self) -> Relay:
        """The same transaction as a relay, which hears of everything from now on."""
        connection = self.connection
        connection.fast = None
        began = self.attempt.began
        counts = self.promises is not None
        relay = Relay(connection, self.exchange, self.request, False, began, self.origin, counts)
        connection.relays[self.exchange] = relay
        relay.take_over(self.attempt, self.link, self.link_exchange)
        return relay


def begin(connection: ClientConnection, events: Sequence[Event]) -> bool:
    """Carry a request out, if these events, which are all that a read has brought, are a short one.

    False: they are not, and nothing has been done with them.
    """
    head: Any = events[0]
    end: Any = events[1]
    if type(head) is not Head or type(end) is not End or end.trailers is not None:
        return False
    if connection.full or connection.pinned is not None:
        return False
    pool, request, exchange = connection.frontend.pool, head.message, head.exchange
    try:
        origin = pool.short_cuts.carried(request, connection.origin)
        counts = pool.watched and pool.counts(request, False)
    except Exception:
        return False  # the relay meets it, too, and says what comes of it
    if origin is None:
        return False
    chosen: Any
    try:
        chosen = pool.choose((), request, origin, "")
    except Exception:  # a balancer's, which is asked once
        chosen = Failure()
    link = pool.links[chosen].take() if type(chosen) is Member else None
    if link is None:
        relay = connection.begin_relay(exchange, request, False, origin)
        relay.upload.end(None)
        relay.chosen(chosen)
        return True
    now = pool.now()
    attempt = Attempt(chosen, now)
    attempt.sent = now
    transaction = FastTransaction(connection, pool, exchange, request, origin, attempt, link, counts)
    connection.begin_fast(transaction)
    try:
        transaction.send()
    except Exception:
        transaction.relay().mistake()
    return True
