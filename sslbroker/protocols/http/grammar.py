"""The spelling of HTTP/1: tokens, hosts, targets, and which header fields have a meaning of their own.

Decides what is well spelt, byte by byte (RFC 9110 §5.6, RFC 9112 §§2 to 5, RFC 3986 §3.2). Invariant:
every pattern is linear in its input, and each is stricter than, never wider than, its RFC. Refuses to
know messages or to raise: it answers yes, no, or with the parts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from .fields import CLAIMS, HOP_BY_HOP, NEVER_SENT, VIA, WRITTEN, X_FORWARDED, dashed

CRLF: Final = b"\r\n"
HEAD_END: Final = b"\r\n\r\n"

_TCHAR: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"

#: A whole token (RFC 9110 §5.6.2).
TOKEN: Final = re.compile(rb"[" + _TCHAR + rb"]+")

#: The bytes that a token, so a request line too, can begin with.
TOKEN_BYTES: Final = frozenset(byte for byte in range(256) if TOKEN.fullmatch(bytes((byte,))))

#: Bytes that may stand in a line of a head; what is left of a sound head without them is its CRLFs.
LINE_BYTES: Final = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))

#: A CR without its LF or an LF without its CR. A CR at the very end is no match: its LF may follow.
BARE_LINE_END: Final = re.compile(rb"\r[^\n]|(?<!\r)\n")

#: Method, target without fragment, and the digits of the version (RFC 9112 §3).
REQUEST_LINE: Final = re.compile(rb"([" + _TCHAR + rb"]{1,32}) ([!\"$-~]+) HTTP/([0-9])\.([0-9])")

#: What the version of a request line says, for HTTP/1: 0, or 1 for all later ones (RFC 9110 §2.5).
MINOR: Final = {b"HTTP/1.%d" % digit: min(digit, 1) for digit in range(10)}

_METHOD: Final = re.compile(rb"[" + _TCHAR + rb"]{1,32}")
_METHODS: Final = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())
_TARGET_BYTES: Final = bytes(byte for byte in range(33, 127) if byte != ord("#"))

#: Minor version, status and reason (RFC 9112 §4); the SP before an empty reason is often forgotten.
STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*+))?")

#: How a status line begins, so that a server that speaks something else is found out at once.
STATUS_LINE_START: Final = b"HTTP/1."

#: Scheme, authority and the rest of an absolute-form target (RFC 9112 §3.2.2).
ABSOLUTE_FORM: Final = re.compile(rb"([Hh][Tt][Tt][Pp][Ss]?+)://([^/?]*+)(.*+)")

_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION: Final = (
    rb"[ \t]*+;[ \t]*+[" + _TCHAR + rb"]++"
    rb"(?:[ \t]*=[ \t]*+(?:[" + _TCHAR + rb"]++|" + _QUOTED + rb"))?+"
)

#: The size of a chunk and its extensions, without the CRLF (RFC 9112 §7.1).
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*+)")

# A reg-name may hold a comma (RFC 3986), but then it looks like two Hosts joined: refused.
_REGISTERED_NAME: Final = re.compile(rb"([0-9A-Za-z\-._~!$&'()*+;=%]*+)(?::([0-9]{0,5}))?")
_BRACKETED: Final = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")
_AUTHORITY_SIZE: Final = 255 + len(":65535")
_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")

#: Fields that a parser must look into: they frame, route or steer the connection.
MEANINGFUL: Final = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te", b"expect")
)

#: Fields of one connection, which a writer makes anew from the message (RFC 9110 §7.6.1).
CONNECTION_FIELDS: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"),
        b"content-length",
    )
)

#: Fields that would change a message's framing, routing, access or reading if they came after its
#: body (RFC 9110 §6.5.1), and all that the rules take out of a head: a server that merges trailers
#: into the head must not learn from them what the head may not say.
_NO_TRAILERS: Final = (
    HOP_BY_HOP
    | WRITTEN
    | NEVER_SENT
    | CLAIMS
    | {VIA}
    | frozenset(
        b"""age allow authentication-info authorization cache-control cookie date expires
        idempotency-key if-match if-modified-since if-none-match if-range if-unmodified-since location
        max-forwards origin pragma range retry-after set-cookie vary warning www-authenticate""".split()
    )
)

_NO_TRAILERS_BEGIN: Final = (b"content-", X_FORWARDED)


def tokens(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, in lower case, empty ones left out (RFC 9110 §5.6.1)."""
    if b"," not in value:
        member = value.strip(b" \t").lower()
        return [member] if member else []
    members = (member.strip(b" \t").lower() for member in value.split(b","))
    return [member for member in members if member]


def may_be_asked(method: bytes, target: bytes) -> bool:
    """Whether the two can stand in a request line: see `REQUEST_LINE`."""
    return (
        (method in _METHODS or _METHOD.fullmatch(method) is not None)
        and target != b""
        and not target.translate(None, _TARGET_BYTES)
    )


def may_be_trailer(name: bytes) -> bool:
    """Whether a field, its name in lower case, keeps its meaning after the body (RFC 9110 §6.5.1).

    A name that a server may take for another one (``X_Forwarded_For``) is judged as that one.
    """
    spelt = dashed(name)
    return spelt not in _NO_TRAILERS and not spelt.startswith(_NO_TRAILERS_BEGIN)


def split_authority(authority: bytes) -> tuple[bytes, bytes] | None:
    """Host and port (``b""``: none) of ``uri-host[:port]``, or None when it is none.

    RFC 9110 §7.2. The host may be empty. User information, a port above 65535, an IPv6 zone, more
    than 255 bytes of host and whatever RFC 3986 §3.2.2 does not know are refused.
    """
    return _split_authority(authority) if len(authority) <= _AUTHORITY_SIZE else None


@lru_cache(maxsize=512)
def _split_authority(authority: bytes) -> tuple[bytes, bytes] | None:
    match = _REGISTERED_NAME.fullmatch(authority)
    if match is None:
        match = _BRACKETED.fullmatch(authority)
        if match is None or not _is_ipv6(match[1]):
            return None
    elif b"%" in authority and _BAD_PERCENT.search(authority):
        return None
    host, port = match[1], match[2] or b""
    return None if port and int(port) > 65535 else (host, port)


def same_authority(one: bytes, other: bytes, default_port: bytes) -> bool:
    """Whether two authorities name the same place (RFC 3986 §6.2.3); both must be well spelt."""
    return _normal(one, default_port) == _normal(other, default_port)


def _normal(authority: bytes, default_port: bytes) -> tuple[bytes, int]:
    host, port = split_authority(authority) or (authority, b"")
    return host.lower(), int(port or default_port)


def _is_ipv6(bracketed: bytes) -> bool:
    try:
        IPv6Address(bracketed[1:-1].decode("ascii"))
    except AddressValueError:
        return False
    return True
