"""Secure links with real TLS in memory: whom the broker believes, what it shows, what it shares."""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, ISSLTransport
from zope.interface.verify import verifyObject

from sslbroker.errors import StartError
from sslbroker.net import certificates, link_tls
from sslbroker.net.tls_failures import subject
from sslbroker.settings import LinkTLS, Pool, Server

from .authorities import root
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

#: The name of an algorithm in DER (RFC 5758 §3.2).
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")

# --- the handshake -----------------------------------------------------------------------------


@pytest.mark.parametrize("rsa", [False, True])
@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_a_server_that_proves_its_name_gets_a_link_and_bytes_pass(
    tmp_path: Path, rsa: bool, version: int
) -> None:
    link = play(contexts(tmp_path), server_context(issued(NAME, rsa=rsa), minimum=version, maximum=version))
    assert (link.near.ready, link.near.fault) == (True, "")
    assert link.connection.get_protocol_version() == version
    link.near.transport.write(b"ping")
    link.far.transport.write(b"pong")
    link.settle()
    assert (link.far.received, link.near.received) == (b"ping", b"pong")


def test_it_makes_connections_for_twisted(tmp_path: Path) -> None:
    made = contexts(tmp_path)
    verifyObject(IOpenSSLClientConnectionCreator, made)
    link = play(made, server_context())
    assert ISSLTransport.providedBy(link.near.transport)


def test_it_says_whose_certificate_a_server_must_show() -> None:
    assert link_tls.LinkContexts(None, "10.0.0.1", ()).name == "10.0.0.1"
    assert (
        link_tls.LinkContexts(LinkTLS(server_name="shop.internal."), "10.0.0.1", ()).name == "shop.internal"
    )


def test_the_servers_name_is_sent_and_an_address_is_not(tmp_path: Path) -> None:
    for host, settings, sent in (
        (NAME, {}, NAME.encode()),
        (f"{NAME}.", {}, NAME.encode()),
        ("10.0.0.1", {}, None),
        ("fe80::1%eth0", {}, None),
        ("10.0.0.1", {"server_name": NAME}, NAME.encode()),
        (NAME, {"server_name": "::1"}, None),
        (NAME, {"verify": False}, NAME.encode()),
    ):
        asked: list[bytes | None] = []
        server = server_context()
        server.set_tlsext_servername_callback(_note_name(asked))
        play(contexts(tmp_path, host, **settings), server)
        assert asked[:1] == [sent], (host, settings)


def _note_name(asked: list[bytes | None]) -> Callable[[SSL.Connection], None]:
    return lambda connection: asked.append(connection.get_servername())


@pytest.mark.parametrize(
    ("offered", "chosen", "agreed"),
    [
        ((b"http/1.1",), b"http/1.1", b"http/1.1"),
        ((b"h2", b"http/1.1"), b"http/1.1", b"http/1.1"),
        ((b"http/1.1",), None, b""),
        ((), b"http/1.1", b""),
    ],
)
def test_protocols_are_offered_and_a_server_need_not_choose(
    tmp_path: Path, offered: Any, chosen: bytes | None, agreed: bytes
) -> None:
    server = server_context()
    if chosen is not None:
        server.set_alpn_select_callback(lambda _connection, _offered: chosen)
    link = play(contexts(tmp_path, alpn=offered), server)
    assert (link.near.ready, link.near.fault) == (True, "")
    assert link.connection.get_alpn_proto_negotiated() == agreed


def test_a_server_that_chooses_what_was_not_offered_gets_no_link(tmp_path: Path) -> None:
    server = server_context()
    server.set_alpn_select_callback(lambda _connection, _offered: b"h2")
    refused = play(contexts(tmp_path), server)
    assert not refused.near.ready or refused.near.fault  # an OpenSSL of today ends the handshake itself
    link = play(contexts(tmp_path, alpn=(b"h2",)), server)
    fault = contexts(tmp_path, alpn=(b"http/1.1",)).fault(link.near.transport)
    assert fault == "chose the protocol 'h2', not offered"


def test_versions_ciphers_and_groups_are_those_of_the_listeners(tmp_path: Path) -> None:
    link = play(contexts(tmp_path), server_context(maximum=SSL.TLS1_2_VERSION))
    ciphers = set(link.connection.get_cipher_list())
    assert {name for name in ciphers if not name.startswith("TLS_")} == {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    }
    options = link.connection.set_options(0)
    assert options & SSL.OP_NO_COMPRESSION
    assert options & SSL.OP_NO_RENEGOTIATION
    assert not options & SSL.OP_IGNORE_UNEXPECTED_EOF
    assert play(contexts(tmp_path), server_context()).connection.get_group_name() == "X25519MLKEM768"


