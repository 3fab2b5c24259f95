"""A head's bytes to a message, strictly: one reading, or none.

Decides what a request's or a response's head means (RFC 9112 §§2 to 6). Invariant: a head that two
recipients could read differently raises `FramingError`; nothing is repaired. Refuses to keep state,
to find where a head ends within a stream (`find_head_end` only says whether it has), and to judge
what a well-formed message asks for.
"""

from __future__ import annotations

from typing import Final

from ...errors import FramingError
from .fields import LOWER_NAMES
from .grammar import (
    ABSOLUTE_FORM,
    BARE_LINE_END,
    CRLF,
    HEAD_END,
    LINE_BYTES,
    MEANINGFUL,
    REQUEST_LINE,
    STATUS_LINE,
    TOKEN,
    may_be_trailer,
    same_authority,
    split_authority,
    tokens,
)
from .message import CHUNKED, LENGTH, NONE, UNTIL_CLOSE, Field, Framing, Request, Response, Trailers

#: How many digits a Content-Length may have: any such number fits 64 bits.
LENGTH_DIGITS: Final = 18

#: How many options Connection may list: each is kept, at ten times its size, while the message lives.
OPTIONS: Final = 32

_USUAL_OPTIONS: Final = {
    value: (value.lower(),) for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close", b"Upgrade")
}

Meanings = dict[bytes, list[bytes]]


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


def parse_request_head(head: bytes, headers: int) -> Request:
    """The request whose head, without the empty line, these bytes are.

    Raises `FramingError` with the status for the client: 400; 417 for an unknown Expect; 431 for more
    than `headers` fields or `OPTIONS` of Connection; 501 for an unknown transfer coding; 505 for another
    major version.
    """
    lines = _lines(head, headers)
    match = REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise _request_line_error(lines[0])
    method, target, major, digit = match.groups()
    if major != b"1":
        raise FramingError(f"HTTP version {_shown(major)}.{_shown(digit)}; this is HTTP/1.1", 505)
    minor = 0 if digit == b"0" else 1
    fields, meanings = _fields(lines)
    host = _host(meanings, minor)
    if target[0] != 47 or method == b"CONNECT":
        target, host = _other_target(method, target, host)
    framing, length = _framing(meanings, minor)
    options = _options(meanings)
    request = Request(
        method,
        target,
        minor,
        fields,
        host,
        NONE if framing is UNTIL_CLOSE else framing,
        length,
        b"close" in options or (minor == 0 and b"keep-alive" not in options),
        options,
    )
    if b"expect" in meanings:
        request.expects_continue = _expects_continue(meanings, minor) and (framing is CHUNKED or length > 0)
    if b"te" in meanings:
        request.accepts_trailers = b"trailers" in _members(meanings[b"te"])
    if b"upgrade" in options and minor and framing is not CHUNKED and not length:
        request.upgrade = b", ".join(meanings.get(b"upgrade", ()))
    if method == b"CONNECT":
        request.framing, request.length, request.close = NONE, 0, True
    return request


def parse_response_head(head: bytes, headers: int, *, to_head: bool = False) -> Response:
    """The response whose head, without the empty line, these bytes are; `to_head`: it answers HEAD.

    A 1xx, 204, 304 and an answer to HEAD have no body, whatever their fields say (RFC 9112 §6.3).
    Raises `FramingError`; its status is of no use to a client.
    """
    lines = _lines(head, headers)
    match = STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise FramingError(f"status line {_shown(lines[0])}; expected HTTP/1.x, three digits, a reason")
    digit, status_digits, reason = match.groups()
    minor = 0 if digit == b"0" else 1
    status = int(status_digits)
    fields, meanings = _fields(lines)
    framing, length = _framing(meanings, minor)
    if to_head or status < 200 or status in (204, 304):
        framing, length = NONE, 0
    options = _options(meanings)
    close = b"close" in options or (minor == 0 and b"keep-alive" not in options)
    response = Response(status, reason or b"", minor, fields, framing, length, close, options)
    if b"upgrade" in options:
        response.upgrade = b", ".join(meanings.get(b"upgrade", ()))
    return response


def parse_trailers(section: bytes, headers: int, options: tuple[bytes, ...] = ()) -> Trailers | None:
    """The trailer fields (without the empty line) that may be passed on; None when there is none.

    None of them is among the `options` of Connection (RFC 9110 §7.6.1). Raises `FramingError`: the
    field lines follow the rules of a head (RFC 9112 §7.1.2).
    """
    lines = _lines(CRLF + section, headers)
    named = frozenset(options)
    fields = [field for field in _fields(lines)[0] if field[0] not in named and may_be_trailer(field[0])]
    return Trailers(fields) if fields else None


def _lines(head: bytes, headers: int) -> list[bytes]:
    lines = head.split(CRLF)
    # Without the bytes of lines only the line ends are left: any other control character shows.
    if head.translate(None, LINE_BYTES) != CRLF * (len(lines) - 1):
        if BARE_LINE_END.search(head) or head.endswith(b"\r"):
            raise FramingError("a CR without LF or an LF without CR in a head; lines end with CRLF")
        raise FramingError("a control character in a head")
    if len(lines) - 1 > headers:
        raise FramingError(f"{len(lines) - 1} header fields; at most {headers} are taken", 431)
    return lines


def _fields(lines: list[bytes]) -> tuple[list[Field], Meanings]:
    """The fields of all lines but the first, and the values of the `MEANINGFUL` ones."""
    fields: list[Field] = []
    meanings: Meanings = {}
    known = LOWER_NAMES.get
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        lower = known(name)
        if lower is None:
            if TOKEN.fullmatch(name) is None:
                raise _field_error(line)
            lower = name.lower()
        if not colon:
            raise _field_error(line)
        value = value.strip()  # of blanks only: no other white space is left in a line
        fields.append((lower, name, value))
        if lower in MEANINGFUL:
            if lower in meanings:
                meanings[lower].append(value)
            else:
                meanings[lower] = [value]
    return fields, meanings


