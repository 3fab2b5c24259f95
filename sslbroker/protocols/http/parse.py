"""A head's bytes to a message, strictly: one reading, or none.

Decides what a request's or a response's head means (RFC 9112 §§2 to 6). Invariant: a head that two
recipients could read differently raises `FramingError`; nothing is repaired. Refuses to keep state
(`FieldLines` does, for a connection), to find where a head ends within a stream (`find_head_end` only says
whether it has), and to judge what a well-formed message asks for.
"""

from __future__ import annotations

from typing import Final

from ...errors import FramingError
from .field_lines import KEPT, FieldLines, read_lines, shown
from .grammar import (
    ABSOLUTE_FORM,
    BARE_LINE_END,
    CRLF,
    HEAD_END,
    LINE_BYTES,
    MINOR,
    REQUEST_LINE,
    STATUS_LINE,
    TOKEN,
    may_be_asked,
    may_be_trailer,
    same_authority,
    split_authority,
)
from .meaning import host_of, meanings_of, said_by_request, said_by_response
from .message import NONE, Request, Response, Trailers

_SLASH: Final = ord("/")


def find_head_end(data: bytes, seen: int, head_size: int) -> int:
    """Where the empty line after a head begins in `data`, or -1 when it is still to come.

    The first `seen` bytes were looked at before. Raises `FramingError`: 400 for a bare CR or LF (its
    sender would wait for ever), 414 or 431 for more than `head_size` bytes, the empty line included.
    """
    end = data.find(HEAD_END, seen - 3 if seen > 3 else 0)
    if 0 <= end <= head_size - 4:
        return end
    if BARE_LINE_END.search(data, seen - 1 if seen > 1 else 0, head_size):
        raise FramingError("a CR without LF or an LF without CR in a head; lines end with CRLF")
    if len(data) < head_size:
        return -1
    if CRLF not in data[:head_size]:
        raise FramingError(f"the first line is longer than the {head_size} bytes of a head", 414)
    raise FramingError(f"the head is longer than {head_size} bytes", 431)


def parse_request_head(head: bytes, headers: int, last: FieldLines | None = None) -> Request:
    """The request whose head, without the empty line, these bytes are; `last`: the lines of the one before.

    Raises `FramingError` with the status for the client: 400; 417 for an unknown Expect; 431 for more
    than `headers` fields or `OPTIONS` of Connection; 501 for an unknown transfer coding; 505 for another
    major version.
    """
    try:
        return _request(head, headers, FieldLines() if last is None else last)
    except FramingError:
        _check_lines(head, headers)
        raise


def _request(head: bytes, headers: int, last: FieldLines) -> Request:
    lines = head.split(CRLF)
    line = lines.pop(0)
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _request_line_error(line)
    method, target, version = parts
    minor = MINOR.get(version)
    if minor is None or not may_be_asked(method, target):
        raise _request_line_error(line)
    if len(lines) > headers:
        raise _too_many_fields(lines, headers)
    fields = last.read(lines, len(head))
    said = last.said
    if said is None or said[0] != minor:
        meanings = meanings_of(fields)
        host, said = host_of(meanings, minor), None
    else:
        host = said[1]
    named = host
    if target[0] != _SLASH or method == b"CONNECT":
        target, named = _other_target(method, target, host)
    if said is None:
        said = minor, host, *said_by_request(meanings, minor)
        last.said = said if len(head) <= KEPT else None
    _, _, framing, length, close, options, upgrade, expects_continue, accepts_trailers = said
    if method == b"CONNECT":
        framing, length, close = NONE, 0, True
    return Request(
        method,
        target,
        minor,
        fields,
        named,
        framing,
        length,
        close,
        options,
        upgrade,
        expects_continue,
        accepts_trailers,
    )


def parse_response_head(
    head: bytes, headers: int, last: FieldLines | None = None, *, to_head: bool = False
) -> Response:
    """The response whose head, without the empty line, these bytes are; `to_head`: it answers HEAD.

    A 1xx, 204, 304 and an answer to HEAD have no body, whatever their fields say (RFC 9112 §6.3).
    Raises `FramingError`; its status is of no use to a client.
    """
    try:
        return _response(head, headers, FieldLines() if last is None else last, to_head)
    except FramingError:
        _check_lines(head, headers)
        raise


