"""What a server is told of the certificate that a client has shown.

Decides the fields: ``Client-Cert``, the certificate itself as RFC 9440 §2.2 writes it, and beside it in
words, for servers that only compare: ``X-Client-Subject``, ``-Issuer``, ``-Serial`` and
``-Fingerprint``. Invariant: each value can be written as it is (RFC 9110 §5.5: visible ASCII and blanks
within) and is bounded, whatever stands in a certificate. Refuses to decide whether a server is told, and
to believe or take away what others wrote in these fields (`fields.CLAIMS`, `forwarding`).
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from typing import Final

from ...interfaces import ClientCertificate
from .fields import CLIENT_CERT, X_CLIENT_FINGERPRINT, X_CLIENT_ISSUER, X_CLIENT_SERIAL, X_CLIENT_SUBJECT
from .message import Field

#: Bytes of a certificate that is sent whole; a longer one would fill the head that servers take.
CERTIFICATE_SIZE: Final = 16 * 1024

#: Bytes of a name; a longer one is cut, and ends in `_CUT`.
NAME_SIZE: Final = 1024

_CUT = b"..."
_NOT_VISIBLE = re.compile(rb"[^ -~]")
#: One sign of a name; an escaped one is whole (RFC 4514 §3).
_SIGN = re.compile(rb"\\[0-9A-Fa-f]{2}|\\?.", re.S)
_BLANKS = (b" ", b"\\ ")


@lru_cache(maxsize=128)  # a client comes back with the certificate that it has
def certified(certificate: ClientCertificate) -> tuple[Field, ...]:
    """The fields that tell of this certificate; no ``Client-Cert`` when it is over `CERTIFICATE_SIZE`."""
    in_words = (
        (X_CLIENT_SUBJECT, b"X-Client-Subject", _name(certificate.subject)),
        (X_CLIENT_ISSUER, b"X-Client-Issuer", _name(certificate.issuer)),
        (X_CLIENT_SERIAL, b"X-Client-Serial", _name(certificate.serial)),
        (X_CLIENT_FINGERPRINT, b"X-Client-Fingerprint", _name(certificate.fingerprint)),
    )
    if len(certificate.der) > CERTIFICATE_SIZE:
        return in_words
    itself = (CLIENT_CERT, b"Client-Cert", b":%b:" % b64encode(certificate.der))
    return (itself, *in_words)


def _name(text: str) -> bytes:
    """A name in ASCII: every other byte of its UTF-8, and a blank at an end, as RFC 4514 §2.4 escapes it."""
    ascii_only = _NOT_VISIBLE.sub(_escaped, text[: NAME_SIZE + 1].encode("utf-8", "replace"))
    signs = _SIGN.findall(ascii_only)
    for end in (0, -1):
        if signs and signs[end] in _BLANKS:
            signs[end] = b"\\20"
    size = sum(map(len, signs))
    if size <= NAME_SIZE:
        return b"".join(signs)
    while size > NAME_SIZE - len(_CUT):
        size -= len(signs.pop())
    return b"".join((*signs, _CUT))


def _escaped(sign: re.Match[bytes]) -> bytes:
    return b"\\%02X" % ord(sign[0])
