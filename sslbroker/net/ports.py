"""Listening sockets: bound early, listened on late, always adopted by the reactor.

Decides how an endpoint string becomes a socket. Invariant: a port that cannot be had is known before
anything listens, and a socket is never shut down by a port that stops, so that it can be shared between
processes. Refuses endpoints that do more than listen on a socket.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from ..errors import StartError
from .transports import BACKLOG, Transports


class BoundPort:
    """A socket that has its address and does not listen yet.

    One that is `lent` belongs to another process: when it is closed here, that one goes on.
    """

    def __init__(self, bound: socket.socket, endpoint: str, *, lent: bool = False) -> None:
        self.endpoint = endpoint
        self._socket = bound
        self._lent = lent
        self._path: str | None = None
        #: The number of a TCP port, 0 of a UNIX socket.
        self.port = 0
        name = bound.getsockname()
        if bound.family == socket.AF_UNIX:
            self._path = name if isinstance(name, str) and name else None
            #: "host:port", or the path of a UNIX socket.
            self.address = self._path or ""
        else:
            host, self.port = name[:2]
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def listen(self, transports: Transports, factory: Any, creator: Any = None) -> IListeningPort:
        """Listen, and accept by `transports`, with a `creator` by TLS.

        `StartError` when another program was faster.
        """
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            raise _unusable(self.endpoint, error) from None
        return transports.listen(self._socket, factory, creator)

    def listen_early(self) -> None:
        """Let the kernel take clients, before a reactor accepts them; as `listen` it can fail.

        Only from here on do others of `beside` listen too: a second broker that has bound the address
        meanwhile is told, and does not get half of the clients.
        """
        try:
            self._socket.listen(BACKLOG)
            if self._socket.family != socket.AF_UNIX:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError as error:
            raise _unusable(self.endpoint, error) from None

    def beside(self) -> BoundPort:
        """Another socket at this address, to which the kernel gives a share of the clients.

        Where there can be one only (a UNIX socket, one that was given to this process) it is this one.
        """
        given = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if given or self._socket.family == socket.AF_UNIX:
            return self
        other = socket.socket(self._socket.family, socket.SOCK_STREAM)
        other.setblocking(False)
        try:
            if other.family == socket.AF_INET6:
                only = self._socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind(self._socket.getsockname())
        except OSError as error:
            other.close()
            raise _unusable(self.endpoint, error) from None
        return BoundPort(other, self.endpoint)

    def let_go(self) -> None:
        """Close it in this process; the address stays that of others who have the same socket."""
        self._socket.close()

    def lend(self) -> BoundPort:
        """The same socket, for a process that was forked from the one that owns it."""
        return BoundPort(self._socket, self.endpoint, lent=True)

    def close(self) -> None:
        """Give the address back; again: nothing happens, for the path may be another's by now."""
        if self._socket.fileno() < 0:
            return
        if self._path is not None and not self._lent:
            with suppress(OSError):
                os.unlink(self._path)
        self.let_go()


def bind(endpoint: str) -> BoundPort:
    """The socket of a Twisted server endpoint string.

    Raises `StartError` when the string is not an endpoint of ours, or the address cannot be had.
    """
    binder = _Binder()
    try:
        listening: Any = serverFromString(binder, endpoint).listen(Factory())
    except Exception as error:  # whatever an endpoint's parser raises is about the string
        raise StartError(
            f"endpoint {endpoint!r}: {_reason(error)}; expected a string like 'tcp:8443'"
        ) from None
    failures: list[Failure] = []
    listening.addErrback(failures.append)
    if failures:
        raise _unusable(endpoint, failures[0].value)
    if binder.bound is None:
        raise StartError(f"endpoint {endpoint!r}: its kind is not supported; use tcp, tcp6, unix or systemd")
    return BoundPort(binder.bound, endpoint)


class _Binder:
    """Stands in for the reactor, so that an endpoint tells what it would listen on."""

    def __init__(self) -> None:
        self.bound: socket.socket | None = None

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> _Binder:
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return self._bind(bound, (interface, port))

    def listenUNIX(
        self, address: str, factory: object, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> _Binder:
        with suppress(OSError):
            # Left by a process that was killed: nobody answers there. A live one is not taken over.
            if stat.S_ISSOCK(os.stat(address).st_mode) and not _answers(address):
                os.unlink(address)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.setblocking(False)
        self._bind(bound, address)
        os.chmod(address, mode)
        return self

    def adoptStreamPort(self, descriptor: int, family: socket.AddressFamily, factory: object) -> _Binder:
        self.bound = socket.socket(family, socket.SOCK_STREAM, fileno=os.dup(descriptor))
        self.bound.setblocking(False)
        return self

    def _bind(self, bound: socket.socket, address: Any) -> _Binder:
        try:
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        self.bound = bound
        return self


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


#: What somebody does about an address that cannot be had.
_ADVICE = {
    errno.EADDRINUSE: "something listens there already",
    errno.EADDRNOTAVAIL: "no interface of this machine has this address",
    errno.EACCES: "below 1024 a port needs root or CAP_NET_BIND_SERVICE, a UNIX socket a folder to write to",
    errno.ENOENT: "make the folder of the UNIX socket",
}


def _unusable(endpoint: str, error: BaseException | None) -> StartError:
    if isinstance(error, socket.gaierror):
        advice = "interface is an IP address"
    else:
        advice = _ADVICE.get(getattr(error, "errno", None) or 0, "")
    reason = f"{_reason(error)} ({advice})" if advice else _reason(error)
    return StartError(f"endpoint {endpoint!r}: cannot listen: {reason}")


def _reason(error: BaseException | None) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
