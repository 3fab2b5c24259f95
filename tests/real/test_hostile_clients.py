"""Hostile clients on loopback, where the kernel plays a part: what they get, and that others are served."""

from __future__ import annotations

import os
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .attacked import GET, OK, Attacked, answers, head_of, reset
from .programs import find, until
from .site import Certificates
from .test_hostile import rest

MB = 1_000_000
BOTH = pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
#: What an attack by one connection may cost the broker for good.
ONE = 4 * MB

Make = Callable[[], Attacked]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path_factory.mktemp("attacked"), certificates)
    yield attacked
    attacked.close()


@pytest.fixture
def own_attacked(tmp_path: Path, certificates: Certificates) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path, certificates)
    yield attacked
    attacked.close()


def gives(size: int) -> Callable[[socket.socket], None]:
    """A server whose every answer has so many bytes."""

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    def play(server: socket.socket) -> None:
        while head_of(server):
            server.sendall(answer)

    return play


def drinks(server: socket.socket) -> None:
    while server.recv(65536):
        pass


@BOTH
def test_a_head_that_drips_gets_408(secure: bool, attacked: Attacked) -> None:
    with attacked.good(), attacked.connect("plain", secure) as client:
        with suppress(OSError):
            for byte in GET:
                client.sendall(bytes([byte]))
                time.sleep(0.1)
        assert rest(client).startswith(b"HTTP/1.1 408 ")
    attacked.quiet()


def test_a_handshake_that_drips_is_cut(attacked: Attacked) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    failed = attacked.state["listeners"][1]["tls_failed"]
    with attacked.good(), attacked.raw("plain", True) as client:
        began = time.monotonic()
        with suppress(OSError):
            for byte in outgoing.read():
                client.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < 4
        assert rest(client) == b""
    assert attacked.state["listeners"][1]["tls_failed"] == failed + 1
    attacked.quiet()


@BOTH
def test_a_body_that_stops_gets_408(secure: bool, attacked: Attacked) -> None:
    attacked.servers["plain"].play = drinks
    with attacked.good(), attacked.connect("plain", secure) as client:
        client.sendall(POST + b"Content-Length: 100\r\n\r\nhello")
        for _ in range(4):
            time.sleep(1)
            client.sendall(b".")  # which renews `limits.idle`
        assert rest(client).startswith(b"HTTP/1.1 408 ")
    attacked.quiet()


@BOTH
def test_a_window_of_a_few_bytes_costs_a_buffer_and_who_stops_reading_is_cut(
    secure: bool, attacked: Attacked
) -> None:
    attacked.servers["plain"].play = gives(50 * MB)
    before = attacked.memory
    with attacked.good():
        readers = [attacked.connect("plain", secure, buffer=4096) for _ in range(20)]
        for client in readers:
            client.sendall(GET)
        for _ in range(8):
            time.sleep(0.5)
            for client in readers:
                assert client.recv(2000)
        assert attacked.memory - before < len(readers) * MB
        time.sleep(6)
        assert attacked.state["listeners"][1 if secure else 0]["open"] == 0
        for client in readers:
            client.close()
    attacked.quiet()


@BOTH
@pytest.mark.parametrize(
    ("status", "start", "piece"),
    [
        (b"431", b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 100),
        (b"414", b"GET /", b"a" * 1000),
        (b"400", POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 250 + b"\r\nx\r\n"),
        (b"431", POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X: y\r\n" * 100),
        (b"400", b"", b"\x80" * 1000),
    ],
    ids=["fields", "target", "extensions", "trailers", "garbage"],
)
def test_what_has_no_end_gets_its_status(
    secure: bool, status: bytes, start: bytes, piece: bytes, attacked: Attacked
) -> None:
    attacked.servers["plain"].play = drinks
    before = attacked.memory
    with attacked.good(), attacked.connect("plain", secure) as client:
        client.sendall(start)
        client.settimeout(0.2)
        answer = b""
        with suppress(OSError):
            for _ in range(200_000):
                with suppress(TimeoutError):
                    client.sendall(piece)
                if not answer:
                    client.settimeout(0.001)
                    with suppress(TimeoutError, ssl.SSLWantReadError):
                        answer = client.recv(1000)
                    client.settimeout(0.2)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:80]
    assert attacked.memory - before < ONE
    attacked.quiet()


@BOTH
def test_requests_without_end_whose_answers_nobody_reads(secure: bool, attacked: Attacked) -> None:
    attacked.servers["plain"].play = answers
    before = attacked.memory
    with attacked.good(), attacked.connect("plain", secure) as client:
        client.settimeout(1)
        sent = 0
        with suppress(OSError):
            while sent < 200 * MB:
                client.sendall(GET * 2000)
                sent += len(GET) * 2000
        assert sent < 50 * MB
        assert attacked.memory - before < ONE
    attacked.quiet()


