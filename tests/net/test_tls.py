"""Handshakes with real TLS in memory: two OpenSSL connections that read each other's bytes."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL, crypto
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from sslbroker.errors import StartError
from sslbroker.net import certificates, tls
from sslbroker.net.transports import Wrapping
from sslbroker.settings import THROWAWAY, ListenerTLS

from .test_certificates import authority, chain, key, whole

RSA_ONLY = "ECDHE-RSA-AES128-GCM-SHA256"
ECDSA_ONLY = "ECDHE-ECDSA-AES128-GCM-SHA256"


# --- the two sides -----------------------------------------------------------------------------


def listener(directory: Path, *texts: bytes, **changes: Any) -> tls.ListenerContexts:
    """Contexts of a listener with these PEM texts as its files, in order."""
    paths = []
    for number, text in enumerate(texts):
        paths.append(directory / f"{number}.pem")
        paths[-1].write_bytes(text)
    alpn = changes.pop("alpn", (b"http/1.1",))
    return tls.ListenerContexts(ListenerTLS(tuple(paths), **changes), alpn)


def client_context(
    *,
    version: int = 0,
    ciphers: str = "",
    groups: str = "",
    alpn: Sequence[bytes] = (),
    tickets: bool = True,
    trusted: trustme.CA | None = None,
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version:
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    if ciphers:
        context.set_cipher_list(ciphers.encode())
    if groups:
        SSL._lib.SSL_CTX_set1_curves_list(context._context, groups.encode())  # type: ignore[attr-defined]
    if not tickets:
        context.set_options(SSL.OP_NO_TICKET)
    if alpn:
        context.set_alpn_protos(list(alpn))
    if trusted:
        trusted.configure_trust(context)
        context.set_verify(SSL.VERIFY_PEER)
        store = context.get_cert_store()
        assert store is not None
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # the test authority is no root
    return context


def client_of(
    sni: bytes = b"",
    *,
    context: SSL.Context | None = None,
    session: SSL.Session | None = None,
    **how: Any,
) -> SSL.Connection:
    connection = SSL.Connection(context or client_context(**how), None)
    if sni:
        connection.set_tlsext_host_name(sni)
    if session:
        connection.set_session(session)
    connection.set_connect_state()
    return connection


def server_of(contexts: tls.ListenerContexts) -> SSL.Connection:
    connection = contexts.serverConnectionForTLS(None)  # type: ignore[arg-type]
    connection.set_accept_state()
    return connection


def out_of(connection: SSL.Connection) -> bytes:
    data = b""
    while True:
        try:
            data += connection.bio_read(65536)
        except SSL.WantReadError:
            return data


def step(connection: SSL.Connection, data: bytes = b"") -> bytes:
    """Go on with a handshake; raises `SSL.Error` when it failed."""
    if data:
        connection.bio_write(data)
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return out_of(connection)
    # takes in what follows a handshake: the tickets of TLS 1.3
    with pytest.raises(SSL.WantReadError):
        connection.recv(1)
    return out_of(connection)


def shake(client: SSL.Connection, contexts: tls.ListenerContexts) -> SSL.Connection:
    """Do the whole handshake; the server's side of it. Raises `SSL.Error` when a side refuses."""
    server = server_of(contexts)
    data = step(client)
    while data:
        data = step(server, data)
        data = step(client, data) if data else b""
    return server


def alert(client: SSL.Connection, contexts: tls.ListenerContexts) -> str:
    """What the client hears when the server refuses the handshake."""
    server = server_of(contexts)
    hello = step(client)
    with pytest.raises(SSL.Error):
        step(server, hello)
    with pytest.raises(SSL.Error) as caught:
        step(client, out_of(server))
    return str(caught.value.args[0][0][2])


def names_seen(client: SSL.Connection) -> set[bytes]:
    """The names in the certificate that the client got."""
    certificate = client.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    return set(certificates.names(certificate))


def kind_seen(client: SSL.Connection) -> str:
    certificate = client.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    return "RSA" if "RSA" in type(certificate.public_key()).__name__ else "ECDSA"


def chain_seen(client: SSL.Connection) -> bytes:
    certs = client.get_peer_cert_chain(as_cryptography=True)
    assert certs is not None
    return b"".join(each.public_bytes(Encoding.PEM) for each in certs)


