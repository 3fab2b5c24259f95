"""Why a server is not trusted, or why a handshake with it failed, in words for an operator.

Decides what is said of each failure: what was found, what was expected, which setting is concerned.
Invariant: a text is one line, bounded and printable, whatever a server put into its certificate or its
answer; nothing here raises, and nothing that is kept refers to a connection. Refuses to decide whether
anything failed: OpenSSL and `link_tls` do that, and failover what follows from it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.error import ConnectionClosed

#: Characters that are shown of a text that a server chose.
_SHOWN = 60

_Codes = SSL.X509VerificationCodes

_UNKNOWN_CA = frozenset(
    {
        _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT,
        _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        _Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
        _Codes.ERR_CERT_SIGNATURE_FAILURE,
        _Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN,
        _Codes.ERR_CERT_UNTRUSTED,
    }
)

#: X509_V_ERR_EE_KEY_TOO_SMALL, CA_KEY_TOO_SMALL and CA_MD_TOO_WEAK: pyOpenSSL has no names for them.
_TOO_WEAK = frozenset({66, 67, 68})

#: What a server's alert says of a client certificate, or of its absence (RFC 8446 §6.2).
_ABOUT_OURS = (
    "certificate required",
    "bad certificate",
    "unsupported certificate",
    "certificate revoked",
    "certificate expired",
    "certificate unknown",
    "unknown ca",
    "access denied",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of a server, and which settings said so."""

    name: str  # host name or IP address
    where: str  # the path of the table of settings: "pools.shop.tls"
    minimum: str = "TLSv1.2"
    own_ca: bool = False
    presents: bool = False  # the broker has a client certificate
    alpn: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What OpenSSL found wrong with a chain of certificates."""

    error: int
    depth: int  # 0: the server's own
    certificate: crypto.X509


def note(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    """OpenSSL's question for each certificate: the first fault is kept with the transport, no answer changed.

    Twisted has made the transport the connection's `app_data`, and takes them apart when it is lost.
    """
    if not ok:
        transport = connection.get_app_data()
        if transport is not None and transport.refusal is None:
            transport.refusal = Refusal(error, depth, certificate)
    return bool(ok)


def why(transport: Any, error: BaseException | None, of: Expected) -> str:
    """Why a handshake failed; `error` is how it ended."""
    refusal: Refusal | None = transport.refusal
    first: bytes = transport.first
    if refusal is not None:
        return _refused(refusal, of)
    if first and not _is_tls(first):
        return f"did not speak TLS (answered '{printable(first.splitlines()[0].decode('latin-1'))}')"
    reason = _reason(error)
    if reason:
        connection = transport.getHandle()
        certified = connection is not None and connection.get_peer_cert_chain() is not None
        return _said(reason, certified, of)
    if error is None or isinstance(error, SSL.Error | ConnectionClosed):
        return "closed during the handshake" + ("" if first else ", without a byte: does it speak TLS there?")
    return printable(str(error) or type(error).__name__)


def printable(text: str) -> str:
    """A text of somebody else's, bounded and without what a terminal or a log would obey."""
    shown = text[:_SHOWN].encode("unicode_escape").decode("ascii")
    return shown + "..." if len(text) > _SHOWN else shown


def subject(name: x509.Name) -> str:
    """What to call the owner of a certificate; "no name" also where that is malformed."""
    with suppress(Exception):
        for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
            for attribute in name.get_attributes_for_oid(kind):
                return printable(str(attribute.value))
        return printable(name.rfc4514_string()) or "no name"
    return "no name"


def _is_tls(first: bytes) -> bool:
    """The beginning of a record: its type and the first byte of its version (RFC 8446 §5.1)."""
    return 20 <= first[0] <= 23 and first[1:2] in (b"", b"\x03")


def _reason(error: BaseException | None) -> str:
    """The last reason that OpenSSL gave; "" when there is none, as for an end of the connection."""
    found = error.args[0] if isinstance(error, SSL.Error) and error.args else None
    return str(found[-1][-1]) if isinstance(found, list) and found else ""


def _refused(refusal: Refusal, of: Expected) -> str:
    """What is wrong with the chain of certificates."""
    error, depth = refusal.error, refusal.depth
    owner = issuer = "no name"
    begin = end = "on a date that cannot be read"
    with suppress(Exception):  # the certificate is whatever the server made of it
        certificate = refusal.certificate.to_cryptography()
        owner, issuer = subject(certificate.subject), subject(certificate.issuer)
        begin = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        end = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    what = "certificate" if depth == 0 else f"certificate of the CA '{owner}'"
    if error == _Codes.ERR_CERT_HAS_EXPIRED:
        return f"{what} has expired ({end})"
    if error == _Codes.ERR_CERT_NOT_YET_VALID:
        return f"{what} is not yet valid ({begin})"
    known = f"not in {of.where}.ca" if of.own_ca else f"not one of the system's; {of.where}.ca can name it"
    if error == _Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return f"self-signed certificate ({known})"
    if error in _UNKNOWN_CA:
        return f"signed by an unknown CA: '{issuer}' ({known})"
    if error == _Codes.ERR_INVALID_PURPOSE:
        return f"{what} is not for servers (its keyUsage or extendedKeyUsage)"
    if error in _TOO_WEAK:
        return f"{what} is too weak: expected ECDSA, or RSA of 2048 bits or more, and SHA-256 or better"
    return f"{what} is refused: {_openssl_text(error)}"


def _said(reason: str, certified: bool, of: Expected) -> str:
    """What OpenSSL's reason means; `certified`: the server had shown its certificate by then."""
    if reason.endswith(_ABOUT_OURS) or (certified and reason.endswith("alert handshake failure")):
        if of.presents:
            return f"server refused the client certificate: {reason} ({of.where}.certificate)"
        return f"server asked for a client certificate ({of.where}.certificate): {reason}"
    if reason.endswith(("alert protocol version", "unsupported protocol")):
        return f"no common TLS version: expected {of.minimum} or later ({of.where}.minimum): {reason}"
    if reason.endswith(("alert handshake failure", "alert insufficient security", "wrong cipher returned")):
        return f"no common cipher, group or kind of certificate: {reason}"
    if reason.endswith("unrecognized name"):
        return f"server has no certificate for {of.name} ({of.where}.server_name): {reason}"
    if reason.endswith("alert no application protocol"):
        return f"server speaks none of {', '.join(name.decode('ascii', 'replace') for name in of.alpn)}"
    if reason == "excessive message size":
        return "certificate chain is too large, expected 100 KiB at most"
    return f"TLS failed: {printable(reason)}"


def _openssl_text(error: int) -> str:
    with suppress(AttributeError):  # pyOpenSSL has no public name for it
        text = SSL._lib.X509_verify_cert_error_string(error)  # type: ignore[attr-defined]
        return str(SSL._ffi.string(text).decode("ascii", "replace"))  # type: ignore[attr-defined]
    return f"error {error} of OpenSSL's verification"
