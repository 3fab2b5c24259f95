"""One client's connection, as a generator of turns: connect, shake hands, ask, read the whole answer.

Decides what a good answer is: status 200, framed by Content-Length. Invariant: anything else is an `OSError`.
Refuses to verify certificates: that is no work of a proxy.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass

from .turns import READ, WRITE, At, Gone, Ready, Turns

_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen when the other end is known
_GET = "GET /{file} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: bench\r\nAccept: */*\r\n{more}\r\n"


@dataclass(frozen=True)
class Target:
    port: int
    file: str
    context: ssl.SSLContext | None
    small: bool = False  # a small receive buffer: what is not read stays with the proxy
    source: str = ""  # the client's own address, if it is not the usual one

    def request(self, *, close: bool) -> bytes:
        return _GET.format(file=self.file, more="Connection: close\r\n" if close else "").encode()


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # OpenSSL before 3.5 offers X25519 first by itself, and Debian's CPython 3.11.2 cannot ask for it.
    if ssl.OPENSSL_VERSION_INFO >= (3, 5):
        context.set_ecdh_curve("X25519")
    return context


def connect(
    target: Target, calling: Callable[[socket.socket], object] = lambda sock: None
) -> Generator[Ready | At | Gone, None, socket.socket]:
    """A connection, its handshake done; one that fails is closed. `calling` hears of it before it is."""
    sock = socket.socket()
    calling(sock)
    try:
        sock.setblocking(False)
        if target.small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.source:
            sock.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((target.source, 0))
        failed = sock.connect_ex(("127.0.0.1", target.port))
        if failed == errno.EINPROGRESS:
            yield Ready(sock.fileno(), WRITE)
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, "connect")
        if target.context is None:
            return sock
        # It takes the descriptor over.
        sock = target.context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname="site.test")
        calling(sock)
        yield from shake_hands(sock)
        return sock
    except OSError:
        yield Gone(sock.fileno())
        sock.close()
        raise


def shake_hands(sock: ssl.SSLSocket) -> Turns:
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            yield Ready(sock.fileno(), READ)


def read_some(sock: socket.socket, size: int) -> Generator[Ready | At | Gone, None, bytes]:
    while True:
        try:
            return sock.recv(size)
        except (ssl.SSLWantReadError, BlockingIOError):
            yield Ready(sock.fileno(), READ)


def exchange(sock: socket.socket, request: bytes) -> Turns:
    """One request and its whole answer, framed by Content-Length; `OSError` when it is not a good one."""
    sock.sendall(request)  # smaller than any socket's buffer
    head = b""
    while b"\r\n\r\n" not in head:
        data = yield from read_some(sock, 65_536)
        if not data:
            raise ConnectionResetError("closed before an answer")
        head += data
    left = body_left(head)
    while left > 0:
        data = yield from read_some(sock, 65_536)
        if not data:
            raise ConnectionResetError("closed in an answer")
        left -= len(data)


def body_left(answer: bytes) -> int:
    """How much of the body is still to come; `OSError` for an answer that is not 200."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    if first.split(b" ")[1] != b"200":
        raise OSError(f"status {first.split(b' ')[1].decode()}")
    named = (each.partition(b":") for each in fields)
    length = next(int(value) for name, _, value in named if name.lower() == b"content-length")
    return length - len(body)
