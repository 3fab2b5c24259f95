"""One question to one server of the domain name system, over UDP and, when the answer needs it, TCP.

Decides which datagrams are listened to: those from the asked address and port to a port of the system's
random choice, with a random number and this very question; after a few others only TCP is believed
(RFC 5452). Invariant: when the question is over or was cancelled, no socket and no timer is left, but for
the reactor's turn in which a connection is aborted. Refuses to ask again or anybody else.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConnector, IReadDescriptor
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from . import dns

#: Bytes of a datagram, and of an answer over TCP, that are read: many times what 64 addresses need.
LONGEST_DATAGRAM, LONGEST_ANSWER = 4096, 16_384

#: Datagrams that are no answer to the question; who sends more may be guessing its number.
MOST_STRANGE = 8


async def ask(reactor: Any, server: tuple[str, int], name: bytes, kind: int, timeout: float) -> dns.Reply:
    """What the server (address and port) says within `timeout` seconds.

    Raises `OSError` or `twisted.internet.error.ConnectError` when it cannot be reached,
    `twisted.internet.defer.TimeoutError` when it is silent, `dns.NotTheAnswer` when it is not understood.
    """
    number = int.from_bytes(os.urandom(2))
    until = reactor.seconds() + timeout
    datagrams = _Datagrams(reactor, server, number, name, kind)
    reply = await datagrams.answer.addTimeout(timeout, reactor)
    if not reply.truncated:
        return reply
    remaining = max(until - reactor.seconds(), 0.001)
    stream = _Streams(number, name, kind)
    stream.connector = reactor.connectTCP(*server, stream, remaining)
    return await stream.answer.addTimeout(remaining, reactor)


@implementer(IReadDescriptor)
class _Datagrams:
    """A socket that hears only the asked server.

    Twisted's own UDP ports write two lines to the log for each."""

    def __init__(self, reactor: Any, server: tuple[str, int], number: int, name: bytes, kind: int) -> None:
        self._reactor = reactor
        self.answer: Deferred[dns.Reply] = Deferred(lambda _: self._close())
        self._question = (number, name, kind)
        self._strange = 0
        six = ip_address(server[0]).version == 6
        self._socket = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(server)
            self._socket.send(dns.question(*self._question))
        except BaseException:
            self._socket.close()
            raise
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "names"

    def doRead(self) -> None:
        try:
            data = self._socket.recv(LONGEST_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(error)
            return
        try:
            reply = dns.read(data, *self._question)
        except dns.NotTheAnswer:
            self._strange += 1
            if self._strange > MOST_STRANGE:
                self._finish(dns.Reply(dns.FINE, truncated=True))
        else:
            self._finish(reply)

    def connectionLost(self, reason: Failure) -> None:  # the reactor stops, or has found the socket broken
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if self.fileno() >= 0 else 0
        self._finish(OSError(code, os.strerror(code)) if code else OSError(reason.getErrorMessage()))

    def _finish(self, result: dns.Reply | Exception) -> None:
        self._close()
        if not self.answer.called:
            if isinstance(result, dns.Reply):
                self.answer.callback(result)
            else:
                self.answer.errback(result)

    def _close(self) -> None:
        self._reactor.removeReader(self)
        self._socket.close()


class _Stream(Int16StringReceiver):
    """Asks, and takes the first message as the answer (RFC 7766)."""

    MAX_LENGTH = LONGEST_ANSWER
    factory: _Streams

    def connectionMade(self) -> None:
        self.sendString(dns.question(*self.factory.question))  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        self.factory.received(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.failed(Failure(OSError("it ended the connection without an answer")))


class _Streams(ClientFactory[Any]):
    """The one connection of a question."""

    noisy = False
    connector: IConnector

    def __init__(self, number: int, name: bytes, kind: int) -> None:
        self.question = (number, name, kind)
        self.answer: Deferred[dns.Reply] = Deferred(lambda _: self._close())
        self._protocol: Protocol | None = None
        self._closed = False

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self._protocol = _Stream()
        self._protocol.factory = self
        return self._protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.failed(reason)

    def received(self, data: bytes) -> None:
        if self._closed:
            return
        self._close()
        try:
            reply = dns.read(data, *self.question)
            if reply.truncated:
                raise dns.NotTheAnswer("its answer is cut even over TCP")
        except dns.NotTheAnswer:
            self.answer.errback()
        else:
            self.answer.callback(reply)

    def failed(self, reason: Failure) -> None:
        if not self._closed:
            self._closed = True
            self.answer.errback(reason)

    def _close(self) -> None:
        self._closed = True
        transport = None if self._protocol is None else self._protocol.transport
        if transport is None:
            self.connector.disconnect()
        else:
            transport.abortConnection()  # type: ignore[attr-defined]
