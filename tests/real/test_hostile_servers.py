"""Hostile servers on loopback, over plain and secure links: what clients get, and that others are served."""

from __future__ import annotations

import gzip
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest

from sslbroker.net.transport import backlog

from .attacked import GET, OK, Attacked, head_of, reset
from .programs import until
from .site import TRANSPORT, Certificates
from .test_hostile import rest

LINKS = pytest.mark.parametrize("link", ["plain", "secure"])
MB = 1_000_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path_factory.mktemp("attacked"), certificates)
    yield attacked
    attacked.close()


def asked(
    attacked: Attacked, link: str, play: Callable[[socket.socket], None], request: bytes = GET
) -> tuple[bytes, float]:
    """What a client gets from a server that plays this, and after how many seconds."""

    def whole(connection: socket.socket) -> None:
        if head_of(connection):
            play(connection)

    attacked.servers[link].play = whole
    began = time.monotonic()
    with attacked.good(), attacked.connect(link) as client:
        client.sendall(request)
        with suppress(ConnectionError):
            client.shutdown(socket.SHUT_WR)
        answer = rest(client)
    took = time.monotonic() - began
    attacked.quiet()
    return answer, took


def drip(connection: socket.socket, data: bytes, pause: float) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(pause)


def flood(connection: socket.socket, piece: bytes) -> None:
    while True:
        connection.sendall(piece)


@LINKS
def test_a_head_that_drips(link: str, attacked: Attacked) -> None:
    answer, took = asked(attacked, link, lambda server: drip(server, OK, 0.2))
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert took < 4


