"""A server's replies, counted: where each begins and ends, in RESP2 and RESP3.

Decides when so many replies are whole. Invariant: nothing of a reply is kept but the line under way and the
depth it is at, so a reply of 512 MB costs kilobytes; work grows with the bytes received. Refuses the streamed
strings and aggregates of the RESP3 specification, which no server sends, and nesting without an end. Refuses
to change a byte.
"""

from __future__ import annotations

import re
from typing import Final

from sslbroker.errors import FramingError

DEPTH: Final = 32  # Redis' own replies reach 7
_MOST: Final = 2**31
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,10}")
_SIMPLE: Final = {  # the types that are one line, and what may be on it
    43: re.compile(rb"[^\r\n]*"),  # + a string
    45: re.compile(rb"[^\r\n]*"),  # - an error
    58: re.compile(rb"[-+]?[0-9]{1,20}"),  # : an integer
    44: re.compile(rb"[-+]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|inf|nan)"),  # , a double
    40: re.compile(rb"[-+]?[0-9]+"),  # ( a big number
    35: re.compile(rb"[tf]"),  # # a boolean
    95: re.compile(rb""),  # _ null
}
_BULK: Final = frozenset(b"$!=")
_AGGREGATE: Final = {42: 1, 126: 1, 62: 1, 37: 2, 124: 2}  # * ~ > % |: how many values an element has
_NULLABLE: Final = frozenset(b"$*")
_PUSH, _ATTRIBUTE = 62, 124


class Replies:
    """Counts replies. `expect` some, then `take` what comes, until `left` is 0."""

    __slots__ = ("_at", "_bulk", "_data", "_depth", "_limit", "_line", "error", "left", "lines")

    def __init__(self, limit: int) -> None:
        """A line may have `limit` bytes."""
        self._limit = limit
        self._data = bytearray()
        self._at = 0
        self._line = 0  # what is before holds no end of the line that is looked for
        self._bulk = -1  # bytes to come of a string under way; -1: none is
        #: Of each aggregate under way: the values to come; is it beside the replies, as a push is?
        self._depth: list[tuple[int, bool]] = []
        self.left = 0
        self.error: FramingError | None = None  # nothing more can be taken
        #: The first lines of the replies, pushes and attributes that began since this was emptied.
        self.lines: list[bytes] = []

    def expect(self, number: int) -> None:
        self.left = number

    def held(self) -> int:
        """Bytes received and not taken."""
        return len(self._data) - self._at

    def everything(self) -> bytes:
        """All that is held, as it came: of a stream."""
        data = bytes(self._data[self._at :])
        self._data.clear()
        self._at = self._line = 0
        return data

    def first(self) -> int:
        """The first byte that is held; 0: none is."""
        return self._data[self._at] if self.held() else 0

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._data[: self._at]
            self._line = max(0, self._line - self._at)
            self._at = 0
        self._data += data

    def take(self) -> bytes:
        """What has come of the replies that are expected; what can be none is told by `error`."""
        begun = self._at
        try:
            self._take()
        except FramingError as error:
            self.error = error
        return bytes(memoryview(self._data)[begun : self._at])

    def _take(self) -> None:
        data = self._data
        while self.left:
            if self._bulk >= 0:
                taken = min(self._bulk, len(data) - self._at)
                self._at += taken
                self._bulk -= taken
                if self._bulk or not self._crlf():
                    break
                self._bulk = -1
                self._value()
            elif not self._begin():
                break

    def _crlf(self) -> bool:
        """Is the end of a string here? It is passed over; False: not yet."""
        found = self._data[self._at : self._at + 2]
        if not b"\r\n".startswith(found):
            raise FramingError("a string that is longer than its length says")
        if len(found) < 2:
            return False
        self._at += 2
        self._line = self._at
        return True

    def _begin(self) -> bool:
        """Take the line with which a value begins; False: it has not all come."""
        data, at = self._data, self._at
        end = data.find(b"\r\n", max(self._line, at), at + self._limit + 2)
        if end < 0:
            if len(data) - at > self._limit + 1:
                raise FramingError(f"a line of more than {self._limit} bytes")
            self._line = max(at, len(data) - 1)  # the last may be half of a line's end
            return False
        kind = data[at]
        rest = bytes(memoryview(data)[at + 1 : end])
        outermost = not self._depth
        if (grammar := _SIMPLE.get(kind)) is not None:
            if grammar.fullmatch(rest) is None:
                raise _malformed(kind, rest)
            self._value()
        elif kind in _BULK:
            length = self._number(kind, rest)
            if length < 0:
                self._value()
            else:
                self._bulk = length
        elif (values := _AGGREGATE.get(kind)) is not None:
            self._aggregate(kind, self._number(kind, rest) * values)
        else:
            raise _malformed(kind, rest)
        self._at = self._line = end + 2
        if outermost:
            self.lines.append(bytes(memoryview(data)[at:end]))
        return True

    def _number(self, kind: int, rest: bytes) -> int:
        """The length of a string or an aggregate; -1 for RESP2's null."""
        if rest == b"-1" and kind in _NULLABLE:
            return -1
        if _LENGTH.fullmatch(rest) is None or (number := int(rest)) > _MOST:
            raise _malformed(kind, rest)
        return number

    def _aggregate(self, kind: int, values: int) -> None:
        beside = kind == _ATTRIBUTE or (kind == _PUSH and not self._depth)
        if values > 0:
            if len(self._depth) == DEPTH:
                raise FramingError(f"replies nested more than {DEPTH} deep")
            self._depth.append((values, beside))
        elif not beside:
            self._value()

    def _value(self) -> None:
        """A value is whole, and with it perhaps those that it is the last of."""
        depth = self._depth
        while depth:
            values, beside = depth[-1]
            if values > 1:
                depth[-1] = (values - 1, beside)
                return
            depth.pop()
            if beside:
                return
        self.left -= 1


def _malformed(kind: int, rest: bytes) -> FramingError:
    found = ascii(bytes([kind]) + rest[:40])[2:-1]
    return FramingError(f"found the line {found}, expected the beginning of a RESP reply")
