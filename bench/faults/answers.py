"""What a client gets, read strictly: one response of HTTP/1.1, or the way in which it is none.

Decides what is a response. Invariant: it has a status line, fields without a doubtful character, and either
one Content-Length or ``Transfer-Encoding: chunked``, and its body ends where these say; everything else is
`Malformed`. Refuses to read until the connection ends: such a body could have been cut unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

MOST_HEAD = 65_536
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[\t\x20-\x7e]*)?")

Reading = Generator[None, bytes, "Answer"]


class Malformed(Exception):
    """It is no response of HTTP/1.1; the text says why."""


class Cut(Exception):
    """The connection ended before the response did."""

    def __init__(self, begun: bool) -> None:
        super().__init__("in the response" if begun else "before the response")
        self.begun = begun


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    fields: dict[bytes, bytes]
    close: bool  # nothing more comes over this connection


def head(data: bytes) -> Answer:
    """The head, without the empty line that ends it."""
    first, *lines = data.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Malformed(f"status line {first[:80]!r}")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed(f"field {line[:80]!r}")
        found = field[1].lower()
        if found in fields and found in (b"content-length", b"transfer-encoding"):
            raise Malformed(f"two fields {found.decode()}")
        fields[found] = field[2]
    return Answer(int(status[1]), fields, fields.get(b"connection", b"").lower() == b"close")


def read(consume: Callable[[bytes], object]) -> Reading:
    """Send it what arrives, b"" at the end of the connection; `consume` gets the body of a final response."""
    data = b""
    begun = False

    def more() -> Generator[None, bytes, bytes]:
        nonlocal begun
        got = yield
        if not got:
            raise Cut(begun)
        begun = True
        return got

    def line() -> Generator[None, bytes, bytes]:
        nonlocal data
        while b"\r\n" not in data:
            data += yield from more()
        found, _, data = data.partition(b"\r\n")
        return found

    def body(left: int) -> Generator[None, bytes, None]:
        nonlocal data
        while True:
            if data:
                consume(data[:left])
            left, data = max(0, left - len(data)), data[left:]
            if not left:
                return
            data = yield from more()

    while True:
        while b"\r\n\r\n" not in data:
            data += yield from more()
            if len(data) > MOST_HEAD:
                raise Malformed("endless head")
        first, _, data = data.partition(b"\r\n\r\n")
        answer = head(first)
        if answer.status >= 200:
            break
    length, coding = (answer.fields.get(name) for name in (b"content-length", b"transfer-encoding"))
    if length is not None and coding is None and re.fullmatch(rb"[0-9]{1,15}", length):
        yield from body(int(length))
    elif coding is not None and length is None and coding.lower() == b"chunked":
        while True:
            size = _SIZE.fullmatch((yield from line()))
            if size is None:
                raise Malformed("size of a chunk")
            if not int(size[1], 16):
                break
            yield from body(int(size[1], 16))
            if (yield from line()):
                raise Malformed("end of a chunk")
        while (yield from line()):
            pass
    elif answer.status not in (204, 304):
        raise Malformed("no length")
    if data:
        raise Malformed("more than one response")
    return answer