@LINKS
def test_interim_heads_that_drip(link: str, attacked: Attacked) -> None:
    for interim in (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"):

        def play(server: socket.socket, interim: bytes = interim) -> None:
            for _ in range(20):
                server.sendall(interim)
                time.sleep(0.5)

        answer, took = asked(attacked, link, play)
        assert b"HTTP/1.1 504 " in answer
        assert took < 4


@LINKS
@pytest.mark.parametrize(
    "piece", [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, b"HTTP/1.1 103 E\r\n\r\n", b"\x16\x03\x01" * 999]
)
def test_heads_without_end(link: str, piece: bytes, attacked: Attacked) -> None:
    def play(server: socket.socket) -> None:
        server.sendall(piece)
        flood(server, b"X: y\r\n" * 1000 if b"200" in piece else piece)

    answer, took = asked(attacked, link, play)
    assert b"HTTP/1.1 502 " in answer
    assert took < 2
    assert attacked.last(link)["tries"][0]["outcome"] == "malformed"


@LINKS
@pytest.mark.parametrize("piece", [b"1;" + b"e" * 250 + b"\r\nx\r\n", b"0\r\n" + b"X: y\r\n" * 9000])
def test_extensions_and_trailers_without_end_are_cut(link: str, piece: bytes, attacked: Attacked) -> None:
    def play(server: socket.socket) -> None:
        server.sendall(CHUNKED + b"2\r\nok\r\n")
        time.sleep(0.1)
        flood(server, piece)

    answer, _ = asked(attacked, link, play)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not answer.endswith(b"0\r\n\r\n")
    assert attacked.last(link)["end"] == "relay:truncated"


@LINKS
def test_megabytes_of_chunks_of_a_byte(link: str, attacked: Attacked) -> None:
    def play(server: socket.socket) -> None:
        server.sendall(CHUNKED)
        for _ in range(20):
            server.sendall(b"1\r\nx\r\n" * 20_000)
        server.sendall(b"0\r\n\r\n")
        head_of(server)

    answer, _ = asked(attacked, link, play)
    assert answer.endswith(b"0\r\n\r\n")
    assert answer.count(b"x") >= 400_000


@LINKS
def test_a_body_without_end_whose_client_goes(link: str, attacked: Attacked) -> None:
    gone: list[str] = []

    def play(server: socket.socket) -> None:
        head_of(server)
        server.sendall(CHUNKED)
        try:
            flood(server, b"ffff\r\n" + b"x" * 65535 + b"\r\n")
        except OSError as error:
            gone.append(repr(error))

    attacked.servers[link].play = play
    with attacked.good():
        client = attacked.connect(link)
        client.sendall(GET)
        for _ in range(100):
            client.recv(65536)
        before = attacked.memory
        time.sleep(0.5)  # while nobody reads
        assert attacked.memory - before < 5 * MB
        client.close()
        assert until(lambda: gone, 5)
    attacked.quiet()


@LINKS
def test_a_compressed_bomb_passes_as_it_is(link: str, attacked: Attacked) -> None:
    bomb = gzip.compress(b"\0" * 200 * MB)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    before = attacked.memory
    answer, _ = asked(attacked, link, lambda server: server.sendall(head + bomb))
    assert hashlib.sha256(answer.partition(b"\r\n\r\n")[2]).digest() == hashlib.sha256(bomb).digest()
    assert attacked.memory - before < 5 * MB
    assert attacked.last(link)["bytes_out"] == len(bomb)


@LINKS
def test_an_answer_before_any_request_is_nobody_elses(link: str, attacked: Attacked) -> None:
    """On a fresh link it is taken for the answer to what the link was made for; an idle one it ends."""

    def play(server: socket.socket) -> None:
        server.sendall(OK)
        head_of(server)
        time.sleep(0.2)
        server.sendall(OK.replace(b"ok", b"no"))
        head_of(server)

    attacked.servers[link].play = play
    with attacked.good(), attacked.connect(link) as client:
        for _ in range(5):
            client.sendall(GET)
            assert head_of(client).endswith(b"\r\n\r\nok")
            time.sleep(0.4)
    attacked.quiet()


@LINKS
@pytest.mark.parametrize("secure", [False, True])
def test_an_upload_that_is_answered_at_once_and_broken_off(
    link: str, secure: bool, attacked: Attacked
) -> None:
    """The answer is larger than one read, and the server closes with unread bytes: a reset."""
    if TRANSPORT == "stock":
        pytest.skip("Twisted's transport does not read what came before a reset, once a write has failed")
    content = b"n" * 150_000

    def play(server: socket.socket) -> None:
        server.recv(300)
        server.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        until(lambda: not backlog(SimpleNamespace(socket=server)), 5)
        server.close()

    attacked.servers[link].play = play
    request = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n"
    with attacked.good():
        for number in range(20):
            with attacked.connect(link, secure) as client:
                client.sendall(request + b"x" * 1000)
                client.settimeout(0.001)
                answer = b""
                with suppress(ConnectionError, BrokenPipeError):
                    while len(answer) < len(content):
                        with suppress(TimeoutError):
                            client.send(b"x" * 60_000)
                        with suppress(TimeoutError):
                            piece = client.recv(65536)
                            answer += piece
                            if not piece:
                                break
                client.settimeout(10)
                with suppress(ConnectionError):
                    answer += rest(client)
            assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
            assert len(answer.partition(b"\r\n\r\n")[2]) == len(content), number
    attacked.quiet()


@LINKS
def test_a_reset_at_every_byte_of_an_answer(link: str, attacked: Attacked) -> None:
    answers = iter(range(len(OK)))

    def play(server: socket.socket) -> None:
        if head_of(server):
            server.sendall(OK[: next(answers)])
            time.sleep(0.01)
            reset(server)

    attacked.servers[link].play = play
    with attacked.good():
        for cut in range(len(OK)):
            with attacked.connect(link) as client:
                client.sendall(GET)
                client.shutdown(socket.SHUT_WR)
                answer = rest(client)
            assert not answer.endswith(b"\r\n\r\nok"), cut
            if cut < len(OK) - 2:
                assert answer == b"" or answer.startswith(b"HTTP/1.1 502 "), (cut, answer)
    attacked.quiet()


@LINKS
def test_an_upload_to_a_server_that_reads_slowly(link: str, attacked: Attacked) -> None:
    """It gets some each second, and less in `response_timeout` than what the kernels keep."""
    size = 12 * MB

    def play(server: socket.socket) -> None:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        left = size - len(head_of(server).partition(b"\r\n\r\n")[2])
        until_ = time.monotonic() + 8
        while left > 0:
            left -= len(server.recv(20_000))
            if time.monotonic() < until_:
                time.sleep(0.2)
        server.sendall(OK)
        head_of(server)

    attacked.servers[link].play = play
    with attacked.good(), attacked.connect(link) as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        client.sendall(b"x" * size)
        assert head_of(client).startswith(b"HTTP/1.1 200 ")
    attacked.quiet()


def test_a_handshake_that_drips_or_never_comes(attacked: Attacked) -> None:
    """Of a server that takes connections and says nothing of TLS, or a byte now and then."""
    context, attacked.servers["secure"]._context = attacked.servers["secure"]._context, None
    try:
        for said in (b"", b"\x16\x03\x03\x01\x00\x02\x00\x00\xfc\x03\x03" + b"\0" * 90):

            def play(server: socket.socket, said: bytes = said) -> None:
                drip(server, said, 0.2)
                time.sleep(5)

            attacked.servers["secure"].play = play
            began = time.monotonic()
            with attacked.good(), attacked.connect("secure") as client:
                client.sendall(GET)
                assert head_of(client).startswith(b"HTTP/1.1 504 ")
            assert time.monotonic() - began < 3
            assert attacked.last("secure")["tries"][0]["outcome"] == "connect-timeout"
    finally:
        attacked.servers["secure"]._context = context
    attacked.quiet()
