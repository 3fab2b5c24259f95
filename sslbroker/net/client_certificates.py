"""What clients of a secure listener have proved by their certificates.

Decides what OpenSSL asks of them, and how a certificate is told to protocols. Invariant: a connection that
`ClientCheck.look` has passed proved what the rules of its name demand, though it resumed a session: a
session brings the identity of the handshake that began it, and OpenSSL decides about resuming before it
knows which name is asked for. Refuses to decide what an identity may do.

OpenSSL verifies in the handshake: chain, validity, purpose (clientAuth), strength of keys and signatures.
A certificate of `client_ca` is trusted without its own issuer, so that one of several intermediate
authorities of a company can be named.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from ..interfaces import ClientCertificate, Origin
from .client_rules import ClientRules, Clients

_MODES = {
    "": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}

#: Authorities between a client's certificate and one of `client_ca`.
_DEPTH = 5

#: Bytes of names of authorities that a client is told: more than this are no help to it.
_TOLD = 16 * 1024

#: Bytes of a client's certificate, and of those that it shows beside it: they stay with the connection, and
#: OpenSSL takes five times their size for them. Characters of what stands in a certificate.
_CERTIFICATE = 16 * 1024
_BESIDE = 32 * 1024
_TEXT = 4096

#: A host as a request names it (RFC 9110 §7.2), without all that a server might read in another way.
_HOST = re.compile(rb"((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]*|\[[0-9A-Fa-f:.]*\])(?::[0-9]*)?")

#: What the second look needs and pyOpenSSL has no public names for.
_NEEDED = (
    "SSL_get_session",
    "SSL_get_verify_result",
    "SSL_session_reused",
    "X509_verify_cert_error_string",
    "i2d_SSL_SESSION",
)

_NOT_SHOWN = "no client certificate was shown"


@dataclass(frozen=True, slots=True, eq=False)
class ClientCheck:
    """The rules of one context: what OpenSSL is to ask for, and the second look after a handshake."""

    clients: Clients
    rules: ClientRules
    seconds: Callable[[], float]  # Unix time

    def apply(self, context: SSL.Context) -> None:
        """Let the handshakes of this context, which is new, ask for what the rules say."""
        context.set_app_data(self)
        if self.clients.asked:
            # By id a session would stay in memory with all that its client has shown; by ticket it does not.
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_verify(_MODES[self.rules.certificate])
        context.set_verify_depth(_DEPTH)
        store = context.get_cert_store()
        assert store is not None
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for trusted in self.rules.trusted:
            store.add_cert(trusted)
        names = [authority.subject.public_bytes() for authority in self.rules.authorities]
        if sum(map(len, names)) <= _TOLD:
            for authority in self.rules.authorities:
                context.add_client_ca(authority)

    def look(self, connection: SSL.Connection, origin: Origin) -> str:
        """Set what this handshake has proved, or say why its connection must not be served."""
        library: Any = SSL._lib  # type: ignore[attr-defined]
        resumed = bool(library.SSL_session_reused(connection._ssl))
        if resumed and self.clients.differ:
            began = self.clients.of(_session_name(connection))
            if began != self.rules:
                return "the resumed session began at a name with other rules for clients"
        origin.misdirected = self.misdirected if self.clients.differ else None
        if not self.rules.certificate:
            return ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a parser's, of what RFC 5280 forbids: they would be logged
                certificate = connection.get_peer_certificate(as_cryptography=True)
                found = proved(certificate) if certificate else None
                beside = connection.get_peer_cert_chain(as_cryptography=True) or ()
                size = sum(len(each.public_bytes(Encoding.DER)) for each in beside)
                if size > _BESIDE:
                    raise ValueError(f"{size} bytes were shown beside it, expected {_BESIDE} at most")
        except Exception as error:  # whatever a parser makes of what somebody's CA has signed
            return f"the client certificate cannot be told: {printable(str(error)[:100])}"
        if certificate is None:
            return _NOT_SHOWN if self.rules.certificate == "required" else ""
        fault = library.SSL_get_verify_result(connection._ssl)
        if fault:
            return f"the client certificate was not verified (error {fault} of OpenSSL)"
        if resumed and certificate.not_valid_after_utc <= datetime.fromtimestamp(self.seconds(), UTC):
            return "the client certificate of the resumed session has expired"
        origin.certificate = found
        return ""

    def misdirected(self, host: bytes) -> bool:
        """Has this host, as a request names it, other rules than the connection? So `Origin` asks.

        A host that a server might read in another way than the broker counts as one (RFC 9110 §7.4).
        """
        match = _HOST.fullmatch(host)
        return match is None or self.clients.of(match[1]) != self.rules


def lacking() -> list[str]:
    """What this pyOpenSSL lacks for a second look; without it nobody may be asked for a certificate."""
    return [name for name in _NEEDED if not hasattr(SSL._lib, name)]  # type: ignore[attr-defined]


def shaken(connection: SSL.Connection, origin: Origin) -> str:
    """The second look by the rules that the connection's handshake had, whatever was reloaded since."""
    check = connection.get_context().get_app_data()
    assert isinstance(check, ClientCheck)
    return check.look(connection, origin)


