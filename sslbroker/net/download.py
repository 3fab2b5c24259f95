"""The answer's side of a transaction: from the link, or from the broker itself, to the client.

Decides nothing: the relay says which answer is passed on, and what it is joined to. Invariant: a chunk of a
body is framed once; what one turn gathers leaves in one write; a cut loses what was gathered, so that nothing
looks complete; of a continuation the client gets only what it lacks, after its beginning was compared with
the end of what the client has. Refuses to judge, to choose and to know HTTP; `upload` moves the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.seam import Seam
from ..errors import BrokerError
from ..interfaces import Body, End, Event, Head, Interim, IResumption, Upgraded
from ..settings import KiB

if TYPE_CHECKING:
    from .relay import Relay


#: Bytes of content, the last ones that the client was given, that another server must have, too (R13).
TAIL = 4 * KiB


class Download:
    """Made by a `Relay`, which gives it the events of the response."""

    __slots__ = (
        "_connection",
        "_exchange",
        "_keeps_tail",
        "_origin",
        "_pool",
        "_request",
        "_seam",
        "_tail",
        "_whence",
        "bytes_out",
        "out",
        "response",
        "resumption",
    )

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
        self._keeps_tail = False
        self._tail = b""
        self._whence = 0  # `bytes_out` when the try under way began
        self._seam: Seam | None = None
        #: How the response goes on elsewhere; None until it has broken off.
        self.resumption: IResumption | None = None

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
        self._keeps_tail = pool.resumes and not tunnel

    def body(self, event: Body) -> None:
        """A chunk, which has the number of the client's exchange. Raises `Mismatch` when it cannot be a part
        of what the client has begun to get."""
        data = event.data
        if self._seam is not None:
            data = event.data = self._seam.feed(data)
            if not data:
                return
        self.bytes_out += len(data)
        if self._keeps_tail:
            self._tail = data[-TAIL:] if len(data) >= TAIL else (self._tail + data)[-TAIL:]
        self.out.append(self._connection.codec.send(event))

    def end(self, event: End) -> bool:
        """The response is whole, or the server of a tunnel sends no more; False: something is missing."""
        if self._seam is not None:
            if not self._seam.whole:
                return False
            event.trailers = None  # of another response
        last = self._connection.codec.send(event)
        if last:
            self.out.append(last)
        return True

    # --- a response that breaks off ---

    def broke_off(self) -> tuple[int, str]:
        """How many bytes of content this try has brought, and why no other server can be asked for the rest;
        "": one can."""
        passed = self.bytes_out - self._whence
        self._whence, self._seam = self.bytes_out, None
        if self.resumption is not None:
            return passed, ""
        if not self._keeps_tail:
            return passed, "it is not resumed"
        resumable = self._pool.resumable
        assert resumable is not None
        found = resumable.resumption(self._request, self.response)
        if isinstance(found, str):
            return passed, found
        self.resumption = found
        return passed, ""

    def continuation(self) -> Any:
        """The request for the rest."""
        assert self.resumption is not None
        return self.resumption.request(self.bytes_out, len(self._tail))

    def continued(self, response: Any) -> int | str:
        """Is this the head of its answer? Then how many bytes are to be skipped; else why it is not."""
        assert self.resumption is not None
        return self.resumption.continued(response, self.bytes_out, len(self._tail))

    def join(self, skip: int) -> None:
        """What comes from now on is the rest, after `skip` bytes and those that the client has, too."""
        assert self.resumption is not None
        total = self.resumption.total
        self._seam = Seam(skip, self._tail, None if total is None else total - self.bytes_out)

    # --- the broker's own ---

    def own(self, events: Sequence[Event]) -> None:
        """A whole answer that no server gave."""
        self.response = None
        for event in events:
            if type(event) is Head:
                self.response = event.message
            self._send(event)

    def kept(self, response: Any, rest: Sequence[Event], tries: int) -> None:
        """A failing answer of a server that was kept, whole, after so many tries."""
        self.response = response
        self.begin(False, tries, "")
        for event in rest:
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
        if type(event) is Body:
            self.bytes_out += len(event.data)
        self.out.append(self._connection.codec.send(event))

    def _tell_tries(self, message: Any, tries: int) -> None:
        """Another broker that we answer need not try as often again."""
        cascades = self._pool.cascades
        if cascades is not None and self._origin.trusted:
            cascades.tell_tries(message, tries)
