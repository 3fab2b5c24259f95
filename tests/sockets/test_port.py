"""Our listening port: it goes on whatever one connection meets, and stops cleanly."""

from __future__ import annotations

import errno
import os
import resource
import socket
import ssl
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, ILoggingContext, IReadDescriptor, ISSLTransport
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sslbroker.sockets.port import TURN, Port

from ..files import folder
from .ends import SERVER, Creator, Heard


class Builds(Factory[Any]):
    """Makes a `Heard` for each connection, or does what `make` does; counts starts and stops."""

    def __init__(self, make: Callable[[], Any] = Heard) -> None:
        self.make = make
        self.peers: list[Any] = []
        self.built: list[Any] = []
        self.runs: list[str] = []

    def doStart(self) -> None:
        self.runs.append("start")

    def doStop(self) -> None:
        self.runs.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        self.peers.append(addr)
        protocol = self.make()
        self.built.append(protocol)
        return protocol


class Scripted:
    """A listening socket whose `accept` does what the script says, and then has nobody waiting."""

    family = socket.AF_INET

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.accepts = 0

    def accept(self) -> Any:
        self.accepts += 1
        step = self.script.pop(0) if self.script else BlockingIOError()
        if isinstance(step, OSError):
            raise step
        if isinstance(step, int):
            raise OSError(step, os.strerror(step))
        return step, ("127.0.0.1", 9)

    def setblocking(self, blocking: bool) -> None:
        assert not blocking

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 7)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


class PortCase(SynchronousTestCase):
    """A port on a clock; `doRead` is the reactor's turn."""

    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.factory = Builds()
        self.logged = self.enterContext(capturedLogs())

    @property
    def lines(self) -> list[str]:
        return [str(event.get("log_text", "")) for event in self.logged]

    def port(self, listening: Any, creator: Any = None) -> Port:
        port = Port(self.clock, listening, self.factory, creator)
        port.startListening()
        self.addCleanup(self.stop, port)
        return port

    def stop(self, port: Port) -> None:
        port.stopListening()
        self.clock.advance(0)

    def listening(self, family: int = socket.AF_INET, at: Any = ("127.0.0.1", 0)) -> socket.socket:
        listening = socket.socket(family)
        listening.bind(at)
        listening.listen(256)
        return listening

    def call(self, port: Port) -> socket.socket:
        """A client that is connected, as far as the kernel goes."""
        client = socket.socket(port.socket.family)
        self.addCleanup(client.close)
        client.settimeout(5)
        client.connect(port.socket.getsockname())
        return client

    @property
    def reads(self) -> bool:
        return bool(self.clock.readers)


