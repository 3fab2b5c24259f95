"""What an operator reads when a handshake with a server failed."""

from __future__ import annotations

import string
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL, crypto
from twisted.internet.error import ConnectionDone, ConnectionLost

from sslbroker.net import certificates, tls_failures
from sslbroker.net.tls_failures import Expected, Refusal, printable, subject, why

from .servers import (
    NAME,
    TODAY,
    Play,
    authority,
    contexts,
    issued,
    lasting,
    play,
    server_context,
    wants_client_certificate,
)
from .test_tls import small_rsa

SHOP = Expected(NAME, "pools.shop.tls", alpn=(b"http/1.1", b"acme"))
VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]


def said(directory: Path, server: SSL.Context, **settings: Any) -> str:
    """Why the handshake with this server failed."""
    link = play(contexts(directory, **settings), server)
    assert not link.near.ready
    assert link.near.lost
    return link.near.why


# --- certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_an_expired_certificate(tmp_path: Path, version: int) -> None:
    leaf = lasting(-3)
    end = TODAY - timedelta(3)
    assert (
        said(tmp_path, server_context(leaf, maximum=version)) == f"certificate has expired ({end:%Y-%m-%d})"
    )


def test_a_certificate_of_tomorrow(tmp_path: Path) -> None:
    begin = TODAY + timedelta(2)
    leaf = authority().issue_cert(NAME, not_before=begin, not_after=begin + timedelta(9))
    assert said(tmp_path, server_context(leaf)) == f"certificate is not yet valid ({begin:%Y-%m-%d})"


def test_an_unknown_authority_is_named_with_what_can_be_done(tmp_path: Path) -> None:
    issuer = x509.load_pem_x509_certificate(authority(1).cert_pem.bytes()).subject
    who = f"signed by an unknown CA: '{subject(issuer)}'"
    other = issued(NAME, ca=1)
    assert said(tmp_path, server_context(other)) == f"{who} (not in pools.shop.tls.ca)"
    assert said(tmp_path, server_context(other), ca=None) == (
        f"{who} (not one of the system's; pools.shop.tls.ca can name it)"
    )


def test_a_root_that_the_server_sends_is_not_believed(tmp_path: Path) -> None:
    server = server_context(issued(NAME, ca=1))
    server.add_extra_chain_cert(x509.load_pem_x509_certificate(authority(1).cert_pem.bytes()))
    assert said(tmp_path, server).startswith("signed by an unknown CA: '")


def test_a_self_signed_certificate(tmp_path: Path) -> None:
    identity = certificates.parse(certificates.throwaway([NAME]), "self")
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate(identity.leaf)
    server.use_privatekey(identity.key)
    assert said(tmp_path, server) == "self-signed certificate (not in pools.shop.tls.ca)"


def test_an_authority_that_expired_is_named(tmp_path: Path) -> None:
    text, signed = chain(ca_days=-1)
    (tmp_path / "expired.pem").write_bytes(text)
    end = TODAY - timedelta(1)
    assert said(tmp_path, signed, ca=tmp_path / "expired.pem") == (
        f"certificate of the CA 'old root' has expired ({end:%Y-%m-%d})"
    )


def test_a_certificate_for_clients(tmp_path: Path) -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    text, signed = chain(usage)
    (tmp_path / "ca.pem").write_bytes(text)
    assert said(tmp_path, signed, ca=tmp_path / "ca.pem") == (
        "certificate is not for servers (its keyUsage or extendedKeyUsage)"
    )


def test_an_extension_that_must_be_understood_and_is_not(tmp_path: Path) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    text, signed = chain(odd, critical=True)
    (tmp_path / "ca.pem").write_bytes(text)
    found = said(tmp_path, signed, ca=tmp_path / "ca.pem")
    assert found == "certificate is refused: unhandled critical extension"


def test_a_key_that_is_too_short(tmp_path: Path) -> None:
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.set_cipher_list(b"ALL:@SECLEVEL=0")
    identity = certificates.parse(small_rsa(), "small")
    server.use_certificate(identity.leaf)
    server.use_privatekey(identity.key)
    (tmp_path / "small.pem").write_bytes(small_rsa())
    found = said(tmp_path, server)
    assert found.startswith(("certificate is too weak", "self-signed certificate"))
    refusal = Refusal(66, 0, authority_x509())
    assert tls_failures._refused(refusal, SHOP).startswith("certificate is too weak: expected ECDSA")


def test_the_first_fault_is_the_one_that_is_told(tmp_path: Path) -> None:
    link = play(contexts(tmp_path), server_context(lasting(-3)))
    transport = link.near.transport
    kept = transport.refusal
    assert kept.error == 10

    class Connection:
        def get_app_data(self) -> Any:
            return transport

    assert tls_failures.note(Connection(), authority_x509(), 18, 0, 0) is False  # type: ignore[arg-type]
    assert tls_failures.note(Connection(), authority_x509(), 0, 0, 1) is True  # type: ignore[arg-type]
    assert transport.refusal is kept


