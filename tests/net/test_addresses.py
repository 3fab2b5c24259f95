"""A broker has all its sockets or none, one for each slot of a listener, and gives them back."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sslbroker.errors import StartError
from sslbroker.net import ports
from sslbroker.net.addresses import Addresses
from sslbroker.settings import Admin, Configuration, Listener, Pool, Server

from ..files import folder

LOOPBACK = "tcp:0:interface=127.0.0.1"


def refused(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = str(folder(self) / "local")

    def addresses(self, slots: int = 1, **changes: Any) -> Addresses:
        given: dict[str, Any] = {
            "listeners": (
                Listener("plain", LOOPBACK, "shop"),
                Listener("local", f"unix:{self.path}", "shop"),
            ),
            "pools": (Pool("shop", (Server("127.0.0.1:9"),)),),
            "admin": Admin(LOOPBACK),
        }
        made = Addresses(Configuration(**{**given, **changes}), slots)
        self.addCleanup(made.close)
        return made


class Taking(Case):
    def test_each_has_its_address_and_nobody_listens(self) -> None:
        taken = self.addresses()
        self.assertRaises(KeyError, taken.of, "plain")
        self.assertIsNone(taken.admin)
        taken.take()
        assert taken.admin is not None
        self.assertEqual(dict(taken.shown()), {"plain": taken.of("plain"), "local": self.path})
        self.assertTrue(refused(taken.of("plain")))
        self.assertTrue(refused(taken.admin.address))

    def test_again_nothing_happens(self) -> None:
        taken = self.addresses()
        taken.take()
        before = taken.of("plain")
        taken.take()
        self.assertEqual(taken.of("plain"), before)

    def test_each_slot_has_a_socket_at_the_same_address_and_all_the_same_unix_socket(self) -> None:
        taken = self.addresses(3)
        taken.take()
        slots = [taken.slot(number) for number in range(3)]
        self.assertEqual(len({slot["plain"] for slot in slots}), 3)
        self.assertEqual({slot["plain"].address for slot in slots}, {taken.of("plain")})
        self.assertEqual(len({slot["local"] for slot in slots}), 1)

    def test_none_is_kept_when_one_cannot_be_had_and_all_that_cannot_are_told(self) -> None:
        other = ports.bind(LOOPBACK)
        self.addCleanup(other.close)
        other.listen_early()
        taken = f"tcp:{other.port}:interface=127.0.0.1"
        for slots in (1, 2):
            wrong = self.addresses(
                slots,
                listeners=(
                    Listener("local", f"unix:{self.path}", "shop"),
                    Listener("taken", taken, "shop"),
                    Listener("odd", "nonsense:1", "shop"),
                ),
                admin=Admin("tcp:0:interface=203.0.113.5"),
            )
            lines = str(self.assertRaises(StartError, wrong.take)).splitlines()
            self.assertEqual(
                [line.split(" ")[0] for line in lines], ["listeners.taken:", "listeners.odd:", "admin:"]
            )
            self.assertEqual(dict(wrong.shown()), {})
            self.assertFalse(os.path.exists(self.path))


class Using(Case):
    def test_the_kernel_takes_clients_at_every_listener_and_at_the_admin_pages_later(self) -> None:
        taken = self.addresses(2)
        taken.take()
        taken.listen_early()
        assert taken.admin is not None
        self.assertFalse(refused(taken.of("plain")))
        self.assertTrue(refused(taken.admin.address))

    def test_listeners_are_given_back_before_the_admin_pages(self) -> None:
        taken = self.addresses(2)
        taken.take()
        taken.listen_early()
        address = taken.of("plain")
        taken.close_listeners()
        self.assertTrue(refused(address))
        self.assertFalse(os.path.exists(self.path))
        self.assertIsNotNone(taken.admin)
        taken.close()
        self.assertIsNone(taken.admin)
        self.assertEqual(dict(taken.shown()), {})

    def test_a_forked_process_lets_go_of_all_but_its_own(self) -> None:
        taken = self.addresses(2)
        taken.take()
        mine, others = taken.slot(0), taken.slot(1)
        taken.let_go(but=mine.values())
        self.assertGreaterEqual(mine["plain"]._socket.fileno(), 0)
        self.assertGreaterEqual(mine["local"]._socket.fileno(), 0)
        self.assertEqual(others["plain"]._socket.fileno(), -1)
        assert taken.admin is not None
        self.assertEqual(taken.admin._socket.fileno(), -1)
        for bound in mine.values():
            bound.close()
        self.assertFalse(os.path.exists(self.path))

    def test_what_is_borrowed_stays_its_owners(self) -> None:
        owner = self.addresses()
        owner.take()
        borrowing = self.addresses()
        borrowing.borrow(owner.slot(0))
        borrowing.take()  # it has what it needs
        self.assertEqual(borrowing.of("plain"), owner.of("plain"))
        self.assertIsNone(borrowing.admin)
        borrowing.close()
        self.assertTrue(os.path.exists(self.path))
