"""Whichever transport carries a broker's connections: what their protocols may count on."""

from __future__ import annotations

import contextlib

from OpenSSL import SSL
from twisted.internet.address import IPv4Address

from sslbroker.net.transports import OwnTransports, StockTransports, transports

from ..memory import BrokerCase, Peer

CLOSE_NOTIFY = b"\x15\x03\x03\x00\x02\x01\x00"


class SecureListeners(BrokerCase):
    def raw(self) -> Peer:
        """A client that is to speak TLS by itself."""
        client = Peer(self)
        far = self.secure_factory().buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        self.network.connect(client, far, "192.0.2.9", 443)
        self.settle()
        self.clients.append(client)
        return client

    def test_an_end_that_is_said_within_the_handshake_ends_the_connection(self) -> None:
        tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        tls.set_connect_state()
        with contextlib.suppress(SSL.WantReadError):
            tls.do_handshake()
        self.start()
        for begins in (b"", tls.bio_read(65536)):
            client = self.raw()
            client.sends(begins + CLOSE_NOTIFY)
            self.assertTrue(client.closed)
        self.assertEqual(self.frontends["secure"].figures.tls_failed, 2)


class Kinds(BrokerCase):
    def test_the_setting_names_them(self) -> None:
        self.assertIsInstance(transports("own", self.clock), OwnTransports)
        self.assertIsInstance(transports("stock", self.clock), StockTransports)
