"""Addresses are taken before anything listens, and given back."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sslbroker.errors import StartError
from sslbroker.net import ports
from sslbroker.net.transports import OwnTransports, StockTransports

from ..files import folder


class Adopting:
    """The part of a reactor that a bound port uses."""

    def __init__(self) -> None:
        self.adopted: list[tuple[int, int, Any]] = []

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> object:
        self.adopted.append((descriptor, family, factory))
        return self


class Binding(SynchronousTestCase):
    def bound(self, endpoint: str) -> ports.BoundPort:
        port = ports.bind(endpoint)
        self.addCleanup(port.close)
        return port

    def test_a_bound_port_refuses_until_it_listens(self) -> None:
        port = self.bound("tcp:0:interface=127.0.0.1")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port.port), timeout=1)
        reactor = Adopting()
        factory = Factory()
        port.listen(StockTransports(reactor), factory)
        socket.create_connection(("127.0.0.1", port.port), timeout=1).close()
        self.assertEqual([call[1:] for call in reactor.adopted], [(socket.AF_INET, factory)])

    def test_its_address_reads_like_one(self) -> None:
        self.assertRegex(self.bound("tcp:0:interface=127.0.0.1").address, r"^127\.0\.0\.1:\d+$")
        self.assertRegex(self.bound(r"tcp6:0:interface=\:\:1").address, r"^\[::1\]:\d+$")

    def test_a_taken_port_is_told_with_its_endpoint(self) -> None:
        port = self.bound("tcp:0:interface=127.0.0.1")
        port.listen(StockTransports(Adopting()), Factory())
        endpoint = f"tcp:{port.port}:interface=127.0.0.1"
        error = self.assertRaises(StartError, ports.bind, endpoint)
        self.assertEqual(
            str(error),
            f"endpoint '{endpoint}': cannot listen: Address already in use (something listens there already)",
        )

    def test_what_can_be_done_is_told(self) -> None:
        for endpoint, advice in (
            ("tcp:0:interface=203.0.113.5", "(no interface of this machine has this address)"),
            ("unix:/nowhere/at/all/broker.sock", "(make the folder of the UNIX socket)"),
        ):
            error = self.assertRaises(StartError, ports.bind, endpoint)
            self.assertTrue(str(error).endswith(advice), error)

    def test_what_only_some_machines_refuse_is_explained_too(self) -> None:
        for refused, told in (
            (PermissionError(errno.EACCES, "Permission denied"), "denied (below 1024 a port needs root or "),
            (socket.gaierror(socket.EAI_NONAME, "Name not known"), "not known (interface is an IP address)"),
            (OSError(errno.EIO, "Odd"), "cannot listen: Odd"),
        ):

            def refuse(*_: object, error: OSError = refused) -> None:
                raise error

            self.patch(ports._Binder, "_bind", refuse)
            self.assertIn(told, str(self.assertRaises(StartError, ports.bind, "tcp:443")))

    def test_strings_that_are_no_endpoints(self) -> None:
        for text in ("", "tcp", "tcp:http", "nonsense:1", "tcp:99999999", "tcp:1:bogus=2"):
            error = self.assertRaises(StartError, ports.bind, text)
            self.assertIn(f"endpoint {text!r}", str(error))

    def test_kinds_that_do_more_than_listen_are_refused(self) -> None:
        error = self.assertRaises(StartError, ports.bind, "stdio:")
        self.assertIn("endpoint 'stdio:'", str(error))


class UnixSockets(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = str(folder(self) / "broker.sock")

    def test_it_is_made_with_its_mode_and_removed(self) -> None:
        port = ports.bind(f"unix:{self.path}:mode=660")
        self.assertEqual(port.address, self.path)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
        port.close()
        self.assertFalse(os.path.exists(self.path))

    def test_a_second_close_does_not_remove_what_another_has_bound_since(self) -> None:
        first = ports.bind(f"unix:{self.path}")
        first.close()
        second = ports.bind(f"unix:{self.path}")
        self.addCleanup(second.close)
        first.close()
        self.assertTrue(os.path.exists(self.path))

    def test_one_left_by_a_killed_process_is_taken_over(self) -> None:
        left = socket.socket(socket.AF_UNIX)
        left.bind(self.path)
        left.close()
        ports.bind(f"unix:{self.path}").close()

    def test_one_that_answers_is_not(self) -> None:
        live = ports.bind(f"unix:{self.path}")
        self.addCleanup(live.close)
        live.listen_early()
        self.assertRaises(StartError, ports.bind, f"unix:{self.path}")
        self.assertTrue(os.path.exists(self.path))

    def test_a_file_is_not_removed(self) -> None:
        Path(self.path).write_text("precious")
        self.addCleanup(os.unlink, self.path)
        self.assertRaises(StartError, ports.bind, f"unix:{self.path}")
        self.assertEqual(Path(self.path).read_text(), "precious")


class ListeningUnixSockets(TestCase):
    """Twisted opens a UNIX socket that it adopts to everybody, and lets fewer clients wait."""

    async def listening(self, endpoint: str) -> None:
        port = ports.bind(endpoint)
        self.addCleanup(port.close)
        listening = port.listen(StockTransports(real_reactor), Factory())
        self.addCleanup(listening.stopListening)

    def setUp(self) -> None:
        self.path = str(folder(self) / "broker.sock")

    async def test_it_keeps_its_mode(self) -> None:
        await self.listening(f"unix:{self.path}:mode=660")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)

    async def test_without_a_mode_it_is_open_to_all(self) -> None:
        await self.listening(f"unix:{self.path}")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o666)

    async def test_more_clients_may_wait_than_twisted_lets(self) -> None:
        await self.listening(f"unix:{self.path}")
        for _ in range(60):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect(self.path)  # BlockingIOError when nobody more may wait

    async def test_it_is_open_to_nobody_else_at_any_time(self) -> None:
        port = ports.bind(f"unix:{self.path}:mode=600")
        self.addCleanup(port.close)
        self.patch(os, "chmod", lambda *_: self.fail("its mode was changed"))
        listening = port.listen(StockTransports(real_reactor), Factory())
        self.addCleanup(listening.stopListening)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)


class Inherited(SynchronousTestCase):
    def test_a_socket_of_systemd_is_adopted(self) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        binder = ports._Binder()
        binder.adoptStreamPort(listening.fileno(), socket.AF_INET, None)
        assert binder.bound is not None
        port = ports.BoundPort(binder.bound, "systemd:")
        self.assertEqual(port.port, listening.getsockname()[1])
        port.close()


class Together(TestCase):
    """Sockets of several processes at one address."""

    def bound(self, endpoint: str) -> ports.BoundPort:
        port = ports.bind(endpoint)
        self.addCleanup(port.close)
        return port

    def several(self, endpoint: str = "tcp:0:interface=127.0.0.1") -> list[ports.BoundPort]:
        first = self.bound(endpoint)
        others = [first.beside(), first.beside()]
        for other in others:
            self.addCleanup(other.close)
        return [first, *others]

    def test_each_gets_a_share_of_the_clients(self) -> None:
        for endpoint in ("tcp:0:interface=127.0.0.1", "tcp:0", r"tcp6:0:interface=\:\:"):
            several = self.several(endpoint)
            self.assertEqual(len({port.port for port in several}), 1)
            for port in several:
                port.listen_early()
            clients = [socket.create_connection(("127.0.0.1", several[0].port)) for _ in range(120)]
            shares = [self.accepted(port) for port in several]
            self.assertEqual(sum(shares), 120)
            self.assertTrue(all(shares), shares)
            for client in clients:
                client.close()

    def accepted(self, port: ports.BoundPort) -> int:
        """How many wait at this one."""
        count = 0
        try:
            while True:
                port._socket.accept()[0].close()
                count += 1
        except BlockingIOError:
            return count

    def test_another_broker_that_is_as_fast_is_told(self) -> None:
        ours = self.several()
        theirs = [self.bound(f"tcp:{ours[0].port}:interface=127.0.0.1")]
        theirs.append(theirs[0].beside())
        self.addCleanup(theirs[1].close)
        for port in ours:
            port.listen_early()
        error = self.assertRaises(StartError, theirs[0].listen_early)
        self.assertIn("something listens there already", str(error))
        self.assertRaises(StartError, ports.bind, theirs[0].endpoint)

    def test_an_address_that_another_has_not_shared_is_refused(self) -> None:
        first = self.bound("tcp:0:interface=127.0.0.1")
        first.listen(StockTransports(Adopting()), Factory())
        copy = ports.BoundPort(first._socket, first.endpoint)
        self.assertIs(copy.beside(), copy)  # it was given to us: there is one only

    async def test_a_unix_socket_is_one_for_all_and_who_has_lent_it_changes_nothing(self) -> None:
        path = folder(self) / "socket"
        owned = self.bound(f"unix:{path}:mode=600")
        self.assertIs(owned.beside(), owned)
        owned.listen_early()
        for transports in (StockTransports(real_reactor), OwnTransports(real_reactor)):
            listening = owned.lend().listen(transports, Factory())
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            await listening.stopListening()  # type: ignore[misc]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))  # the owner goes on
            self.assertTrue(path.exists())
        owned.close()
        self.assertFalse(path.exists())

    def test_what_is_lent_is_closed_without_its_path(self) -> None:
        path = folder(self) / "socket"
        owned = self.bound(f"unix:{path}")
        owned.lend().close()
        self.assertTrue(path.exists())
        os.unlink(path)
