"""What an operator's certificate files give, and what is said of those that cannot be used."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.errors import StartError
from sslbroker.net import certificates

WHOLE = "expected a PEM file with a private key and its certificate chain"
NOW = datetime.now(UTC)


@functools.cache
def authority() -> trustme.CA:
    """An authority below a root, so that chains have two certificates."""
    return trustme.CA().create_child_ca()


@functools.cache
def issued(names: tuple[str, ...], kind: trustme.KeyType = trustme.KeyType.ECDSA) -> trustme.LeafCert:
    return authority().issue_cert(*names, key_type=kind)


def whole(*names: str, rsa: bool = False) -> bytes:
    """Key and chain as PEM."""
    made = issued(names, trustme.KeyType.RSA) if rsa else issued(names)
    return made.private_key_and_cert_chain_pem.bytes()


def chain(*names: str) -> bytes:
    return b"".join(each.bytes() for each in issued(names).cert_chain_pems)


def key(*names: str) -> bytes:
    return issued(names).private_key_pem.bytes()


def self_signed(subject: str, *extensions: x509.ExtensionType) -> bytes:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def refusal(path: Path) -> str:
    with pytest.raises(StartError) as caught:
        certificates.load(path)
    return str(caught.value)


# --- what a file gives -------------------------------------------------------------------------


def test_leaf_chain_and_names_come_from_one_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    path.write_bytes(whole("shop.example", "*.Shop.Example"))
    identity = certificates.load(path)
    assert identity.source == str(path)
    assert identity.names == (b"shop.example", b"*.shop.example")
    assert identity.key.public_key() == identity.leaf.public_key()
    assert [each.subject for each in identity.chain] == [identity.leaf.issuer]
    assert identity.pem() == chain("shop.example", "*.Shop.Example")


def test_blocks_may_come_in_any_order_with_commentary_and_windows_line_ends() -> None:
    first, *rest = (each.bytes() for each in issued(("a.example",)).cert_chain_pems)
    text = b"\xef\xbb\xbf" + b"".join(rest) + b"leaf: \xff\n" + first + key("a.example")
    identity = certificates.parse(text.replace(b"\n", b"\r\n"), "a")
    assert identity.pem() == chain("a.example")


def test_a_truncated_block_is_no_block() -> None:
    text = whole("a.example")
    with pytest.raises(StartError, match="a: found no certificate in it"):
        certificates.parse(text[: text.index(b"-----END CERT")], "a")


def test_an_openssl_key_with_its_parameters_before_it_is_read() -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    traditional = load_pem_private_key(key("a.example"), None).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    assert traditional.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert certificates.parse(parameters + traditional + chain("a.example"), "a").names == (b"a.example",)


def test_of_several_keys_the_one_that_fits_counts() -> None:
    assert certificates.parse(key("b.example") + whole("a.example"), "a").names == (b"a.example",)


@pytest.mark.parametrize(
    ("certificate", "beside"),
    [("shop.crt", "shop.key"), ("shop.pem", "shop.key"), ("fullchain.pem", "privkey.pem")],
)
def test_the_key_may_be_in_a_file_beside(tmp_path: Path, certificate: str, beside: str) -> None:
    (tmp_path / certificate).write_bytes(chain("shop.example"))
    (tmp_path / beside).write_bytes(key("shop.example"))
    assert certificates.load(tmp_path / certificate).names == (b"shop.example",)


def test_a_key_in_the_file_itself_makes_one_beside_it_unimportant(tmp_path: Path) -> None:
    (tmp_path / "shop.pem").write_bytes(whole("shop.example"))
    (tmp_path / "shop.key").write_bytes(b"old")
    assert certificates.load(tmp_path / "shop.pem").names == (b"shop.example",)


def test_kinds_of_keys_are_told_apart() -> None:
    kinds = {
        certificates.parse(whole("a.example"), "").kind,
        certificates.parse(whole("a.example", rsa=True), "").kind,
    }
    assert len(kinds) == 2
    # one slot in a context, whatever the curve
    other = certificates.parse(self_signed("b.example"), "").kind
    assert other in kinds


# --- names -------------------------------------------------------------------------------------


def test_the_common_name_counts_only_without_alternative_names() -> None:
    alternative = x509.SubjectAlternativeName([x509.DNSName("b.example.")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    assert certificates.parse(self_signed("A.example"), "").names == (b"a.example",)
    assert certificates.parse(self_signed("a.example", alternative), "").names == (b"b.example",)
    assert certificates.parse(self_signed("a.example", address), "").names == ()
    assert certificates.parse(self_signed("Büro"), "").names == ()
    assert certificates.parse(self_signed(""), "").names == ()


# --- which files an entry means ----------------------------------------------------------------


def test_a_file_means_itself_even_when_it_is_missing(tmp_path: Path) -> None:
    assert certificates.pem_files(tmp_path / "shop.pem") == [tmp_path / "shop.pem"]


def test_a_directory_means_its_pem_and_crt_files_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.pem", "a.crt", "c.key", "README", ".hidden.pem"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.pem").mkdir()
    assert [path.name for path in certificates.pem_files(tmp_path)] == ["a.crt", "b.pem"]


def test_of_a_directory_of_certbot_only_the_full_chain_is_taken(tmp_path: Path) -> None:
    for name in ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in certificates.pem_files(tmp_path)] == ["fullchain.pem"]


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        certificates.pem_files(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: found a directory without a *.pem or *.crt file, {WHOLE} (put one there)"
    )


def test_a_directory_that_cannot_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(StartError) as caught:
        certificates.pem_files(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: found no way to read it: Permission denied, {WHOLE} (let the broker's user read it)"
    )


# --- files that cannot be used -----------------------------------------------------------------


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    assert refusal(path) == f"{path}: found no such file, {WHOLE} (correct tls.certificates)"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    path.symlink_to(path)
    reason = "Too many levels of symbolic links"
    assert (
        refusal(path) == f"{path}: found no way to read it: {reason}, {WHOLE} (let the broker's user read it)"
    )


def test_a_path_with_a_zero_byte_is_refused() -> None:
    # The reason is Python's, and each version words it in its own way.
    said = re.fullmatch(
        "a\0b: found no way to read it: .*embedded null (byte|character).*", refusal(Path("a\0b"))
    )
    assert said


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    os.mkfifo(path)
    assert refusal(path) == f"{path}: found no regular file, {WHOLE} (correct tls.certificates)"


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    path.write_bytes(b"x" * (certificates.FILE_LIMIT + 1))
    assert refusal(path) == f"{path}: found more than 1048576 bytes, {WHOLE} (is it the right file?)"


def test_a_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    path.write_bytes(key("shop.example"))
    assert refusal(path) == f"{path}: found no certificate in it, {WHOLE} (is it the right file?)"


def test_a_malformed_certificate_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    path.write_bytes(whole("a.example") + b"-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n")
    assert refusal(path).startswith(f"{path}: found certificate 3 malformed: ")
    assert refusal(path).endswith(f", {WHOLE} (make it anew)")


def test_malformed_alternative_names_are_refused_and_not_raised_later() -> None:
    class Broken(x509.UnrecognizedExtension):
        pass

    extension = Broken(x509.SubjectAlternativeName.oid, b"\x30\x03\x82\x01\xff")
    with pytest.raises(StartError, match="a: found certificate 1 malformed"):
        certificates.parse(self_signed("a.example", extension), "a")


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.crt"
    path.write_bytes(chain("shop.example"))
    beside = tmp_path / "shop.key"
    advice = "(put the key into one of these files)"
    assert refusal(path) == f"{path}: found no private key in it and none in {beside}, {WHOLE} {advice}"
    beside.write_bytes(b"nothing")
    assert refusal(path) == f"{path}: found no private key in it and none in {beside}, {WHOLE} {advice}"


def test_a_key_of_another_certificate_is_refused_in_the_file_that_has_it(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.pem", tmp_path / "a.key"
    text = "found a private key that belongs to none of the certificates, expected the key of the certificate"
    subject = f"for {issued_subject('a.example')}"
    advice = "(use the key that the certificate was requested with)"
    path.write_bytes(chain("a.example") + key("b.example"))
    assert refusal(path) == f"{path}: {text} {subject} {advice}"
    path.write_bytes(chain("a.example"))
    beside.write_bytes(key("b.example"))
    assert refusal(path) == f"{beside}: {text} {subject} {advice}"


def issued_subject(name: str) -> str:
    return certificates.parse(whole(name), "").leaf.subject.rfc4514_string()


def test_a_certificate_without_a_subject_is_called_by_its_names() -> None:
    alternative = x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.DNSName("b.example")])
    for text, called in (
        (self_signed("", alternative), "a.example, b.example"),
        (self_signed(""), "no name"),
    ):
        certificate = text[text.index(b"-----BEGIN CERT") :]
        with pytest.raises(StartError, match=f"the certificate for {called} "):
            certificates.parse(certificate + key("c.example"), "a")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused(tmp_path: Path, form: PrivateFormat) -> None:
    path = tmp_path / "shop.pem"
    secret = load_pem_private_key(key("a.example"), None)
    path.write_bytes(
        chain("a.example") + secret.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    )
    assert refusal(path) == (
        f"{path}: found an encrypted private key, expected one without a passphrase, which nobody could type "
        f"at a start (decrypt it: openssl pkey -in {path} -out decrypted.key)"
    )


def test_a_malformed_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    path.write_bytes(chain("a.example") + b"-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n")
    assert refusal(path).startswith(f"{path}: found a malformed private key: ")


def test_a_key_that_cannot_sign_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    exchange = x25519.X25519PrivateKey.generate()
    path.write_bytes(
        chain("a.example") + exchange.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    assert refusal(path) == (
        f"{path}: found a private key of type X25519PrivateKey, expected one of type RSA, ECDSA or Ed25519 "
        "(have the certificate issued anew)"
    )


@given(st.binary(max_size=300), st.integers(0, 1500), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_refused_or_read_but_never_raise_anything_else(
    damage: bytes, place: int, cut: int
) -> None:
    text = whole("a.example")
    try:
        certificates.parse(text[:place] + damage + text[place + cut :], "a")
    except StartError as error:
        assert str(error).startswith("a: found ")  # noqa: PT017


# --- doubts ------------------------------------------------------------------------------------


def test_a_certificate_in_its_time_raises_no_doubt() -> None:
    identity = certificates.parse(whole("a.example"), "a")
    assert certificates.doubts(identity, NOW.timestamp()) == []


def test_an_expired_certificate_and_one_of_the_future_are_doubted() -> None:
    identity = certificates.parse(self_signed("a.example"), "a")
    end = NOW + timedelta(days=1)
    assert certificates.doubts(identity, end.timestamp() + 1) == [
        f"a: expired on {end:%Y-%m-%d %H:%M} UTC: clients refuse it; renew it and reload"
    ]
    assert certificates.doubts(identity, NOW.timestamp() - 5) == [
        f"a: not valid before {NOW:%Y-%m-%d %H:%M} UTC: clients refuse it until then"
    ]


def test_a_chain_out_of_order_is_doubted() -> None:
    stranger = self_signed("stranger")
    identity = certificates.parse(whole("a.example") + stranger[stranger.index(b"-----BEGIN CERT") :], "a")
    (doubt,) = certificates.doubts(identity, NOW.timestamp())
    assert doubt.startswith("a: the chain is not in order: ")
    assert "is followed by CN=stranger, but was issued by" in doubt


# --- throwaway ---------------------------------------------------------------------------------


def test_a_throwaway_certificate_is_for_names_and_addresses_and_no_authority() -> None:
    identity = certificates.parse(certificates.throwaway(["localhost", "127.0.0.1", "::1"], days=2), "a")
    leaf = identity.leaf
    alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in alternative.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=2)
    assert leaf.not_valid_before_utc < datetime.now(UTC) < leaf.not_valid_after_utc
    assert isinstance(identity.key, ec.EllipticCurvePrivateKey)


def test_a_throwaway_certificate_can_have_an_rsa_key_and_a_serial_number_of_its_own() -> None:
    one, two = (certificates.parse(certificates.throwaway(["a"], key=kind), "") for kind in ("rsa", "ecdsa"))
    assert isinstance(one.key, rsa.RSAPrivateKey)
    assert one.leaf.serial_number != two.leaf.serial_number


def test_a_throwaway_certificate_needs_a_known_key_type_and_names() -> None:
    with pytest.raises(ValueError, match='found \'dsa\', expected "ecdsa" or "rsa"'):
        certificates.throwaway(["a"], key="dsa")
    with pytest.raises(ValueError, match="at least one name"):
        certificates.throwaway([])
    with pytest.raises(ValueError, match="A-label"):
        certificates.throwaway(["bücher.example"])


def test_an_ed25519_certificate_is_read() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ed.example")])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(private, None)
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    identity = certificates.parse(text + certificate.public_bytes(Encoding.PEM), "")
    assert identity.names == (b"ed.example",)
    assert "Ed25519" in identity.kind
