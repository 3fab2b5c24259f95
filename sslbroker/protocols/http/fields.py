"""Which header fields belong to one connection, which claim who the client is, and how names are spelt.

Decides the sets of field names that the rules work with. Invariant: every name is in lower case, as in
`message.Field`. Refuses to change a message: `forwarding` does.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from .message import Field

#: Meant for one connection (RFC 9110 §7.6.1), or written by the codec from the message itself. The
#: ``Proxy-*`` fields are for a proxy that the client chose, which the broker is not, and credentials
#: for one never concern a server (RFC 9110 §11.7).
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

#: What the codec writes from the message and the rules therefore take out of a request's fields.
WRITTEN = frozenset((b"content-length", b"expect", b"host"))

#: ``Proxy`` becomes ``HTTP_PROXY`` in a CGI program, which then sends its own requests where the
#: client wants them (CVE-2016-5385). No standard gives this field a meaning.
NEVER_SENT = frozenset((b"proxy",))

X_FORWARDED = b"x-forwarded-"
X_FORWARDED_FOR = b"x-forwarded-for"
X_FORWARDED_PROTO = b"x-forwarded-proto"
X_FORWARDED_HOST = b"x-forwarded-host"
X_FORWARDED_PORT = b"x-forwarded-port"
FORWARDED = b"forwarded"
VIA = b"via"

CLIENT_CERT = b"client-cert"
X_CLIENT_SUBJECT = b"x-client-subject"
X_CLIENT_ISSUER = b"x-client-issuer"
X_CLIENT_SERIAL = b"x-client-serial"
X_CLIENT_FINGERPRINT = b"x-client-fingerprint"

#: What holds a client's certificate itself (RFC 9440).
CERTIFICATE = frozenset((CLIENT_CERT, b"client-cert-chain"))

#: What tells of a client's certificate, itself or in words.
CERTIFIED = CERTIFICATE | {X_CLIENT_SUBJECT, X_CLIENT_ISSUER, X_CLIENT_SERIAL, X_CLIENT_FINGERPRINT}

#: What claims who the client is and is believed from trusted peers only; all other names that begin
#: with ``X-Forwarded-`` as well. RFC 9440 §2.4 wants ``Client-Cert`` taken from a client.
CLAIMS = CERTIFIED | {
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_FORWARDED_PROTO,
    b"x-real-ip",
}

#: How often a broker has tried, in its answer to another broker: for that one alone.
TRIES = b"sslbroker-tries"

#: In a broker's answer to a request that goes in a circle: for all brokers on the way back. A 508 alone says
#: too little, since hosts of many sites answer with it at a limit of their own.
LOOPED = b"sslbroker-loop"

#: What ``Connection`` may not take away, although RFC 9110 §7.6.1 has an intermediary remove whatever
#: it names: the same section forbids senders to name fields meant for all recipients. Taking these away
#: turns a conditional request into an unconditional one, a private response into a shared one, or hides
#: what a trusted peer said of the client (CVE-2022-31813).
END_TO_END = CLAIMS | frozenset(
    (
        b"accept-ranges",
        b"age",
        b"allow",
        b"authorization",
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-security-policy",
        b"content-type",
        b"cookie",
        b"date",
        b"etag",
        b"expect",
        b"expires",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"last-modified",
        b"location",
        b"max-forwards",
        b"origin",
        b"pragma",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"strict-transport-security",
        b"vary",
        VIA,
        b"www-authenticate",
    )
)

#: Names no field by naming it in ``Connection``: the options proper, and what goes or stays anyway.
_NOT_NAMED = END_TO_END | HOP_BY_HOP | {b"close"}

_COMMON_NAMES: Final = b"""Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges
    Access-Control-Allow-Credentials Access-Control-Allow-Headers Access-Control-Allow-Methods
    Access-Control-Allow-Origin Access-Control-Expose-Headers Access-Control-Max-Age
    Access-Control-Request-Headers Access-Control-Request-Method Age Allow Alt-Svc Authorization
    Cache-Control Connection Content-Disposition Content-Encoding Content-Language Content-Length
    Content-Location Content-Range Content-Security-Policy Content-Type Cookie Date DNT ETag Expect
    Expires Forwarded Host Idempotency-Key If-Match If-Modified-Since If-None-Match If-Range
    If-Unmodified-Since Keep-Alive Last-Modified Link Location Max-Forwards Origin Pragma Priority Range
    Referer Referrer-Policy Retry-After Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest
    Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-WebSocket-Accept Sec-WebSocket-Extensions
    Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version Server Set-Cookie
    Strict-Transport-Security TE Timing-Allow-Origin Trailer Transfer-Encoding Upgrade
    Upgrade-Insecure-Requests User-Agent Vary Via WWW-Authenticate X-Content-Type-Options
    X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto X-Frame-Options X-Powered-By
    X-Real-IP X-Request-ID X-Requested-With X-XSS-Protection""".split()

#: Common field names, as usually spelt, to their lower case: known to be tokens, and shared objects.
LOWER_NAMES: Final = {
    spelling: name.lower() for name in _COMMON_NAMES for spelling in (name, name.lower(), name.title())
}

#: Names that `without_forgeries` never takes away, whoever sent them.
_HARMLESS = frozenset(name for name in LOWER_NAMES.values() if not name.startswith(X_FORWARDED))

_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789-"
_DASHED = bytes(c if c in _PLAIN else ord("-") for c in range(256))
_SEPARATOR = b"\n"
_NAME = itemgetter(0)  # of a field, in lower case
_DELETED = _PLAIN + _SEPARATOR


def values_of(fields: list[Field], name: bytes) -> list[bytes]:
    """The values of all fields of that name, in their order."""
    return [value for key, _, value in fields if key == name]


def named(options: tuple[bytes, ...], kept: frozenset[bytes]) -> set[bytes]:
    """The fields that ``Connection`` takes away by naming them (RFC 9110 §7.6.1), but none of `kept`."""
    return {
        name
        for name in options
        if name not in _NOT_NAMED and name not in kept and not name.startswith(X_FORWARDED)
    }


def dashed(name: bytes) -> bytes:
    """The name with every sign but letters and digits turned to ``-``.

    Two fields of which this is the same become one variable in a CGI or WSGI server.
    """
    return name.translate(_DASHED)


def suspicious(fields: list[Field], trusted: bool) -> bool:
    """Whether `without_forgeries` has to look: an unusual sign in a name, or an unlisted claim."""
    if _HARMLESS.issuperset(map(_NAME, fields)):
        return False
    joined = _SEPARATOR.join(map(_NAME, fields))
    return bool(joined.translate(None, _DELETED)) or (not trusted and X_FORWARDED in joined)


def without_forgeries(fields: list[Field], guarded: frozenset[bytes], trusted: bool) -> list[Field]:
    """The fields less those that a server may take for one of `guarded`, or for ``X-Forwarded-…``.

    Names like ``X_Forwarded_For`` go whoever sent them: a trusted peer removes the real name and
    passes this one on from a client. From an untrusted peer every ``X-Forwarded-…`` goes too.
    """
    kept = []
    for field in fields:
        name = field[0]
        spelt = dashed(name)
        claim = spelt.startswith(X_FORWARDED)
        disguised = spelt != name and (claim or spelt in guarded)
        if not disguised and (trusted or not claim):
            kept.append(field)
    return kept
