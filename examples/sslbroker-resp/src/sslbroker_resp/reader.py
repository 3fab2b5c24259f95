"""A client's bytes, cut into commands: arrays of bulk strings, and lines as people type them.

Decides where a command begins and ends. Invariant: what is taken for a command is written in one way only,
so no other reader can see another command in it; work and memory grow with the bytes received, however they
are cut. Refuses what a Redis server would wave through: lengths with signs or zeros in front, a missing
CRLF, a second form inside of the first. Refuses to know what a command means.
"""

from __future__ import annotations

from typing import Final

from sslbroker.errors import FramingError

from .commands import Command

#: A line as people type it, in bytes, and the arguments of an array: Redis' own limits.
INLINE: Final = 64 * 1024
ARGUMENTS: Final = 1024 * 1024
#: One argument, in bytes: Redis' `proto-max-bulk-len`.
BULK: Final = 512 * 1024 * 1024
#: The arguments that a command keeps in memory; of a longer one the rest is passed on as it comes.
KEPT: Final = 1024
_LENGTH_LINE: Final = 16  # bytes: longer ones hold no length that is allowed
_STRAY: Final = 1024  # empty lines and empty arrays in a row, which Redis passes over

#: What a web browser would begin with, which somebody has made it send here; Redis ends these too.
_HTTP: Final = frozenset({b"POST", b"HOST:"})


class Reader:
    """The commands of one connection. `feed` it, then ask for `next` until there is none.

    After a command that is not whole, `rest` gives what follows of it, until `resting` is False.
    """

    __slots__ = (
        "_args",
        "_at",
        "_bulk",
        "_count",
        "_data",
        "_kept",
        "_line",
        "_size",
        "_skipped",
        "error",
        "resting",
    )

    def __init__(self, kept: int) -> None:
        """A command keeps `kept` bytes in memory."""
        self._kept = kept
        self._data = bytearray()
        self._at = 0  # what is before was given
        self._line = 0  # what is before holds no end of the line that is looked for
        self._count = 0  # arguments of the command under way; 0: none is
        self._args: list[bytes] = []
        self._size = 0  # of the arguments, as they are written
        self._bulk = -1  # length of the argument under way; -1: its length line comes next
        self._skipped = 0
        self.error: FramingError | None = None  # in the rest of a command
        self.resting = 0  # arguments to come of a command that was given before it was whole

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._data[: self._at]
            self._line = max(0, self._line - self._at)
            self._at = 0
        self._data += data

    def held(self) -> int:
        """Bytes that were fed and not given."""
        return len(self._data) - self._at + self._size

    def take(self) -> bytes:
        """Everything that is held behind the last command, as it came."""
        data = bytes(self._data[self._at :])
        self._data.clear()
        self._at = self._line = 0
        return data

    def next(self) -> Command | None:
        """The next command; None when its bytes have not all come. `FramingError` when it can be none."""
        if self.resting:
            return None
        while not self._count:
            if self._at >= len(self._data):
                return None
            start = self._at
            if self._data[start] != 42:  # "*"
                if (args := self._inline()) is None:
                    return None
                if args:
                    return _checked(Command(args, len(args), self._at - start))
            elif (count := self._length(42, ARGUMENTS, "arguments")) is None:
                return None
            else:
                self._count, self._size = count, self._at - start
            if not self._count:
                self._size = 0
                self._skipped += 1
                if self._skipped > _STRAY:
                    raise FramingError("empty commands without an end")
        while len(self._args) < self._count:
            if self._bulk < 0:
                before = self._at, self._line
                if (bulk := self._length(36, BULK, "bytes")) is None:
                    return None
                if self._size + bulk > self._kept or len(self._args) == KEPT:
                    self._at, self._line = before
                    return self._begun()
                self._bulk = bulk
                self._size += self._at - before[0]
            if (arg := self._argument()) is None:
                return None
            self._args.append(arg)
            self._size += len(arg) + 2
        return self._given()

    def rest(self) -> bytes:
        """What has come of the rest of a long command, written anew; what can be none is told by `error`."""
        out: list[bytes] = []
        try:
            self._rest(out)
        except FramingError as error:
            self.error = error
        return b"".join(out)

    def _rest(self, out: list[bytes]) -> None:
        data = self._data
        while self.resting:
            if self._bulk < 0:
                if (bulk := self._length(36, BULK, "bytes")) is None:
                    break
                self._bulk = bulk
                out.append(b"$%d\r\n" % bulk)
            taken = min(self._bulk, len(data) - self._at)
            if taken:
                out.append(bytes(memoryview(data)[self._at : self._at + taken]))
                self._at += taken
                self._bulk -= taken
            if self._bulk or not self._crlf():
                break
            out.append(b"\r\n")
            self._bulk = -1
            self.resting -= 1

    # --- small things ---

    def _begun(self) -> Command:
        if not self._args:
            raise FramingError(f"a command's name of more than {self._kept} bytes")
        self.resting = self._count - len(self._args)
        return self._given()

    def _given(self) -> Command:
        command = Command(self._args, self._count, self._size)
        self._args, self._count, self._size, self._skipped = [], 0, 0, 0
        return _checked(command)

    def _line_end(self, limit: int, what: str) -> int:
        """Where the line that begins at `_at` ends, without its end; -1: not yet."""
        found = self._data.find(b"\n", max(self._line, self._at), self._at + limit + 2)
        if found < 0:
            if len(self._data) - self._at > limit + 1:
                raise FramingError(f"a line of more than {limit} bytes, expected {what}")
            self._line = len(self._data)
        return found

    def _length(self, sign: int, most: int, what: str) -> int | None:
        """The number of a line such as `*3`, canonical and with its CRLF; None: not yet."""
        data, at = self._data, self._at
        if at >= len(data):
            return None
        if data[at] != sign:
            raise FramingError(f"found the byte {data[at]:#04x}, expected {chr(sign)!r} and a length")
        end = self._line_end(_LENGTH_LINE, f"the number of {what}")
        if end < 0:
            return None
        digits = data[at + 1 : end - 1]
        if data[end - 1] != 13 or not digits.isdigit() or (digits[0] == 48 and len(digits) > 1):
            found = ascii(bytes(data[at:end]))[2:-1]
            raise FramingError(f"found the line {found}, expected {chr(sign)}, a plain number and CRLF")
        length = int(digits)
        if length > most:
            raise FramingError(f"{length} {what}, expected {most} at most")
        self._at = self._line = end + 1
        return length

    def _argument(self) -> bytes | None:
        """The argument under way with its CRLF; None: not yet."""
        end = self._at + self._bulk
        if len(self._data) < end + 2:
            if len(self._data) > end and self._data[end] != 13:
                raise FramingError("an argument that is longer than its length says")
            return None
        data = bytes(memoryview(self._data)[self._at : end])
        self._at = end
        self._crlf()
        self._bulk = -1
        return data

    def _crlf(self) -> bool:
        """Is the end of an argument here? It is passed over; False: not yet."""
        found = self._data[self._at : self._at + 2]
        if not b"\r\n".startswith(found):
            raise FramingError("an argument that is longer than its length says")
        if len(found) < 2:
            return False
        self._at += 2
        self._line = self._at
        return True

    def _inline(self) -> list[bytes] | None:
        """The words of a line; [] for an empty one; None: not yet."""
        end = self._line_end(INLINE, "a command")
        if end < 0:
            return None
        line = bytes(self._data[self._at : end])
        if b"\0" in line:
            raise FramingError("a line with a zero byte")
        words = split(line[:-1] if line.endswith(b"\r") else line)
        if len(words) > KEPT:
            raise FramingError(f"a line of {len(words)} words, expected {KEPT} at most")
        self._at = self._line = end + 1
        return words


