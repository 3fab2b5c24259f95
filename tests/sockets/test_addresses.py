"""What addresses are called."""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.sockets.addresses import address_of, socket_name


class Addresses(SynchronousTestCase):
    def test_of_each_family(self) -> None:
        self.assertEqual(address_of(socket.AF_INET, ("192.0.2.1", 7)), IPv4Address("TCP", "192.0.2.1", 7))
        self.assertEqual(
            address_of(socket.AF_INET6, ("2001:db8::1", 7, 0, 0)), IPv6Address("TCP", "2001:db8::1", 7)
        )
        self.assertEqual(address_of(socket.AF_UNIX, "/x"), UNIXAddress("/x"))
        self.assertEqual(address_of(socket.AF_UNIX, ""), UNIXAddress(None))

    def test_of_a_link(self) -> None:
        index, name = socket.if_nameindex()[0]
        found = address_of(socket.AF_INET6, ("fe80::1", 7, 0, index))
        self.assertEqual(found, IPv6Address("TCP", f"fe80::1%{name}", 7, 0, index))
        again = address_of(socket.AF_INET6, (f"fe80::1%{name}", 7, 0, index))
        self.assertEqual(again, found)


class SocketNames(SynchronousTestCase):
    def test_of_each_family(self) -> None:
        self.assertEqual(socket_name("192.0.2.1", 7), (socket.AF_INET, ("192.0.2.1", 7)))
        self.assertEqual(socket_name("2001:db8::1", 7), (socket.AF_INET6, ("2001:db8::1", 7, 0, 0)))

    def test_of_a_link_by_the_links_name_or_number(self) -> None:
        index, name = socket.if_nameindex()[0]
        for scope in (name, index):
            family, found = socket_name(f"fe80::1%{scope}", 7)
            self.assertEqual((family, found[1:]), (socket.AF_INET6, (7, 0, index)))
            self.assertEqual(address_of(family, found), IPv6Address("TCP", f"fe80::1%{name}", 7, 0, index))

    def test_what_is_none(self) -> None:
        for host, port, family in (
            ("localhost", 7, socket.AF_UNSPEC),
            ("fe80::1%no-such-link", 7, socket.AF_UNSPEC),
            ("", 7, socket.AF_UNSPEC),
            ("a" * 1000, 7, socket.AF_UNSPEC),
            ("192.0.2.1", -1, socket.AF_UNSPEC),
            ("192.0.2.1", 65536, socket.AF_UNSPEC),
            ("192.0.2.1", 7, socket.AF_INET6),
            ("2001:db8::1", 7, socket.AF_INET),
        ):
            self.assertRaises(ValueError, socket_name, host, port, family)
