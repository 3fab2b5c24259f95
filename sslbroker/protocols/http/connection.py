"""What both ends of an HTTP/1 connection share: one body coming in, one going out.

Decides, for the exchange under way, when a body that arrives ends and how a body that leaves is framed
(RFC 9112 §6). Invariant: content is never longer or shorter than its head said without an `Error` (in)
or a `ValueError` (out), and nothing is kept of an exchange that was released but its heads, if they are
small: the next ones may repeat them (`repeats`). Refuses to know heads: `ClientCodec` and `ServerCodec` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from ...errors import FramingError
from ...interfaces import Body, End, Error, Event
from .chunked import ChunkedBody
from .message import CHUNKED, LENGTH, UNTIL_CLOSE, Request, Response, Trailers
from .write import write_chunk, write_last_chunk


class Incoming(Enum):
    """What the next bytes from the peer are."""

    IDLE = "nothing: a link without an exchange"
    HEAD = "a head"
    LENGTH = "a body of known length"
    CHUNKED = "a chunked body"
    UNTIL_CLOSE = "a body that the end of the connection ends"
    WHOLE = "not of this exchange: its message is whole"
    RAW = "a tunnel's"
    BROKEN = "dropped: the peer broke the protocol, or is gone"


class Outgoing(Enum):
    """What the next `send` must be."""

    HEAD = "a head"
    LENGTH = "a body of known length"
    CHUNKED = "a chunked body"
    UNTIL_CLOSE = "a body that the end of the connection ends"
    UNSEEN = "a body that the peer must not see"
    WHOLE = "nothing: the message is whole"
    RAW = "a tunnel's"
    BROKEN = "nothing: what was sent cannot be made whole"


IDLE: Final = Incoming.IDLE
READ_HEAD: Final = Incoming.HEAD
READ_LENGTH: Final = Incoming.LENGTH
READ_CHUNKED: Final = Incoming.CHUNKED
READ_UNTIL_CLOSE: Final = Incoming.UNTIL_CLOSE
READ_WHOLE: Final = Incoming.WHOLE
READ_RAW: Final = Incoming.RAW
READ_BROKEN: Final = Incoming.BROKEN

SEND_HEAD: Final = Outgoing.HEAD
SEND_LENGTH: Final = Outgoing.LENGTH
SEND_CHUNKED: Final = Outgoing.CHUNKED
SEND_UNTIL_CLOSE: Final = Outgoing.UNTIL_CLOSE
SEND_UNSEEN: Final = Outgoing.UNSEEN
SEND_WHOLE: Final = Outgoing.WHOLE
SEND_RAW: Final = Outgoing.RAW
SEND_BROKEN: Final = Outgoing.BROKEN


class Connection:
    """The state of one connection, and the bodies of its one open exchange."""

    __slots__ = (
        "_chunks",
        "_draining",
        "_exchange",
        "_head_size",
        "_headers",
        "_held",
        "_incoming",
        "_left",
        "_outgoing",
        "_owed",
        "_peer_ended",
        "_persistent",
    )

    #: HTTP/1 has one exchange at a time.
    capacity = 1

    def __init__(self, head_size: int, headers: int) -> None:
        """Bounds of a head, and of a trailer section: `head_size` in bytes, `headers` fields."""
        self._head_size = head_size
        self._headers = headers
        self._exchange = 0  # the open exchange, or the last one
        self._incoming = READ_HEAD
        self._outgoing = SEND_HEAD
        self._held = b""  # a partial head, or what came after the message
        self._left = 0  # bytes of the incoming body still to come; below 0: nobody has said how many
        self._chunks: ChunkedBody | None = None
        self._owed = 0  # bytes of the outgoing body still to be sent
        self._persistent = True  # nobody has said close, nothing is unread
        self._peer_ended = False
        self._draining = False

    def held(self) -> int:
        """Bytes received and not given as events yet. Only a caller who stops reading bounds them."""
        return len(self._held) + (self._chunks.held if self._chunks is not None else 0)

    def drain(self) -> bytes:
        """The next head says `Connection: close`; HTTP/1 has nothing to say before."""
        self._draining = True
        return b""

    # --- what comes in ------------------------------------------------------------------------

    def _expect_body(self, head: Request | Response, events: list[Event]) -> bool:
        """What comes after `head`. True when bytes of its body are to come; else its `End` is given."""
        framing = head.framing
        if framing is LENGTH and head.length:
            self._left = head.length
            self._incoming = READ_LENGTH
        elif framing is CHUNKED:
            self._chunks = ChunkedBody(self._head_size, self._headers, head.options)
            self._incoming = READ_CHUNKED
        elif framing is UNTIL_CLOSE:
            self._incoming = READ_UNTIL_CLOSE
        else:
            self._whole(events, None)
            return False
        return True

    def _read_body(self, data: bytes, events: list[Event]) -> bytes:
        """Give what is content in non-empty `data`; return what comes after the message's end."""
        incoming = self._incoming
        if incoming is READ_LENGTH:
            left = self._left
            size = len(data)
            if size < left:
                self._left = left - size
                events.append(Body(self._exchange, data))
                return b""
            self._left = 0
            if size == left:
                events.append(Body(self._exchange, data))
                self._whole(events, None)
                return b""
            events.append(Body(self._exchange, data[:left]))
            self._whole(events, None)
            return data[left:]
        chunks = self._chunks
        if incoming is READ_CHUNKED and chunks is not None:
            content = chunks.feed(data)
            if content:
                events.append(Body(self._exchange, content))
            if chunks.error is not None:
                events.append(self._broken(chunks.error))
            elif chunks.ended:
                self._chunks = None
                self._whole(events, chunks.trailers)
                return chunks.rest
            return b""
        self._left -= len(data)
        events.append(Body(self._exchange, data))  # until close, or a tunnel
        return b""

    def _whole(self, events: list[Event], trailers: Trailers | None) -> None:
        self._incoming = READ_WHOLE
        events.append(End(self._exchange, trailers))

    def _broken(self, error: FramingError, exchange: int | None = None) -> Error:
        """No more is read from this connection."""
        self._incoming = READ_BROKEN
        self._persistent = False
        self._held = b""
        self._chunks = None
        return Error(self._exchange if exchange is None else exchange, error)

    def refuse(self, error: FramingError) -> Sequence[Event]:
        """Wait no longer for the rest of the message that is coming in; its `Error`, if one is."""
        if self._incoming is READ_WHOLE or self._incoming is READ_BROKEN or self._incoming is IDLE:
            return []
        return [self._broken(error)]

    def _body_broke_off(self) -> Error:
        if self._incoming is READ_LENGTH or self._incoming is READ_UNTIL_CLOSE:
            return self._broken(FramingError(f"closed with {self._left} bytes of the body to come"))
        return self._broken(FramingError("closed before the last chunk of the body"))

    # --- what goes out ------------------------------------------------------------------------

    def _send_body(self, data: bytes) -> bytes:
        outgoing = self._outgoing
        if outgoing is SEND_LENGTH:
            if len(data) > self._owed:
                self._outgoing = SEND_BROKEN
                raise ValueError(f"{len(data) - self._owed} bytes more than the head's Content-Length said")
            self._owed -= len(data)
            return data
        if outgoing is SEND_CHUNKED:
            return write_chunk(data)
        if outgoing is SEND_UNTIL_CLOSE or outgoing is SEND_RAW:
            return data
        if outgoing is SEND_UNSEEN:
            return b""
        raise ValueError(f"a body cannot be sent; next is {outgoing.value}")

    def _send_end(self, trailers: Trailers | None) -> bytes:
        outgoing = self._outgoing
        if outgoing is SEND_HEAD or outgoing is SEND_WHOLE or outgoing is SEND_BROKEN:
            raise ValueError(f"an end cannot be sent; next is {outgoing.value}")
        if outgoing is SEND_LENGTH and self._owed:
            self._outgoing = SEND_BROKEN
            raise ValueError(f"{self._owed} bytes fewer than the head's Content-Length said")
        data = write_last_chunk(trailers) if outgoing is SEND_CHUNKED else b""
        self._outgoing = SEND_WHOLE
        return data
