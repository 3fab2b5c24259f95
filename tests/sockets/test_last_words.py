"""What a peer said before it broke the connection: it is heard, then the end is told.

A server that answers an upload with 413 and closes, with unread bytes in its socket, resets: our next write
fails while its answer is still in our kernel. Real sockets and our reactor; the peer is played by hand.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from typing import Any

from OpenSSL import SSL
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.transport import backlog
from sslbroker.sockets.addresses import address_of
from sslbroker.sockets.plain import READ, PlainTransport
from sslbroker.sockets.secure import SecureTransport

from .ends import SERVER, Creator, Heard, HeardHalves, client_context

if sys.platform == "linux":
    from sslbroker.sockets import reactor as reactors

#: More than one read, and less than the kernel keeps.
ANSWER = b"answer " * 30_000
UPLOAD = b"x" * 16_000_000


class Played:
    """The peer of a transport of ours, a socket that blocks; by TLS or without."""

    def __init__(self, case: LastWords, heard: Heard, secure: bool) -> None:
        self.case = case
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_000_000)
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            self.socket = socket.create_connection(listening.getsockname(), timeout=5)
            near, name = listening.accept()
        case.addCleanup(self.socket.close)
        near.setblocking(False)
        where: Any = [case.reactor, near, heard, address_of(near.family, name)]
        if secure:
            # As on a link: the broker is TLS's client.
            self.transport: Any = SecureTransport(*where, *[Creator(client_context()), True])
            self.tls: Any = SSL.Connection(SERVER, None)
            self.tls.set_accept_state()
        else:
            self.transport = PlainTransport(*where)
            self.tls = None
        self.transport.calling = True
        self.transport.start()
        if secure:
            self.shakes()
        heard.events.clear()

    def shakes(self) -> None:
        done = False
        while not done:
            self.case.turns()
            self.tls.bio_write(self.socket.recv(65536))
            with contextlib.suppress(SSL.WantReadError):
                self.tls.do_handshake()
                done = True
            self.sends(b"")
        self.case.turns()

    def sends(self, data: bytes) -> None:
        if self.tls is None:
            self.socket.sendall(data)
            return
        while data:
            data = data[self.tls.send(data[:16384]) :]
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self.socket.sendall(self.tls.bio_read(65536))

    def says_goodbye(self) -> None:
        self.tls.shutdown()
        self.sends(b"")

    def answers_and_closes(self) -> None:
        """With unread bytes: a reset. What the broker's kernel had before that is there to be read."""
        self.sends(ANSWER)
        until = time.monotonic() + 5
        while backlog(self) and time.monotonic() < until:
            time.sleep(0.001)
        self.socket.close()


class LastWords(SynchronousTestCase):
    if sys.platform != "linux":
        skip = "epoll is Linux's"

    def setUp(self) -> None:
        self.reactor = reactors.DirectEPollReactor()
        self.addCleanup(self.end)

    def end(self) -> None:
        self.reactor.removeAll()
        self.reactor.waker.connectionLost(Failure(CONNECTION_DONE))
        self.reactor._poller.close()

    def turns(self, count: int = 20) -> None:
        for _ in range(count):
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.001)

    def played(self, secure: bool, heard: Heard | None = None) -> tuple[Any, Played]:
        heard = heard or HeardHalves()
        return heard, Played(self, heard, secure)

    def test_an_answer_to_an_upload_that_was_broken_off(self) -> None:
        self.assertGreater(len(ANSWER), 2 * READ)
        for secure in (False, True):
            for size in (1, len(UPLOAD)):  # leaves at the end of the turn; does not leave all at once
                with self.subTest(secure=secure, size=size):
                    heard, peer = self.played(secure)
                    heard.transport.registerProducer(heard, True)
                    heard.transport.write(UPLOAD)
                    self.turns(2)
                    peer.answers_and_closes()
                    heard.transport.write(UPLOAD[:size])
                    self.turns()
                    self.assertEqual(heard.received, ANSWER)
                    self.assertEqual(heard.events[-2:], ["stop", "lost ConnectionLost"])
                    self.assertNotIn(heard.transport, self.reactor.getReaders() + self.reactor.getWriters())

    def test_while_it_is_not_read_it_waits(self) -> None:
        for secure in (False, True):
            for writes in (b"", UPLOAD):  # a reactor tells of a reset itself, when it is asked about writing
                with self.subTest(secure=secure, writes=len(writes)):
                    heard, peer = self.played(secure)
                    heard.transport.write(UPLOAD)
                    heard.transport.pauseProducing()
                    self.turns(2)
                    peer.answers_and_closes()
                    heard.transport.write(writes)
                    self.turns()
                    self.assertEqual((heard.received, heard.events), (b"", []))
                    heard.transport.resumeProducing()
                    self.turns()
                    self.assertEqual(heard.received, ANSWER)
                    self.assertEqual(heard.events, ["lost ConnectionLost"])

    def test_who_does_not_read_and_has_nothing_to_read_is_told_at_once(self) -> None:
        for secure in (False, True):
            for writes in (b"", b"x"):
                heard, peer = self.played(secure)
                heard.transport.write(UPLOAD)
                self.turns(2)
                heard.transport.pauseProducing()
                peer.socket.close()
                heard.transport.write(writes)
                self.turns()
                self.assertEqual(heard.events, ["lost ConnectionLost"])

    def test_who_called_us_and_has_gone_waits_for_nothing(self) -> None:
        for secure in (False, True):
            for writes in (b"", UPLOAD):
                heard, peer = self.played(secure)
                peer.transport.calling = False
                heard.transport.write(UPLOAD)
                heard.transport.pauseProducing()
                self.turns(2)
                peer.answers_and_closes()
                heard.transport.write(writes)
                self.turns()
                self.assertEqual((heard.received, heard.events), (b"", ["lost ConnectionLost"]))

    def test_who_closes_while_something_waits_is_told_at_once(self) -> None:
        for secure in (False, True):
            heard, peer = self.played(secure)
            heard.transport.write(UPLOAD)
            heard.transport.pauseProducing()
            self.turns(2)
            peer.answers_and_closes()
            self.turns()
            self.assertEqual(heard.events, [])
            heard.transport.abortConnection()
            self.turns()
            self.assertEqual((heard.received, heard.events), (b"", ["lost ConnectionAborted"]))

    def test_an_end_before_the_break_is_told_as_an_end(self) -> None:
        for secure in (False, True):
            for kind in (Heard, HeardHalves):
                with self.subTest(secure=secure, kind=kind):
                    heard, peer = self.played(secure, kind())
                    heard.transport.write(UPLOAD)
                    self.turns(2)
                    peer.sends(ANSWER)
                    if secure:
                        peer.says_goodbye()
                    peer.socket.shutdown(socket.SHUT_WR)
                    peer.socket.close()
                    heard.transport.write(UPLOAD)
                    self.turns()
                    self.assertEqual(heard.received, ANSWER)
                    self.assertEqual("read lost" in heard.events, kind is HeardHalves, heard.events)
                    self.assertTrue(heard.events[-1].startswith("lost "), heard.events)
                    self.assertNotIn(heard.transport, self.reactor.getReaders() + self.reactor.getWriters())

    def test_a_write_that_fails_for_want_of_memory_has_no_last_words(self) -> None:
        heard, peer = self.played(False)
        peer.sends(b"hello")
        heard.transport._broken = 105  # ENOBUFS
        heard.transport.write(b"x")
        self.reactor.addWriter(heard.transport)
        self.turns()
        self.assertEqual((heard.received, heard.events), (b"hello", ["lost ConnectionLost"]))
