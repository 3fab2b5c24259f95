"""How much of what was written the peer has not taken."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.transport import backlog


class Layer:
    """A TLS layer, as far as it matters here."""

    wrappedProtocol = object()

    def __init__(self, transport: object) -> None:
        self.transport = transport


class Plain:
    def __init__(self, near: socket.socket | None) -> None:
        self.dataBuffer, self.offset, self._tempDataLen = b"12345", 2, 4
        self.socket = near


class Backlogs(SynchronousTestCase):
    def test_the_transports_own_buffer_counts(self) -> None:
        self.assertEqual(backlog(Plain(None)), 7)

    def test_below_a_tls_layer_too(self) -> None:
        self.assertEqual(backlog(Layer(Plain(None))), 7)

    def test_what_the_kernel_still_has_counts_until_it_is_read(self) -> None:
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        near.send(b"x" * 1000)
        self.assertGreaterEqual(backlog(Plain(near)), 1007)
        far.recv(1000)
        self.assertEqual(backlog(Plain(near)), 7)

    def test_a_closed_socket_has_none(self) -> None:
        near, far = socket.socketpair()
        far.close()
        near.close()
        self.assertEqual(backlog(Plain(near)), 7)

    def test_an_unknown_transport_has_none(self) -> None:
        self.assertEqual(backlog(object()), 0)
