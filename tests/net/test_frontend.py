"""A listener: who a client is, and that every transaction is heard of once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from sslbroker.interfaces import Origin
from sslbroker.net.frontend import Frontend

from ..memory import BrokerCase

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
