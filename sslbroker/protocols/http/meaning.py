"""What the fields of framing, routing and the connection say, all together.

Decides how a message is framed, for which host it is and what becomes of its connection (RFC 9112 §§3.2, 6
and 9, RFC 9110 §§7.6 to 7.8 and 10.1). Invariant: fields that could be read in two ways raise `FramingError`;
what is said depends on them and on the minor version alone. Refuses to look at other fields, and at the
first line.
"""

from __future__ import annotations

from typing import Final

from ...errors import FramingError
from .field_lines import shown
from .grammar import MEANINGFUL, TOKEN, split_authority, tokens
from .message import CHUNKED, LENGTH, NONE, UNTIL_CLOSE, Field, Framing

#: How many digits a Content-Length may have: any such number fits 64 bits.
LENGTH_DIGITS: Final = 18

#: How many options Connection may list: each is kept, at ten times its size, while the message lives.
OPTIONS: Final = 32

_USUAL_OPTIONS: Final = {
    value: (value.lower(),) for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close", b"Upgrade")
}

Meanings = dict[bytes, list[bytes]]
"""The values of the `MEANINGFUL` fields, in their order, by name."""


def meanings_of(fields: list[Field]) -> Meanings:
    """The values of the `MEANINGFUL` fields."""
    meanings: Meanings = {}
    for lower, _, value in fields:
        if lower in MEANINGFUL:
            if lower in meanings:
                meanings[lower].append(value)
            else:
                meanings[lower] = [value]
    return meanings


def host_of(meanings: Meanings, minor: int) -> bytes | None:
    """The one Host (RFC 9112 §3.2); empty is what a URI without an authority has."""
    hosts = meanings.get(b"host")
    if hosts is None:
        if minor:
            raise FramingError("no Host field; HTTP/1.1 requires one")
        return None
    if len(hosts) != 1:
        raise FramingError(f"{len(hosts)} Host fields; expected one")
    if split_authority(hosts[0]) is None:
        raise FramingError(f"Host {shown(hosts[0])}; expected a host and perhaps a port")
    return hosts[0]


def said_by_request(
    meanings: Meanings, minor: int
) -> tuple[Framing, int, bool, tuple[bytes, ...], bytes, bool, bool]:
    """What a request's fields say of its body and its connection, in the order of its attributes."""
    framing, length = _framing(meanings, minor)
    if framing is UNTIL_CLOSE:
        framing = NONE
    options = _options(meanings)
    content = framing is CHUNKED or length > 0
    upgrade = b""
    if minor and not content and b"upgrade" in options:
        upgrade = b", ".join(meanings.get(b"upgrade", ()))
    return (
        framing,
        length,
        b"close" in options or (minor == 0 and b"keep-alive" not in options),
        options,
        upgrade,
        b"expect" in meanings and _expects_continue(meanings, minor) and content,
        b"te" in meanings and b"trailers" in _members(meanings[b"te"]),
    )


def said_by_response(meanings: Meanings, minor: int) -> tuple[Framing, int, bool, tuple[bytes, ...], bytes]:
    """What a response's fields say of its body and its connection."""
    framing, length = _framing(meanings, minor)
    options = _options(meanings)
    close = b"close" in options or (minor == 0 and b"keep-alive" not in options)
    upgrade = b", ".join(meanings.get(b"upgrade", ())) if b"upgrade" in options else b""
    return framing, length, close, options, upgrade


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
        raise FramingError(f"Content-Length {shown(digits)}; expected 1 to {LENGTH_DIGITS} digits")
    return LENGTH, int(digits)


def _coding_error(codings: list[bytes]) -> FramingError:
    names = _members(codings)
    detail = f"Transfer-Encoding {shown(b', '.join(codings))}; only chunked, once, is taken"
    known = any(name.partition(b";")[0].strip() in (b"chunked", b"identity") for name in names)
    sound = names and all(TOKEN.fullmatch(name) for name in names)
    # An unknown coding is 501 (RFC 9112 §6.1), but a list that holds chunked too is ambiguous.
    return FramingError(detail, 501 if sound and not known else 400)


def _expects_continue(meanings: Meanings, minor: int) -> bool:
    """Whether the client waits for 100; a 1.0 client does not, whatever it says (RFC 9110 §10.1.1)."""
    for value in meanings[b"expect"]:
        if value.lower() != b"100-continue":
            raise FramingError(f"Expect {shown(value)}; only 100-continue is known", 417)
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
