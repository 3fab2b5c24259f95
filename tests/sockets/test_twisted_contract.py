"""What programs rely on in Twisted's sockets, in an interface or not, and find in ours.

Each of these was found by Twisted's own tests (`twisted_suite`), which need real sockets and minutes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any
from unittest import mock

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionFdescWentAway, ConnectionLost
from twisted.internet.interfaces import IProtocolNegotiationFactory, IReadDescriptor
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sslbroker.sockets.connector import Connector
from sslbroker.sockets.plain import PlainTransport
from sslbroker.sockets.port import Port
from sslbroker.sockets.reactor import DirectEPollReactor
from sslbroker.sockets.secure import SecureTransport

from ..net.servers import server_context
from . import ends
from .ends import Heard, Wired, client_context

PEER = IPv4Address("TCP", "127.0.0.1", 1)


class Ends(SynchronousTestCase):
    """How a connection ends when a write, not a read, is the first to hear of it."""

    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        near = socket.create_connection(listening.getsockname())
        near.setblocking(False)
        self.far = listening.accept()[0]
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport = PlainTransport(MemoryReactorClock(), near, Heard(), PEER)
        self.transport.start()
        self.addCleanup(self.transport.connectionLost, Failure(ConnectionDone()))

    def test_a_reset_is_none_of_a_clean_end(self) -> None:
        self.far.close()
        self.transport.write(b"takes the error that a read would have got")
        self.assertIsInstance(self.transport.doRead(), ConnectionLost)

    def test_a_clean_end_is_one_though_nobody_reads_what_is_written_after_it(self) -> None:
        self.far.sendall(b"all")
        self.far.shutdown(socket.SHUT_WR)
        self.far.close()
        self.transport.write(b"for nobody")
        self.assertIs(self.transport.doRead(), None)
        self.assertEqual(self.transport.protocol.received, b"all")
        self.assertIsInstance(self.transport.doRead(), ConnectionDone)


class Consumer(SynchronousTestCase):
    def test_a_producer_that_is_pulled_is_asked_again_though_all_is_sent(self) -> None:
        heard = Heard()
        wired = Wired(heard)
        heard.transport.write(b"before")
        heard.transport.registerProducer(heard, False)
        self.assertEqual(heard.events, ["made", "resume"])
        heard.at["resume"] = heard.transport.unregisterProducer
        wired.settle()
        self.assertEqual(heard.events, ["made", "resume", "resume"])

    def test_whoever_sets_the_size_of_the_buffer_sets_when_a_producer_pauses(self) -> None:
        heard = Heard()
        wired = Wired(heard)
        wired.socket.window = 0
        heard.transport.registerProducer(heard, True)
        heard.transport.bufferSize = 500
        heard.transport.write(b"x" * 500)
        self.assertEqual(heard.events, ["made"])
        heard.transport.write(b"x")
        self.assertEqual(heard.events, ["made", "pause"])

    def test_a_sequence_of_something_else_is_refused_as_a_write_of_it(self) -> None:
        transport = Wired(Heard()).heard.transport
        for write, wrong in ((transport.write, "x"), (transport.writeSequence, ["x"])):
            with self.assertRaisesRegex(TypeError, "Data must be bytes"):
                write(wrong)

    def test_the_names_that_are_in_no_interface(self) -> None:
        heard = Heard()
        wired = Wired(heard)
        heard.transport.stopReading()
        self.assertFalse(wired.socket.readers)
        heard.transport.startReading()
        self.assertTrue(wired.socket.readers)
        heard.transport.registerProducer(heard, True)
        heard.transport.stopConsuming()
        wired.settle()
        self.assertEqual(heard.events, ["made", "lost ConnectionDone"])


@implementer(IProtocolNegotiationFactory)
class Negotiates(Factory):
    protocol = Heard

    def acceptableProtocols(self) -> list[bytes]:
        return [b"chat"]


class Secure(SynchronousTestCase):
    def test_twisteds_creators_learn_the_protocols_of_the_factory(self) -> None:
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        near.setblocking(False)
        factory = Negotiates()
        options = CertificateOptions()
        protocol: Any = factory.buildProtocol(PEER)
        transport = SecureTransport(MemoryReactorClock(), near, protocol, PEER, options, True, factory)
        transport.start()
        self.assertIn(b"\x04chat", far.recv(65536))
        transport.connectionLost(Failure(ConnectionDone()))

    def test_a_producer_stays_paused_though_the_words_of_the_handshake_have_left(self) -> None:
        heard = Heard()
        wired = Wired(heard, secure=True)
        heard.transport.registerProducer(heard, True)
        heard.transport.write(b"early")
        wired.socket.window = 1
        with contextlib.suppress(SSL.WantReadError):
            wired.hand.tls.do_handshake()
        wired.hand.sends(wired.hand.records())
        wired.socket.window = 65536
        wired.settle()
        self.assertEqual(heard.events, ["made", "pause"])
        wired.hand.shakes()
        wired.settle()
        self.assertEqual(heard.events, ["made", "pause", "shaken", "resume"])
        self.assertEqual(wired.hand.takes(), b"early")

    def test_a_peer_that_a_callback_of_openssls_refuses_hears_nothing_more(self) -> None:
        def refuse(connection: SSL.Connection, *asked: Any) -> bool:
            connection.get_app_data().abortConnection()
            return True

        server, client = server_context(), client_context()
        server.set_tlsext_servername_callback(refuse)  # type: ignore[arg-type]
        client.set_verify(SSL.VERIFY_PEER, refuse)
        refusing = (("SERVER", server), ("client_context", lambda version: client))
        for is_client, (name, value) in enumerate(refusing):  # within the handshake, and in its last step
            with mock.patch.object(ends, name, value):
                heard = Heard()
                wired = Wired(heard, secure=True, is_client=bool(is_client))
            wired.settle()
            before = len(wired.hand.raw)
            with contextlib.suppress(SSL.WantReadError):
                wired.hand.tls.do_handshake()
            wired.hand.transport.write(wired.hand.records())
            wired.network.settle()
            self.assertEqual(heard.events, ["made", "lost ConnectionAborted"])
            self.assertEqual(len(wired.hand.raw), before)


class Ports(SynchronousTestCase):
    def test_a_port_says_what_it_is(self) -> None:
        reactor = MemoryReactorClock()
        listening = socket.create_server(("127.0.0.1", 0))
        number = listening.getsockname()[1]
        port = Port(reactor, listening, Factory.forProtocol(Protocol))
        self.assertEqual(repr(port), "<Port of Factory (not listening)>")
        port.startListening()
        self.assertEqual((port.connected, port.disconnected), (True, False))
        self.assertEqual(repr(port), f"<Port of Factory on {number}>")
        stopped = port.stopListening()
        reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual((port.connected, port.disconnected), (False, True))
        self.assertEqual(repr(port), "<Port of Factory (not listening)>")

    def test_a_number_that_is_no_port_is_not_taken_for_another(self) -> None:
        for wrong in (65536 + 80, -1):
            with self.assertRaisesRegex(ValueError, f"{wrong} is not a port"):
                Connector(MemoryReactorClock(), "127.0.0.1", wrong, ClientFactory())


@implementer(IReadDescriptor)
class Gone:
    """Is ready to be read, and has lost its file."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reason: Any = None

    def fileno(self) -> int:
        return self.number

    def logPrefix(self) -> str:
        return "gone"

    def doRead(self) -> None:
        raise AssertionError("there is nothing to read from")

    def connectionLost(self, reason: Failure) -> None:
        self.reason = reason.value


class Reactor(SynchronousTestCase):
    def test_a_selectable_without_a_file_is_ended_and_not_asked_for_ever(self) -> None:
        reactor = DirectEPollReactor()
        self.addCleanup(reactor._poller.close)
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        gone = Gone(reading)
        reactor.addReader(gone)
        os.write(writing, b"x")
        gone.number = -1
        reactor.doPoll(0)
        self.assertIsInstance(gone.reason, ConnectionFdescWentAway)
        self.assertNotIn(gone, reactor.getReaders())
