"""Connections: counted, bounded, and handed over to a tunnel."""

from __future__ import annotations

import pytest

from sslbroker.demo import channel as channel_module
from sslbroker.demo.channel import Channel

from .wire import Client, new_server


class Tunnel:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def begin(self, channel: Channel) -> None:
        self.heard.append("begin")

    def receive(self, data: bytes) -> None:
        self.heard.append(data)

    def ended(self) -> None:
        self.heard.append("ended")


def test_a_site_counts_its_connections() -> None:
    server, _ = new_server()
    one, two = Client(server), Client(server)
    assert server.channels == {one.channel, two.channel}
    one.leave()
    assert server.channels == {two.channel}


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "MAXIMUM_CONNECTIONS", 1)
    server, _ = new_server()
    client = Client(server)
    assert server.buildProtocol(None) is None
    client.leave()
    assert server.buildProtocol(None) is not None


def test_every_connection_can_be_reset() -> None:
    server, _ = new_server()
    clients = [Client(server) for _ in range(3)]
    server.abort_all()
    assert [client.end for client in clients] == ["aborted"] * 3


def test_an_idle_connection_is_closed() -> None:
    server, clock = new_server()
    client = Client(server)
    clock.advance(channel_module.IDLE + 1)
    assert client.end == "closed"


def test_after_an_upgrade_the_tunnel_gets_every_byte_and_the_end() -> None:
    server, clock = new_server()
    client, tunnel = Client(server), Tunnel()
    client.request("GET /chat/messages")  # waits, so that its connection is still busy
    client.channel.become(tunnel, [("Upgrade", "test")])
    assert client.received == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\n\r\n"
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    client.send(b"more")
    client.leave()
    assert tunnel.heard == ["begin", b"GET / HTTP/1.1\r\n\r\n", b"more", "ended"]
    assert clock.getDelayedCalls() == []
