"""Certificates as an operator keeps them: PEM files in, checked identities out.

Decides which certificate of a file is the broker's own, which names it answers to, and what an
operator is told when a file cannot be used. Invariant: an `Identity` is whole (its key belongs to its
leaf), so that whoever gets one never checks again. Refuses to know TLS, to ask for a passphrase and to
judge trust: clients do that.
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import Problem, StartError

#: Bytes of a PEM file that are read; a key with a long chain needs about 20 KiB.
FILE_LIMIT = 1024 * 1024

_WHOLE = "a PEM file with a private key and its certificate chain"

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A certificate with its key: what one listener can be for some names. Compared by identity."""

    source: str  # the file, for messages
    key: PrivateKey
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]  # without the leaf, as the file has them
    names: tuple[bytes, ...]  # in lower case, without a final dot; may begin with b"*."

    @property
    def kind(self) -> str:
        """The type of the key; a TLS context holds one certificate of each."""
        return "RSA" if isinstance(self.key, rsa.RSAPrivateKey) else type(self.key).__name__

    def pem(self) -> bytes:
        """Leaf and chain as PEM, without the key."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.leaf, *self.chain))


def pem_files(entry: Path) -> list[Path]:
    """The files that one entry of ``tls.certificates`` means: itself, or those of the directory.

    Of a directory: every ``*.pem`` and ``*.crt`` in order of name; but of one that certbot fills only
    ``fullchain.pem``, because its other files repeat parts of that. `StartError` when there is none.
    """
    try:
        if not entry.is_dir():
            return [entry]
        found = sorted(
            path
            for path in entry.iterdir()
            if path.suffix in (".pem", ".crt") and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise _unreadable(entry, error) from None
    if not found:
        raise _bad(entry, "a directory without a *.pem or *.crt file", _WHOLE, "put one there")
    by_name = {path.name: path for path in found}
    if {"fullchain.pem", "privkey.pem"} <= by_name.keys():
        return [by_name["fullchain.pem"]]
    return found


def load(path: Path, setting: str = "tls.certificates") -> Identity:
    """The identity in the PEM file that `setting` names. Its key may be in a file beside it: ``name.key``.

    For ``fullchain.pem`` the key may be in ``privkey.pem``, as certbot writes them. `StartError` says
    what is wrong.
    """
    data = _read(path, setting=setting)
    beside = [path.with_suffix(".key")]
    if path.name == "fullchain.pem":
        beside.append(path.with_name("privkey.pem"))
    where = " or ".join(str(each) for each in beside)
    if not any(_is_key(label) for label, _ in _blocks(data)):
        for key_path in beside:
            if key_path.exists():
                return parse(data, str(path), _read(key_path, setting=setting), str(key_path), beside=where)
    return parse(data, str(path), beside=where)


def parse(
    data: bytes, source: str, key_data: bytes = b"", key_source: str = "", beside: str = ""
) -> Identity:
    """The identity in PEM text, whose key may be in another text. `StartError` says what is wrong.

    Blocks may come in any order; the leaf is the certificate that the key belongs to, the others are
    its chain as they come.
    """
    certificates = _certificates(data, source, _WHOLE)
    keys = _keys(key_data or data, key_source or source)
    if not keys:
        where = f" and none in {beside}" if beside else ""
        raise _bad(source, f"no private key in it{where}", _WHOLE, "put the key into one of these files")
    for key in keys:
        for leaf in certificates:
            if key.public_key() == leaf.public_key():
                chain = tuple(each for each in certificates if each is not leaf)
                return Identity(source, key, leaf, chain, names(leaf))
    raise _bad(
        key_source or source,
        "a private key that belongs to none of the certificates",
        f"the key of the certificate for {subject(certificates[0])}",
        "use the key that the certificate was requested with",
    )


def bundle(path: Path, setting: str) -> tuple[x509.Certificate, ...]:
    """The certificates in the PEM file that `setting` names, each once; `StartError` when there is none."""
    expected = "a PEM file with the certificates of authorities"
    found = _certificates(_read(path, expected, setting), str(path), expected)
    return tuple(dict.fromkeys(found))


def _certificates(data: bytes, source: str, expected: str) -> list[x509.Certificate]:
    """All certificates in PEM text, in order; `StartError` for none and for a malformed one."""
    found: list[x509.Certificate] = []
    for label, block in _blocks(data):
        if label in (b"CERTIFICATE", b"X509 CERTIFICATE"):
            try:
                certificate = x509.load_pem_x509_certificate(block)
                # Both are parsed when first asked for: here is the place that can say so.
                _ = certificate.public_key(), certificate.extensions
            except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
                number = len(found) + 1
                raise _bad(
                    source, f"certificate {number} malformed: {error}", expected, "make it anew"
                ) from None
            found.append(certificate)
    if not found:
        raise _bad(source, "no certificate in it", expected, "is it the right file?")
    return found


def names(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """The names that a certificate is for, in lower case, wildcards as ``*.example.com``.

    The DNS names of subjectAltName; the common name only where that extension is missing (RFC 9525
    took it away, old private authorities still make such certificates). Addresses never come by SNI
    (RFC 6066 §3), so they are left out.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found = [str(each.value) for each in common]
    # A wire name is an A-label (RFC 6066 §3), so what is not ASCII can match none.
    return tuple(name.lower().removesuffix(".").encode() for name in found if name.isascii())


