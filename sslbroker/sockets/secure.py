"""A connection with TLS over a socket, to a protocol exactly what Twisted's is, and a little more.

Decides when OpenSSL is asked, which is once for a read that is one record, and when TLS ends. Invariant: the
protocol's bytes are handed to OpenSSL once, in order, and none before the handshake is done; a connection
that is aborted says nothing more, so that no cut looks like an end. Refuses to choose certificates and to
judge the peer's: a creator makes the `OpenSSL.SSL.Connection`.

More than Twisted's: a protocol that provides `IHalfCloseableProtocol` hears of the peer's close_notify by
`readConnectionLost` and may go on writing, and `loseWriteConnection` sends a close_notify and goes on reading
(RFC 8446 §6.1). Without that a pending answer is lost when its client has nothing more to say.
"""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IProtocol,
    ISSLTransport,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from .openssl import session
from .outgoing import HIGH_WATER
from .plain import PlainTransport

#: Bytes of a peer's first words that are kept, to tell what it spoke when that was not TLS.
FIRST = 64


@implementer(INegotiated, ISSLTransport)
class SecureTransport(PlainTransport):
    """One connected socket, its `SSL.Connection`, and its protocol. `start` begins."""

    __slots__ = (
        "_answers",
        "_early",
        "_peer_ended",
        "_reason",
        "_session",
        "_shaken",
        "_tls",
        "first",
        "refusal",
        "wrappedFactory",
    )

    def __init__(
        self,
        reactor: Any,
        connected: socket.socket,
        protocol: IProtocol,
        peer: IAddress,
        creator: Any,
        is_client: bool,
        factory: Any = None,
    ) -> None:
        """`creator` provides `IOpenSSLClientConnectionCreator` or `IOpenSSLServerConnectionCreator`.

        Its connection has the transport as `app_data`, as long as it lasts. `factory` made the protocol.
        """
        super().__init__(reactor, connected, protocol, peer)
        #: The beginning of what came, and a place for what OpenSSL's callbacks note of a refusal.
        self.first = b""
        self.refusal: Any = None
        self.wrappedFactory = factory
        self._early: list[bytes] = []  # written while OpenSSL takes nothing: before the handshake
        self._shaken = False
        self._peer_ended = False  # it has sent its close_notify
        self._answers = 0  # bytes of OpenSSL's own answers, since the peer last took all
        self._reason: Failure | None = None  # what ended TLS
        make = creator.clientConnectionForTLS if is_client else creator.serverConnectionForTLS
        self._tls: Any = make(self)
        self._tls.set_app_data(self)
        if is_client:
            self._tls.set_connect_state()
        else:
            self._tls.set_accept_state()
        self._session: Any = session(self._tls)

    def start(self) -> None:
        super().start()
        if self.connected and not self._aborting:
            self._shake()

    # --- ITransport ---

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if not data or not self.connected or self._write_ended or self._over or self._aborting:
            return
        if self.disconnecting and self.producer is None:
            return
        if self._shaken and not self._early:
            self._encrypt(data)
        else:
            self._early.append(data)
            self._hold()

    def loseConnection(self) -> None:
        """Say close_notify when everything written is sent, and close when the peer has said it too."""
        if not self.connected or self.disconnecting:
            return
        if not self._shaken and not self._early:
            self.abortConnection()
        self.disconnecting = True
        self._close_tls()

    def abortConnection(self) -> None:
        super().abortConnection()
        self.disconnecting = True

    def getHandle(self) -> Any:
        """The `OpenSSL.SSL.Connection`; None when the connection is lost."""
        return self._tls

    # --- ISSLTransport, INegotiated ---

    def getPeerCertificate(self) -> Any:
        return self._tls.get_peer_certificate()

    @property
    def factory(self) -> SecureTransport:
        """Twisted's own creators look for ALPN's protocols in `factory.wrappedFactory`."""
        return self

    @property
    def negotiatedProtocol(self) -> bytes | None:
        return self._tls.get_alpn_proto_negotiated() or None

    # --- IConsumer ---

    def unregisterProducer(self) -> None:
        super().unregisterProducer()
        if self.disconnecting:
            self._close_tls()

    # --- what the reactor calls ---

    def _received(self, data: bytes) -> None:
        session = self._session
        session.feed(data)
        if not self._shaken:
            if len(self.first) < FIRST:
                self.first = (self.first + data[:FIRST])[:FIRST]
            self._shake()
            if not self._shaken or self._aborting:
                return
        opened, failure, answers = session.open()
        if answers:
            self._answer()
        if failure is None and self._early:
            self._send_early()
        if opened and not self._aborting:
            self.protocol.dataReceived(opened)
        if failure is not None and self.connected and not self._aborting:
            if isinstance(failure, SSL.ZeroReturnError):
                self._peer_has_ended()
            else:
                self._fail(Failure(failure))

    def readConnectionLost(self, reason: Failure) -> None:
        """The socket has ended; TLS has only by a close_notify, after which what we send may still arrive."""
        if self._peer_ended and not self._write_ended and not self.disconnecting:
            super().readConnectionLost(reason)
        else:
            self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        if not self.disconnected:
            try:
                super().connectionLost(reason)
            finally:
                if self.disconnected:  # no circle is left, so that its memory is free at once
                    self._tls.set_app_data(None)
                    self._tls = self._session = self._reason = None

    def _wants_more(self) -> bool:
        return not self._early and super()._wants_more()

    def _told(self, reason: Failure) -> Failure:
        if self._reason is not None:
            return self._reason
        if not self._peer_ended and reason.check(ConnectionDone):
            return Failure(CONNECTION_LOST)  # a socket's end without a close_notify may be anybody's cut
        return reason

    # --- TLS ---

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            if not self._aborting:
                self._flush()
        except SSL.Error:
            if not self._aborting:
                self._fail(Failure())
        else:
            if self._aborting:
                return  # by a callback of OpenSSL's, which refused the peer
            self._shaken = True
            self._flush()
            if IHandshakeListener.providedBy(self.protocol):
                self.protocol.handshakeCompleted()  # who is told something only after it has judged the peer
            if self.connected and not self._aborting:
                self._send_early()

    def _answer(self) -> None:
        """Send what OpenSSL itself answers, as to a request for new keys (RFC 8446 §4.6.3).

        A peer that asks and asks and takes no answer must not fill our memory with them.
        """
        before = self.unsent
        if not before:
            self._answers = 0
        self._flush()
        self._answers += self.unsent - before
        if self._answers > HIGH_WATER:
            self.abortConnection()

    def _encrypt(self, data: bytes) -> None:
        rest = self._seal(data)
        if rest:
            self._early.append(rest)
        if self.unsent > self.bufferSize:  # not before all is sealed: who is paused may write
            self._hold()

    def _seal(self, data: bytes) -> bytes:
        """Send `data`; what is left of it, when OpenSSL wants to hear the peer first."""
        seal = self._session.seal
        size = len(data)
        at = 0
        try:
            while at < size:
                sealed, at = seal(data, at)
                self._send(sealed)
        except SSL.WantReadError:
            self._flush()
            return data[at:]
        except SSL.Error:
            self._fail(Failure())
        return b""

    def _send_early(self) -> None:
        early = self._early
        while early:
            rest = self._seal(early[0])
            if rest:
                early[0] = rest
                break
            del early[:1]
        if not early:
            if self.disconnecting:
                self._close_tls()
            elif self._write_ending or self.producerPaused:
                self.reactor.addWriter(self)
        if self.unsent > self.bufferSize:
            self._hold()

    def _flush(self) -> None:
        """Send what OpenSSL itself has to say."""
        take = self._session.take
        while said := take():
            self._send(said)

    def _peer_has_ended(self) -> None:
        self._peer_ended = True
        protocol = self.protocol
        if self.disconnecting or self._write_ended or not IHalfCloseableProtocol.providedBy(protocol):
            self._say_end()
            self._over = True
            self._close()
            return
        self.reactor.removeReader(self)
        self._read_ended = True
        self._tell_read_ended()

    def _close_tls(self) -> None:
        """End TLS, if nothing is left to be sent before; then the socket, when the peer has ended it too."""
        if self._early or self._aborting or self._over or self.producer is not None:
            return
        if self._write_ended:
            both = self._peer_ended
        else:
            self._write_ended = True
            both = self._say_end()
        if both:
            self._over = True
            self._close()

    def _end_writing(self) -> None:
        if not self._shaken or self._early:
            return  # `_send_early` comes back to it
        self._write_ending = False
        self._write_ended = True
        both = self._say_end()
        self._tell_write_ended()
        if both and self.connected:
            self._over = True
            self._close()

    def _say_end(self) -> bool:
        """Send our close_notify; True: the peer has sent its own."""
        try:
            both = bool(self._tls.shutdown())
        except SSL.Error:
            both = False
        self._flush()
        return both or self._peer_ended

    def _fail(self, failure: Failure) -> None:
        """TLS is broken: an alert that says why leaves, then the socket is closed."""
        failure.cleanFailure()  # its traceback would keep us, in a circle
        if self._reason is None:
            self._reason = Failure(CONNECTION_LOST) if _is_end_of_file(failure.value) else failure
        self._over = True
        self._early.clear()
        self._flush()
        self._close()


def _is_end_of_file(error: Any) -> bool:
    """Does OpenSSL only say that the connection has ended without a close_notify?"""
    if isinstance(error, SSL.SysCallError):
        reason = error.args[1]
    else:
        reason = error.args[0][-1][-1] if error.args and error.args[0] else "unexpected eof"
    return str(reason).casefold().startswith("unexpected eof")
