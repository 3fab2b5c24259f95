"""Servers of DNS on loopback, for tests: Twisted's own with a zone, and one that is told what to say.

Invariant: `stop` leaves no socket. UDP and TCP have the same port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, ServerFactory
from twisted.names import dns
from twisted.names.authority import FileAuthority
from twisted.names.server import DNSServerFactory
from twisted.protocols.basic import Int16StringReceiver

#: What a scripted server does with a question: the bytes of its answers, in order; () is silence.
Script = Callable[[bytes], Sequence[bytes]]


class Nameserver:
    """Two sockets on one port of 127.0.0.1."""

    def __init__(self, datagrams: DatagramProtocol, streams: ServerFactory | None) -> None:
        reactor: Any = real_reactor
        self._streams = streams
        self._ports = []
        for _ in range(50):
            wanted = 0
            if streams is not None:  # first, since a protocol of datagrams can have a port only once
                self._ports = [reactor.listenTCP(0, streams, interface="127.0.0.1")]
                wanted = self._ports[0].getHost().port
            try:
                self._ports.append(reactor.listenUDP(wanted, datagrams, interface="127.0.0.1"))
            except CannotListenError:  # somebody else has that port of UDP
                self._ports.pop().stopListening()
            else:
                self.port: int = self._ports[0].getHost().port
                return
        raise AssertionError("no port is free for both UDP and TCP")

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    async def stop(self) -> None:
        for connection in list(getattr(self._streams, "connections", ())):
            if connection.transport is not None:
                connection.transport.abortConnection()
        await DeferredList([maybeDeferred(port.stopListening) for port in self._ports])


class _Zone(FileAuthority):
    def loadFile(self, filename: Any) -> None:
        self.soa, self.records = filename


def zone(records: Mapping[bytes, Sequence[Any]]) -> Nameserver:
    """Twisted's own server, which knows the zone "test"."""
    soa = dns.Record_SOA(b"ns.test", b"root.test", 1, 60, 60, 60, 60, 60)
    answers = DNSServerFactory(authorities=[_Zone(((b"test", soa), {b"test": [soa], **records}))], verbose=-1)
    answers.noisy = False
    return Nameserver(dns.DNSDatagramProtocol(answers), answers)


class _Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, script: Script) -> None:
        self.script = script

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        for answer in self.script(datagram):
            self.transport.write(answer, addr)  # type: ignore[union-attr]


class _Stream(Int16StringReceiver):
    def __init__(self, script: Script) -> None:
        self.script = script

    def stringReceived(self, string: bytes) -> None:
        for answer in self.script(string):
            if answer:
                self.sendString(answer)
            else:
                self.transport.loseConnection()  # type: ignore[union-attr]


class _Streams(Factory):
    noisy = False

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections: list[_Stream] = []

    def buildProtocol(self, addr: Any) -> _Stream:
        self.connections.append(_Stream(self.script))
        return self.connections[-1]


def scripted(udp: Script, tcp: Script | None = None) -> Nameserver:
    """A server that says what `udp` and `tcp` say; b"" over TCP ends the connection. None: it has no TCP."""
    return Nameserver(_Datagrams(udp), _Streams(tcp) if tcp else None)  # type: ignore[arg-type]


def answer(question: bytes, *addresses: str, code: int = 0, cut: bool = False, change: int = 0) -> bytes:
    """The answer to a question, with these addresses of its kind; `change` is added to its number."""
    message = dns.Message()
    message.fromStr(question)
    message.answer, message.rCode, message.trunc = 1, code, cut
    message.id = (message.id + change) % 65536
    (query,) = message.queries
    make = dns.Record_A if query.type == dns.A else dns.Record_AAAA
    family = "." if query.type == dns.A else ":"
    message.answers = [
        dns.RRHeader(query.name.name, query.type, dns.IN, 60, make(address, 60))
        for address in addresses
        if family in address
    ]
    message.maxSize = 0
    return bytes(message.toStr())