def talk(client: SSL.Connection, server: SSL.Connection) -> None:
    """Bytes pass both ways."""
    client.send(b"ping")
    server.bio_write(out_of(client))
    assert server.recv(100) == b"ping"
    server.send(b"pong")
    client.bio_write(out_of(server))
    assert client.recv(100) == b"pong"


# --- versions, ciphers, groups -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "name"), [(SSL.TLS1_2_VERSION, "TLSv1.2"), (SSL.TLS1_3_VERSION, "TLSv1.3")]
)
def test_tls_1_2_and_1_3_are_spoken(tmp_path: Path, version: int, name: str) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    client = client_of(version=version)
    server = shake(client, contexts)
    assert server.get_protocol_version_name() == name
    talk(client, server)


def test_a_client_of_tls_1_1_is_refused_with_an_alert_and_others_go_on(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    old = client_of(version=SSL.TLS1_1_VERSION, ciphers="ALL:@SECLEVEL=0")
    assert alert(old, contexts) == "tlsv1 alert protocol version"
    client = client_of()
    talk(client, shake(client, contexts))


def test_a_minimum_of_1_3_refuses_1_2(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), minimum="TLSv1.3")
    assert alert(client_of(version=SSL.TLS1_2_VERSION), contexts) == "tlsv1 alert protocol version"
    shake(client_of(), contexts)


@pytest.mark.parametrize("name", [b"", b"b.example"])
def test_the_minimum_holds_for_every_name(tmp_path: Path, name: bytes) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"), minimum="TLSv1.3")
    assert alert(client_of(name, version=SSL.TLS1_2_VERSION), contexts) == "tlsv1 alert protocol version"


