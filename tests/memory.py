"""A network in memory, a broker on a test clock, and clients and servers that a test plays by hand.

Decides nothing of the broker's: it carries bytes between protocols as TCP does, with a window, half-close,
reset and refusal. Invariant: nothing moves but in `Network.settle`, so a test is a transcript. The
transport here passes the same tests as a real one (tests/test_memory.py).
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from socket import AF_INET6, inet_ntop, inet_pton
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoRouteError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python import log
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sslbroker.extensions import Extensions, extensions
from sslbroker.interfaces import IBackendProtocol, IGroups, IObserver
from sslbroker.net.link import Link
from sslbroker.net.transports import StockTransports, Wrapping
from sslbroker.service import BrokerService
from sslbroker.settings import (
    Broker,
    Configuration,
    Failover,
    Group,
    Limits,
    Listener,
    ListenerTLS,
    Pool,
    Server,
    Storage,
)
from sslbroker.sockets.plain import PlainTransport
from sslbroker.sockets.secure import SecureTransport

WINDOW = 65536

TRANSPORT = os.environ.get("SSLBROKER_TRANSPORT", "own")
"""Which transport the brokers of these tests have: "own" or "stock"."""

Address = IPv4Address | IPv6Address


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryTransport:
    """One end of a connection. Between the ends is no kernel: what is written waits for a reader."""

    def __init__(self, network: Network, host: Address, peer: Address) -> None:
        self.network = network
        self.host, self.peer_address = host, peer
        self.other: MemoryTransport
        self.protocol: Any = None
        self.connected = True
        self.disconnecting = False
        self.reading = True
        self.writing = False
        self.out = bytearray()
        self.window = WINDOW  # the most that goes at once
        self.closing_write = False
        self.wrote_eof = False
        self.got_eof = False  # the other end sends no more; told whenever this end reads
        self.got_reset = False  # noticed when this end reads or writes
        self.aborted = False
        self.producer: Any = None
        self.streaming = False
        self.producer_paused = False

    # ITransport
    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if not self.connected or self.wrote_eof or not data:
            return
        self.out += data
        if self.producer is not None and len(self.out) > WINDOW:
            self.producer_paused = True
            self.producer.pauseProducing()
        self.writing = True

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.connected or self.disconnecting:
            return
        self.reading = False
        if self.wrote_eof:
            self.lost(ConnectionDone())
        else:
            self.writing = self.disconnecting = True

    def abortConnection(self) -> None:
        if self.connected:
            self.reading = self.writing = False
            self.aborted = True

    def getPeer(self) -> Address:
        return self.peer_address

    def getHost(self) -> Address:
        return self.host

    # ITCPTransport
    def loseWriteConnection(self) -> None:
        self.writing = self.closing_write = True

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass

    # IConsumer and IPushProducer
    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("a producer is registered already")
        if self.connected:
            self.producer, self.streaming = producer, streaming
        else:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self.connected and self.disconnecting:
            self.writing = True

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        if self.connected and not self.disconnecting and not self.aborted:
            self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    # the network's side
    @property
    def dataBuffer(self) -> bytes:
        return bytes(self.out)

    def step(self) -> bool:
        """Do one thing that can be done now; False when there is none."""
        if not self.connected:
            return False
        if self.aborted:
            self.lost(ConnectionAborted())
            return True
        if self.got_reset and (self.reading or self.writing):
            self.lost(ConnectionLost())
            return True
        if self.writing and self.do_write():
            return True
        if self.reading and self.got_eof:
            self.reading = False
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.guarded(self.protocol.readConnectionLost)
            else:
                self.lost(ConnectionDone())
            return True
        return False

    def do_write(self) -> bool:
        """As `FileDescriptor.doWrite`; False when the other end takes nothing now."""
        other = self.other
        if self.out:
            if not other.connected:
                self.lost(ConnectionLost())
                return True
            if not other.reading:
                return False
            data = bytes(self.out[: self.window])
            del self.out[: self.window]
            other.receives(data)
            if self.out or not self.connected or self.aborted:
                return True
        self.writing = False
        if self.producer is not None and self.producer_paused:
            self.producer_paused = False
            self.guarded(self.producer.resumeProducing)
        elif self.disconnecting:
            self.lost(ConnectionDone())
        elif self.closing_write:
            self.wrote_eof = True
            other.got_eof = True
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.guarded(self.protocol.writeConnectionLost)
        return True

    def receives(self, data: bytes) -> None:
        self.guarded(self.protocol.dataReceived, data)

    def guarded(self, call: Any, *arguments: Any) -> None:
        """As a reactor calls: what is raised is logged, and ends the connection."""
        try:
            call(*arguments)
        except Exception as error:
            log.err()
            self.lost(error)

    def lost(self, why: Exception) -> None:
        if not self.connected:
            return
        self.connected = self.reading = self.writing = False
        other = self.other
        if isinstance(why, ConnectionAborted):
            other.got_reset = True
        elif not self.wrote_eof:
            other.got_eof = True
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.protocol.connectionLost(Failure(why))


class MemorySocket:
    """One end of a connection, as a socket for our transport; and the reactor of this one socket.

    The kernel takes what the other end would read now, at most `window`, and nothing of what it would not.
    """

    family = socket.AF_INET

    def __init__(self, network: Network, host: Address, peer: Address) -> None:
        self.network = network
        self.host, self.peer_address = host, peer
        self.other: Any = None
        self.transport: Any = None
        self.connected = True
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.got_eof = False
        self.got_reset = False
        self.ended = False  # we send no more
        self.resets = False  # closing resets (SO_LINGER)
        self.window = WINDOW
        self.readers = self.writers = False

    # socket
    def fileno(self) -> int:
        return -1

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.inbox:  # it outlives a reset, as on Linux
            data = bytes(self.inbox[:size])
            if not flags & socket.MSG_PEEK:
                del self.inbox[:size]
            return data
        if self.got_reset:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        if not self.got_eof:
            raise BlockingIOError
        return b""

    def send(self, data: Any) -> int:
        other = self.other
        if self.got_reset or self.ended or not other.connected:
            raise BrokenPipeError(errno.EPIPE, "broken")
        room = self.window - len(self.outbox) if other.reading else 0
        if room <= 0:
            raise BlockingIOError
        taken = bytes(data[:room])
        self.outbox += taken
        return len(taken)

    def shutdown(self, how: int) -> None:
        self.ended = True

    def close(self) -> None:
        if not self.connected:
            return
        self.connected = self.readers = self.writers = False
        if self.resets or (self.inbox and not self.ended):
            self.outbox.clear()
            self.other.got_reset = True
        self.ended = True

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if option == socket.SO_LINGER:
            self.resets = True

    def getsockopt(self, level: int, option: int) -> int:
        return 0

    def getsockname(self) -> tuple[str, int]:
        return (self.host.host, self.host.port)

    # IReactorFDSet, IReactorTime
    def addReader(self, reader: Any) -> None:
        self.readers = True

    def removeReader(self, reader: Any) -> None:
        self.readers = False

    def addWriter(self, writer: Any) -> None:
        self.writers = True

    def removeWriter(self, writer: Any) -> None:
        self.writers = False

    def callLater(self, *call: Any) -> Any:
        return self.network.clock.callLater(*call)

    # the network's side
    @property
    def protocol(self) -> Any:
        return None if self.transport is None else self.transport.protocol

    @protocol.setter
    def protocol(self, protocol: None) -> None:
        self.transport = None  # which alone knows it

    @property
    def out(self) -> bytes:
        """What was written and has not come to the other end."""
        transport = self.transport
        return bytes(self.outbox) + b"".join(transport._waiting)[transport._offset :]

    @property
    def reading(self) -> bool:
        return self.readers and not self.inbox

    def receives(self, data: bytes) -> None:
        self.inbox += data
        self.ready(True)

    def step(self) -> bool:
        """Do one thing that can be done now; False when there is none."""
        moved = self.deliver()
        if self.outbox:
            return False
        if moved and not self.writers:
            return True
        if self.ended and not self.resets and not self.other.got_eof and not self.other.got_reset:
            self.other.got_eof = True
            return True
        if not self.connected:
            return False
        room = (self.other.reading and self.window > 0) or self.got_reset
        if self.writers and (room or not self.transport.unsent or not self.other.connected):
            self.ready(False)
            self.deliver()
            return True
        if moved:
            return True
        if self.readers and (self.inbox or self.got_eof or self.got_reset):
            self.ready(True)
            return True
        return False

    def deliver(self) -> bool:
        """Give the other end what the kernel has taken; False: it does not read, or there is nothing."""
        other = self.other
        if not self.outbox or (other.connected and not other.reading):
            return False
        data = bytes(self.outbox)
        self.outbox.clear()
        if other.connected:
            other.receives(data)
        else:
            self.got_reset = True
        return True

    def ready(self, to_read: bool) -> None:
        """As a reactor tells a selectable, and ends it."""
        transport = self.transport
        try:
            why: Any = transport.doRead() if to_read else transport.doWrite()
        except Exception as error:
            log.err()
            why = error
        if why is None:
            return
        self.readers = False
        if to_read and why is CONNECTION_DONE:
            transport.readConnectionLost(Failure(why))
        else:
            self.writers = False
            transport.connectionLost(Failure(why))


class OwnEnd:
    """A protocol that is to have a transport of ours, by TLS with a `creator`."""

    def __init__(self, protocol: Any, creator: Any, is_client: bool) -> None:
        self.protocol = protocol
        self._secure = (creator, is_client)

    def connected(self, end: MemorySocket) -> None:
        kind: Any = SecureTransport if self._secure[0] else PlainTransport
        more = self._secure if self._secure[0] else ()
        end.transport = kind(end, end, self.protocol, end.peer_address, *more)
        end.transport.start()


class OwnFactory(ClientFactory[Any]):
    """Stands for `factory` where connections are made by our transport."""

    def __init__(self, factory: Any, creator: Any, is_client: bool) -> None:
        self._factory = factory
        self._rest = (creator, is_client)

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else OwnEnd(protocol, *self._rest)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self._factory.clientConnectionFailed(connector, reason)


def secured(factory: Any, creator: Any, is_client: bool, clock: Any) -> Any:
    """`factory` behind TLS, by the transport under test."""
    if TRANSPORT == "own":
        return OwnFactory(factory, creator, is_client)
    return Wrapping(creator, is_client, factory, clock=clock)


class OwnTransports(StockTransports):
    """Links by our transport: the calls are in `clock.tcpClients`, as those of Twisted's are."""

    def connect(self, host: str, port: int, factory: Any, timeout: float, creator: Any = None) -> Any:
        return super().connect(host, port, OwnFactory(factory, creator, True), timeout)


