"""A message to a head's bytes, anew: what goes out never depends on how something came in.

Decides the spelling of what the broker sends (RFC 9112 §§2 to 7). Invariant: the fields of framing and of
the connection come from the message's own attributes alone, and no value can end its line: anything
else raises `ValueError` and not a byte is written. Refuses to know which side it writes for beyond
what its arguments say, and to keep state.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from .grammar import CONNECTION_FIELDS, CRLF, LINE_BYTES, may_be_asked, may_be_trailer
from .message import CHUNKED, LENGTH, UNTIL_CLOSE, Field, Request, Response, Trailers

_LOWER: Final = itemgetter(0)  # of a field: its name in lower case
_SPELT: Final = itemgetter(1, 2)  # its name and its value
_LINE: Final = b": ".join

LAST_CHUNK: Final = b"0\r\n\r\n"

_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked"
_EMPTY_LINES: Final = (b"", b"")
_NOT_IN_REQUEST: Final = CONNECTION_FIELDS | {b"host", b"expect"}


def write_request_head(request: Request, *, close: bool = False) -> bytes:
    """The request as HTTP/1.1: Host first, then the fields in their order, then the framing.

    `close`: ask the server to close, as `request.close` does. Raises `ValueError` for a body until
    close, for a request line that no recipient has to take, and for a value that would break a line.
    """
    method, target, memo = request.method, request.target, request.memo
    if not may_be_asked(method, target):
        line = b"%b %b HTTP/1.1" % (method, target)
        raise ValueError(f"a blank or another byte that cannot stand in the request line {line[:60]!r}")
    close = close or request.close
    if memo is None:
        return b"%b %b HTTP/1.1%b" % (method, target, _after_request_line(request, close))
    given = (
        request.fields,
        request.host,
        request.framing,
        request.length,
        request.expects_continue,
        request.upgrade,
        request.accepts_trailers,
        close,
    )
    if memo.given != given:
        memo.made = _after_request_line(request, close)
        memo.given = request.fields.copy(), *given[1:]
    return b"%b %b HTTP/1.1%b" % (method, target, memo.made)


def _after_request_line(request: Request, close: bool) -> bytes:
    lines = [b"", b"Host: " + (request.host or b""), *_field_lines(request.fields, _NOT_IN_REQUEST)]
    framing = request.framing
    if framing is LENGTH:
        lines.append(b"Content-Length: %d" % request.length)
    elif framing is CHUNKED:
        lines.append(_CHUNKED_LINE)
    elif framing is UNTIL_CLOSE:
        raise ValueError("a request whose body ends with the connection; expected a length or chunks")
    options = []
    if request.expects_continue:
        lines.append(b"Expect: 100-continue")
    if request.upgrade:
        lines.append(b"Upgrade: " + request.upgrade)
        options.append(b"upgrade")
    if request.accepts_trailers:
        lines.append(b"TE: trailers")
        options.append(b"TE")
    if close:
        # On a line of its own, and first: some servers know it only when it is all that they read.
        lines.append(b"Connection: close")
    if options:
        lines.append(b"Connection: " + b", ".join(options))
    return _joined(lines)


def write_response_head(
    response: Response,
    *,
    length: int | None = None,
    chunked: bool = False,
    keep_length: bool = False,
    connection: bytes = b"",
) -> bytes:
    """The response as HTTP/1.1, its body framed by `length` (bytes) or as `chunked`, or by neither.

    `keep_length`: a Content-Length among the fields says what a GET would have got (RFC 9110 §8.6) and
    stays. `connection` is the value of Connection; with "upgrade" in it, Upgrade is sent too. Raises
    `ValueError` for a value that would break a line and for a status outside 100 to 999.
    """
    status = response.status
    if not 100 <= status <= 999:
        raise ValueError(f"status {status}; expected 100 to 999")
    given = (
        response.fields,
        status,
        response.reason,
        response.upgrade,
        length,
        chunked,
        keep_length,
        connection,
    )
    memo = response.memo
    if memo is not None and memo.given == given:
        head: bytes = memo.made
        return head
    lines = [
        b"HTTP/1.1 %d %b" % (status, response.reason),
        *_field_lines(response.fields, CONNECTION_FIELDS),
    ]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    elif chunked:
        lines.append(_CHUNKED_LINE)
    elif keep_length:
        lines += _length_lines(response.fields)
    if connection:
        lines.append(b"Connection: " + connection)
        if b"upgrade" in connection:
            lines.append(b"Upgrade: " + response.upgrade)
    head = _joined(lines)
    if memo is not None:
        memo.given = response.fields.copy(), *given[1:]
        memo.made = head
    return head


def write_chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112 §7.1). Empty data would be the last chunk, so it gives nothing."""
    return b"".join((b"%x\r\n" % len(data), data, CRLF)) if data else b""


def write_last_chunk(trailers: Trailers | None) -> bytes:
    """The last chunk and those trailers that may follow a body; `ValueError` as for a head."""
    if trailers is None:
        return LAST_CHUNK
    lines = [name + b": " + value for lower, name, value in trailers.fields if may_be_trailer(lower)]
    return _joined([b"0", *lines])


def _field_lines(fields: list[Field], left_out: frozenset[bytes]) -> Iterable[bytes]:
    """The lines of all fields but those `left_out`; mostly there are none, since the rules took them."""
    if not left_out.isdisjoint(map(_LOWER, fields)):
        fields = [field for field in fields if field[0] not in left_out]
    return map(_LINE, map(_SPELT, fields))


def _joined(lines: list[bytes]) -> bytes:
    count = len(lines)
    lines += _EMPTY_LINES
    head = CRLF.join(lines)
    # One look at the whole: what is left without the bytes of lines must be our own line ends.
    if head.translate(None, LINE_BYTES) != CRLF * (count + 1):
        raise ValueError(f"a control character in a head to be sent, under {lines[0][:60]!r}")
    return head


def _length_lines(fields: list[Field]) -> list[bytes]:
    values = [value for lower, _, value in fields if lower == b"content-length"]
    return [b"Content-Length: " + values[0]] if len(values) == 1 and values[0].isdigit() else []