def test_a_server_without_the_hybrid_group_costs_no_round_trip_more(tmp_path: Path) -> None:
    server = server_context()
    SSL._lib.SSL_CTX_set1_curves_list(server._context, b"X25519")  # type: ignore[attr-defined]
    hellos = 0

    def count(_connection: SSL.Connection) -> None:
        nonlocal hellos
        hellos += 1

    server.set_tlsext_servername_callback(count)  # asked again after a HelloRetryRequest
    link = play(contexts(tmp_path), server)
    assert link.connection.get_group_name() == "x25519"
    assert hellos == 1


def test_a_server_that_asks_to_renegotiate_is_refused(tmp_path: Path) -> None:
    link = play(contexts(tmp_path), server_context(maximum=SSL.TLS1_2_VERSION))
    connection, far = link.connection, link.far.transport
    far.getHandle().renegotiate()
    far.getHandle().do_handshake()
    far._flushSendBIO()
    link.settle()
    assert "no renegotiation" in str(link.far.error)  # what OpenSSL's own server makes of the answer
    assert connection.total_renegotiations() == 0


def test_nothing_resumes_so_every_link_looks_at_the_certificate(tmp_path: Path) -> None:
    made = contexts(tmp_path)
    for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
        server = server_context(minimum=version, maximum=version)
        server.set_session_id(b"server")
        for _ in range(3):
            link = play(made, server)
            link.far.transport.write(b"x")  # behind the tickets of TLS 1.3
            link.settle()
            assert link.near.received == b"x"
            reused = SSL._lib.SSL_session_reused(link.connection._ssl)  # type: ignore[attr-defined]
            assert not reused


# --- whom it believes --------------------------------------------------------------------------


def test_a_certificate_of_the_private_authority_is_believed_and_no_other(tmp_path: Path) -> None:
    assert play(contexts(tmp_path), server_context()).near.ready
    other = play(contexts(tmp_path), server_context(issued(NAME, ca=1)))
    assert not other.near.ready
    assert other.near.why.startswith("signed by an unknown CA")


def test_the_file_of_authorities_may_hold_several(tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(authority(0).cert_pem.bytes() + b"# the other\n" + authority(1).cert_pem.bytes())
    for number in (0, 1):
        assert play(contexts(tmp_path, ca=path), server_context(issued(NAME, ca=number))).near.ready


def test_what_is_in_the_file_is_trusted_be_it_an_intermediate_or_the_server_itself(tmp_path: Path) -> None:
    child = authority().create_child_ca()
    leaf = child.issue_cert(NAME)
    for trusted in (child.cert_pem, leaf.cert_chain_pems[0]):
        path = tmp_path / "trusted.pem"
        trusted.write_to_path(str(path))
        link = play(contexts(tmp_path, ca=path), server_context(leaf))
        assert (link.near.ready, link.near.fault, link.near.why) == (True, "", "")


def test_a_self_signed_certificate_can_be_trusted_by_itself(tmp_path: Path) -> None:
    text = certificates.throwaway([NAME])
    (tmp_path / "self.pem").write_bytes(text)
    identity = certificates.parse(text, "self")
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate(identity.leaf)
    server.use_privatekey(identity.key)
    link = play(contexts(tmp_path, ca=tmp_path / "self.pem"), server)
    assert (link.near.ready, link.near.fault) == (True, "")


def test_without_a_file_the_system_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "system.pem"
    authority().cert_pem.write_to_path(str(path))
    assert not play(contexts(tmp_path, ca=None), server_context()).near.ready
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert play(contexts(tmp_path, ca=None), server_context()).near.ready
    assert play(link_tls.LinkContexts(None, NAME, ()), server_context()).near.fault == ""


@pytest.mark.parametrize(
    ("names", "host", "settings"),
    [
        (("a.test", NAME), NAME, {}),
        (("*.shops.internal",), "one.shops.internal", {}),
        ((NAME,), "10.0.0.1", {"server_name": NAME}),
        ((NAME,), "SHOP.Internal.", {}),
        (("10.0.0.1",), "10.0.0.1", {}),
        (("fe80::1",), "fe80::1%eth0", {}),
        ((NAME, "10.0.0.1"), "other.test", {"server_name": "10.0.0.1"}),
        (("other.test",), NAME, {"verify": False}),
    ],
)
def test_a_certificate_for_the_name_is_no_fault(
    tmp_path: Path, names: tuple[str, ...], host: str, settings: dict[str, Any]
) -> None:
    assert play(contexts(tmp_path, host, **settings), server_context(issued(*names))).near.fault == ""


def test_a_certificate_for_another_name_is_a_fault_that_names_the_setting(tmp_path: Path) -> None:
    for host in (NAME, "10.0.0.1"):
        link = play(contexts(tmp_path, host), server_context(issued("other.test")))
        assert link.near.ready
        expected = f"certificate is for other.test, expected {host} (pools.shop.tls.server_name)"
        assert link.near.fault == expected


def test_without_verification_anybody_is_believed_and_the_operator_is_warned(tmp_path: Path) -> None:
    made = contexts(tmp_path, verify=False)
    link = play(made, server_context(issued("other.test", ca=1)))
    assert (link.near.ready, link.near.fault) == (True, "")
    (warning,) = made.warnings
    assert warning.startswith("tls.verify: false: whoever answers")


def test_a_server_that_shows_no_certificate_is_a_fault(tmp_path: Path) -> None:
    class Bare:
        def getHandle(self) -> SSL.Connection:
            return SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)

    assert contexts(tmp_path).fault(Bare()) == "showed no certificate"


