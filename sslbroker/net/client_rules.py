"""What clients of a secure listener must show, name by name, as an operator wrote it.

Decides which rules hold for which name, who may have signed a client's certificate, and what is wrong with
the files that say so. Invariant: rules are compared by value and never changed, so that equal ones share
contexts and sessions, and a reload makes new ones. Refuses to know handshakes and connections, and to check
the settings themselves: `config` has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from OpenSSL import crypto

from ..errors import Problem, StartError
from ..settings import ListenerTLS, NamedClients
from . import certificates


@dataclass(frozen=True, slots=True)
class ClientRules:
    """What clients that ask for one name must show."""

    certificate: str = ""  # "", "optional" or "required"
    authorities: tuple[x509.Certificate, ...] = ()
    #: The same for OpenSSL: one copy, however many contexts have these rules.
    trusted: tuple[crypto.X509, ...] = field(default=(), compare=False, repr=False)


class Clients:
    """The rules of a listener: of everybody, and of names that have their own."""

    __slots__ = ("asked", "differ", "everybody", "named")

    def __init__(self, everybody: ClientRules, named: Mapping[bytes, ClientRules]) -> None:
        self.everybody = everybody
        self.named = named  # in lower case; "*.shop.test" for the names one label below
        self.asked = any(rules.certificate for rules in (everybody, *named.values()))
        self.differ = any(rules != everybody for rules in named.values())

    def of(self, name: bytes) -> ClientRules:
        """The rules of a name as a client writes it; those of everybody for an unknown one."""
        name = name.lower().removesuffix(b".")
        label, _, parent = name.partition(b".")
        wild = self.named.get(b"*." + parent) if label else None
        return self.named.get(name) or wild or self.everybody


def read(settings: ListenerTLS, now: float, problems: list[str], warnings: list[str]) -> Clients:
    """The rules that settings and their files make at this Unix time; adds to `problems` and `warnings`."""
    reading = _Reading(now, problems, warnings)
    everybody = reading.rules("tls", settings)
    named = {
        one.name.lower().removesuffix(".").encode("ascii"): reading.rules(f'tls.names."{one.name}"', one)
        for one in settings.names
    }
    return Clients(everybody, named)


class _Reading:
    """Files are read once, however many names they are for."""

    def __init__(self, now: float, problems: list[str], warnings: list[str]) -> None:
        self.problems, self.warnings = problems, warnings
        self._now = datetime.fromtimestamp(now, UTC)
        self._read: dict[Path, ClientRules] = {}

    def rules(self, place: str, settings: ListenerTLS | NamedClients) -> ClientRules:
        wish, ca = settings.client_certificate, settings.client_ca
        if ca is None:
            return ClientRules(wish)
        if ca not in self._read:
            self._read[ca] = ClientRules()
            try:
                authorities = certificates.bundle(ca, f"{place}.client_ca")
            except StartError as error:
                self.problems.append(str(error))
            else:
                for authority in authorities:
                    self._judge(f"{place}.client_ca: {ca}", authority)
                trusted = tuple(map(crypto.X509.from_cryptography, authorities))
                self._read[ca] = ClientRules("", authorities, trusted)
        return replace(self._read[ca], certificate=wish)

    def _judge(self, place: str, authority: x509.Certificate) -> None:
        name = certificates.subject(authority)
        if not _may_sign(authority):
            expected = "certificates of authorities only (CA:TRUE)"
            found = f"the certificate of {name}, which is no authority"
            self.problems.append(str(Problem(place, found, expected, "remove it")))
        end = authority.not_valid_after_utc
        if end < self._now:
            end_text = f"{end:%Y-%m-%d %H:%M} UTC"
            self.warnings.append(f"{place}: {name} expired on {end_text}: whom it certified is refused")


def _may_sign(certificate: x509.Certificate) -> bool:
    found = certificate.extensions
    try:
        may = found.get_extension_for_class(x509.BasicConstraints).value.ca
        return may and found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        return missing.oid == x509.KeyUsage.oid and may