class Accepting(PortCase):
    def test_all_who_wait_are_accepted_in_one_turn_up_to_a_limit(self) -> None:
        port = self.port(self.listening())
        clients = [self.call(port) for _ in range(TURN + 3)]
        port.doRead()
        self.assertEqual(len(self.factory.built), TURN)
        port.doRead()
        port.doRead()
        self.assertEqual(len(self.factory.built), TURN + 3)
        expected = [IPv4Address("TCP", *client.getsockname()) for client in clients]
        self.assertEqual(self.factory.peers, expected)
        self.assertEqual([one.transport.getPeer() for one in self.factory.built], expected)
        self.assertEqual({tuple(one.events) for one in self.factory.built}, {("made",)})

    def test_a_connection_carries_bytes_both_ways(self) -> None:
        port = self.port(self.listening())
        client = self.call(port)
        client.sendall(b"ping")
        port.doRead()
        heard = self.factory.built[0]
        heard.transport.doRead()
        heard.transport.write(b"pong")
        self.assertEqual((heard.received, client.recv(9)), (b"ping", b"pong"))

    def test_a_factory_that_wants_no_connection(self) -> None:
        self.factory.make = lambda: None
        port = self.port(self.listening())
        client = self.call(port)
        port.doRead()
        self.assertEqual((client.recv(1), self.reads), (b"", True))

    def test_a_factory_that_raises_costs_its_own_client_only(self) -> None:
        makes: list[Any] = [lambda: 1 // 0, Heard]
        self.factory.make = lambda: makes.pop(0)()
        port = self.port(self.listening())
        first, _second = self.call(port), self.call(port)
        port.doRead()
        self.assertEqual((first.recv(1), len(self.factory.built), self.reads), (b"", 1, True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_protocol_that_raises_when_it_is_connected_costs_its_own_client_only(self) -> None:
        def spoilt() -> Heard:
            heard = Heard()
            heard.at["made"] = lambda: 1 // 0
            self.factory.make = Heard
            return heard

        self.factory.make = spoilt
        port = self.port(self.listening())
        first, _second = self.call(port), self.call(port)
        port.doRead()
        self.clock.advance(0)
        self.assertRaises(ConnectionResetError, first.recv, 1)
        self.assertEqual(
            [one.events for one in self.factory.built], [["made", "lost ConnectionAborted"], ["made"]]
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_tls_that_cannot_begin_costs_its_own_client_only(self) -> None:
        creator = Creator(SERVER)
        made = creator.serverConnectionForTLS
        creator.serverConnectionForTLS = lambda protocol: 1 // 0  # type: ignore[assignment, method-assign, return-value]
        port = self.port(self.listening(), creator)
        first = self.call(port)
        port.doRead()
        self.assertEqual(first.recv(1), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        creator.serverConnectionForTLS = made  # type: ignore[method-assign]
        self.call(port)
        port.doRead()
        self.assertTrue(ISSLTransport.providedBy(self.factory.built[-1].transport))

    def test_each_family_and_where_it_listens(self) -> None:
        port = self.port(self.listening(socket.AF_INET6, ("::1", 0)))
        name = self.call(port).getsockname()
        port.doRead()
        self.assertEqual(self.factory.peers, [IPv6Address("TCP", "::1", name[1], 0, 0)])
        self.assertEqual(port.getHost(), IPv6Address("TCP", *port.socket.getsockname()))
        port = self.port(self.listening())
        self.assertEqual(port.getHost(), IPv4Address("TCP", *port.socket.getsockname()))

    def test_a_unix_socket(self) -> None:
        path = str(folder(self) / "s")
        port = self.port(self.listening(socket.AF_UNIX, path))
        client = self.call(port)
        client.sendall(b"ping")
        port.doRead()
        heard = self.factory.built[0]
        heard.transport.doRead()
        heard.transport.setTcpNoDelay(True)
        self.assertEqual((heard.received, self.factory.peers), (b"ping", [UNIXAddress(None)]))
        self.assertEqual((port.getHost(), heard.transport.getHost()), (UNIXAddress(path), UNIXAddress(path)))
        self.assertIn(f"Builds starting on {path}", self.lines)

    def test_it_provides_what_it_claims(self) -> None:
        port = self.port(self.listening())
        for interface in (IListeningPort, ILoggingContext, IReadDescriptor):
            verifyObject(interface, port)
        self.assertEqual(port.logPrefix(), "Builds")
        self.assertEqual(port.fileno(), port.socket.fileno())

    def test_it_is_named_in_the_log(self) -> None:
        @implementer(ILoggingContext)
        class Named(Builds):
            def logPrefix(self) -> str:
                return "a name"

        self.factory = Named()
        self.port(Scripted(), Creator(SERVER))
        self.assertIn("a name (TLS) starting on 7", self.lines)


class Failing(PortCase):
    def told(self) -> list[str]:
        return [line for line in self.lines if "turns clients away" in line or "cannot accept" in line]

    def test_connections_that_were_gone_before_they_were_accepted_are_passed_over(self) -> None:
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        port = self.port(Scripted(errno.ECONNABORTED, errno.EPERM, InterruptedError(errno.EINTR, ""), near))
        port.doRead()
        self.assertEqual((len(self.factory.built), self.told(), self.reads), (1, [], True))

    def test_without_a_file_to_spare_a_client_is_turned_away_and_one_line_says_so(self) -> None:
        turned = [socket.socketpair() for _ in range(3)]
        for _, far in turned:
            far.settimeout(5)
            self.addCleanup(far.close)
        script = [step for near, _ in turned for step in (errno.EMFILE, near)]
        port = self.port(Scripted(*script))
        for _ in turned:
            port.doRead()
        self.assertEqual([far.recv(1) for _, far in turned], [b"", b"", b""])
        self.assertEqual(self.told(), [f"Builds turns clients away: {os.strerror(errno.EMFILE)}"])
        self.assertEqual((self.factory.built, self.reads), ([], True))
        self.clock.advance(61)
        port.socket.script[:] = [errno.ENFILE, BlockingIOError()]  # type: ignore[attr-defined]
        port.doRead()
        self.assertEqual(self.told()[1:], [f"Builds turns clients away: {os.strerror(errno.ENFILE)}"])
        self.assertTrue(self.reads)

    def test_when_nobody_can_be_turned_away_it_rests(self) -> None:
        for again in (errno.EMFILE, errno.ENOBUFS, errno.ENOMEM):
            port = self.port(Scripted(*[again] * 100))
            port.doRead()
            self.assertFalse(self.reads, "it would be woken at once, and for ever")
            self.clock.advance(1)
            self.assertTrue(self.reads)
            self.stop(port)

    def test_without_a_reserve_it_rests_and_has_one_again_as_soon_as_it_can(self) -> None:
        opened = os.open
        self.patch(os, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EMFILE, "no")))
        near, far = socket.socketpair()
        far.settimeout(5)
        self.addCleanup(far.close)
        port = self.port(Scripted(errno.EMFILE, errno.EMFILE, errno.EMFILE, near))
        port.doRead()
        self.assertFalse(self.reads)
        self.clock.advance(1)
        self.assertTrue(self.reads)
        self.patch(os, "open", opened)
        port.doRead()
        self.assertFalse(self.reads)
        self.clock.advance(1)
        port.doRead()
        self.assertEqual((far.recv(1), self.reads), (b"", True))

    def test_an_error_that_nobody_knows_rests_and_goes_on(self) -> None:
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        port = self.port(Scripted(errno.EINVAL, near))
        port.doRead()
        self.assertEqual(self.told(), [f"Builds cannot accept: {os.strerror(errno.EINVAL)}"])
        self.assertFalse(self.reads)
        self.clock.advance(1)
        port.doRead()
        self.assertEqual((len(self.factory.built), self.reads), (1, True))

    def test_it_may_be_stopped_while_it_rests(self) -> None:
        port = self.port(Scripted(errno.EINVAL))
        port.doRead()
        self.stop(port)
        self.assertEqual((self.clock.getDelayedCalls(), self.reads), ([], False))

    def test_a_process_that_may_open_no_more_files(self) -> None:
        port = self.port(self.listening())
        clients = [self.call(port) for _ in range(3)]
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        for _ in clients:
            port.doRead()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertEqual([client.recv(1) for client in clients], [b"", b"", b""])
        self.assertEqual((len(self.told()), self.factory.built), (1, []))
        client = self.call(port)
        port.doRead()
        self.factory.built[0].transport.write(b"well again")
        self.assertEqual(client.recv(99), b"well again")


class Stopping(PortCase):
    def test_it_is_told_in_the_next_turn(self) -> None:
        port = self.port(self.listening())
        self.assertEqual(self.factory.runs, ["start"])
        name = port.socket.getsockname()
        stopped = port.stopListening()
        self.assertEqual((self.reads, self.factory.runs), (False, ["start"]))
        self.assertNoResult(stopped)
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.factory.runs, ["start", "stop"])
        self.assertRaises(ConnectionRefusedError, socket.create_connection, name, 5)

    def test_twice_and_each_who_asks_waits_until_it_is_closed(self) -> None:
        port = self.port(self.listening())
        both = [port.stopListening(), port.loseConnection()]
        for stopped in both:
            self.assertNoResult(stopped)
        self.clock.advance(0)
        for stopped in both:
            self.successResultOf(stopped)
        self.successResultOf(port.stopListening())
        self.assertEqual(self.factory.runs, ["start", "stop"])

    def test_a_protocol_may_stop_it_and_nobody_more_is_accepted(self) -> None:
        def last() -> Heard:
            heard = Heard()
            heard.at["made"] = port.stopListening
            return heard

        port = self.port(self.listening())
        self.factory.make = last
        clients = [self.call(port) for _ in range(3)]
        port.doRead()
        port.doRead()
        self.assertEqual(len(self.factory.built), 1)
        self.clock.advance(0)
        self.factory.built[0].transport.write(b"the last")
        self.assertEqual(clients[0].recv(99), b"the last")
        self.assertRaises(ConnectionResetError, clients[1].recv, 1)

    def test_another_process_goes_on_listening_at_the_same_socket(self) -> None:
        listening = self.listening()
        self.addCleanup(listening.close)
        listening.settimeout(5)
        port = self.port(listening.dup())
        self.stop(port)
        with socket.create_connection(listening.getsockname(), 5):
            listening.accept()[0].close()

    def test_a_factory_that_raises_at_the_end_is_told_to_who_stopped_it(self) -> None:
        port = self.port(self.listening())
        self.factory.doStop = lambda: 1 // 0  # type: ignore[assignment, method-assign]
        stopped = port.stopListening()
        self.clock.advance(0)
        self.failureResultOf(stopped, ZeroDivisionError)

    def test_it_leaves_no_file_open(self) -> None:
        before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        self.stop(self.port(self.listening()))
        after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        self.assertEqual(after, before)


class OnAReactor(TestCase):
    async def test_a_client_speaks_tls(self) -> None:
        reactor: Any = real_reactor
        heard = Heard()
        heard.at["data"] = lambda: heard.transport.write(b"pong")
        lost: Deferred[None] = Deferred()
        heard.at["lost"] = lambda: lost.callback(None)
        listening = socket.create_server(("127.0.0.1", 0))
        name = listening.getsockname()
        port = Port(reactor, listening, Builds(lambda: heard), Creator(SERVER))
        port.startListening()

        def client() -> bytes:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with socket.create_connection(name, 5) as plain, context.wrap_socket(plain) as secure:
                secure.sendall(b"ping")
                answer = secure.recv(99)
                secure.unwrap()
            return answer

        self.assertEqual(await deferToThread(client), b"pong")
        await lost
        self.assertEqual(heard.events, ["made", "shaken", "lost ConnectionDone"])
        self.assertEqual(heard.received, b"ping")
        self.assertNotIsInstance(heard.reason, SSL.Error)
        await port.stopListening()