def transports(clock: MemoryReactorClock) -> StockTransports:
    """Of the kind under test; each call of a server is in `clock.tcpClients`."""
    return OwnTransports(clock) if TRANSPORT == "own" else StockTransports(clock)


def other_end(transport: Any) -> Any:
    """The transport, or the socket, at the other end of a connection in memory."""
    return getattr(transport, "socket", transport).other


def _as_a_kernel_tells(address: str, port: int) -> Address:
    """It has no text, so who asks for the address of a connection gets the spelling of `inet_ntop`."""
    if ":" not in address:
        return IPv4Address("TCP", address, port)
    return IPv6Address("TCP", inet_ntop(AF_INET6, inet_pton(AF_INET6, address)), port)


class Network:
    """Connects protocols; `settle` moves everything that can move."""

    def __init__(self, clock: MemoryReactorClock) -> None:
        self.clock = clock
        self.ends: list[Any] = []

    def connect(self, near: Any, far: Any, address: str, port: int, peer: str = "192.0.2.1") -> None:
        """`near` has called `far`, which listens on `address`:`port`; `peer` is where near is."""
        here = _as_a_kernel_tells(address, port)
        there = IPv4Address("TCP", peer, 40000 + len(self.ends))
        a, b = self._end(near, there, here), self._end(far, here, there)
        a.other, b.other = b, a
        self.ends += [a, b]
        for end, protocol in ((b, far), (a, near)):
            if isinstance(protocol, OwnEnd):
                protocol.connected(end)
            else:
                end.protocol = protocol
                protocol.makeConnection(end)

    def _end(self, protocol: Any, host: Address, peer: Address) -> Any:
        return (MemorySocket if isinstance(protocol, OwnEnd) else MemoryTransport)(self, host, peer)

    def settle(self) -> None:
        for _ in range(10_000):
            self.clock.advance(0)
            moved = [end.step() for end in list(self.ends)]
            now = self.clock.seconds()
            due = [call for call in self.clock.getDelayedCalls() if call.getTime() <= now]
            if not any(moved) and not due:
                return
        raise AssertionError("the network does not settle")


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """A client or a server that a test plays: what it received, and what it says."""

    def __init__(self, case: BrokerCase) -> None:
        self.case = case
        self.received = b""
        self.ended = False  # the broker sends no more
        self.lost: Exception | None = None
        self.stays = False  # keep our side open after the broker has ended its own

    def sends(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]
        self.case.settle()

    def takes(self) -> bytes:
        """What came since the last call."""
        self.case.settle()
        data, self.received = self.received, b""
        return data

    def closes(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]
        self.case.settle()

    def half_closes(self) -> None:
        self.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.case.settle()

    def resets(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]
        self.case.settle()

    def stops_reading(self) -> None:
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def reads_on(self) -> None:
        self.transport.resumeProducing()  # type: ignore[union-attr]
        self.case.settle()

    @property
    def closed(self) -> bool:
        self.case.settle()
        return self.lost is not None or self.ended

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.ended = True
        if not self.stays:
            self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert reason.value is not None
        self.lost = reason.value  # type: ignore[assignment]