def test_a_connection_without_a_transport_is_no_mistake() -> None:
    class Connection:
        def get_app_data(self) -> None:
            return None

    assert tls_failures.note(Connection(), authority_x509(), 18, 0, 0) is False  # type: ignore[arg-type]


def test_a_certificate_that_cannot_be_read_is_refused_all_the_same() -> None:
    class Unreadable:
        def to_cryptography(self) -> None:
            raise ValueError("nonsense")

    refusal = Refusal(10, 0, Unreadable())  # type: ignore[arg-type]
    assert tls_failures._refused(refusal, SHOP) == "certificate has expired (on a date that cannot be read)"


def test_without_openssls_own_words_there_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Refusal(50, 0, authority_x509())
    assert "application verification" in tls_failures._refused(refusal, SHOP)
    monkeypatch.delattr(SSL, "_lib")
    assert tls_failures._refused(refusal, SHOP) == (
        "certificate is refused: error 50 of OpenSSL's verification"
    )


# --- versions, ciphers, client certificates -------------------------------------------------------


def test_a_server_of_tls_1_1(tmp_path: Path) -> None:
    server = server_context(minimum=SSL.TLS1_1_VERSION, maximum=SSL.TLS1_1_VERSION)
    server.set_cipher_list(b"ALL:@SECLEVEL=0")
    expected = "no common TLS version: expected TLSv1.2 or later (pools.shop.tls.minimum): "
    assert said(tmp_path, server).startswith(expected)


def test_a_server_below_the_minimum(tmp_path: Path) -> None:
    found = said(tmp_path, server_context(maximum=SSL.TLS1_2_VERSION), minimum="TLSv1.3")
    assert found.startswith("no common TLS version: expected TLSv1.3 or later (pools.shop.tls.minimum): ")


def test_a_server_with_other_ciphers(tmp_path: Path) -> None:
    server = server_context(issued(NAME, rsa=True), maximum=SSL.TLS1_2_VERSION)
    server.set_cipher_list(b"AES128-SHA")
    found = said(tmp_path, server)
    assert found == "no common cipher, group or kind of certificate: tls alert handshake failure"


def test_a_server_that_wants_a_client_certificate_says_so_in_the_handshake_of_1_2(tmp_path: Path) -> None:
    server = wants_client_certificate(server_context(maximum=SSL.TLS1_2_VERSION))
    wanted = "server asked for a client certificate (pools.shop.tls.certificate): tls alert handshake failure"
    assert said(tmp_path, server) == wanted
    refused = "server refused the client certificate: tlsv1 alert unknown ca (pools.shop.tls.certificate)"
    assert said(tmp_path, server, certificate=issued("broker.test", ca=1)) == refused


def test_a_server_that_wants_a_client_certificate_says_so_after_the_handshake_of_1_3(tmp_path: Path) -> None:
    server = wants_client_certificate(server_context(minimum=SSL.TLS1_3_VERSION))
    link = play(contexts(tmp_path), server)
    assert (link.near.ready, link.near.lost) == (True, "Error")
    expected = "server asked for a client certificate (pools.shop.tls.certificate): "
    assert link.near.why == f"{expected}tlsv13 alert certificate required"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("tlsv1 unrecognized name", f"server has no certificate for {NAME} (pools.shop.tls.server_name): "),
        ("tlsv1 alert no application protocol", "server speaks none of http/1.1, acme"),
        ("excessive message size", "certificate chain is too large, expected 100 KiB at most"),
        ("unsupported protocol", "no common TLS version: "),
        ("wrong cipher returned", "no common cipher, group or kind of certificate: "),
        ("tlsv1 alert internal error", "TLS failed: tlsv1 alert internal error"),
    ],
)
def test_other_reasons_of_openssl(reason: str, words: str) -> None:
    assert why(Ended(b"\x15\x03"), SSL.Error([("SSL routines", "", reason)]), SHOP).startswith(words)


def test_a_chain_of_more_than_100_kib_is_refused_by_openssl(tmp_path: Path) -> None:
    many = authority().issue_cert(*(f"a-long-name-that-fills-a-certificate-{n}.test" for n in range(3000)))
    assert said(tmp_path, server_context(many)) == "certificate chain is too large, expected 100 KiB at most"


