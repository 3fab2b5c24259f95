"""The answer's side of a transaction: from the link, or from the broker itself, to the client.

Decides nothing: the relay says which answer is passed on. Invariant: a chunk of a body is framed once; what
one turn gathers leaves in one write; a cut loses what was gathered, so that nothing looks complete. Refuses
to judge, to choose and to know HTTP; `upload` moves the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BrokerError
from ..interfaces import Body, End, Event, Head, Interim, Upgraded

if TYPE_CHECKING:
    from .relay import Relay


class Download:
    """Made by a `Relay`, which gives it the events of the response."""

    __slots__ = ("_connection", "_exchange", "_origin", "_pool", "_request", "bytes_out", "out", "response")

    def __init__(self, relay: Relay) -> None:
        self._connection = relay.connection
        self._exchange = relay.exchange
        self._request = relay.request
        self._origin = relay.origin
        self._pool = relay.pool
        self.bytes_out = 0  # content
        #: The final response's message, a server's or the broker's own; None before there is one.
        self.response: Any = None
        self.out: list[bytes] = []  # what this turn has gathered for the client

    # --- a server's answer ---

    def interim(self, event: Interim) -> None:
        """A response before the final one."""
        message = self._pool.rules.to_client(event.message, self._request, self._origin)
        self._send(Interim(self._exchange, message, event.go_ahead))

    def begin(self, tunnel: bool, tries: int, key: str) -> None:
        """The final response's head goes to the client.

        `tries`: it is a failing answer after so many, else 0. `key` is that of its server.
        """
        pool = self._pool
        message = pool.rules.to_client(self.response, self._request, self._origin)
        if tries:
            self._tell_tries(message, tries)
        elif key and pool.stickiness is not None:
            pool.stickiness.stick(message, key, self._origin)
        begun = Upgraded(self._exchange, message) if tunnel else Head(self._exchange, message)
        self.out.append(self._connection.codec.send(begun))

    def body(self, event: Body) -> None:
        """A chunk, which has the number of the client's exchange."""
        self.bytes_out += len(event.data)
        self.out.append(self._connection.codec.send(event))

    def end(self, event: End) -> None:
        """The response is whole, or the server of a tunnel sends no more."""
        last = self._connection.codec.send(event)
        if last:
            self.out.append(last)

    # --- the broker's own ---

    def own(self, events: Sequence[Event]) -> None:
        """A whole answer that no server gave."""
        self.response = None
        for event in events:
            if type(event) is Head:
                self.response = event.message
            elif type(event) is Body:
                self.bytes_out += len(event.data)
            self._send(event)

    def failure(self, error: BrokerError) -> bool:
        """The answer to a transaction that failed; False: the protocol has no words for it."""
        events = self._pool.rules.error_answer(error, self._request, self._exchange)
        if error.tries:
            for event in events:
                if type(event) is Head:
                    self._tell_tries(event.message, error.tries)
        self.own(events)
        return bool(events)

    # --- what has been gathered ---

    def flush(self) -> None:
        """Write it at once."""
        out = self.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if data:
            self._connection.write(data)

    def drop(self) -> None:
        """The client is cut: it is lost."""
        self.out.clear()

    # --- small things ---

    def _send(self, event: Event) -> None:
        self.out.append(self._connection.codec.send(event))

    def _tell_tries(self, message: Any, tries: int) -> None:
        """Another broker that we answer need not try as often again."""
        cascades = self._pool.cascades
        if cascades is not None and self._origin.trusted:
            cascades.tell_tries(message, tries)