def _response(head: bytes, headers: int, last: FieldLines, to_head: bool) -> Response:
    lines = head.split(CRLF)
    line = lines.pop(0)
    if line == last.first:
        start = last.start
    else:
        start = _start_of_response(line)
        if len(head) <= KEPT:
            last.first, last.start = line, start
    minor, status, reason = start
    if len(lines) > headers:
        raise _too_many_fields(lines, headers)
    fields = last.read(lines, len(head))
    said = last.said
    if said is None or said[0] != minor:
        said = minor, *said_by_response(meanings_of(fields), minor)
        last.said = said if len(head) <= KEPT else None
    _, framing, length, close, options, upgrade = said
    if to_head or status < 200 or status == 204 or status == 304:
        framing, length = NONE, 0
    return Response(status, reason, minor, fields, framing, length, close, options, upgrade)


def _start_of_response(line: bytes) -> tuple[int, int, bytes]:
    """Minor version, status and reason."""
    match = STATUS_LINE.fullmatch(line)
    if match is None or line.translate(None, LINE_BYTES):
        raise FramingError(f"status line {shown(line)}; expected HTTP/1.x, three digits, a reason")
    digit, status, reason = match.groups()
    return 0 if digit == b"0" else 1, int(status), reason or b""


def parse_trailers(section: bytes, headers: int, options: tuple[bytes, ...] = ()) -> Trailers | None:
    """The trailer fields (without the empty line) that may be passed on; None when there is none.

    None of them is among the `options` of Connection (RFC 9110 §7.6.1). Raises `FramingError`: the
    field lines follow the rules of a head (RFC 9112 §7.1.2).
    """
    lines = section.split(CRLF)
    named = frozenset(options)
    try:
        if len(lines) > headers:
            raise _too_many_fields(lines, headers)
        fields = [field for field in read_lines(lines) if field[0] not in named and may_be_trailer(field[0])]
    except FramingError:
        _check_lines(CRLF + section, headers)
        raise
    return Trailers(fields) if fields else None


def _check_lines(head: bytes, headers: int) -> None:
    """Raise the `FramingError` of a head that is not made of lines, or of too many: before any line's own."""
    lines = head.split(CRLF)[1:]
    # Without the bytes of lines only the line ends are left: any other control character shows.
    if head.translate(None, LINE_BYTES) != CRLF * len(lines):
        if BARE_LINE_END.search(head) or head.endswith(b"\r"):
            raise FramingError("a CR without LF or an LF without CR in a head; lines end with CRLF")
        raise FramingError("a control character in a head")
    if len(lines) > headers:
        raise _too_many_fields(lines, headers)


def _too_many_fields(lines: list[bytes], headers: int) -> FramingError:
    return FramingError(f"{len(lines)} header fields; at most {headers} are taken", 431)


def _other_target(method: bytes, target: bytes, host: bytes | None) -> tuple[bytes, bytes | None]:
    """Target and host of a request that is not in origin-form (RFC 9112 §§3.2.2 to 3.2.4)."""
    if method == b"CONNECT":
        parts = split_authority(target)
        if parts is None or not all(parts):
            raise FramingError(f"CONNECT to {shown(target)}; expected host:port")
        return target, target
    if target == b"*":
        if method != b"OPTIONS":
            raise FramingError(f"target * with {shown(method)}; only OPTIONS has it")
        return target, host
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise FramingError(f"target {shown(target)}; expected /path or an http or https URI")
    scheme, authority, rest = match.groups()
    parts = split_authority(authority)
    if parts is None or not parts[0]:
        raise FramingError(f"target {shown(target)}; expected a host and perhaps a port in it")
    default_port = b"443" if len(scheme) == 5 else b"80"
    if host is not None and not same_authority(authority, host, default_port):
        raise FramingError(f"Host {shown(host)} is not the target's {shown(authority)}")
    if not rest and method == b"OPTIONS":
        return b"*", authority
    return rest if rest.startswith(b"/") else b"/" + rest, authority


def _request_line_error(line: bytes) -> FramingError:
    parts = line.split(b" ")
    match = REQUEST_LINE.fullmatch(line)
    if match is not None:
        return FramingError(f"HTTP version {shown(match[3])}.{shown(match[4])}; this is HTTP/1.1", 505)
    if len(parts) != 3:
        return FramingError(f"request line {shown(line)}; expected a method, a target and HTTP/1.1")
    method, target, _ = parts
    if TOKEN.fullmatch(method) is None or len(method) > 32:
        return FramingError(f"method {shown(method)}; expected a token of at most 32 bytes")
    if b"#" in target:
        return FramingError(f"target {shown(target)}; a fragment is never sent")
    return FramingError(f"request line {shown(line)}; expected visible ASCII and HTTP/1.1")
