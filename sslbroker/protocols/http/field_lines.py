"""A field line to a field, and the field lines of one connection's last head, most of which come again.

Decides what a single line of a head says (RFC 9112 §5). Invariant: what came before changes nothing but
the time that a line takes: a line that is known was looked at when it came first, and no list that is kept
is given to anybody. Refuses to know where lines end, and to keep more than `KEPT` bytes of lines.
"""

from __future__ import annotations

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
        """The fields of a head's lines, which have `size` bytes; `FramingError` as `read_lines`."""
        last = self._lines
        if len(lines) == len(last):
            fields = self._fields.copy()
            changed = [at for at, line in enumerate(lines) if line != last[at]]
            for at, field in zip(changed, read_lines([lines[at] for at in changed]), strict=True):
                if field[0] in MEANINGFUL or fields[at][0] in MEANINGFUL:
                    self.said = None
                fields[at] = field
        elif last:
            self.said = None
            known = dict(zip(last, self._fields, strict=True))
            new = [line for line in lines if line not in known]
            known.update(zip(new, read_lines(new), strict=True))
            fields = [known[line] for line in lines]
        else:
            self.said = None
            fields = read_lines(lines)
        if size > KEPT:
            self._fields, self._lines, self.said = [], [], None
            return fields
        self._fields, self._lines = fields, lines
        return fields.copy()


def read_lines(lines: list[bytes]) -> list[Field]:
    """The fields that lines say; `FramingError` when one says none, or holds a control character."""
    fields = []
    lower_name = LOWER_NAMES.get
    for line in lines:
        name, colon, value = line.partition(b":")
        lower = lower_name(name)
        if lower is None:
            if TOKEN.fullmatch(name) is None:
                raise _error(line)
            lower = name.lower()
        if not colon:
            raise _error(line)
        fields.append((lower, name, value.strip()))  # of blanks only: no other white space is let pass
    if b"".join(lines).translate(None, LINE_BYTES):
        raise FramingError("a control character in a head")
    return fields


def _error(line: bytes) -> FramingError:
    if line[:1] in (b" ", b"\t"):
        return FramingError("a header field folded onto the next line")
    # Of the line only its beginning is shown: a value may be a secret.
    return FramingError(f"header line {shown(line.partition(b':')[0], 24)}; expected name, colon, value")


def shown(value: bytes, most: int = 60) -> str:
    """Untrusted bytes as they may stand in an error: short, printable ASCII, quoted."""
    return ascii(value[:most])[1:] + ("..." if len(value) > most else "")
