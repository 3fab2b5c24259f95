"""A field line to a field, and the field lines of one connection's last head, most of which come again.

Decides what a single line of a head says (RFC 9112 §5). Invariant: what came before changes nothing but
the time that a line takes: a line that is known was looked at when it came first, and no list that is kept
is given to anybody. Refuses to know where lines end, and to keep a large head.
"""

from __future__ import annotations

from typing import Any, Final

from ...errors import FramingError
from .fields import LOWER_NAMES
from .grammar import LINE_BYTES, MEANINGFUL, TOKEN
from .message import Field

#: Bytes of a head that is kept, with what it says, as long as the connection lives.
KEPT: Final = 2048

#: Fields of such a head: each costs two hundred bytes, however short it is.
KEPT_FIELDS: Final = 32


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
        """The fields of a head's lines, which have `size` bytes; `FramingError` as `read_lines`."""
        last = self._lines
        if not last:
            self.said = None
            fields = read_lines(lines)
        elif len(lines) == len(last):
            fields = self._fields.copy()
            for at, line in enumerate(lines):
                if line != last[at]:
                    field = _read(line)
                    if line.translate(None, LINE_BYTES):
                        raise _control_character()
                    if field[0] in MEANINGFUL or fields[at][0] in MEANINGFUL:
                        self.said = None
                    fields[at] = field
        else:
            self.said = None
            known = dict(zip(last, self._fields, strict=True))
            new = [line for line in lines if line not in known]
            known.update(zip(new, read_lines(new), strict=True))
            fields = [known[line] for line in lines]
        if size > KEPT or len(lines) > KEPT_FIELDS:
            self._fields, self._lines = [], []
            return fields
        self._fields, self._lines = fields, lines
        return fields.copy()


def read_lines(lines: list[bytes]) -> list[Field]:
    """The fields that lines say; `FramingError` when one says none, or holds a control character."""
    fields = list(map(_read, lines))
    if b"".join(lines).translate(None, LINE_BYTES):
        raise _control_character()
    return fields


def _read(line: bytes) -> Field:
    """The field, if what stands in the line may stand in one."""
    name, colon, value = line.partition(b":")
    lower = LOWER_NAMES.get(name)
    if lower is None:
        if TOKEN.fullmatch(name) is None:
            raise _error(line)
        lower = name.lower()
    if not colon:
        raise _error(line)
    return lower, name, value.strip()  # of blanks only: with other white space the line is refused


def _control_character() -> FramingError:
    return FramingError("a control character in a head")


def _error(line: bytes) -> FramingError:
    if line[:1] in (b" ", b"\t"):
        return FramingError("a header field folded onto the next line")
    # Of the line only its beginning is shown: a value may be a secret.
    return FramingError(f"header line {shown(line.partition(b':')[0], 24)}; expected name, colon, value")


def shown(value: bytes, most: int = 60) -> str:
    """Untrusted bytes as they may stand in an error: short, printable ASCII, quoted."""
    return ascii(value[:most])[1:] + ("..." if len(value) > most else "")
