"""All of the demo's servers, on real loopback ports."""

# Twisted's test helpers have few annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sslbroker.demo.servers import DemoServers
from sslbroker.errors import StartError


def place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class Listener(Protocol):
    """Gathers what comes until the end."""

    def __init__(self) -> None:
        self.heard = b""
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(self.heard)


async def converse(address: str, data: bytes) -> bytes:
    """Send, and listen until the other side ends the connection."""
    endpoint = TCP4ClientEndpoint(real_reactor, *place(address))
    listener = await connectProtocol(endpoint, Listener())
    assert listener.transport is not None
    listener.transport.write(data)
    heard: bytes = await listener.done
    return heard


class TestDemoServers(TestCase):
    def setUp(self) -> None:
        self.demo = DemoServers(IReactorTCP(real_reactor))
        self.addCleanup(self.demo.stop)
        self.listeners: list[Listener] = []

    def test_after_listen_every_address_is_known_and_different(self) -> None:
        self.demo.listen()
        places = [place(address) for address in [*self.demo.addresses, self.demo.control_address]]
        self.assertEqual(len(set(places)), 4)
        for address in places:
            socket.create_connection(address).close()

    def test_starting_keeps_the_addresses_that_listen_gave(self) -> None:
        self.demo.listen()
        before = self.demo.addresses
        self.demo.startService()
        self.assertEqual(self.demo.addresses, before)

    async def test_after_stopping_nothing_listens(self) -> None:
        self.demo.startService()
        places = [place(address) for address in [*self.demo.addresses, self.demo.control_address]]
        await self.demo.stopService()
        for address in places:
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(address)

    async def test_a_server_answers_and_can_be_broken_from_outside(self) -> None:
        self.demo.startService()
        health = b"GET /healthz HTTP/1.0\r\n\r\n"
        self.assertIn(b"server-2 is well", await converse(self.demo.addresses[1], health))
        order = b"POST /server-2/status-500 HTTP/1.0\r\nHost: localhost\r\n\r\n"
        self.assertIn(b"200 OK", await converse(self.demo.control_address, order))
        self.assertIn(b" 500 ", await converse(self.demo.addresses[1], health))

    async def test_stopping_ends_connections_that_are_kept_open(self) -> None:
        self.demo.startService()
        for address in (self.demo.addresses[0], self.demo.control_address):
            place_ = TCP4ClientEndpoint(real_reactor, *place(address))
            listener = await connectProtocol(place_, Listener())
            listener.transport.write(b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while b"@media (max-width" not in listener.heard:
                await deferLater(IReactorTime(real_reactor), 0)
            self.listeners.append(listener)
        await self.demo.stopService()
        for listener in self.listeners:
            await listener.done

    def test_a_taken_control_port_ends_the_start_and_leaves_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            number = other.getsockname()[1]
            demo = DemoServers(IReactorTCP(real_reactor), control_port=number)
            with self.assertRaises(StartError) as caught:
                demo.listen()
            self.assertIn(f"the control site cannot listen on 127.0.0.1:{number}", str(caught.exception))
            self.assertEqual([server._port for server in demo.servers], [None] * 3)
        return demo.stop()  # type: ignore[return-value]


def test_the_hints_are_ready_to_be_pasted() -> None:
    reactor: Any = MemoryReactorClock()
    demo = DemoServers(reactor, count=2, control_port=9190)
    demo.listen()
    assert "curl -X POST http://127.0.0.1:9190/server-2/silence" in demo.hints()[0]


@pytest.mark.parametrize("patience", [0.5, 3.0])
def test_polls_end_before_the_broker_takes_them_for_silence(patience: float) -> None:
    reactor: Any = MemoryReactorClock()
    demo = DemoServers(reactor, patience=patience)
    assert {server.patience for server in demo.servers} == {patience}
