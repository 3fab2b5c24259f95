"""Certificate authorities of a test's own: right ones, and wrong in every way that a test asks for.

Decides nothing: what is not said is as a good authority does it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from OpenSSL import SSL, crypto

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
DAY = timedelta(days=1)


def key(bits: int = 0) -> Key:
    """A new key: ECDSA, or RSA of so many bits."""
    return rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())


def name(*common: str, kind: ObjectIdentifier = NameOID.COMMON_NAME) -> x509.Name:
    """A name of these values, even of such as no authority should sign."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengths
        return x509.Name([x509.NameAttribute(kind, each, _validate=False) for each in common])


@dataclass
class Shown:
    """A certificate with its key, and the chain that is shown with it."""

    key: Key
    certificate: x509.Certificate
    chain: Sequence[x509.Certificate] = ()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def by(self, context: SSL.Context) -> SSL.Context:
        """Let a client's context show it, and be sure that nothing of it is held back."""
        context.use_certificate(self.certificate)
        context.use_privatekey(self.key)
        for each in self.chain:
            context.add_extra_chain_cert(each)
        return context


@dataclass
class Authority(Shown):
    """Who signs certificates."""

    def write(self, path: Path) -> Path:
        path.write_bytes(self.pem)
        return path

    def client(self, subject: str | x509.Name = "a client", **how: object) -> Shown:
        """A client's certificate, shown with this authority's own chain."""
        made, private = _issue(self, subject, authority=False, **how)  # type: ignore[arg-type]
        chain = () if self.certificate.issuer == self.certificate.subject else (self.certificate, *self.chain)
        return Shown(private, made, chain)

    def authority(self, subject: str | x509.Name = "an intermediate authority", **how: object) -> Authority:
        """An authority below this one."""
        made, private = _issue(self, subject, authority=True, **how)  # type: ignore[arg-type]
        chain = () if self.certificate.issuer == self.certificate.subject else (self.certificate, *self.chain)
        return Authority(private, made, chain)


def root(subject: str | x509.Name = "a root authority", **how: object) -> Authority:
    """A self-signed authority."""
    made, private = _issue(None, subject, authority=True, **how)  # type: ignore[arg-type]
    return Authority(private, made)


def lone(subject: str | x509.Name = "a lone client", **how: object) -> Shown:
    """A self-signed certificate of a client."""
    made, private = _issue(None, subject, authority=False, **how)  # type: ignore[arg-type]
    return Shown(private, made)


def by_sha1(shown: Shown, issuer: Authority) -> Shown:
    """The same certificate, signed by way of SHA-1."""
    made = crypto.X509.from_cryptography(shown.certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography, which should be used instead, refuses to
        made.sign(crypto.PKey.from_cryptography_key(issuer.key), "sha1")
    return Shown(shown.key, made.to_cryptography(), shown.chain)


def _issue(
    issuer: Authority | None,
    subject: str | x509.Name,
    *,
    authority: bool,
    private: Key | None = None,
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    purposes: Sequence[ObjectIdentifier] | None = CLIENT,
    usage: bool = True,
    path_length: int | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
    serial: int | None = None,
) -> tuple[x509.Certificate, Key]:
    private = private or key()
    subject = name(subject) if isinstance(subject, str) else subject
    now = datetime.now(UTC).replace(microsecond=0)
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject if issuer else subject,
        subject_name=subject,
        public_key=private.public_key(),
        serial_number=serial or x509.random_serial_number(),
        not_valid_before=now + begins,
        not_valid_after=now + ends,
    )
    builder = builder.add_extension(x509.BasicConstraints(authority, path_length), critical=True)
    if usage:
        signs = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
        builder = builder.add_extension(signs, critical=True)
    if purposes and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(issuer.key if issuer else private, hashes.SHA256()), private
