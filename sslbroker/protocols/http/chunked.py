"""A chunked body's bytes to its content (RFC 9112 §7.1).

Decides where chunks, the body and its trailers end. Invariant: the content given, its end and the
error are the same however the bytes were cut; what is kept between two calls is at most one unfinished
size line or trailer section. Refuses blanks, signs and bare line ends around sizes, and drops chunk
extensions, of which it takes a bounded share.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from ...errors import FramingError
from .grammar import CHUNK_LINE, CRLF
from .message import Trailers
from .parse import find_head_end, parse_trailers

#: Most bytes of one size line's extensions.
LINE_EXTENSIONS: Final = 256

#: Most bytes of extensions in a whole body; one more for each KiB of content.
BODY_EXTENSIONS: Final = 16 * 1024

_LINE_SIZE: Final = 16 + LINE_EXTENSIONS + len(CRLF)

#: The size lines of small chunks, of which a read may hold ten thousand.
_SMALL: Final = {b"%x\r\n" % size: size for size in range(1, 256)}


class _Stage(Enum):
    SIZE = "a size line"
    DATA = "the bytes of a chunk"
    GAP = "the CRLF after a chunk"
    TRAILERS = "the trailer section"


SIZE: Final = _Stage.SIZE
DATA: Final = _Stage.DATA
GAP: Final = _Stage.GAP
TRAILERS: Final = _Stage.TRAILERS


class ChunkedBody:
    """One chunked body while it arrives. Once it has `ended`, or has an `error`, feed it no more."""

    __slots__ = (
        "_content",
        "_extensions",
        "_head_size",
        "_headers",
        "_held",
        "_left",
        "_options",
        "_stage",
        "ended",
        "error",
        "rest",
        "trailers",
    )

    def __init__(self, head_size: int, headers: int, options: tuple[bytes, ...] = ()) -> None:
        """`head_size` (bytes) and `headers` bound the trailer section as they bound a head.

        `options` is what Connection lists: trailers of these names are dropped (RFC 9110 §7.6.1).
        """
        self._head_size = head_size
        self._headers = headers
        self._options = options
        self._held = b""
        self._stage = SIZE
        self._left = 0  # bytes of the current chunk still to come
        self._content = 0  # bytes of content so far
        self._extensions = 0  # bytes of extensions so far
        self.ended = False
        self.error: FramingError | None = None
        self.trailers: Trailers | None = None
        self.rest = b""  # what came after the end of the body

    @property
    def held(self) -> int:
        """Bytes kept until more come."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """The content in these bytes, up to an `error`; `ended` says whether that was all of it."""
        if self._stage is DATA and len(data) < self._left:
            self._left -= len(data)
            self._content += len(data)
            return data
        pieces: list[bytes] = []
        try:
            self._advance(data, pieces)
        except FramingError as error:
            self.error = error
            self._held = b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _advance(self, data: bytes, pieces: list[bytes]) -> None:
        seen = len(self._held) if self._stage is TRAILERS else 0
        if self._held:
            data = self._held + data
        at = 0
        stage = self._stage
        while stage is not TRAILERS:
            if stage is SIZE:
                end = data.find(b"\n", at, at + _LINE_SIZE)
                if end < 0:
                    if len(data) - at >= _LINE_SIZE:
                        raise FramingError(f"a chunk's size line is longer than {_LINE_SIZE} bytes")
                    break
                end += 1
                left = _SMALL.get(data[at:end]) or self._chunk_size(data, at, end - 1)
                at = end
                end += left
                if left and data[end : end + 2] == CRLF:  # all of it is here
                    pieces.append(data[at:end])
                    self._content += left
                    at = end + 2
                else:
                    self._left = left
                    stage = DATA if left else TRAILERS
            elif stage is DATA:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._content += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                stage = GAP
            else:
                gap = data[at : at + 2]
                if gap != CRLF:
                    if not CRLF.startswith(gap):
                        raise FramingError("no CRLF after a chunk; its size is not that of its bytes")
                    break
                at += 2
                stage = SIZE
        self._stage = stage
        if at:
            data = data[at:]
        if stage is TRAILERS:
            self._end(data, seen)
        else:
            self._held = data

    def _chunk_size(self, data: bytes, at: int, end: int) -> int:
        """The size in the line from `at` to the LF at `end`."""
        match = CHUNK_LINE.fullmatch(data, at, end - 1) if data[end - 1 : end] == b"\r" else None
        if match is None:
            raise FramingError(
                f"chunk size line {ascii(data[at : min(end, at + 20)])[1:]}; expected hex digits, CRLF"
            )
        extensions = match.end(2) - match.start(2)
        if extensions:
            self._extensions += extensions
            if extensions > LINE_EXTENSIONS or self._extensions > BODY_EXTENSIONS + self._content // 1024:
                raise FramingError("more chunk extensions than a body of this size may have")
        return int(match[1], 16)

    def _end(self, section: bytes, seen: int) -> None:
        """Take the trailer section, of which `seen` bytes were looked at before, if it is whole."""
        if section.startswith(CRLF):
            self._held = b""
            self.rest = section[2:]
            self.ended = True
            return
        try:
            end = find_head_end(section, seen, self._head_size)
            if end < 0:
                self._held = section
                return
            self.trailers = parse_trailers(section[:end], self._headers, self._options)
        except FramingError as error:
            status = 431 if error.status == 414 else error.status
            raise FramingError(f"in the trailers: {error.detail}", status) from None
        self._held = b""
        self.rest = section[end + 4 :]
        self.ended = True