def test_a_certificate_that_only_openssl_can_read_is_a_fault(tmp_path: Path) -> None:
    ours = root()
    leaf = ours.client(purposes=None)
    version_3, version_4 = bytes.fromhex("a003020102"), bytes.fromhex("a003020103")
    signed = leaf.certificate.tbs_certificate_bytes.replace(version_3, version_4, 1)
    assert isinstance(ours.key, ec.EllipticCurvePrivateKey)
    signature = b"\0" + ours.key.sign(signed, ec.ECDSA(SHA256()))
    whole = signed + ECDSA_WITH_SHA256 + b"\x03" + bytes([len(signature)]) + signature
    pem = ssl.DER_cert_to_PEM_cert(b"\x30\x82" + len(whole).to_bytes(2, "big") + whole)
    (tmp_path / "strange.pem").write_text(pem)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(tmp_path / "strange.pem")
    context.use_privatekey(leaf.key)
    link = play(contexts(tmp_path, ca=ours.write(tmp_path / "own.pem")), context)
    assert link.near.fault == "certificate is malformed: 3 is not a valid X509 version"


# --- what it shows -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_a_server_that_asks_gets_the_client_certificate_with_its_chain(tmp_path: Path, version: int) -> None:
    child = authority().create_child_ca()
    server = wants_client_certificate(server_context(maximum=version))
    link = play(contexts(tmp_path, certificate=child.issue_cert("broker.test")), server)
    assert link.near.ready
    link.near.transport.write(b"ping")
    link.settle()
    assert link.far.received == b"ping"
    shown = link.far.transport.getHandle().get_peer_certificate(as_cryptography=True)
    assert certificates.names(shown) == (b"broker.test",)


# --- what is shared, and read anew ---------------------------------------------------------------


def pool(directory: Path, **changes: Any) -> Pool:
    authority().cert_pem.write_to_path(str(directory / "ca.pem"))
    common = LinkTLS(directory / "ca.pem")
    servers = (
        Server("one.test:443"),
        Server("two.test:443"),
        Server("10.0.0.3:443", tls=LinkTLS(directory / "ca.pem", server_name="three.test")),
        Server("10.0.0.4:443", tls=LinkTLS(directory / "ca.pem", minimum="TLSv1.3")),
    )
    return Pool("shop", **{"servers": servers, "tls": common, **changes})


def test_servers_with_equal_settings_share_a_context_whatever_their_names(tmp_path: Path) -> None:
    found = link_tls.of_pool(pool(tmp_path), (b"http/1.1",))
    assert list(found) == ["one.test:443", "two.test:443", "10.0.0.3:443", "10.0.0.4:443"]
    one, two, three, four = (each.trust for each in found.values())
    assert one is two is three is not four
    for address, name in (("one.test:443", "one.test"), ("10.0.0.3:443", "three.test")):
        assert play(found[address], server_context(issued(name))).near.fault == ""
    fault = play(found["two.test:443"], server_context(issued("one.test"))).near.fault
    assert fault == "certificate is for one.test, expected two.test (pools.shop.tls.server_name)"
    fault = play(found["10.0.0.3:443"], server_context(issued("one.test"))).near.fault
    assert fault.endswith("expected three.test (pools.shop.servers[2].tls.server_name)")


