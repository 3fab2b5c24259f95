"""A field line to a field, and the field lines of one connection's last head, most of which come again.

Decides what a single line of a head says (RFC 9112 §5). Invariant: what came before changes nothing but
the time that a line takes: a line that is known was looked at when it came first, and no list that is kept
is given to anybody. Refuses to know where lines end, and to keep more than `KEPT` bytes of lines.
"""

from __future__ import annotations

from itertools import compress, count
from operator import ne
from typing import Any, Final

from ...errors import FramingError
from .fields import LOWER_NAMES
from .grammar import LINE_BYTES, MEANINGFUL, TOKEN
from .message import Field

#: Bytes of a head's lines that are kept, beside what they say, as long as the connection lives.
KEPT: Final = 2048


class FieldLines:
    """The field lines of a connection's last head, each beside its field."""

    __slots__ = ("_fields", "_lines", "first", "said", "start")

    def __init__(self) -> None:
        #: The line before the fields, and what a parser has made of it.
        self.first: bytes | None = None
        self.start: Any = None
        self._fields: list[Field] = []
        self._lines: list[bytes] = []
        #: What a parser has made of the `MEANINGFUL` fields of the last head; None for it to do so.
        self.said: Any = None

    def read(self, lines: list[bytes], size: int) -> list[Field]:
        """The fields of a head's lines, which have `size` bytes; `FramingError` as `read_line`."""
        last = self._lines
        fields = self._fields.copy()
        if len(lines) == len(last):
            for at in compress(count(), map(ne, lines, last)):
                field = read_line(lines[at])
                if field[0] in MEANINGFUL or fields[at][0] in MEANINGFUL:
                    self.said = None
                fields[at] = field
        else:
            self.said = None
            known = dict(zip(last, fields, strict=True))
            fields = [known.get(line) or read_line(line) for line in lines]
        if size > KEPT:
            self._fields, self._lines, self.said = [], [], None
            return fields
        self._fields, self._lines = fields, lines
        return fields.copy()


def read_line(line: bytes) -> Field:
    """The field that a line says; `FramingError` when it says none, or holds a control character."""
    name, colon, value = line.partition(b":")
    lower = LOWER_NAMES.get(name)
    if lower is None:
        if TOKEN.fullmatch(name) is None:
            raise _error(line)
        lower = name.lower()
    if not colon or value.translate(None, LINE_BYTES):
        raise _error(line)
    return lower, name, value.strip()  # of blanks only: no other white space is left in a line


def _error(line: bytes) -> FramingError:
    if line[:1] in (b" ", b"\t"):
        return FramingError("a header field folded onto the next line")
    # Of the line only its beginning is shown: a value may be a secret.
    return FramingError(f"header line {shown(line.partition(b':')[0], 24)}; expected name, colon, value")


def shown(value: bytes, most: int = 60) -> str:
    """Untrusted bytes as they may stand in an error: short, printable ASCII, quoted."""
    return ascii(value[:most])[1:] + ("..." if len(value) > most else "")
