"""Raw sockets that break the rules: refused at once, and nothing of it reaches a server.

Each vector carries a second request, ``GET /smuggled…``, in what a lenient reader takes for the body
or for the next message. The origin tells what it saw.
"""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request

import pytest

from .site import DIRECT, Front, Site

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(SECOND)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

SMUGGLING = {
    "length-and-chunked": HOST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n",
    "chunked-and-length": HOST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n",
    "two-lengths": HOST + b"Content-Length: 0\r\n" + LENGTH + b"\r\n",
    "length-list": HOST + b"Content-Length: 0, %d\r\n" % len(SECOND) + b"\r\n",
    "length-plus": HOST + b"Content-Length: +%d\r\n" % len(SECOND) + b"\r\n",
    "length-blank": HOST + b"Content-Length : %d\r\n" % len(SECOND) + b"\r\n",
    "chunked-spelled-apart": HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunked-not-last": HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked-twice": HOST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "xchunked": HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "folded-encoding": HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare-line-feed": b"Host: a\nX: y\r\n\r\n",
    "bare-carriage-return": b"Host: a\rX: y\r\n\r\n",
    "nul-in-value": b"Host: a\r\nX: \0\r\n\r\n",
    "two-hosts": HOST + b"Host: b\r\n\r\n",
    "chunk-size-sign": HOST + CHUNKED + b"\r\n-1\r\n",
    "chunk-size-huge": HOST + CHUNKED + b"\r\nffffffffffffffffff\r\n",
    "chunk-without-end": HOST + CHUNKED + b"\r\n1\r\nxx\r\n0\r\n\r\n",
}

pytestmark = pytest.mark.skipif(DIRECT, reason="what nginx refuses is nginx's own affair")


def connect(front: Front, port: int | None = None, alpn: list[str] | None = None) -> socket.socket:
    """A connection to a listener before the origin; secure as `front` is."""
    raw = socket.create_connection(("127.0.0.1", port or int(front.origin.rpartition(":")[2])), timeout=15)
    if not front.secure:
        return raw
    context = ssl.create_default_context(cafile=front.certificates.authority)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def rest(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except (ConnectionResetError, ssl.SSLEOFError):
        pass  # closed with our bytes unread, or without a TLS farewell: closed
    return received


def seen(site: Site) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.origin_port}/seen") as answer:
        lines: list[str] = json.load(answer)
    return lines


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_smuggled_request_reaches_no_server(name: str, front: Front, site: Site) -> None:
    with connect(front) as connection:
        connection.sendall(b"POST /hostile HTTP/1.1\r\n" + SMUGGLING[name] + SECOND)
        answer = rest(connection)
    assert not [line for line in seen(site) if "smuggled" in line]
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert answer.split(b" ", 2)[1:2] in ([b"400"], [b"501"]), answer[:200]


@pytest.mark.parametrize("line", [b"GET", b"GET / HTTP/9.9", b"\x16\x03\x01\x02", b"GET  / HTTP/1.1"])
def test_what_is_no_request_is_answered_and_closed(line: bytes, front: Front) -> None:
    with connect(front) as connection:
        connection.sendall(line + b"\r\nHost: a\r\n\r\n")
        answer = rest(connection)
    assert answer.split(b" ", 2)[1:2] in ([b"400"], [b"505"]), answer[:200]


def test_connect_is_refused(front: Front) -> None:
    with connect(front) as connection:
        connection.sendall(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        assert rest(connection).startswith((b"HTTP/1.1 405", b"HTTP/1.1 400", b"HTTP/1.1 501"))


def test_a_head_that_is_too_large_gets_431(front: Front) -> None:
    with connect(front) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000)
        assert rest(connection).startswith(b"HTTP/1.1 431")


def test_a_slow_head_gets_408(front: Front, site: Site) -> None:
    port = site.hasty_secure_port if front.secure else site.hasty_port
    with connect(front, port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert rest(connection).startswith(b"HTTP/1.1 408")


def test_a_handshake_that_never_comes_is_let_go(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.hasty_secure_port), timeout=15) as connection:
        assert rest(connection) == b""


def test_after_all_that_a_good_request_is_answered(front: Front) -> None:
    with connect(front, alpn=["h3-29", "spdy/1"]) as connection:
        connection.sendall(b"GET /fine HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 200")
