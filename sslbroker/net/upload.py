"""The request's side of a transaction: from the client, through storage, to the link of the try under way.

Decides when the body waits: for a link, for the server's go-ahead, for room. Invariant: what the client sent
goes into storage before it goes to a server, in order, once for each try; whenever the client is held back,
something stands that lets it go on: the link that becomes ready, the end of the wait for the go-ahead, room
in the storage, or the end of the transaction. Refuses to choose, to judge and to know HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall

from ..core.attempt import Attempt
from ..core.storage import Stored
from ..interfaces import Body, End
from . import tries

if TYPE_CHECKING:
    from .link import Link
    from .relay import Relay


class Upload:
    """Made by a `Relay`, which tells it of its tries; the client's connection gives it the body."""

    __slots__ = (
        "_ahead",
        "_attempt",
        "_exchange",
        "_half_closed",
        "_link",
        "_relay",
        "_wanted",
        "_withheld",
        "bytes_in",
        "ended",
        "out",
        "sent",
        "stored",
        "trailers",
    )

    def __init__(self, relay: Relay, stored: Stored) -> None:
        self._relay = relay
        self.stored = stored
        self.bytes_in = 0  # content
        self.ended = False  # the client has sent all of it
        self.trailers: Any = None  # that came with its end
        self._half_closed = False  # the client of a tunnel sends no more
        self._wanted = True  # the body: a final answer instead of the go-ahead means that it is not
        # of the try under way
        self._link: Link | None = None
        self._attempt: Attempt | None = None
        self._exchange = 0
        self.sent = False  # all of the request went to the link
        self._withheld = False  # the body waits for the server's go-ahead
        self._ahead: IDelayedCall | None = None  # the end of that wait
        self.out: list[bytes] = []  # what this turn has gathered for the link

    @property
    def waits_for_client(self) -> bool:
        """It is the client's turn: what has come of the request is on its way, and more must come."""
        return not self.ended and self._wanted and not self._relay.connection.held

    @property
    def waits_for_server(self) -> bool:
        """It is the server's turn: to read, or to answer."""
        return self._ahead is None and not self.waits_for_client

    # --- from the client's connection ---

    def body(self, data: bytes) -> None:
        self.bytes_in += len(data)
        if not self._wanted:
            return
        stored = self.stored
        stored.append(data)
        link = self._link
        if link is not None and not self._withheld and not link.full:
            self._send(link)
            self.flush()
        else:
            storage = self._relay.pool.storage
            if stored.over_share or storage.full:
                self._relay.connection.hold()
                if storage.full:
                    stored.when_room(self._room)

    def end(self, trailers: Any) -> None:
        """The request is whole; or, in a tunnel, the client sends no more."""
        self._half_closed = self._relay.tunnel
        self.ended = True
        self.trailers = trailers
        link = self._link
        if link is not None and not self._withheld and not link.full:
            self._send(link)
            self.flush()

    # --- from the relay ---

    def start(self, link: Link, attempt: Attempt, exchange: int, head: bytes, wait: float) -> None:
        """A try begins; its body is held back for up to `wait` seconds."""
        self._link = link
        self._attempt = attempt
        self._exchange = exchange
        self.sent = False
        self.out.append(head)
        self._withheld = wait > 0
        if self._withheld:
            self._ahead = self._relay.pool.clock.callLater(wait, self._waited)
        else:
            self._send(link)

    def take_over(self, link: Link, attempt: Attempt, exchange: int) -> None:
        """The try under way is another's, and has had all of the request."""
        self._link = link
        self._attempt = attempt
        self._exchange = exchange
        self.ended = self.sent = True

    def go_ahead(self) -> None:
        """The server has said 100, has not for long enough, or has become a tunnel: send the body."""
        self._stop_waiting()
        if self._withheld and self._link is not None:
            self._withheld = False
            self._send(self._link)
            self.flush()

    def answered(self) -> None:
        """The final answer is there; instead of the go-ahead, it refuses the body (RFC 9110 §10.1.1)."""
        if self._ahead is not None:
            self._stop_waiting()
        if self._withheld:
            self._wanted = False
            self.stored.close()
            self._relay.connection.go_on()

    def tunnel(self) -> None:
        """The answer made the exchange a tunnel: after its request the client may send on."""
        self.ended = self.sent = False
        self.go_ahead()

    def link_full(self) -> None:
        """The server reads more slowly than the client sends."""
        self._relay.connection.hold()

    def link_ready(self) -> None:
        link = self._link
        if link is None:
            return
        if self._withheld:
            self._relay.connection.go_on()
        else:
            self._send(link)
            self.flush()

    def last_words(self) -> None:
        """The client of a tunnel has gone: the server still gets everything that it had sent."""
        if self._link is not None:
            self._send(self._link)
            self.flush()

    def stop(self) -> None:
        """The try is over."""
        if self._ahead is not None:
            self._stop_waiting()
        self._link = None
        self.out.clear()

    def close(self) -> None:
        """The transaction is over. Nothing refers in a circle, so all that it had is freed at once."""
        self.stop()
        self.stored.close()
        del self._relay

    def flush(self) -> None:
        """Write what this turn has gathered, at once."""
        out, link = self.out, self._link
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            if link is not None and data:
                assert self._attempt is not None
                self._attempt.wrote = True
                link.write(data)

    # --- small things ---

    def _send(self, link: Link) -> None:
        """Everything that is stored and not sent goes to the link; then the client may go on."""
        exchange, codec, relay = self._exchange, link.codec, self._relay
        if self.stored.unsent_size:
            for data in self.stored.take():
                self.out.append(codec.send(Body(exchange, data)))
                link.figures.bytes_out += len(data)
        if relay.connection.held:
            relay.connection.go_on()
        if not self.ended:
            link.progress()
        elif not self.sent:
            self.sent = True
            last = codec.send(End(exchange, self.trailers))
            if last:
                self.out.append(last)
            if self._half_closed:
                self.flush()
                link.end_writing()
                relay.stream_sent()
            else:
                tries.request_sent(relay)
                link.progress()

    def _waited(self) -> None:
        try:
            self.go_ahead()
        except Exception:
            self._relay.mistake()

    def _stop_waiting(self) -> None:
        if self._ahead is not None:
            if self._ahead.active():
                self._ahead.cancel()
            self._ahead = None

    def _room(self) -> None:
        if not self.stored.over_share and (self._link is None or not self._link.full):
            self._relay.connection.go_on()