# --- what was no TLS ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"220 mail.test ESMTP\r\n", "220 mail.test ESMTP"),
        (b"\n\n", ""),
        (b"\x1b[2Jhello\x00\xff", r"\x1b[2Jhello\x00\xff"),
        (b"x" * 5000, "x" * 60 + "..."),
        (b"\x16\x02\x00\x00\x00\x00\x00\x00", r"\x16\x02\x00\x00\x00\x00\x00\x00"),
        (b"-ERR unknown command '\x16'\r\n", r"-ERR unknown command '\x16'"),
    ],
)
def test_a_server_that_answers_in_another_language(tmp_path: Path, answer: bytes, shown: str) -> None:
    for pieces in ([answer], [answer[:1], answer[1:]]):
        link = Play(contexts(tmp_path), None)
        for piece in pieces:
            link.settle().wire.write(piece)
        link.settle().wire.loseConnection()
        link.settle()
        assert link.near.why == f"did not speak TLS (answered '{shown}')"


def test_a_server_that_closes_at_once(tmp_path: Path) -> None:
    for end in ("loseConnection", "abortConnection"):
        link = play(contexts(tmp_path), None)
        getattr(link.wire, end)()
        link.settle()
        assert link.near.why == "closed during the handshake, without a byte: does it speak TLS there?"


def test_a_server_that_closes_in_the_middle(tmp_path: Path) -> None:
    link = play(contexts(tmp_path), None)
    link.wire.write(b"\x16\x03\x03\x00\x7a\x02")
    link.settle().wire.loseConnection()
    assert link.settle().near.why == "closed during the handshake"


def test_bytes_that_look_like_tls_and_are_not(tmp_path: Path) -> None:
    link = play(contexts(tmp_path), None)
    link.wire.write(b"\x16\x03\x03\x00\x10" + b"\xff" * 16)
    assert link.settle().near.why.startswith("TLS failed: ")


class Ended:
    """A transport that has let go of its connection."""

    def __init__(self, first: bytes, refusal: Refusal | None = None) -> None:
        self.first = first
        self.refusal = refusal

    def getHandle(self) -> None:
        return None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "closed during the handshake"),
        (ConnectionDone(), "closed during the handshake"),
        (ConnectionLost(), "closed during the handshake"),
        (SSL.Error([]), "closed during the handshake"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "closed during the handshake"),
        (SSL.Error(), "closed during the handshake"),
        (SSL.Error([("SSL routines", "", "tls alert handshake failure")]), "no common cipher"),
        (ValueError("odd\n"), r"odd\n"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_transport_that_is_gone_still_gets_words(error: BaseException | None, words: str) -> None:
    assert why(Ended(b"\x16"), error, SHOP).startswith(words)


# --- hostile text ---------------------------------------------------------------------------------


SAFE = set(string.ascii_letters + string.digits + string.punctuation + " ")


@given(st.text())
def test_any_text_becomes_one_bounded_printable_line(text: str) -> None:
    found = printable(text)
    assert set(found) <= SAFE
    assert len(found) <= 60 * len(r"\U0010ffff") + 3


@given(st.binary(min_size=1, max_size=200))
def test_any_first_bytes_have_bounded_printable_words(data: bytes) -> None:
    for error in (None, SSL.Error([("", "", "wrong version number")])):
        found = why(Ended(data[:64]), error, SHOP)
        assert set(found) <= SAFE
        assert len(found) < 400


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ([(NameOID.COMMON_NAME, "a\nb\x1b[31m")], r"a\nb\x1b[31m"),
        ([(NameOID.COMMON_NAME, "x" * 64)], "x" * 60 + "..."),
        ([(NameOID.ORGANIZATION_NAME, "Evil \u202e Inc.")], r"Evil \u202e Inc."),
        ([(NameOID.LOCALITY_NAME, "Here")], "L=Here"),
        ([], "no name"),
    ],
)
def test_the_owner_of_a_certificate_is_shown_safely(attributes: Any, shown: str) -> None:
    assert subject(x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])) == shown


def test_a_name_that_cannot_be_read_is_no_name() -> None:
    assert subject(None) == "no name"  # type: ignore[arg-type]


# --- certificates that trustme does not make ------------------------------------------------------


def authority_x509() -> Any:
    found = x509.load_pem_x509_certificate(trustme.CA().cert_pem.bytes())
    return crypto.X509.from_cryptography(found)


def chain(
    *extensions: x509.ExtensionType, ca_days: float = 1, critical: bool = False
) -> tuple[bytes, SSL.Context]:
    """An authority as PEM, and a server with a certificate of it that has these extensions too."""
    now = TODAY
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    owners = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("old root", NAME)]
    made = []
    for number in (0, 1):
        builder = x509.CertificateBuilder(
            owners[0], owners[number], keys[number].public_key(), x509.random_serial_number()
        )
        end = now + timedelta(ca_days if number == 0 else 1)
        builder = builder.not_valid_before(now - timedelta(9)).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(number == 0, None), critical=True)
        if number == 1:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
            for extension in extensions:
                builder = builder.add_extension(extension, critical=critical)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate(made[1])
    server.use_privatekey(keys[1])
    return made[0].public_bytes(Encoding.PEM), server