def test_no_common_cipher_gives_an_alert_and_others_go_on(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    odd = client_of(version=SSL.TLS1_2_VERSION, ciphers="ECDHE-ECDSA-AES128-SHA")
    assert "handshake failure" in alert(odd, contexts)
    client = client_of()
    talk(client, shake(client, contexts))


def test_the_operators_ciphers_are_used_for_every_name(tmp_path: Path) -> None:
    contexts = listener(
        tmp_path,
        whole("a.example"),
        whole("b.example"),
        ciphers="ECDHE-ECDSA-AES256-GCM-SHA384",
        cipher_suites="TLS_CHACHA20_POLY1305_SHA256",
    )
    for name in (b"a.example", b"b.example"):
        server = shake(client_of(name, version=SSL.TLS1_2_VERSION), contexts)
        assert server.get_cipher_name() == "ECDHE-ECDSA-AES256-GCM-SHA384"
        server = shake(client_of(name), contexts)
        assert server.get_cipher_name() == "TLS_CHACHA20_POLY1305_SHA256"


def test_the_client_chooses_among_the_ciphers(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    for cipher in ("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        ciphers = f"{cipher}:ECDHE-ECDSA-AES256-GCM-SHA384"
        server = shake(client_of(version=SSL.TLS1_2_VERSION, ciphers=ciphers), contexts)
        assert server.get_cipher_name() == cipher


def test_the_post_quantum_group_is_taken_even_at_the_cost_of_a_round_trip(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    assert shake(client_of(), contexts).get_group_name() == "X25519MLKEM768"
    later = client_of(groups="X25519:X25519MLKEM768")
    assert shake(later, contexts).get_group_name() == "X25519MLKEM768"


def test_groups_that_cost_the_broker_much_are_refused(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    for group in ("P-521", "X448", "ffdhe3072"):
        for name in (b"", b"b.example"):
            assert "handshake failure" in alert(client_of(name, groups=group), contexts)


def test_compression_and_renegotiation_are_off_and_truncation_is_noticed_for_every_name(
    tmp_path: Path,
) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    for name in (b"a.example", b"b.example"):
        options = shake(client_of(name), contexts).set_options(0)
        assert options & SSL.OP_NO_COMPRESSION
        assert options & SSL.OP_NO_RENEGOTIATION
        assert not options & SSL.OP_IGNORE_UNEXPECTED_EOF
        assert not options & SSL.OP_CIPHER_SERVER_PREFERENCE


def test_renegotiation_is_refused_and_the_connection_stays(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    client = client_of(version=SSL.TLS1_2_VERSION)
    server = shake(client, contexts)
    client.renegotiate()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(out_of(client))
    with pytest.raises(SSL.WantReadError):
        server.recv(1)
    client.bio_write(out_of(server))
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()
    assert server.total_renegotiations() == 0
    server.send(b"still here")


def test_an_end_without_close_notify_is_not_a_clean_one(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    client = client_of()
    cut, closed = shake(client, contexts), shake(whole_client := client_of(), contexts)
    cut.bio_shutdown()
    with pytest.raises(SSL.Error) as caught:
        cut.recv(1)
    assert not isinstance(caught.value, SSL.ZeroReturnError)
    whole_client.shutdown()
    closed.bio_write(out_of(whole_client))
    with pytest.raises(SSL.ZeroReturnError):
        closed.recv(1)


# --- the certificate for a name ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (b"", b"first.example"),
        (b"first.example", b"first.example"),
        (b"b.example", b"b.example"),
        (b"B.ExAmPlE", b"b.example"),
        (b"b.example.", b"b.example"),
        (b"x.wild.example", b"*.wild.example"),
        (b"X.WILD.example.", b"*.wild.example"),
        (b"special.wild.example", b"special.wild.example"),
        (b"wild.example", b"first.example"),
        (b"x.y.wild.example", b"first.example"),
        (b".wild.example", b"first.example"),
        (b"*.wild.example", b"*.wild.example"),
        (b"b.example..", b"first.example"),
        (b"unknown.example", b"first.example"),
        (b".", b"first.example"),
        (b"127.0.0.1", b"first.example"),
        (b"xn--\xff\xfe.example", b"first.example"),
        (b"b\xc3\xbccher.example", b"first.example"),
        (b" b.example", b"first.example"),
        (b"x" * 255, b"first.example"),
        (b"." * 255, b"first.example"),
    ],
)
def test_the_certificate_is_chosen_by_name(tmp_path: Path, asked: bytes, given: bytes) -> None:
    contexts = listener(
        tmp_path,
        whole("first.example"),
        whole("b.example"),
        whole("*.wild.example"),
        whole("special.wild.example"),
    )
    for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
        client = client_of(asked, version=version)
        server = shake(client, contexts)
        assert names_seen(client) == {given}
        talk(client, server)


def with_sni(hello: bytes, extension: bytes) -> bytes:
    """A ClientHello record whose server_name extension has this content (RFC 8446 §4.1.2)."""
    at = 5 + 4 + 2 + 32
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        at += size + int.from_bytes(hello[at : at + size])
    others, start = hello[at + 2 :], b""
    while others:
        end = 4 + int.from_bytes(others[2:4])
        if others[:2] != b"\0\0":
            start += others[:end]
        others = others[end:]
    extensions = b"\0\0" + len(extension).to_bytes(2) + extension + start
    body = hello[9:at] + len(extensions).to_bytes(2) + extensions
    return hello[:3] + (len(body) + 4).to_bytes(2) + b"\x01" + len(body).to_bytes(3) + body


def server_name(name: bytes, kind: int = 0) -> bytes:
    entry = bytes([kind]) + len(name).to_bytes(2) + name
    return len(entry).to_bytes(2) + entry


def test_a_hello_with_a_name_put_in_is_understood(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    server = server_of(contexts)
    # no bytes but the name changed, so this is the control of the hostile ones below
    assert step(server, with_sni(step(client_of()), server_name(b"b.example")))
    assert server.get_servername() == b"b.example"
    assert server.get_context() is contexts._contexts.exact[b"b.example"]


@pytest.mark.parametrize(
    "extension",
    [
        server_name(b"b.exa\0ple"),
        server_name(b"x" * 256),
        server_name(b"x" * 8000),
        server_name(b"b.example", kind=7),
        server_name(b"b.example")[:-1],
        b"\0\0",
        b"",
    ],
)
def test_a_hostile_name_ends_its_own_connection_only(tmp_path: Path, extension: bytes) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    server = server_of(contexts)
    with pytest.raises(SSL.Error):
        step(server, with_sni(step(client_of()), extension))
    assert out_of(server)[:1] == b"\x15"  # an alert
    client = client_of(b"b.example")
    talk(client, shake(client, contexts))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_have_a_context(name: bytes) -> None:
    contexts = table()._contexts
    assert contexts.context(name) in {contexts.default, contexts.wildcards[b"b.example"]}


@functools.cache
def table() -> tls.ListenerContexts:
    with tempfile.TemporaryDirectory() as directory:
        return listener(Path(directory), whole("a.example"), whole("*.b.example"))


def test_of_two_certificates_for_a_name_the_first_is_given_and_the_other_told_of(tmp_path: Path) -> None:
    contexts = listener(
        tmp_path, whole("a.example", "b.example"), whole("b.example"), whole("b.example", "c.example")
    )
    for name, expected in (
        (b"b.example", {b"a.example", b"b.example"}),
        (b"c.example", {b"b.example", b"c.example"}),
    ):
        client = client_of(name)
        shake(client, contexts)
        assert names_seen(client) == expected
    assert contexts.warnings == [f"{tmp_path / '1.pem'}: never used: files before it have all its names"]


def test_a_directory_gives_all_its_certificates(tmp_path: Path) -> None:
    for name in ("a.example", "b.example"):
        (tmp_path / f"{name}.crt").write_bytes(chain(name))
        (tmp_path / f"{name}.key").write_bytes(key(name))
    contexts = tls.ListenerContexts(ListenerTLS((tmp_path,)))
    for name in ("a.example", "b.example"):
        client = client_of(name.encode())
        shake(client, contexts)
        assert chain_seen(client) == chain(name)


# --- one name, two types -----------------------------------------------------------------------


def pair(tmp_path: Path, *names: str) -> tls.ListenerContexts:
    return listener(tmp_path, whole(*names), whole(*names, rsa=True))


@pytest.mark.parametrize("name", [b"", b"a.example", b"unknown"])
@pytest.mark.parametrize(("ciphers", "kind"), [(RSA_ONLY, "RSA"), (ECDSA_ONLY, "ECDSA")])
def test_the_clients_ciphers_choose_between_an_ecdsa_and_an_rsa_certificate(
    tmp_path: Path, name: bytes, ciphers: str, kind: str
) -> None:
    client = client_of(name, version=SSL.TLS1_2_VERSION, ciphers=ciphers)
    shake(client, pair(tmp_path, "a.example"))
    assert kind_seen(client) == kind


def test_a_client_of_1_3_that_can_both_gets_ecdsa(tmp_path: Path) -> None:
    client = client_of(b"a.example", version=SSL.TLS1_3_VERSION)
    shake(client, pair(tmp_path, "a.example"))
    assert kind_seen(client) == "ECDSA"


def test_each_of_two_certificates_has_the_chain_of_its_own_file(tmp_path: Path) -> None:
    other = trustme.CA().create_child_ca().issue_cert("a.example", key_type=trustme.KeyType.RSA)
    text = other.private_key_and_cert_chain_pem.bytes()
    for order in ((whole("a.example"), text), (text, whole("a.example"))):
        contexts = listener(tmp_path, *order)
        for ciphers, expected in (
            (ECDSA_ONLY, chain("a.example")),
            (RSA_ONLY, b"".join(each.bytes() for each in other.cert_chain_pems)),
        ):
            client = client_of(b"a.example", version=SSL.TLS1_2_VERSION, ciphers=ciphers)
            shake(client, contexts)
            assert chain_seen(client) == expected
            assert expected.count(b"BEGIN") == 2


def test_the_default_takes_a_partner_only_when_that_has_all_its_names(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example", rsa=True))
    odd = client_of(version=SSL.TLS1_2_VERSION, ciphers=RSA_ONLY)
    assert "handshake failure" in alert(odd, contexts)


def test_a_wildcard_certificate_serves_clients_that_cannot_use_the_exact_one(tmp_path: Path) -> None:
    contexts = listener(
        tmp_path, whole("first.example"), whole("x.a.example"), whole("*.a.example", rsa=True)
    )
    for ciphers, name in ((ECDSA_ONLY, b"x.a.example"), (RSA_ONLY, b"*.a.example")):
        client = client_of(b"x.a.example", version=SSL.TLS1_2_VERSION, ciphers=ciphers)
        shake(client, contexts)
        assert names_seen(client) == {name}


def test_a_client_that_trusts_the_authority_verifies_the_chain_and_another_refuses(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    shake(client_of(trusted=authority()), contexts)
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        shake(client_of(trusted=trustme.CA()), contexts)


# --- ALPN --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"", b"b.example"])
@pytest.mark.parametrize(
    ("ours", "offered", "chosen"),
    [
        ((b"http/1.1",), [], b""),
        ((b"http/1.1",), [b"h2"], b""),
        ((b"http/1.1",), [b"h2", b"http/1.1"], b"http/1.1"),
        ((b"h2", b"http/1.1"), [b"http/1.1", b"h2"], b"h2"),
        ((), [b"h2", b"http/1.1"], b""),
        ((b"http/1.1",), [b"\xff" * 255, b"\0"], b""),
    ],
)
def test_alpn_takes_our_first_that_the_client_offers_and_refuses_none(
    tmp_path: Path, name: bytes, ours: tuple[bytes, ...], offered: list[bytes], chosen: bytes
) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"), alpn=ours)
    client = client_of(name, alpn=offered)
    server = shake(client, contexts)
    assert server.get_alpn_proto_negotiated() == client.get_alpn_proto_negotiated() == chosen
    talk(client, server)


# --- resumption --------------------------------------------------------------------------------


def resumed(connection: SSL.Connection) -> bool:
    return bool(SSL._lib.SSL_session_reused(connection._ssl))  # type: ignore[attr-defined]


def session_of(client: SSL.Connection, contexts: tls.ListenerContexts) -> SSL.Session:
    """What a client keeps after a connection that ends well; OpenSSL forgets those that break off."""
    server = shake(client, contexts)
    assert not resumed(server)
    session = client.get_session()
    assert session is not None
    client.shutdown()
    server.shutdown()
    return session


def resumption(
    contexts: tls.ListenerContexts, context: SSL.Context, name: bytes, later: bytes | None = None
) -> bool:
    """Is the session resumed of a client that returns, perhaps for another name?"""
    session = session_of(client_of(name, context=context), contexts)
    again = client_of(name if later is None else later, context=context, session=session)
    server = shake(again, contexts)
    talk(again, server)
    return resumed(server)


RETURNING = pytest.mark.parametrize(
    ("version", "tickets"),
    [(SSL.TLS1_2_VERSION, False), (SSL.TLS1_2_VERSION, True), (SSL.TLS1_3_VERSION, True)],
    ids=["1.2 id", "1.2 ticket", "1.3 ticket"],
)


@RETURNING
@pytest.mark.parametrize("name", [b"", b"a.example", b"b.example", b"c.example", b"unknown"])
def test_a_session_is_resumed_whatever_its_name(
    tmp_path: Path, version: int, tickets: bool, name: bytes
) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"), whole("c.example"))
    context = client_context(version=version, tickets=tickets)
    assert resumption(contexts, context, name)


@RETURNING
def test_a_session_is_resumed_for_another_name_too(tmp_path: Path, version: int, tickets: bool) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"), whole("c.example"))
    context = client_context(version=version, tickets=tickets)
    assert resumption(contexts, context, b"b.example", b"c.example")
    assert resumption(contexts, context, b"a.example", b"b.example")


@RETURNING
def test_a_session_of_before_a_reload_is_not_resumed_and_does_no_harm(
    tmp_path: Path, version: int, tickets: bool
) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    context = client_context(version=version, tickets=tickets)
    for renew in (contexts.reload, contexts.renew_ticket_keys):
        session = session_of(client_of(b"b.example", context=context), contexts)
        renew()
        again = client_of(b"b.example", context=context, session=session)
        server = shake(again, contexts)
        assert not resumed(server)
        talk(again, server)
        assert resumption(contexts, context, b"b.example")


def test_no_early_data_is_taken(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    session = session_of(client_of(), contexts)
    assert SSL._lib.SSL_SESSION_get_max_early_data(session._session) == 0  # type: ignore[attr-defined]


# --- reload ------------------------------------------------------------------------------------


def test_a_reload_serves_the_new_files_to_new_connections(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    open_client, half_client = client_of(), client_of()
    open_server, half_server = shake(open_client, contexts), server_of(contexts)
    (tmp_path / "0.pem").write_bytes(whole("b.example"))
    contexts.reload()
    talk(open_client, open_server)
    step(half_client, step(half_server, step(half_client)))
    assert names_seen(half_client) == {b"a.example"}
    new_client = client_of()
    talk(new_client, shake(new_client, contexts))
    assert names_seen(new_client) == {b"b.example"}


def test_a_reload_with_any_broken_file_changes_nothing(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    warnings = contexts.warnings
    (tmp_path / "0.pem").write_bytes(whole("new.example"))
    (tmp_path / "1.pem").write_bytes(b"half a fi")
    with pytest.raises(StartError, match=r"1\.pem: found no certificate in it"):
        contexts.reload()
    with pytest.raises(StartError):
        contexts.reload(ListenerTLS((tmp_path / "1.pem",), minimum="TLSv1.3"))
    contexts.renew_ticket_keys()
    for name in (b"a.example", b"b.example"):
        client = client_of(name, version=SSL.TLS1_2_VERSION)
        shake(client, contexts)
        assert names_seen(client) == {name}
    assert contexts.warnings is warnings


def test_a_reload_may_bring_new_settings_that_last(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"))
    old = client_context(version=SSL.TLS1_2_VERSION)
    contexts.reload(ListenerTLS((tmp_path / "0.pem",), minimum="TLSv1.3"))
    for renew in (contexts.renew_ticket_keys, contexts.reload):
        renew()
        assert alert(client_of(context=old), contexts) == "tlsv1 alert protocol version"


def test_a_handshake_with_a_second_hello_survives_a_reload_between_the_two(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    client, server = client_of(b"b.example", groups="X448:P-384"), server_of(contexts)
    request = step(server, step(client))
    assert server.get_state_string() != b"SSL negotiation finished successfully"
    contexts.reload()
    gc.collect()
    step(client, step(server, step(client, request)))
    assert names_seen(client) == {b"b.example"}
    assert server.get_group_name() == "secp384r1"


def test_contexts_of_before_a_reload_are_let_go(tmp_path: Path) -> None:
    contexts = listener(tmp_path, whole("a.example"), whole("b.example"))
    client = client_of(b"b.example")
    server = shake(client, contexts)
    old = weakref.ref(contexts._contexts.default)
    contexts.reload()
    gc.collect()
    assert old() is not None  # a connection still uses its table
    del client, server
    gc.collect()
    assert old() is None


# --- what is refused, and what is only doubted -------------------------------------------------


def refusal(*paths: Path, **changes: Any) -> list[str]:
    with pytest.raises(StartError) as caught:
        tls.ListenerContexts(ListenerTLS(paths, **changes))
    return str(caught.value).split("\n")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "certs"
    empty.mkdir()
    whole_file = "expected a PEM file with a private key and its certificate chain"
    assert refusal(
        tmp_path / "none.pem",
        empty,
        ciphers="RC5:ROT13",
        cipher_suites="TLS_ROT13",
    ) == [
        'tls.ciphers: found "RC5:ROT13", expected OpenSSL names for TLS 1.2, divided by colons '
        "(`openssl ciphers -s -tls1_2 -v` lists them)",
        'tls.cipher_suites: found "TLS_ROT13", expected names of TLS 1.3, divided by colons '
        "(for example TLS_AES_256_GCM_SHA384)",
        f"{tmp_path / 'none.pem'}: found no such file, {whole_file} (correct tls.certificates)",
        f"{empty}: found a directory without a *.pem or *.crt file, {whole_file} (put one there)",
    ]


def test_a_key_that_openssl_finds_too_small_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.pem"
    path.write_bytes(small_rsa())
    assert refusal(path) == [
        f"{path}: found a certificate that OpenSSL refuses: ee key too small, expected an ECDSA or Ed25519 "
        "key, or RSA of 2048 bits or more, signed with SHA-256 or better (have it issued anew)"
    ]


def small_rsa() -> bytes:
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "small.example")])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    certificate = builder.not_valid_before(now).not_valid_after(now + timedelta(1)).sign(private, SHA256())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + certificate.public_bytes(Encoding.PEM)


def test_a_key_of_a_type_that_openssl_cannot_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(context: SSL.Context, key: object) -> None:
        raise TypeError("key must be something else")

    monkeypatch.setattr(SSL.Context, "use_privatekey", unknown)
    path = tmp_path / "0.pem"
    path.write_bytes(whole("a.example"))
    (problem,) = refusal(path)
    assert problem.startswith(f"{path}: found a certificate that OpenSSL refuses: key must be something else")


def test_an_expired_certificate_is_served_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "0.pem"
    path.write_bytes(whole("a.example"))
    end = certificates.load(path).leaf.not_valid_after_utc
    moment = end.timestamp() - 10
    contexts = tls.ListenerContexts(ListenerTLS((path,)), seconds=lambda: moment)
    assert contexts.warnings == []
    moment += 20
    contexts.reload()
    assert contexts.warnings == [
        f"{path}: expired on {end:%Y-%m-%d %H:%M} UTC: clients refuse it; renew it and reload"
    ]
    shake(client_of(), contexts)


def test_an_unknown_cipher_among_known_ones_is_warned_of(tmp_path: Path) -> None:
    contexts = listener(
        tmp_path, whole("a.example"), ciphers=f"!aNULL:{ECDSA_ONLY}:ECDHE-ECDSA-AES:@STRENGTH"
    )
    assert contexts.warnings == ['tls.ciphers: OpenSSL knows no usable cipher by the name "ECDHE-ECDSA-AES"']
    shake(client_of(version=SSL.TLS1_2_VERSION), contexts)


def test_the_word_throwaway_gives_a_certificate_that_stays_for_the_run() -> None:
    contexts = tls.ListenerContexts(ListenerTLS((THROWAWAY,)))
    seen = []
    for _ in range(2):
        warning = "throwaway: a certificate made for this run only, which no client trusts"
        assert contexts.warnings == [warning]
        client = client_of(b"localhost")
        shake(client, contexts)
        assert names_seen(client) == {b"localhost"}
        seen.append(chain_seen(client))
        contexts.reload()
    assert seen[0] == seen[1]


# --- another pyOpenSSL -------------------------------------------------------------------------


def test_without_the_private_parts_of_pyopenssl_a_little_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        def __init__(self, library: object, *missing: str) -> None:
            self.library, self.missing = library, missing

        def __getattr__(self, name: str) -> object:
            if name in self.missing:
                raise AttributeError(name)
            return getattr(self.library, name)

    less = Without(SSL._lib, "SSL_CTX_set1_curves_list")  # type: ignore[attr-defined]
    monkeypatch.setattr(SSL, "_lib", less)
    client = client_of()
    server = shake(client, listener(tmp_path, whole("a.example")))
    talk(client, server)


# --- under Twisted -----------------------------------------------------------------------------


class Shouting(Protocol):
    """Answers in capitals; keeps the reason of its end."""

    reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class Pair:
    """A client beside a broker's connection as Twisted has it, with a transport in memory."""

    def __init__(self, contexts: tls.ListenerContexts, clock: Clock, client: SSL.Connection) -> None:
        factory = Wrapping(contexts, False, Factory.forProtocol(Shouting), clock=clock)
        protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 40000))
        self.protocol = cast(TLSMemoryBIOProtocol, protocol)
        self.client = client
        self.clock = clock
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def go(self) -> None:
        """Bytes pass until both have said all; raises `SSL.Error` when the client refuses."""
        data = step(self.client)
        while data:
            self.protocol.dataReceived(data)
            self.clock.advance(0)
            answer = self.transport.value()
            self.transport.clear()
            self.client.bio_write(answer)
            with suppress(SSL.WantReadError):
                self.client.do_handshake()
            data = out_of(self.client)


def test_a_factory_is_put_behind_tls_with_the_given_clock(tmp_path: Path) -> None:
    contexts, clock = listener(tmp_path, whole("a.example")), Clock()
    pair = Pair(contexts, clock, client_of(alpn=[b"h2"]))
    pair.go()
    pair.client.send(b"hello")
    pair.go()
    assert pair.client.recv(100) == b"HELLO"
    assert pair.protocol.negotiatedProtocol is None
    assert pair.protocol.getHandle().get_protocol_version_name() == "TLSv1.3"
    pair.protocol.connectionLost(connectionDone)
    assert clock.getDelayedCalls() == []


def test_a_refused_client_gets_its_alert_and_the_next_one_is_served(tmp_path: Path) -> None:
    contexts, clock = listener(tmp_path, whole("a.example")), Clock()
    odd = Pair(contexts, clock, client_of(version=SSL.TLS1_2_VERSION, ciphers="ECDHE-ECDSA-AES128-SHA"))
    with pytest.raises(SSL.Error, match="handshake failure"):
        odd.go()
    assert odd.transport.disconnecting
    test_a_factory_is_put_behind_tls_with_the_given_clock(tmp_path)
    assert clock.getDelayedCalls() == []


def test_the_contexts_provide_what_twisted_asks_for(tmp_path: Path) -> None:
    assert verifyObject(IOpenSSLServerConnectionCreator, listener(tmp_path, whole("a.example")))


def test_no_reactor_is_installed_by_importing() -> None:
    code = "import sslbroker.net.tls, sys; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