def doubts(identity: Identity, now: float) -> list[str]:
    """What an operator should know of a certificate that works all the same; `now` in Unix seconds."""
    found = []
    leaf, moment = identity.leaf, datetime.fromtimestamp(now, UTC)
    form = "%Y-%m-%d %H:%M UTC"
    if leaf.not_valid_after_utc < moment:
        found.append(f"expired on {leaf.not_valid_after_utc:{form}}: clients refuse it; renew it and reload")
    if leaf.not_valid_before_utc > moment:
        found.append(f"not valid before {leaf.not_valid_before_utc:{form}}: clients refuse it until then")
    for child, parent in zip((leaf, *identity.chain), identity.chain, strict=False):
        if child.issuer != parent.subject:
            found.append(
                f"the chain is not in order: {subject(child)} is followed by {subject(parent)}, "
                f"but was issued by {child.issuer.rfc4514_string()}; some clients refuse it"
            )
    return [f"{identity.source}: {each}" for each in found]


def throwaway(names: Sequence[str], *, key: str = "ecdsa", days: float = 30) -> bytes:
    """A new key and a self-signed certificate for these names and IP addresses, as PEM.

    For demos and tests: valid from an hour ago for `days`, no authority (CA:FALSE), never written to
    a file. `key` is "ecdsa" or "rsa". `ValueError` for another key, for no names, and for a name that
    is not ASCII.
    """
    if not names:
        raise ValueError("a certificate needs at least one name")
    private: PrivateKey
    if key == "ecdsa":
        private = ec.generate_private_key(ec.SECP256R1())
    elif key == "rsa":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        raise ValueError(f'key: found {key!r}, expected "ecdsa" or "rsa"')
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sslbroker throwaway")])
    start = datetime.now(UTC) - timedelta(hours=1)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    key_pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem + certificate.public_bytes(Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _keys(data: bytes, source: str) -> list[PrivateKey]:
    """The private keys in PEM text; `StartError` for one that is encrypted, malformed or of no use."""
    keys: list[PrivateKey] = []
    for label, block in _blocks(data):
        if not _is_key(label):
            continue
        if label.startswith(b"ENCRYPTED") or b"\nProc-Type: 4,ENCRYPTED" in block:
            raise _bad(
                source,
                "an encrypted private key",
                "one without a passphrase, which nobody could type at a start",
                f"decrypt it: openssl pkey -in {source} -out decrypted.key",
            )
        try:
            key = load_pem_private_key(block, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _bad(source, f"a malformed private key: {error}", _WHOLE, "make it anew") from None
        if not isinstance(key, PrivateKey):
            kind = type(key).__name__
            raise _bad(
                source,
                f"a private key of type {kind}",
                "one of type RSA, ECDSA or Ed25519",
                "have the certificate issued anew",
            )
        keys.append(key)
    return keys


def _is_key(label: bytes) -> bool:
    return label.endswith(b"PRIVATE KEY")


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Label and text of each PEM block (RFC 7468); what is between them is commentary."""
    label, lines = b"", [b""]
    for line in map(bytes.strip, data.removeprefix(b"\xef\xbb\xbf").splitlines()):
        if line.startswith(b"-----BEGIN ") and line.endswith(b"-----"):
            label, lines = line[11:-5], []
        lines.append(line)
        if label and line == b"-----END " + label + b"-----":
            yield label, b"\n".join([*lines, b""])
            label = b""


def _read(path: Path, expected: str = _WHOLE, setting: str = "tls.certificates") -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _bad(path, "no regular file", expected, f"correct {setting}")
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        raise _bad(path, "no such file", expected, f"correct {setting}") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, expected) from None
    if len(data) > FILE_LIMIT:
        raise _bad(path, f"more than {FILE_LIMIT} bytes", expected, "is it the right file?")
    return data


def subject(certificate: x509.Certificate) -> str:
    """What to call a certificate in a message."""
    return certificate.subject.rfc4514_string() or b", ".join(names(certificate)).decode() or "no name"


def _unreadable(path: Path, error: OSError | ValueError, expected: str = _WHOLE) -> StartError:
    # A ValueError comes of a zero byte in the path.
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return _bad(path, f"no way to read it: {reason}", expected, "let the broker's user read it")


def _bad(path: Path | str, found: str, expected: str, suggestion: str) -> StartError:
    return StartError(str(Problem(str(path), found, expected, suggestion)))
