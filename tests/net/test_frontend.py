"""A listener: who a client is, and that every transaction is heard of once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer, provider

from sslbroker.interfaces import Origin
from sslbroker.net.frontend import Frontend
from sslbroker.settings import THROWAWAY, ListenerTLS, NamedClients

from ..memory import BrokerCase, Peer
from . import authorities

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Addresses:
    def __init__(self, peer: Any, host: Any) -> None:
        self.peer, self.host = peer, host

    def getPeer(self) -> Any:
        return self.peer

    def getHost(self) -> Any:
        return self.host


class Origins(BrokerCase):
    def made(self, peer: Any) -> Origin:
        self.start()
        trusted = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
        settings = replace(self.frontends["plain"].settings, trusted=trusted)
        frontend = Frontend(settings, self.pool, [], self.clock, lambda: "1", lambda: True)
        return frontend.origin(Addresses(peer, IPv4Address("TCP", "192.0.2.9", 80)))

    def origin(self, peer: Any) -> tuple[str, int, int, bool]:
        origin = self.made(peer)
        return origin.address, origin.port, origin.listener_port, origin.trusted

    def test_ipv4(self) -> None:
        self.assertEqual(self.origin(IPv4Address("TCP", "192.0.2.1", 5)), ("192.0.2.1", 5, 80, False))

    def test_trusted_networks(self) -> None:
        self.assertEqual(self.origin(IPv4Address("TCP", "127.0.0.2", 5))[3], True)
        self.assertEqual(self.origin(IPv6Address("TCP", "::1", 5))[3], True)

    def test_whom_the_listener_trusts_can_be_asked_of_any_address(self) -> None:
        trusts = self.made(IPv4Address("TCP", "192.0.2.1", 5)).trusts
        told = [trusts(each) for each in ("127.9.9.9", "::1", "192.0.2.1", "unix", "", "127.0.0.1" * 99)]
        self.assertEqual(told, [True, True, False, False, False, False])

    def test_ipv6_loses_its_zone(self) -> None:
        self.assertEqual(self.origin(IPv6Address("TCP", "fe80::1%eth0", 5))[0], "fe80::1")

    def test_mapped_ipv4_is_ipv4(self) -> None:
        self.assertEqual(self.origin(IPv6Address("TCP", "::ffff:127.0.0.2", 5)), ("127.0.0.2", 5, 80, True))

    def test_a_unix_socket_has_no_address_and_no_trust(self) -> None:
        self.assertEqual(self.origin(UNIXAddress(b"/run/x"))[0::3], ("unix", False))


@implementer(IOpenSSLClientConnectionCreator)
class Asking:
    """TLS of a client that asks for a name, and may come back with a session."""

    def __init__(self, context: SSL.Context, name: bytes, session: SSL.Session | None) -> None:
        self.context, self.name, self.session = context, name, session

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self.context, None)
        connection.set_tlsext_host_name(self.name)
        if self.session:
            connection.set_session(self.session)
        return connection


class ClientCertificates(BrokerCase):
    """open.test asks nobody, everything else asks everybody for a certificate."""

    ca = authorities.root()
    alice = ca.client("alice")

    def broker_that_asks(self) -> None:
        self.start(servers=1)
        kept = TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        settings = ListenerTLS(
            (THROWAWAY,),
            client_ca=self.ca.write(Path(kept.name) / "ca.pem"),
            client_certificate="required",
            names=(NamedClients("open.test"),),
        )
        self.broker.contexts["secure"].reload(settings)
        self.said: list[str] = []

        @provider(ILogObserver)
        def hear(event: Any) -> None:
            if event["log_namespace"] == "sslbroker.frontend":
                self.said.append(formatEvent(event))

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)

    def asks(
        self,
        name: bytes,
        context: SSL.Context | None = None,
        session: SSL.Session | None = None,
        early: bytes = b"",
    ) -> tuple[Peer, Any]:
        """A client that asks for this name, and its TLS; `early` goes out with the end of the handshake."""
        client, factory = Peer(self), Factory()
        factory.buildProtocol = lambda addr: client  # type: ignore[method-assign]
        creator = Asking(context or SSL.Context(SSL.TLS_CLIENT_METHOD), name, session)
        near = TLSMemoryBIOFactory(creator, True, factory, clock=self.clock).buildProtocol(None)
        far = self.secure_factory().buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        self.clients.append(client)
        self.network.connect(near, far, "192.0.2.9", 443)
        if early:
            client.transport.write(early)  # type: ignore[union-attr]
        self.settle()
        return client, near

    def shows(self) -> SSL.Context:
        return self.alice.by(SSL.Context(SSL.TLS_CLIENT_METHOD))

    @property
    def counted(self) -> tuple[int, int, int]:
        figures = self.frontends["secure"].figures
        return figures.accepted, figures.open, figures.tls_failed

    def test_who_shows_a_certificate_is_served_and_told_of(self) -> None:
        self.broker_that_asks()
        client, _ = self.asks(b"shop.test", self.shows())
        client.sends(b"GET /a HTTP/1.1\r\nHost: shop.test\r\nX-Client-Subject: CN=admin\r\n\r\n")
        link = self.servers[0].link()
        request = link.takes()
        self.assertIn(b"X-Client-Subject: CN=alice\r\n", request)
        self.assertNotIn(b"CN=admin", request)
        link.sends(OK)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 200 "))
        self.assertEqual(self.counted, (1, 1, 0))
        self.assertEqual(self.said, [])

    def test_who_shows_none_is_counted_once_and_others_go_on(self) -> None:
        self.broker_that_asks()
        refused, _ = self.asks(b"shop.test")
        self.assertIsInstance(refused.lost, SSL.Error)
        self.assertIn("certificate required", str(refused.lost))
        self.assertEqual(self.counted, (1, 0, 1))
        self.assertEqual(
            self.said,
            [
                "listener secure refused 1 clients for their certificates; "
                "last 192.0.2.1: no client certificate was shown"
            ],
        )
        self.test_who_shows_a_certificate_is_served_and_told_of()

    def test_a_flood_of_refused_clients_is_a_line_a_minute(self) -> None:
        self.broker_that_asks()
        for _ in range(30):
            self.asks(b"shop.test")
            self.wait(3)
        self.assertEqual([line.split()[3] for line in self.said], ["1", "20"])
        self.assertEqual(self.counted, (30, 0, 30))

    def test_other_failures_of_handshakes_are_counted_and_not_told(self) -> None:
        self.broker_that_asks()
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        old.set_cipher_list(b"ECDHE-ECDSA-AES128-SHA")
        self.asks(b"shop.test", old)
        self.asks(b"shop.test", self.shows())[0].resets()
        self.assertEqual(self.counted, (2, 0, 1))
        self.assertEqual(self.said, [])

    def test_a_session_of_another_name_ends_before_anything_of_it_is_read(self) -> None:
        self.broker_that_asks()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client, near = self.asks(b"open.test", context)
        client.sends(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n")
        self.servers[0].link().sends(OK)
        session = near.getHandle().get_session()
        client.closes()
        self.assertEqual(self.counted, (1, 0, 0))

        eager, _ = self.asks(b"shop.test", context, session, GET)
        self.assertEqual((eager.received, eager.closed), (b"", True))
        self.assertEqual(self.counted, (2, 0, 1))
        self.assertEqual(len(self.records.all), 1)
        self.assertEqual(len(self.said), 1)
        self.assertIn("began at a name with other rules", self.said[0])

    def test_a_request_for_a_name_with_other_rules_is_misdirected(self) -> None:
        self.broker_that_asks()
        client, _ = self.asks(b"open.test")
        for host in (b"shop.test", b"SHOP.test.:443", b"%73hop.test"):
            client, _ = self.asks(b"open.test")
            client.sends(b"GET /secret HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertTrue(client.takes().startswith(b"HTTP/1.1 421 "), host)
        self.assertEqual(self.servers[0].accepted, 0)


class Accounts(BrokerCase):
    def test_figures_and_records_agree(self) -> None:
        self.start(servers=2)
        self.servers[0].behaviour = "refuse"
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        link = self.servers[1].link()
        self.wait(0.5)
        link.sends(OK)
        figures = self.frontends["plain"].figures
        self.assertEqual((figures.accepted, figures.open, figures.transactions), (1, 1, 1))
        self.assertEqual((figures.bytes_in, figures.bytes_out), (5, 2))
        self.assertEqual(figures.ends, {"ok": 1})
        self.assertEqual(figures.statuses, {"2xx": 1})
        self.assertAlmostEqual(figures.client_times.sum, 0.5)
        self.assertEqual(self.pool.figures.failovers, {"nothing-sent": 1})
        self.assertEqual(len(self.records.all), 1)

    def test_every_answer_that_a_client_gets_is_counted_by_its_class(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(POST)
        self.servers[0].link().sends(OK.replace(b"200 OK", b"503 No"))
        self.servers[0].behaviour = "refuse"
        client.sends(POST)
        self.wait(5.1)  # for it to come back
        client.sends(b"no request\r\n\r\n")
        self.client().resets()
        figures = self.frontends["plain"].figures
        self.assertEqual(figures.statuses, {"5xx": 2, "4xx": 1})
        self.assertEqual(self.pool.members[0].figures.statuses, {"5xx": 1})

    def test_every_transaction_has_its_own_identity(self) -> None:
        self.start()
        client = self.client()
        for server in self.servers:
            client.sends(GET)
            server.link().sends(OK)
        identities = {record["id"] for record in self.records.all}
        self.assertEqual(len(identities), 3)