def _framing(meanings: Meanings, minor: int) -> tuple[Framing, int]:
    """How the fields frame the body; `UNTIL_CLOSE` when they say nothing (RFC 9112 §6)."""
    lengths = meanings.get(b"content-length")
    codings = meanings.get(b"transfer-encoding")
    if codings is not None:
        if lengths is not None:
            raise FramingError("both Content-Length and Transfer-Encoding")
        if minor == 0:
            raise FramingError("Transfer-Encoding in an HTTP/1.0 message")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise _coding_error(codings)
        return CHUNKED, 0
    if lengths is None:
        return UNTIL_CLOSE, 0
    if len(lengths) != 1:
        raise FramingError(f"{len(lengths)} Content-Length fields; expected one")
    digits = lengths[0]
    if not digits.isdigit() or len(digits) > LENGTH_DIGITS:
        raise FramingError(f"Content-Length {_shown(digits)}; expected 1 to {LENGTH_DIGITS} digits")
    return LENGTH, int(digits)


def _coding_error(codings: list[bytes]) -> FramingError:
    names = _members(codings)
    detail = f"Transfer-Encoding {_shown(b', '.join(codings))}; only chunked, once, is taken"
    known = any(name.partition(b";")[0].strip() in (b"chunked", b"identity") for name in names)
    sound = names and all(TOKEN.fullmatch(name) for name in names)
    # An unknown coding is 501 (RFC 9112 §6.1), but a list that holds chunked too is ambiguous.
    return FramingError(detail, 501 if sound and not known else 400)


def _host(meanings: Meanings, minor: int) -> bytes | None:
    """The one Host (RFC 9112 §3.2); empty is what a URI without an authority has."""
    hosts = meanings.get(b"host")
    if hosts is None:
        if minor:
            raise FramingError("no Host field; HTTP/1.1 requires one")
        return None
    if len(hosts) != 1:
        raise FramingError(f"{len(hosts)} Host fields; expected one")
    if split_authority(hosts[0]) is None:
        raise FramingError(f"Host {_shown(hosts[0])}; expected a host and perhaps a port")
    return hosts[0]


def _other_target(method: bytes, target: bytes, host: bytes | None) -> tuple[bytes, bytes | None]:
    """Target and host of a request that is not in origin-form (RFC 9112 §§3.2.2 to 3.2.4)."""
    if method == b"CONNECT":
        parts = split_authority(target)
        if parts is None or not all(parts):
            raise FramingError(f"CONNECT to {_shown(target)}; expected host:port")
        return target, target
    if target == b"*":
        if method != b"OPTIONS":
            raise FramingError(f"target * with {_shown(method)}; only OPTIONS has it")
        return target, host
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise FramingError(f"target {_shown(target)}; expected /path or an http or https URI")
    scheme, authority, rest = match.groups()
    parts = split_authority(authority)
    if parts is None or not parts[0]:
        raise FramingError(f"target {_shown(target)}; expected a host and perhaps a port in it")
    default_port = b"443" if len(scheme) == 5 else b"80"
    if host is not None and not same_authority(authority, host, default_port):
        raise FramingError(f"Host {_shown(host)} is not the target's {_shown(authority)}")
    if not rest and method == b"OPTIONS":
        return b"*", authority
    return rest if rest.startswith(b"/") else b"/" + rest, authority


def _expects_continue(meanings: Meanings, minor: int) -> bool:
    """Whether the client waits for 100; a 1.0 client does not, whatever it says (RFC 9110 §10.1.1)."""
    for value in meanings[b"expect"]:
        if value.lower() != b"100-continue":
            raise FramingError(f"Expect {_shown(value)}; only 100-continue is known", 417)
    return minor > 0


def _options(meanings: Meanings) -> tuple[bytes, ...]:
    values = meanings.get(b"connection")
    if values is None:
        return ()
    usual = _USUAL_OPTIONS.get(values[0]) if len(values) == 1 else None
    if usual is not None:
        return usual
    options = _members(values)
    if len(options) > OPTIONS:
        raise FramingError(f"{len(options)} options in Connection; at most {OPTIONS} are taken", 431)
    return tuple(options)


def _members(values: list[bytes]) -> list[bytes]:
    return tokens(values[0] if len(values) == 1 else b",".join(values))


def _request_line_error(line: bytes) -> FramingError:
    parts = line.split(b" ")
    if len(parts) != 3:
        return FramingError(f"request line {_shown(line)}; expected a method, a target and HTTP/1.1")
    method, target, _ = parts
    if TOKEN.fullmatch(method) is None or len(method) > 32:
        return FramingError(f"method {_shown(method)}; expected a token of at most 32 bytes")
    if b"#" in target:
        return FramingError(f"target {_shown(target)}; a fragment is never sent")
    return FramingError(f"request line {_shown(line)}; expected visible ASCII and HTTP/1.1")


def _field_error(line: bytes) -> FramingError:
    if line[:1] in (b" ", b"\t"):
        return FramingError("a header field folded onto the next line")
    # Of the line only its beginning is shown: a value may be a secret.
    return FramingError(f"header line {_shown(line.partition(b':')[0], 24)}; expected name, colon, value")


def _shown(value: bytes, most: int = 60) -> str:
    """Untrusted bytes as they may stand in an error: short, printable ASCII, quoted."""
    return ascii(value[:most])[1:] + ("..." if len(value) > most else "")
