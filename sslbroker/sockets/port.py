"""A listening socket: accepts connections and makes a transport for each.

Decides how many are accepted in one turn of the reactor, and what happens when the process may open no more
files. Invariant: whatever one connection meets, the port goes on; the socket is only closed when the port
stops, never shut down, because other processes may share it. Refuses to bind: it is given a socket that
listens.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    ILoggingContext,
    IReadDescriptor,
)
from twisted.internet.main import CONNECTION_DONE
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from .addresses import address_of
from .plain import PlainTransport
from .secure import SecureTransport

#: Connections accepted in one turn: the others wait no longer than that for their bytes.
TURN = 64

_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: What became of a connection before it was accepted (accept(2)): the next one may be well.
_GONE = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EPERM,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)

#: Seconds between two lines about connections that could not be accepted.
_QUIET = 60.0

#: Seconds without accepting, when there is nothing to turn a client away with.
_REST = 1.0


@implementer(IListeningPort, ILoggingContext, IReadDescriptor)
class Port:
    """`factory` behind a socket that listens; secure when there is a `creator`."""

    def __init__(self, reactor: Any, listening: socket.socket, factory: Any, creator: Any = None) -> None:
        """`listening` belongs to the port from now on.

        `creator` provides `IOpenSSLServerConnectionCreator`.
        """
        self.reactor = reactor
        self.factory = factory
        self.socket = listening
        self._creator = creator
        self._family = listening.family
        self._reserve = -1  # a file that is given up to turn a client away when there are no more
        self._tell_from = 0.0
        self._rest: IDelayedCall | None = None
        self.connected = False
        self.disconnected = False
        self._stopping: list[Deferred[Any]] = []  # of those who wait for the end

    def __repr__(self) -> str:
        where = f"on {self._place()}" if self.connected else "(not listening)"
        return f"<{type(self).__name__} of {self._factory_name()} {where}>"

    def startListening(self) -> None:
        self.socket.setblocking(False)
        self._reserve = _open_reserve()
        log.msg(f"{self._factory_name()} starting on {self._place()}")
        self.factory.doStart()
        self.connected = True
        self.reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Each who asks is told when the socket is closed."""
        if self.connected:
            self.connected = False
            self._read(False)
            self.reactor.callLater(0, self._stop)
        elif not self._stopping:
            return succeed(None)
        stopped: Deferred[Any] = Deferred()
        self._stopping.append(stopped)
        return stopped

    loseConnection = stopListening

    def _stop(self) -> None:
        result: Failure | None = None
        try:
            self.connectionLost(Failure(CONNECTION_DONE))
        except BaseException:
            result = Failure()
        stopping, self._stopping = self._stopping, []
        for stopped in stopping:
            stopped.callback(result)

    def getHost(self) -> IAddress:
        return address_of(self._family, self.socket.getsockname())

    def logPrefix(self) -> str:
        return type(self.factory).__qualname__

    def fileno(self) -> int:
        return self.socket.fileno()

    # --- what the reactor calls ---

    def doRead(self) -> None:
        for _ in range(TURN):
            if not self.connected:
                return  # the last one's protocol has stopped us
            try:
                connected, name = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._failed(error)
                return
            try:
                self._accepted(connected, name)
            except BaseException:
                log.err(None, f"{self._factory_name()} failed for one connection")

    def connectionLost(self, reason: Failure) -> None:
        self.connected = False
        self.disconnected = True
        kind = "TLS" if self._creator else "UNIX" if self._family == socket.AF_UNIX else "TCP"
        log.msg(f"({kind} Port {self._place()} Closed)")
        self._read(False)
        self.socket.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        self.factory.doStop()

    # --- small things ---

    def _accepted(self, connected: socket.socket, name: Any) -> None:
        try:
            connected.setblocking(False)
            peer = address_of(self._family, name)
            protocol = self.factory.buildProtocol(peer)
            if protocol is None:
                connected.close()
                return
            if self._creator is None:
                transport = PlainTransport(self.reactor, connected, protocol, peer)
            else:
                transport = SecureTransport(
                    self.reactor, connected, protocol, peer, self._creator, False, self.factory
                )
        except BaseException:
            connected.close()
            raise
        try:
            transport.start()
        except BaseException:
            transport.abortConnection()
            raise

    def _failed(self, error: OSError) -> None:
        """A client that waits for ever would wake us for ever: turn it away, or rest."""
        out_of_files = error.errno in _NO_FILES
        now = self.reactor.seconds()
        if now >= self._tell_from:
            self._tell_from = now + _QUIET
            does = "turns clients away" if out_of_files else "cannot accept"
            log.msg(f"{self._factory_name()} {does}: {error.strerror}")
        if out_of_files and self._turned_away():
            return
        if self._reserve < 0:
            self._reserve = _open_reserve()
        self._read(False)
        self._rest = self.reactor.callLater(_REST, self._read, True)

    def _turned_away(self) -> bool:
        """Give the reserve up for one client; False: it waits still, for want of more than a file."""
        if self._reserve < 0:
            return False
        os.close(self._reserve)
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            pass  # it has gone by itself
        except OSError:
            return False
        finally:
            self._reserve = _open_reserve()
        return True

    def _read(self, reading: bool) -> None:
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        self._rest = None
        (self.reactor.addReader if reading else self.reactor.removeReader)(self)

    def _factory_name(self) -> str:
        factory = self.factory
        named = ILoggingContext.providedBy(factory)
        name = str(factory.logPrefix() if named else type(factory).__name__)
        return name if self._creator is None else f"{name} (TLS)"

    def _place(self) -> str:
        name = self.socket.getsockname()
        return str(name[1]) if isinstance(name, tuple) else str(name)


def _open_reserve() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