def test_requests_for_new_keys_without_end(attacked: Attacked) -> None:
    """TLS 1.3 lets a peer ask for new keys as often as it likes, and must be answered."""
    port = attacked._ports["https", "plain"]
    before, cpu = attacked.memory, attacked.cpu
    with attacked.good():
        child = subprocess.Popen(
            [find("openssl"), "s_client", "-tls1_3", "-connect", f"127.0.0.1:{port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert child.stdin is not None
        time.sleep(0.5)
        asked = 0
        with suppress(BrokenPipeError):
            while asked < 3000 and child.poll() is None:
                child.stdin.write(b"K\n")
                child.stdin.flush()
                asked += 1
                time.sleep(0.001)
        until(lambda: child.poll() is not None, 6)  # nothing was asked for: it is idle all the same
        print(f"asked for new keys {asked} times; CPU {attacked.cpu - cpu:.2f} s")
        assert child.poll() is not None
        child.kill()
        child.wait()
    assert attacked.memory - before < ONE
    attacked.quiet()


@BOTH
def test_a_reset_at_every_byte_and_in_every_stage(secure: bool, attacked: Attacked) -> None:
    attacked.servers["plain"].play = gives(300_000)
    request = POST + b"Content-Length: 5\r\n\r\nhello"
    with attacked.good():
        for cut in range(len(request) + 1):
            for read in (0, 1, 100_000):
                if read and cut < len(request):
                    continue
                client = attacked.connect("plain", secure)
                client.sendall(request[:cut])
                if read:
                    client.recv(read)
                reset(client)
        for size in range(0, 300, 20):  # within the handshake
            client = attacked.raw("plain", True)
            client.sendall(b"\x16\x03\x01\x02\x00\x01" + b"\0" * size)
            reset(client)
    attacked.quiet()


@BOTH
def test_connections_that_are_half_open(secure: bool, attacked: Attacked) -> None:
    """Nothing is sent, or only an end, before and after the handshake."""
    attacked.servers["plain"].play = answers
    with attacked.good():
        clients = [attacked.raw("plain", secure) for _ in range(100)]
        for client in clients[::2]:
            client.shutdown(socket.SHUT_WR)
        shaken = [attacked.connect("plain", secure) for _ in range(50)]
        time.sleep(4)
        assert attacked.state["listeners"][1 if secure else 0]["open"] == 0
        for client in clients + shaken:
            client.close()
    attacked.quiet()


def test_thousands_of_idle_connections(attacked: Attacked) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 3000
    if hard < count + 1000:
        pytest.skip("too few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 1000), hard))
    before = attacked.memory
    with attacked.good() as good:
        clients = [attacked.raw("plain", False) for _ in range(count)]
        assert until(lambda: attacked.state["listeners"][0]["open"] == count, 5) or good.wrong
        each = (attacked.memory - before) / count
        print(f"{count} idle connections: {each / 1000:.1f} kB each")
        assert each < 20_000
        assert until(lambda: attacked.state["listeners"][0]["open"] == 0, 10)  # limits.idle
        for client in clients:
            client.close()
    attacked.quiet()


def test_no_file_is_left(own_attacked: Attacked) -> None:
    """Who is connected is served on, who comes is turned away, and all is well when there are files again."""
    attacked = own_attacked
    attacked.servers["plain"].play = answers
    with attacked.good() as good:
        served = attacked.connect("plain")
        served.sendall(GET)
        assert head_of(served).endswith(OK[-6:])
        without_link = attacked.connect("secure")
        assert until(lambda: attacked.state["listeners"][2]["open"] == 1, 5)
        limits = resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE)
        # Nothing above the last of the ports' reserves: whatever is closed meanwhile leaves no room.
        files = list(Path(f"/proc/{attacked.pid}/fd").iterdir())
        last = max(int(file.name) for file in files if os.readlink(file) == os.devnull)
        resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE, (last + 1, limits[1]))
        wrong, cpu = len(good.wrong), attacked.cpu
        try:
            clients = [attacked.raw("plain", False) for _ in range(100)]
            for _ in range(10):
                served.sendall(GET)
                assert head_of(served).startswith(b"HTTP/1.1 200 ")
                time.sleep(0.1)
            without_link.sendall(GET)
            assert head_of(without_link).startswith(b"HTTP/1.1 503 ")
            turned_away = 0
            for client in clients:
                client.settimeout(0.01)
                with suppress(TimeoutError):
                    turned_away += not client.recv(1)
            assert turned_away > 80
            assert attacked.cpu - cpu < 1
            assert attacked.last("secure")["end"] == "link:internal"
        finally:
            resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE, limits)
        for client in [*clients, without_link]:
            client.close()
        time.sleep(1)
        del good.wrong[wrong:]  # who came meanwhile was turned away
        answered = good.answered
        time.sleep(1)
        assert good.answered > answered
    attacked.quiet()