def test_pools_share_too_when_they_are_given_the_same_store(tmp_path: Path) -> None:
    shared: dict[Any, link_tls.Trust] = {}
    first = link_tls.of_pool(pool(tmp_path), (b"http/1.1",), shared=shared)
    again = link_tls.of_pool(pool(tmp_path), (b"http/1.1",), shared=shared)
    other = link_tls.of_pool(pool(tmp_path), (), shared=shared)
    assert first["one.test:443"].trust is again["one.test:443"].trust
    assert first["one.test:443"].trust is not other["one.test:443"].trust


def test_a_pool_without_settings_asks_the_system_and_takes_its_hosts_for_names(tmp_path: Path) -> None:
    found = link_tls.of_pool(pool(tmp_path, tls=None), ())
    assert found["one.test:443"].trust.settings == LinkTLS()


def test_every_problem_of_a_pool_is_told_once(tmp_path: Path) -> None:
    bad = LinkTLS(tmp_path / "none.pem", certificate=tmp_path / "ca.pem")
    servers = (
        Server("one.test:443"),
        Server("two.test:443"),
        Server("bücher.test:443", tls=LinkTLS(tmp_path / "ca.pem")),
        Server("10.0.0.1:443", tls=LinkTLS(tmp_path / "ca.pem", server_name="a b")),
    )
    with pytest.raises(StartError) as caught:
        link_tls.of_pool(pool(tmp_path, servers=servers, tls=bad), ())
    ca = tmp_path / "ca.pem"
    ascii_name = 'expected a host name in ASCII or an IP address (names with other letters begin with "xn--")'
    assert str(caught.value).splitlines() == [
        f"pools.shop: {tmp_path / 'none.pem'}: found no such file, "
        "expected a PEM file with the certificates of authorities (correct tls.ca)",
        f"pools.shop: {ca}: found no private key in it and none in {tmp_path / 'ca.key'}, "
        "expected a PEM file with a private key and its certificate chain "
        "(put the key into one of these files)",
        f'pools.shop.servers[2]: address: found "b\\xfccher.test", {ascii_name}',
        f'pools.shop.servers[3]: tls.server_name: found "a b", {ascii_name}',
    ]


def test_a_client_certificate_that_openssl_refuses_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "small.pem").write_bytes(small_rsa())
    with pytest.raises(StartError, match="a certificate that OpenSSL refuses"):
        contexts(tmp_path, certificate=tmp_path / "small.pem")


def test_a_reload_holds_for_new_links_of_all_that_share_and_for_no_open_one(tmp_path: Path) -> None:
    found = link_tls.of_pool(pool(tmp_path), ())
    one, two = found["one.test:443"], found["two.test:443"]
    before = play(one, server_context(issued("one.test")))
    authority(1).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    two.reload()
    assert one.trust.context is two.trust.context
    before.near.transport.write(b"x")
    assert before.settle().far.received == b"x"
    assert not play(one, server_context(issued("one.test"))).near.ready
    assert play(one, server_context(issued("one.test", ca=1))).near.fault == ""


def test_a_reload_of_several_holds_for_each(tmp_path: Path) -> None:
    found = link_tls.of_pool(pool(tmp_path), ())
    authority(1).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    link_tls.reload(found.values())
    for address, name in (("one.test:443", "one.test"), ("10.0.0.4:443", "10.0.0.4")):
        assert play(found[address], server_context(issued(name, ca=1))).near.fault == ""


def test_a_client_certificate_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"found no such file, .* \(correct tls\.certificate\)"):
        contexts(tmp_path, certificate=tmp_path / "none.pem")


def test_a_reload_with_a_problem_changes_nothing_anywhere(tmp_path: Path) -> None:
    authority().cert_pem.write_to_path(str(tmp_path / "good.pem"))
    good, bad = contexts(tmp_path, ca=tmp_path / "good.pem"), contexts(tmp_path)
    authority(1).cert_pem.write_to_path(str(tmp_path / "good.pem"))
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(StartError, match=r"ca\.pem: found no certificate in it"):
        link_tls.reload([good, bad])
    assert play(good, server_context()).near.fault == ""
    assert play(bad, server_context()).near.fault == ""