class ScriptedServer:
    """A server of the pool: `accepts` links while it is not told to refuse, be unreachable or be silent."""

    def __init__(self, case: BrokerCase, address: str) -> None:
        self.case = case
        self.address = address
        self.behaviour = "accept"
        self.starts_deaf = False  # what it accepts, it does not read from
        self.stays = False  # it keeps its side open after the broker has ended its own
        self.window = WINDOW  # the most that it takes at once
        self.peers: Callable[[BrokerCase], Peer] = Peer  # what it makes for each link
        self.contexts: IOpenSSLServerConnectionCreator | None = None  # it speaks TLS, so
        self.links: deque[Peer] = deque()
        self.accepted = 0

    def link(self) -> Peer:
        """The next link that the broker made to it."""
        self.case.settle()
        assert self.links, f"no link to {self.address}"
        return self.links.popleft()

    def called(self, factory: Any, network: Network) -> bool:
        errors = {
            "refuse": ConnectionRefusedError(),
            "unreachable": NoRouteError(),
            "timeout": TimeoutError(),
            "no files": ConnectBindError(errno.EMFILE, "too many open files"),
        }
        if self.behaviour in errors:
            factory.clientConnectionFailed(None, Failure(errors[self.behaviour]))
        elif self.behaviour == "accept":
            self.accepted += 1
            try:
                link = factory.buildProtocol(None)
            except Exception as error:  # as a reactor does
                log.err()
                factory.clientConnectionFailed(None, Failure(ConnectError(string=str(error))))
                return True
            peer = self.peers(self.case)
            peer.stays = self.stays
            self.links.append(peer)
            host, _, port = self.address.rpartition(":")
            far: Any = peer
            if self.contexts is not None:
                wrapping = TLSMemoryBIOFactory(self.contexts, False, _one(peer), clock=network.clock)
                far = wrapping.buildProtocol(IPv4Address("TCP", host, int(port)))
            network.connect(link, far, host, int(port))
            network.ends[-2].window = self.window
            if self.starts_deaf:
                peer.stops_reading()
        else:
            return False
        return True