def split(line: bytes) -> list[bytes]:
    """The words of a line as Redis parts them: "…" with escapes, '…' with \\' only.

    `FramingError` for a quote that is not closed, or not followed by a space.
    """
    words: list[bytes] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at] in _SPACE:
            at += 1
        if at == end:
            return words
        word = bytearray()
        while at < end and line[at] not in _ENDS:
            if line[at] in b"\"'":
                at = _quoted(line, at, word)
                if at < end and line[at] not in _SPACE:
                    raise FramingError("a quote that is closed within a word")
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


def _quoted(line: bytes, at: int, word: bytearray) -> int:
    """Take the quoted part that begins at `at` into `word`; where it ends."""
    quote, end = line[at], len(line)
    at += 1
    while at < end:
        byte = line[at]
        if byte == quote:
            return at + 1
        after = line[at + 1] if at + 1 < end else 0
        if byte == 92 and quote == 34 and after:  # a backslash in "…"
            digits = line[at + 2 : at + 4]
            if after == 120 and len(digits) == 2 and all(digit in _HEX for digit in digits):
                word.append(int(digits, 16))
                at += 4
                continue
            word.append(_ESCAPES.get(after, after))
            at += 2
        elif byte == 92 and quote == 39 and after == 39:
            word.append(39)
            at += 2
        else:
            word.append(byte)
            at += 1
    raise FramingError("a quote that is not closed")


def _checked(command: Command) -> Command:
    if command.name in _HTTP:
        raise FramingError(f"found {command.name.decode()}, expected a Redis command and not HTTP")
    return command


_SPACE: Final = b" \t\n\v\f\r"  # between words
_ENDS: Final = b" \t\n\r"  # of a word that is not quoted
_HEX: Final = b"0123456789abcdefABCDEF"
_ESCAPES: Final = {110: 10, 114: 13, 116: 9, 98: 8, 97: 7}  # n r t b a