def test_what_ends_soon_is_told(tmp_path: Path) -> None:
    path = tmp_path / "old.pem"
    days = (-1, 5, 100)
    path.write_bytes(b"".join(lasting(each, "a.test").cert_chain_pems[0].bytes() for each in days))
    made = contexts(tmp_path, ca=path, certificate=lasting(13, "broker.test"))
    owner = lasting(1).cert_chain_pems[0].bytes()
    who = f"the certificate of '{subject(load_pem_x509_certificate(owner).subject)}'"
    gone, soon, own = (f"{TODAY + timedelta(each):%Y-%m-%d}" for each in (-1, 5, 13))
    assert made.warnings == [
        f"{path}: {who} expired on {gone}: secure links fail; renew it and reload",
        f"{path}: {who} expires on {soon}: renew it and reload",
        f"{tmp_path / 'own.pem'}: {who} expires on {own}: renew it and reload",
    ]


def test_time_is_asked_again_at_a_reload(tmp_path: Path) -> None:
    now = TODAY.timestamp()
    path = tmp_path / "ca.pem"
    lasting(100).cert_chain_pems[0].write_to_path(str(path))
    made = link_tls.LinkContexts(LinkTLS(path), NAME, (), seconds=lambda: now)
    assert made.warnings == []
    now += 90 * 86400
    made.reload()
    assert [text.partition(" expires")[1] for text in made.warnings] == [" expires"]
    now -= 1000 * 86400
    made.reload()
    assert [text.partition(" is not valid before")[1] for text in made.warnings] == [" is not valid before"]


# --- what is left behind -------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(NAME,), ("other.test",)])
@pytest.mark.parametrize("ca", [0, 1])
def test_a_link_that_is_gone_leaves_nothing(
    tmp_path: Path, names: tuple[str, ...], ca: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = contexts(tmp_path)
    connections: list[weakref.ref[SSL.Connection]] = []

    def connect(protocol: Any) -> SSL.Connection:
        connection = type(made).clientConnectionForTLS(made, protocol)
        connections.append(weakref.ref(connection))
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(made, "clientConnectionForTLS", connect)
    gc.collect()
    gc.disable()
    try:
        link = play(made, server_context(issued(*names, ca=ca)))
        link.near.transport.loseConnection()
        link.settle()
        assert link.near.lost
        link.near.error = None  # whose traceback has the frames
        (connection,) = connections
        assert connection() is None  # without the collector: there was no cycle
        assert link.clock.getDelayedCalls() == []
    finally:
        gc.enable()


# --- how an end is told --------------------------------------------------------------------------


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
class TestEnds:
    """A truncated answer is told from a whole one by the reason that `connectionLost` gets."""

    def link(self, directory: Path, version: int) -> Play:
        link = play(contexts(directory), server_context(minimum=version, maximum=version))
        link.near.transport.write(b"request")
        link.settle()
        link.far.transport.write(b"answer")
        link.settle()
        assert link.near.received == b"answer"
        return link

    def test_with_close_notify_it_is_done(self, tmp_path: Path, version: int) -> None:
        link = self.link(tmp_path, version)
        link.far.transport.write(b" and more")
        link.far.transport.loseConnection()
        link.settle()
        assert (link.near.received, link.near.lost) == (b"answer and more", "ConnectionDone")

    def test_with_an_end_of_tcp_alone_it_is_lost(self, tmp_path: Path, version: int) -> None:
        link = self.link(tmp_path, version)
        link.far.transport.write(b" and more")
        link.settle()
        link.wire.loseConnection()
        link.settle()
        assert (link.near.received, link.near.lost) == (b"answer and more", "ConnectionLost")

    def test_with_a_reset_it_is_lost(self, tmp_path: Path, version: int) -> None:
        link = self.link(tmp_path, version)
        link.wire.abortConnection()
        link.settle()
        assert link.near.lost == "ConnectionLost"

    def test_with_garbage_it_is_an_error_of_tls(self, tmp_path: Path, version: int) -> None:
        link = self.link(tmp_path, version)
        link.wire.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        link.settle()
        assert link.near.lost == "Error"
        assert isinstance(link.near.error, SSL.Error)

    def test_an_end_in_the_handshake_is_lost_with_and_without_bytes(
        self, tmp_path: Path, version: int
    ) -> None:
        for sent in (b"", b"\x16\x03\x03\x00\x7a\x02"):
            link = Play(contexts(tmp_path), None)
            link.settle()
            link.wire.write(sent)
            link.settle()
            assert not link.near.ready
            link.wire.loseConnection()
            link.settle()
            assert (link.near.ready, link.near.lost) == (False, "ConnectionLost")