@implementer(IOpenSSLClientConnectionCreator)
class _Trusting:
    """TLS of a test's client: believes everybody."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self.context, None)
        connection.set_tlsext_host_name(b"localhost")
        return connection


@implementer(IObserver)
class Records:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.all: list[Mapping[str, Any]] = []

    def transaction_ended(self, record: Mapping[str, Any]) -> None:
        self.all.append(record)


class BrokerCase(SynchronousTestCase):
    """A test of the whole broker. Nothing may be left behind at its end."""

    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.network = Network(self.clock)
        self.records = Records()
        self.clients: list[Peer] = []
        self.calls: list[tuple[float, Any]] = []  # to servers, each with the time of its giving up

    def start(
        self,
        servers: int = 3,
        *,
        limits: Limits | None = None,
        failover: Failover | None = None,
        storage: Storage | None = None,
        balance: str = "round-robin",
        protocols: Sequence[IBackendProtocol] = (),
        limits_of_servers: Mapping[str, Any] | None = None,
        groups: Sequence[Group] = (),
        asked: Sequence[IGroups] = (),
        listeners: Mapping[str, Any] | None = None,
        listener_tls: ListenerTLS | None = None,
        **pool: Any,
    ) -> None:
        """A broker with a plain and a secure listener; its servers are `self.servers`."""
        addresses = [f"10.0.0.{number}:80" for number in range(1, servers + 1)]
        self.servers = [ScriptedServer(self, address) for address in addresses]
        limits = limits or Limits()
        self.configuration = Configuration(
            listeners=(
                Listener("plain", "tcp:80", "shop", limits=limits, **(listeners or {})),
                Listener(
                    "secure",
                    "tcp:443",
                    "shop",
                    tls=listener_tls or ListenerTLS((Path("throwaway"),)),
                    limits=limits,
                    **(listeners or {}),
                ),
            ),
            pools=(
                Pool(
                    "shop",
                    tuple(Server(address, **(limits_of_servers or {})) for address in addresses),
                    balance=balance,
                    failover=failover or Failover(),
                    **pool,
                ),
            ),
            groups=tuple(groups),
            storage=storage or Storage(),
            broker=Broker(name="test-broker", transport=TRANSPORT),
        )
        given = protocols or asked
        known = extensions(protocols=protocols, groups=asked) if given else _installed()
        made = transports(self.clock)
        self.broker = BrokerService(self.configuration, self.clock, known, transports=made)
        self.pool = self.broker.pools["shop"]
        self.frontends = {frontend.settings.name: frontend for frontend in self.broker.frontends}
        for frontend in self.broker.frontends:
            frontend._observers = [self.records]

    def client(
        self, secure: bool = False, peer: str = "192.0.2.1", context: SSL.Context | None = None
    ) -> Peer:
        """A client that has connected (and shaken hands, by `context`)."""
        self.settle()
        client = Peer(self)
        self.clients.append(client)
        if secure:
            context = context or SSL.Context(SSL.TLS_CLIENT_METHOD)
            near: Any = TLSMemoryBIOFactory(
                _Trusting(context), True, _one(client), clock=self.clock
            ).buildProtocol(IPv4Address("TCP", "192.0.2.9", 443))
            far: Any = self.secure_factory().buildProtocol(IPv4Address("TCP", peer, 1))
        else:
            near = client
            far = self.plain_factory().buildProtocol(None)
        if far is None:
            client.lost = ConnectionRefusedError()
            return client
        self.network.connect(near, far, "192.0.2.9", 443 if secure else 80, peer)
        self.settle()
        return client

    def secure_factory(self) -> Any:
        """What the secure listener's port would make connections with."""
        return secured(self.frontends["secure"], self.broker.contexts["secure"], False, self.clock)

    def plain_factory(self) -> Any:
        """The same for the plain listener."""
        frontend = self.frontends["plain"]
        return OwnFactory(frontend, None, False) if TRANSPORT == "own" else frontend

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        while True:
            self.network.settle()
            now = self.clock.seconds()
            self.calls += [(now + call[3], call) for call in self.clock.tcpClients]
            self.clock.tcpClients.clear()
            calls, self.calls = self.calls, []
            for until, call in calls:
                host, port, factory = call[:3]
                server = next(s for s in self.servers if s.address == f"{host}:{port}")
                if now >= until:
                    factory.clientConnectionFailed(None, Failure(TimeoutError()))
                elif not server.called(factory, self.network):
                    self.calls.append((until, call))
            if len(self.calls) == len(calls) and not self.clock.tcpClients:
                return

    def closes_while_asked(self, link: Peer, client: Peer, request: bytes) -> None:
        """The request is on its way to the server, whose close of the link is on its way to the broker."""
        link.transport.loseConnection()  # type: ignore[union-attr]
        client.transport.write(request)  # type: ignore[union-attr]
        client.transport.step()  # type: ignore[union-attr]

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps small enough that every timer of interest fires in its turn."""
        self.settle()
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end - 1e-9:
            calls = [call.getTime() for call in self.clock.getDelayedCalls()]
            calls += [until for until, _ in self.calls]
            self.clock.advance(max(0.0, min([end, *calls]) - self.clock.seconds()))
            self.settle()

    def tries(self, transaction: int = -1) -> Sequence[tuple[str, str]]:
        """The tries of a finished transaction: server's last number and outcome."""
        return [(t["server"][7], t["outcome"]) for t in self.records.all[transaction]["tries"]]

    @property
    def end(self) -> str:
        """How the last transaction ended."""
        self.settle()
        return str(self.records.all[-1]["end"])

    def tearDown(self) -> None:
        if not hasattr(self, "broker"):
            return
        for client in self.clients:
            if client.lost is None:
                client.resets()
        for frontend in self.broker.frontends:
            frontend.shut()  # a client that is not read from now is not seen to be gone
        self.settle()
        storage = self.broker.storage.figures
        self.assertEqual((storage.unsent, storage.replay), (0, 0), "storage is not given back")
        for member in self.pool.members:
            self.assertEqual(member.figures.outstanding, 0, f"{member.address} has outstanding tries")
        for frontend in self.broker.frontends:
            self.assertEqual(frontend.connections, set())
            self.assertEqual(frontend.figures.open, 0)
        self.assertEqual(
            (self.pool.figures.queued, len(self.pool.places._queue)), (0, 0), "somebody waits for a place"
        )
        self.pool.close()
        self.broker.monitor.stopService()
        failover = self.configuration.pools[0].failover
        self.wait(max(failover.connect_timeout, failover.response_timeout) + 0.1)
        for links in self.pool.links.values():
            figures = links.member.figures
            left = (figures.links_connecting, figures.links_idle, figures.links_busy, figures.links_draining)
            self.assertEqual(left, (0, 0, 0, 0), "links are left: connecting, idle, busy, draining")
            self.assertEqual((links.idle, links.busy, links.draining), ({}, {}, {}), "links are left")
        self.assertEqual(self.clock.getDelayedCalls(), [], "timers are left")
        for end in self.network.ends:
            self.assertFalse(end.connected and isinstance(end.protocol, Link), "a link is not closed")
        self.check_promises()

    def check_promises(self) -> None:
        """Nothing is known any more of transactions that are over, where groups are promised anything."""
        promises = self.pool.promises
        if promises is None:
            return
        self.assertEqual(promises.plain, 0, "plain transactions are under way for the promises")
        for member, server in promises._servers.items():
            for standing in server.standings.values():
                self.assertEqual(standing.late, 0, f"tries are late at {member.address}")
        due = max((promises.thresholds.of(group) for group in self.configuration.groups), default=0.0)
        promises.look(self.clock.seconds() + due)
        self.assertFalse(any(promises._due.values()), "tries are waited for")


@cache
def _installed() -> Extensions:
    """To look them up takes a broker longer than all else that it does at its start."""
    return extensions()


def _one(protocol: Protocol) -> Factory:
    factory = Factory()
    factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
    return factory
