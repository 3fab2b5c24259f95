"""A link to a server: requests go out, responses come in.

Decides when a response begins and ends, and whether the link may carry another exchange (RFC 9112 §§6,
9). Invariant: a link is reusable only after two messages that ended exactly, the request first, with
not a byte left over; what a server sends unasked ends the link. Refuses to tell a client of a server's
mistake: each `FramingError` has status 502, and the link decides about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zope.interface import implementer

from ...errors import FramingError
from ...interfaces import CONNECTION, Body, End, Error, Event, Head, ICodec, Interim, Upgraded
from ...outcome import After
from .connection import (
    IDLE,
    READ_BROKEN,
    READ_HEAD,
    READ_RAW,
    READ_UNTIL_CLOSE,
    READ_WHOLE,
    SEND_CHUNKED,
    SEND_HEAD,
    SEND_LENGTH,
    SEND_RAW,
    SEND_WHOLE,
    Connection,
)
from .grammar import STATUS_LINE_START, tokens
from .message import CHUNKED, LENGTH, UNTIL_CLOSE, Request, Response
from .parse import find_head_end
from .repeats import ResponseHeads
from .resume import length_of_part
from .trailers import for_server
from .write import write_request_head

REUSABLE: Final = After.REUSABLE
CLOSE: Final = After.CLOSE

#: How many interim responses a server may send before the final one.
INTERIM_RESPONSES: Final = 32


@implementer(ICodec)
class ServerCodec(Connection):
    """`ICodec` for a link to a server."""

    __slots__ = ("_heads", "_interims", "_request", "response_begun")

    def __init__(self, head_size: int, headers: int) -> None:
        """A response's head, and its trailers, may have `head_size` bytes and `headers` fields."""
        super().__init__(head_size, headers)
        self._heads = ResponseHeads(headers)
        self._incoming = IDLE
        self._outgoing = SEND_WHOLE
        self._request: Request | None = None  # None: not sent yet
        self._interims = 0
        #: Any byte of the open exchange's response has come, interim or final: tells a truncated
        #: response from an empty one.
        self.response_begun = False

    def open(self) -> int:
        """The number of a new exchange; `ValueError` while one is open, or when the link has ended."""
        if self._incoming is not IDLE or self._peer_ended:
            raise ValueError("the link is busy or has ended")
        self._exchange += 1
        self._incoming = READ_HEAD
        self._outgoing = SEND_HEAD
        self._interims = 0
        self.response_begun = False
        return self._exchange

    # --- requests go out ----------------------------------------------------------------------

    def send(self, event: Event) -> bytes:
        """The event as the server shall see it; `ValueError` when it cannot follow what was sent."""
        if event.exchange != self._exchange or self._incoming is IDLE:
            raise ValueError(f"exchange {event.exchange} is not open")
        kind = type(event)
        if kind is Head:
            return self._send_head(event.message)  # type: ignore[attr-defined]
        if kind is Body:
            return self._send_body(event.data)  # type: ignore[attr-defined]
        if kind is End:
            if self._incoming is READ_WHOLE:
                self._persistent = False  # the server answered before it had read the whole request
            trailers = event.trailers  # type: ignore[attr-defined]
            return self._send_end(trailers and for_server(trailers, self._request))
        raise ValueError(f"{type(event).__name__} cannot be sent to a server")

    @property
    def repeats(self) -> bool:
        """Does the head of a request depend on that request alone?"""
        return not self._draining

    def send_again(self, exchange: int, request: Request, rest: bytes) -> bytes | None:
        """A whole request without content, of whose head all but the request line was written before.

        As `send`; None, and nothing has changed, where that may have written another head. `request` may be
        the one that came: its method, all that is looked at, is the same.
        """
        if (
            self._outgoing is not SEND_HEAD
            or self._incoming is not READ_HEAD
            or exchange != self._exchange
            or not self.repeats
        ):
            return None
        self._request = request
        self._owed = 0
        self._outgoing = SEND_WHOLE
        return b"%b %b HTTP/1.1%b" % (request.method, request.target, rest)

    def _send_head(self, request: Request) -> bytes:
        if self._outgoing is not SEND_HEAD:
            raise ValueError(f"a request cannot be sent; next is {self._outgoing.value}")
        if request.method == b"CONNECT":
            raise ValueError("a CONNECT cannot be sent: tunnels to anywhere are not made")
        head = write_request_head(request, close=self._draining)
        self._request = request
        if request.close or self._draining:
            self._persistent = False
        if request.framing is CHUNKED:
            self._outgoing = SEND_CHUNKED
        else:
            self._outgoing = SEND_LENGTH
            self._owed = request.length if request.framing is LENGTH else 0
        return head

    # --- responses come in --------------------------------------------------------------------

    def receive(self, data: bytes) -> Sequence[Event]:
        """What these bytes complete; bytes beyond the response, or on an idle link, end the link."""
        incoming = self._incoming
        if incoming is READ_HEAD and not self._held:
            request = self._request
            whole = self._heads.whole(data, request.method == b"HEAD") if request is not None else None
            if whole is not None:
                response, content = whole
                self.response_begun = True
                self._incoming = READ_WHOLE
                exchange = self._exchange
                return [Head(exchange, response), Body(exchange, content), End(exchange)]
        events: list[Event] = []
        if not data:
            return events
        if incoming is READ_HEAD:
            self.response_begun = True
            data = self._read_head(data, events)
        elif incoming is READ_WHOLE:
            self._persistent = False
            return events
        elif incoming is READ_BROKEN:
            return events
        elif incoming is IDLE:
            events.append(self._broken(FramingError("bytes on an idle link"), CONNECTION))
            return events
        if data and self._read_body(data, events):
            self._persistent = False
        return events

    def receive_end(self) -> Sequence[Event]:
        """The server sends no more: the end of a body until close, else an `Error` that says where."""
        self._peer_ended = True
        events: list[Event] = []
        incoming = self._incoming
        if incoming is READ_HEAD:
            events.append(self._broken(FramingError(self._where_it_ended())))
        elif incoming is READ_RAW or (incoming is READ_UNTIL_CLOSE and self._left <= 0):
            self._whole(events, None)
        elif incoming is not IDLE and incoming is not READ_WHOLE and incoming is not READ_BROKEN:
            events.append(self._body_broke_off())
        return events

    def _where_it_ended(self) -> str:
        if self._held:
            return "closed within the head of a response"
        return "closed after an interim response" if self.response_begun else "closed before a response"

    def _read_head(self, data: bytes, events: list[Event]) -> bytes:
        """Give the response, and interim ones before it; return the bytes that are of its body."""
        request = self._request
        held = self._held
        seen = len(held)
        if held:
            data = held + data
        try:
            if request is None:
                raise FramingError("a response before its request")
            to_head = request.method == b"HEAD"
            while True:
                if not (data.startswith(STATUS_LINE_START) or STATUS_LINE_START.startswith(data)):
                    raise FramingError(f"a response begins with {data[:7]!r}; expected HTTP/1.x")
                end = find_head_end(data, seen, self._head_size)
                if end < 0:
                    self._held = data
                    return b""
                response = self._heads.parse(data[:end], to_head)
                data = data[end + 4 :]
                seen = 0
                if response.status >= 200:
                    break
                if response.status == 101:
                    self._upgrade(request, response)
                    events.append(Upgraded(self._exchange, response))
                    return data
                self._interims += 1
                if self._interims > INTERIM_RESPONSES:
                    raise FramingError(f"more than {INTERIM_RESPONSES} interim responses")
                events.append(Interim(self._exchange, response, response.status == 100))
        except FramingError as error:
            events.append(self._broken(error))
            return b""
        self._held = b""
        events.append(Head(self._exchange, response))
        if response.close:
            self._persistent = False
        if self._expect_body(response, events):
            if response.framing is UNTIL_CLOSE:
                # It may end anywhere, but for one that says which part it is.
                self._left = length_of_part(response)
            return data
        if data:
            self._persistent = False
        return b""

    def _upgrade(self, request: Request, response: Response) -> None:
        """Make the exchange a tunnel, if that is what was asked for (RFC 9110 §7.8)."""
        asked = tokens(request.upgrade)
        given = tokens(response.upgrade)
        if not given or not all(protocol in asked for protocol in given):
            raise FramingError(f"a switch to {response.upgrade[:60]!r}; asked was {request.upgrade[:60]!r}")
        self._held = b""
        self._incoming = READ_RAW
        self._outgoing = SEND_RAW
        self._persistent = False

    def _broken(self, error: FramingError, exchange: int | None = None) -> Error:
        error.status = 502
        return super()._broken(error, exchange)

    # --- between exchanges --------------------------------------------------------------------

    def after(self, exchange: int) -> After:
        """`REUSABLE` when the link may carry another exchange: then `release` and `open`."""
        whole = self._incoming is READ_WHOLE and self._outgoing is SEND_WHOLE
        if whole and self._persistent and not self._peer_ended and exchange == self._exchange:
            return REUSABLE
        return CLOSE

    def release(self, exchange: int) -> None:
        """Forget the exchange; the link is idle. `ValueError` unless `after` is `REUSABLE`."""
        if (
            self._incoming is not READ_WHOLE
            or self._outgoing is not SEND_WHOLE
            or not self._persistent
            or self._peer_ended
            or exchange != self._exchange
        ):
            raise ValueError(f"exchange {exchange} cannot be released: the link must be closed")
        self._incoming = IDLE
        self._request = None
