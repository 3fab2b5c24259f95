"""Who a server should be: the name that is asked for, and whether a certificate is for it.

Decides what is sent as SNI and which names of a certificate count: host names by service-identity
(RFC 9525), addresses where an address was expected. Invariant: a certificate that cannot be read, or only in
part, is for nobody. Refuses to judge who signed it: OpenSSL does.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)

from .tls_failures import printable

#: Names of a certificate that are looked at: so many cost 9 ms, and real certificates have some hundred.
MANY = 1000

#: Names that are shown of a certificate that is for others.
_SHOWN = 3

_Name = str | IPv4Address | IPv6Address | IPv4Network | IPv6Network


class ServerName:
    """A host name or an address, as it is expected in a certificate."""

    def __init__(self, name: str) -> None:
        """`ValueError` when it is neither."""
        self.name = name.strip().removesuffix(".")
        self.sni = b""  # never an address (RFC 6066 §3)
        self._service: DNS_ID | IPAddress_ID
        try:
            self._service = IPAddress_ID(self.name.partition("%")[0])  # no certificate is for a zone
        except ValueError:
            if not self.name.isascii() or len(self.name) > 253:
                raise
            self._service = DNS_ID(self.name)
            self.sni = self._service.hostname

    def fault(self, certificate: x509.Certificate) -> str:
        """Why a certificate is not for this name; "" when it is."""
        try:
            names = _names(certificate)
        except Exception as error:  # a parser's, of what a CA has signed all the same
            return f"certificate is malformed: {printable(str(error))}"
        if len(names) > MANY:
            return f"certificate is for {len(names)} names, expected {MANY} at most"
        try:
            verify_service_identity(_patterns(names), [self._service], [])
        except (VerificationError, CertificateError):
            shown = ", ".join(printable(str(name)) for name in names[:_SHOWN])
            if len(names) > _SHOWN:
                shown += f" and {len(names) - _SHOWN} more"
            return f"certificate is for {shown or 'nobody (no subjectAltName)'}, expected {self.name}"
        return ""


def _names(certificate: x509.Certificate) -> list[_Name]:
    """The host names and addresses in subjectAltName: no other place counts (RFC 9525 §6.1)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.IPAddress)]


def _patterns(names: Iterable[_Name]) -> list[CertificatePattern]:
    """Names in service-identity's form, without those that can match nothing."""
    patterns: list[CertificatePattern] = []
    for name in names:
        if isinstance(name, str):
            with suppress(CertificateError):  # for which its own reading gives up the whole certificate
                patterns.append(DNSPattern.from_bytes(name.encode()))
        elif isinstance(name, IPv4Address | IPv6Address):
            patterns.append(IPAddressPattern(name))
    return patterns
