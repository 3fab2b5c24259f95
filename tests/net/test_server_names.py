"""Which names of a certificate count for whom."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.net.server_names import MANY, ServerName

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*names: x509.GeneralName | str, common: str = "") -> x509.Certificate:
    """A certificate for these names; texts are host names."""
    owner = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(owner, owner, KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(1))
    if names:
        whole = [x509.DNSName(name) if isinstance(name, str) else name for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(whole), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("shop.test", ["shop.test"]),
        ("SHOP.test.", ["other.test", "Shop.Test"]),
        ("localhost", ["localhost"]),
        ("my_service", ["my_service"]),
        ("a.shop.test", ["*.shop.test"]),
        ("10.0.0.1", [address("10.0.0.1")]),
        ("fe80::1%eth0", [address("fe80::1")]),
        ("0:0:0::1", ["x.test", address("::1")]),
        # what else is in it, and be it nonsense, costs it nothing
        ("shop.test", [x509.UniformResourceIdentifier("urn:a:b:c"), "10.0.0.1", "*", "", "shop.test"]),
        ("shop.test", [x509.RFC822Name("a@b.test"), "shop.test"]),
    ],
)
def test_a_name_that_counts(name: str, names: list[x509.GeneralName | str]) -> None:
    assert ServerName(name).fault(certificate(*names)) == ""


@pytest.mark.parametrize(
    ("name", "names", "shown"),
    [
        ("shop.test", ["other.test"], "other.test"),
        ("b.a.shop.test", ["*.shop.test"], "*.shop.test"),
        ("shop.test", ["*.shop.test"], "*.shop.test"),
        ("shop.test", ["*"], "*"),
        ("shop.test", ["*.test"], "*.test"),
        ("shop.test", ["shop.test.evil.test"], "shop.test.evil.test"),
        ("10.0.0.1", ["10.0.0.1"], "10.0.0.1"),  # as a host name, which it is not
        ("10.0.0.1", ["shop.test", address("10.0.0.2")], "shop.test, 10.0.0.2"),
        ("shop.test", [address("10.0.0.1")], "10.0.0.1"),
        ("shop.test", [], "nobody (no subjectAltName)"),
        ("shop.test", [x509.RFC822Name("a@shop.test")], "nobody (no subjectAltName)"),
        ("shop.test", list("abcde"), "a, b, c and 2 more"),
        ("shop.test", ["x\n\x1b[2J" + "y" * 100], r"x\n\x1b[2J" + "y" * 54 + "..."),
        ("shop.test", ["shop.test\0.evil.test"], r"shop.test\x00.evil.test"),
    ],
)
def test_a_name_that_does_not_count(name: str, names: list[x509.GeneralName | str], shown: str) -> None:
    found = ServerName(name).fault(certificate(*names, common="shop.test"))
    assert found == f"certificate is for {shown}, expected {name}"


def test_the_common_name_does_not_count() -> None:
    assert ServerName("shop.test").fault(certificate(common="shop.test"))


def test_a_certificate_for_a_network_is_not_for_an_address_in_it() -> None:
    network = x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))
    found = ServerName("10.0.0.1").fault(certificate(network))
    assert found == "certificate is for 10.0.0.0/8, expected 10.0.0.1"


@pytest.mark.parametrize("name", ["", ".", "a b", "bücher.test", "a" * 254, "a/b", "17", "x\0y"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        ServerName(name)


@pytest.mark.parametrize(
    ("name", "sni"),
    [("shop.test", b"shop.test"), (" Shop.test.\n", b"shop.test"), ("10.0.0.1", b""), ("::1", b"")],
)
def test_an_address_is_never_sent(name: str, sni: bytes) -> None:
    assert ServerName(name).sni == sni


def test_a_certificate_with_very_many_names_is_not_searched() -> None:
    names = [f"{number}.test" for number in range(MANY)]
    assert ServerName("999.test").fault(certificate(*names)) == ""
    found = ServerName("999.test").fault(certificate(*names, "more.test"))
    assert found == f"certificate is for {MANY + 1} names, expected {MANY} at most"


def test_a_certificate_that_cannot_be_read_is_for_nobody() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x05nonsense")
    owner = x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(owner, owner, KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(1))
    builder = builder.add_extension(odd, critical=False)
    found = ServerName("shop.test").fault(builder.sign(KEY, hashes.SHA256()))
    assert found.startswith("certificate is malformed: ")
    assert "\n" not in found


@given(st.lists(st.text(st.characters(max_codepoint=127), max_size=300), max_size=5))
def test_no_host_names_make_it_raise(names: list[str]) -> None:
    found = ServerName("shop.test").fault(certificate(*names))
    assert found.isprintable()
    assert len(found) < 2000