def refusal(connection: SSL.Connection, error: BaseException | None) -> str:
    """Why a handshake failed by `error`, where the client's certificate was the reason; else ""."""
    found = error.args[0] if isinstance(error, SSL.Error) and error.args else ()
    reasons = [each[-1] for each in found] if isinstance(found, list) else []  # OpenSSL's queue of errors
    if "peer did not return a certificate" in reasons:
        return _NOT_SHOWN
    if "certificate verify failed" in reasons:
        library: Any = SSL._lib  # type: ignore[attr-defined]
        text = library.X509_verify_cert_error_string(library.SSL_get_verify_result(connection._ssl))
        ffi: Any = SSL._ffi  # type: ignore[attr-defined]
        return f"the client certificate was refused: {ffi.string(text).decode('ascii', 'replace')}"
    return ""


def proved(certificate: x509.Certificate) -> ClientCertificate:
    """The certificate for protocols: printable ASCII, all of it bounded.

    `ValueError`, or another exception of a parser, for one that cannot be told so.
    """
    der = certificate.public_bytes(Encoding.DER)
    if len(der) > _CERTIFICATE:
        raise ValueError(f"it has {len(der)} bytes, expected {_CERTIFICATE} at most")
    if certificate.serial_number < 0:
        raise ValueError("its serial number is negative")
    serial = f"{certificate.serial_number:X}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    subject = printable(certificate.subject.rfc4514_string())
    issuer = printable(certificate.issuer.rfc4514_string())
    longest = max(map(len, (serial, subject, issuer)))
    if longest > _TEXT:
        raise ValueError(f"a name in it has {longest} characters, expected {_TEXT} at most")
    return ClientCertificate(subject, issuer, serial, sha256(der).hexdigest(), der)


@lru_cache(maxsize=128)  # a client comes back with the certificate that it has
def names_of(certificate: ClientCertificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What it names beside its whole subject, as it stands there: common names, then hosts; and URIs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = x509.load_der_x509_certificate(certificate.der)
        names = tuple(str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        try:
            beside = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # there is none, or a parser cannot read what somebody's CA has signed
            return names, ()
        hosts = beside.get_values_for_type(x509.DNSName)
        return (*names, *hosts), tuple(beside.get_values_for_type(x509.UniformResourceIdentifier))


def whole_subject(text: str) -> str:
    """A subject that somebody wrote as RFC 4514 has it, as `ClientCertificate.subject` has it.

    `ValueError` for what is none."""
    return printable(x509.Name.from_rfc4514_string(text).rfc4514_string())


def printable(text: str) -> str:
    """The text with each byte of UTF-8 that is not printable ASCII in hexadecimal (RFC 4514 §2.4)."""
    return re.sub("[^ -~]", lambda found: _hex(found[0]), text)


def _hex(sign: str) -> str:
    return "".join(f"\\{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def _session_name(connection: SSL.Connection) -> bytes:
    """The name that the client asked for when the connection's session began; b"" for none."""
    library: Any = SSL._lib  # type: ignore[attr-defined]
    ffi: Any = SSL._ffi  # type: ignore[attr-defined]
    session = library.SSL_get_session(connection._ssl)
    size = library.i2d_SSL_SESSION(session, ffi.NULL)
    buffer = ffi.new("unsigned char[]", size)
    library.i2d_SSL_SESSION(session, ffi.new("unsigned char **", buffer))
    # As OpenSSL writes a session: a sequence, in which [6] holds the host name as an octet string.
    ((_, fields),) = _elements(bytes(ffi.buffer(buffer, size)))
    for tag, content in _elements(fields):
        if tag == 0xA6:
            ((_, name),) = _elements(content)
            return name
    return b""


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each of these elements (X.690); for what OpenSSL has written itself."""
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size > 0x7F:
            digits = size - 0x80
            size, at = int.from_bytes(der[at : at + digits]), at + digits
        yield tag, der[at : at + size]
        at += size
