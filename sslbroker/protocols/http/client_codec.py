"""A connection to a client: requests come in, responses go out.

Decides when a request begins and ends, how a response is framed for this client, and whether the
connection goes on (RFC 9112 §§6, 9). Invariant: the next request is not looked at before both messages
of the exchange ended exactly and it was released, so an answer can never meet the wrong request.
Refuses to answer a malformed request itself: it gives an `Error` whose exchange the caller answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zope.interface import implementer

from ...errors import FramingError
from ...interfaces import Body, End, Event, Head, ICodec, Interim, Upgraded
from ...outcome import After
from .connection import (
    READ_BROKEN,
    READ_HEAD,
    READ_RAW,
    READ_WHOLE,
    SEND_CHUNKED,
    SEND_HEAD,
    SEND_LENGTH,
    SEND_RAW,
    SEND_UNSEEN,
    SEND_UNTIL_CLOSE,
    SEND_WHOLE,
    Connection,
)
from .grammar import CRLF, TOKEN_BYTES
from .message import CHUNKED, LENGTH, NONE, UNTIL_CLOSE, Request, Response
from .parse import find_head_end
from .repeats import RequestHeads
from .write import write_response_head

REUSABLE: Final = After.REUSABLE
CLOSE: Final = After.CLOSE

#: The interim responses that a client sees, each once in an exchange: Continue and Early Hints.
_RELAYED_ONCE: Final = {100: 1, 103: 2}


@implementer(ICodec)
class ClientCodec(Connection):
    """`ICodec` for a connection to a client."""

    __slots__ = ("_blank_skipped", "_heads", "_relayed", "_request", "_seen")

    def __init__(self, head_size: int, headers: int) -> None:
        """A request's head, and its trailers, may have `head_size` bytes and `headers` fields."""
        super().__init__(head_size, headers)
        self._heads = RequestHeads(headers)
        self._request: Request | None = None  # None: no exchange is open, or its head was malformed
        self._relayed = 0  # interim responses that the client has seen, as bits
        self._blank_skipped = False
        self._seen = 0  # how many of the held bytes were looked at: they hold no end of a head

    def open(self) -> int:
        """Never: raises `ValueError`, because a client opens the exchanges of its connection."""
        raise ValueError("exchanges of a client's connection are opened by its requests")

    # --- requests come in ---------------------------------------------------------------------

    def receive(self, data: bytes) -> Sequence[Event]:
        """What these bytes complete; after `release` or `Upgraded`, `b""` asks for what is held."""
        incoming = self._incoming
        if incoming is READ_HEAD and not self._held and not self._peer_ended and len(data) <= self._head_size:
            request = self._heads.whole(data)
            if request is not None:
                self._exchange = exchange = self._exchange + 1
                self._request = request
                self._incoming = READ_WHOLE
                return [Head(exchange, request), End(exchange)]
        events: list[Event] = []
        if incoming is READ_HEAD:
            data = self._read_head(data, events)
        elif incoming is READ_WHOLE:
            self._held += data
            return events
        elif incoming is READ_BROKEN:
            return events
        elif self._held:  # a tunnel's first bytes came behind the request
            data = self._held + data
            self._held = b""
        if data:
            self._held = self._read_body(data, events)
        if self._peer_ended:
            self._end_input(events)
        return events

    def receive_end(self) -> Sequence[Event]:
        """The client sends no more. It may still read: an exchange under way can be answered."""
        self._peer_ended = True
        events: list[Event] = []
        self._end_input(events)
        return events

    def refuse(self, error: FramingError) -> Sequence[Event]:
        """Wait no longer for the rest of a request; its `Error`, whose exchange can be answered."""
        if self._incoming is READ_HEAD:
            self._exchange += 1
        return super().refuse(error)

    def _read_head(self, data: bytes, events: list[Event]) -> bytes:
        """Give the request that `data` completes; return the bytes that are of its body."""
        seen = self._seen
        if self._held:
            data = self._held + data
        if data[:1] == b"\r" and data.startswith(CRLF) and not self._blank_skipped:
            self._blank_skipped = True  # one is forgiven (RFC 9112 §2.2)
            data = data[2:]
            seen = 0
        if not data:
            self._held = b""
            self._seen = 0
            return b""
        try:
            if data[0] not in TOKEN_BYTES and (self._blank_skipped or data != b"\r"):
                raise FramingError(f"a request begins with the byte {data[0]:#04x}; expected a method")
            end = find_head_end(data, seen, self._head_size)
            if end < 0:
                self._held = data
                self._seen = len(data)
                return b""
            request = self._heads.parse(data[:end])
        except FramingError as error:
            self._exchange += 1
            events.append(self._broken(error))
            return b""
        self._exchange = exchange = self._exchange + 1
        self._request = request
        self._seen = 0
        events.append(Head(exchange, request))
        self._held = b""
        rest = data[end + 4 :]
        if request.framing is not NONE and self._expect_body(request, events):
            return rest
        if request.framing is NONE:
            self._whole(events, None)
        self._held = rest
        return b""

    def _end_input(self, events: list[Event]) -> None:
        incoming = self._incoming
        if incoming is READ_HEAD:
            if self._held:
                self._exchange += 1
                events.append(self._broken(FramingError("closed within the head of a request")))
        elif incoming is READ_RAW:
            self._whole(events, None)
        elif incoming is not READ_WHOLE and incoming is not READ_BROKEN:
            events.append(self._body_broke_off())

    # --- responses go out ---------------------------------------------------------------------

    def send(self, event: Event) -> bytes:
        """The event as the client shall see it; `ValueError` when it cannot follow what was sent."""
        if event.exchange != self._exchange or self._incoming is READ_HEAD:
            raise ValueError(f"exchange {event.exchange} is not open")
        kind = type(event)
        if kind is Body:
            return self._send_body(event.data)  # type: ignore[attr-defined]
        if kind is Head:
            return self._send_head(event.message)  # type: ignore[attr-defined]
        if kind is End:
            if self._incoming is not READ_WHOLE:
                self._persistent = False  # what is left of the request would be read as the next one
            trailers = event.trailers  # type: ignore[attr-defined]
            if trailers is not None and (self._request is None or not self._request.accepts_trailers):
                trailers = None
            return self._send_end(trailers)
        if kind is Interim:
            return self._send_interim(event.message)  # type: ignore[attr-defined]
        if kind is Upgraded:
            return self._send_upgraded(event.message)  # type: ignore[attr-defined]
        raise ValueError(f"{type(event).__name__} cannot be sent to a client")

    @property
    def repeats(self) -> bool:
        """Does the head of a response with content depend on that response alone, and on no Connection?"""
        request = self._request
        return (
            self._persistent
            and not self._draining
            and request is not None
            and request.minor > 0
            and not request.close
            and request.method != b"HEAD"
        )

    def send_again(self, exchange: int, head: bytes, content: bytes) -> bytes | None:
        """A whole final response whose head was written before, for a client that keeps its connection.

        As `send`; None, and nothing has changed, where that may have written another head.
        """
        if (
            self._outgoing is not SEND_HEAD
            or self._incoming is not READ_WHOLE
            or exchange != self._exchange
            or not self.repeats
        ):
            return None
        self._owed = 0
        self._outgoing = SEND_WHOLE
        return head + content

    def _send_head(self, response: Response) -> bytes:
        status = response.status
        request = self._request
        if self._outgoing is not SEND_HEAD or status < 200:
            raise ValueError(f"a response {status} cannot be sent as final; next is {self._outgoing.value}")
        # Of a client that cannot spell nothing new is expected.
        method, minor = (request.method, request.minor) if request is not None else (b"", 0)
        if method == b"CONNECT" and status < 300:
            raise ValueError("a CONNECT cannot succeed: tunnels to anywhere are not made")
        framing = response.framing
        length: int | None = None
        chunked = keep_length = False
        if status == 204:
            outgoing = SEND_UNSEEN
        elif status == 304 or method == b"HEAD":
            # The head that a GET would get (RFC 9110 §9.3.2), and no body.
            outgoing = SEND_UNSEEN
            length = response.length if framing is LENGTH else None
            chunked = minor > 0 and (framing is CHUNKED or framing is UNTIL_CLOSE)
            keep_length = True  # where neither of the two is said
        elif framing is LENGTH or framing is NONE:
            outgoing = SEND_LENGTH
            length = self._owed = response.length if framing is LENGTH else 0
        elif minor:
            outgoing = SEND_CHUNKED
            chunked = True
        else:
            outgoing = SEND_UNTIL_CLOSE
        if (
            request is None
            or request.close
            or response.close
            or self._draining
            or outgoing is SEND_UNTIL_CLOSE
        ):
            self._persistent = False
        connection = b"" if minor else b"keep-alive"
        if not self._persistent:
            connection = b"close"
        if status == 426 and response.upgrade:  # which must name what it wants (RFC 9110 §15.5.22)
            connection = b"upgrade, " + connection if connection else b"upgrade"
        head = write_response_head(
            response, length=length, chunked=chunked, keep_length=keep_length, connection=connection
        )
        self._outgoing = outgoing
        return head

    def _send_interim(self, response: Response) -> bytes:
        if self._outgoing is not SEND_HEAD:
            raise ValueError(f"an interim response cannot be sent; next is {self._outgoing.value}")
        bit = _RELAYED_ONCE.get(response.status, 0)
        request = self._request
        if not bit or self._relayed & bit or request is None or request.minor == 0:
            return b""
        if response.status == 100 and not request.expects_continue:
            return b""
        self._relayed |= bit
        return write_response_head(response)

    def _send_upgraded(self, response: Response) -> bytes:
        request = self._request
        if self._outgoing is not SEND_HEAD or request is None or not request.upgrade:
            raise ValueError("an upgrade that the client has not asked for, or not now")
        if response.status != 101 or not response.upgrade:
            raise ValueError("an upgrade needs status 101 and a value for Upgrade")
        head = write_response_head(response, connection=b"upgrade")
        self._incoming = READ_RAW
        self._outgoing = SEND_RAW
        self._persistent = False
        return head

    # --- between exchanges --------------------------------------------------------------------

    def after(self, exchange: int) -> After:
        """`REUSABLE` when the client may send the next request, or has: then `release`."""
        whole = self._incoming is READ_WHOLE and self._outgoing is SEND_WHOLE
        if not whole or not self._persistent or exchange != self._exchange:
            return CLOSE
        return CLOSE if self._peer_ended and not self._held else REUSABLE

    def release(self, exchange: int) -> None:
        """Forget the exchange; then `receive(b"")` looks at what is held. `ValueError` unless `REUSABLE`."""
        if (
            self._incoming is not READ_WHOLE
            or self._outgoing is not SEND_WHOLE
            or not self._persistent
            or exchange != self._exchange
            or (self._peer_ended and not self._held)
        ):
            raise ValueError(f"exchange {exchange} cannot be released: the connection must be closed")
        self._incoming = READ_HEAD
        self._outgoing = SEND_HEAD
        self._request = None
        self._relayed = 0
        self._blank_skipped = False
