"""Streams by netcat, OpenSSL and plain sockets: both directions, their ends, and servers that die.

Each test passes the broker the ways that it can: over TLS or not on either side.
"""

from __future__ import annotations

import hashlib
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .programs import HERE, Program, find, free_ports, listens, memory, until
from .site import DIRECT, TRANSPORT, Certificates
from .stream_server import GREETING, REST_EVERY, pieces
from .streams import WAYS, Servers, Streams, Way, each_way, line, rest

pytestmark = pytest.mark.skipif(DIRECT, reason="nginx, as it is set up here, carries no streams")

MB = 1_000_000
GB = 1000 * MB
LIMIT = 150 * MB
CUT = "(?i)reset|eof|closed abruptly|unexpected"  # how a client sees that a stream was not ended, but cut


class Pool:
    """Three stream servers, as programs that can be killed."""

    def __init__(self, directory: Path, certificates: Certificates, *more: str, names: str = "abc") -> None:
        self.programs: list[Program] = []
        self.servers = Servers([], [])
        plain, secure = [], []
        free = iter(free_ports(2 * len(names)))
        for name in names:
            ports = [next(free), next(free)]
            argv: list[str | Path] = [sys.executable, HERE / "stream_server.py", name, *map(str, ports)]
            argv += [certificates.server, *more]
            self.programs.append(Program(f"stream-{name}", argv, directory, ports=ports))
            plain.append(ports[0])
            secure.append(ports[1])
        self.servers = Servers(plain, secure)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for program in self.programs:
            program.end()

    def clients(self) -> list[int]:
        """How many have come to each server."""
        return [program.log.read_text().count("client\n") for program in self.programs]

    def newcomer(self, before: list[int]) -> int:
        """Wait for a client more than there were; the number of its server."""
        assert until(lambda: self.clients() != before, 10)
        (mine,) = (number for number, count in enumerate(self.clients()) if count > before[number])
        return mine


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Pool]:
    with Pool(tmp_path_factory.mktemp("servers"), certificates) as pool:
        yield pool


@pytest.fixture(scope="module")
def streams(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, pool: Pool
) -> Iterator[Streams]:
    """A broker that all tests leave whole."""
    with Streams(tmp_path_factory.mktemp("streams"), certificates, {"any": pool.servers}) as streams:
        yield streams


def netcat(streams: Streams, pool: str, way: Way) -> list[str]:
    """A program that joins its standard input and output to a stream, and ends it with its input."""
    port = str(streams.port(pool, way))
    if not way.secure:
        return [find("nc"), "-N", "127.0.0.1", port]
    words = ["-quiet", "-verify_quiet", "-verify_return_error", "-verify_ip", "127.0.0.1"]
    words += ["-CAfile", str(streams.certificates.authority), "-connect", f"127.0.0.1:{port}"]
    return [find("openssl"), "s_client", *words]


class Typist:
    """One who types at a terminal: netcat with pipes."""

    def __init__(self, argv: list[str]) -> None:
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def says(self, text: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(text.encode())

    def hears(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().decode()

    def end(self) -> None:
        self.child.kill()
        self.child.communicate()


@each_way
def test_several_people_chat(way: Way, certificates: Certificates, tmp_path: Path) -> None:
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(tmp_path, certificates, names="a"))
        streams = stack.enter_context(Streams(tmp_path, certificates, {"chat": pool.servers}))
        people = [Typist(netcat(streams, "chat", way)) for _ in range(5)]
        for person in people:
            stack.callback(person.end)
            assert person.hears() == GREETING.format("a")
            person.says("chat\n")
            assert person.hears() == "welcome\n"
        for number in range(20):
            people[number % 5].says(f"line {number}\n")
            assert {person.hears() for person in people} == {f"line {number}\n"}
        people[0].end()
        people[1].says("who is there?\n")
        assert {person.hears() for person in people[1:]} == {"who is there?\n"}


@pytest.mark.parametrize("secure_link", [False, True], ids=["plain", "tls"])
def test_an_answer_after_the_clients_end(
    secure_link: bool, certificates: Certificates, tmp_path: Path
) -> None:
    """sha256sum says nothing before its input has ended: the end must pass, and not end the answer."""
    port, secure_port = free_ports(2)
    secure = f"OPENSSL-LISTEN:{secure_port},cert={certificates.server},verify=0"
    data = b"".join(pieces(50 * MB))
    with ExitStack() as stack:
        for name, listen, its in (("plain", f"TCP-LISTEN:{port}", port), ("secure", secure, secure_port)):
            argv = [find("socat"), "-t", "60", f"{listen},bind=127.0.0.1,fork,reuseaddr", "EXEC:sha256sum"]
            stack.enter_context(Program(name, argv, tmp_path, ports=[its]))
        servers = Servers([port], [secure_port])
        streams = stack.enter_context(Streams(tmp_path, certificates, {"sums": servers}))
        argv = netcat(streams, "sums", Way(False, secure_link))
        done = subprocess.run(argv, input=data, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [hashlib.sha256(data).hexdigest().encode(), b"-"]


def test_each_direction_ends_by_itself(certificates: Certificates, tmp_path: Path) -> None:
    """Two netcats with a file each: both get all of the other's, whoever ends first."""
    (port,) = free_ports(1)
    files = [tmp_path / name for name in ("question", "answer")]
    for file, count in zip(files, (30 * MB, 20 * MB), strict=True):
        file.write_bytes(b"".join(pieces(count)))
    with Streams(tmp_path, certificates, {"nc": Servers([port])}) as streams, ExitStack() as stack:
        server = [find("nc"), "-N", "-l", "127.0.0.1", str(port)]
        client = netcat(streams, "nc", Way(False, False))
        ends = []
        for argv, sent, got in ((server, files[1], "at-server"), (client, files[0], "at-client")):
            out = stack.enter_context((tmp_path / got).open("wb"))
            ends.append(subprocess.Popen(argv, stdin=stack.enter_context(sent.open("rb")), stdout=out))
            stack.callback(ends[-1].wait)
            stack.callback(ends[-1].kill)
            assert until(lambda: listens(port) or ends[0].poll() is not None, 10)
        assert [end.wait(60) for end in ends] == [0, 0]
    assert (tmp_path / "at-server").read_bytes() == files[0].read_bytes()
    assert (tmp_path / "at-client").read_bytes() == files[1].read_bytes()


@each_way
def test_a_client_that_ends_what_it_sends_has_sent_all(way: Way, streams: Streams, pool: Pool) -> None:
    """And it gets the answer to that, where nobody on the way takes a close_notify for the end of both."""
    data = b"".join(pieces(10 * MB + WAYS.index(way)))
    with streams.connect("any", way) as client:
        assert line(client).startswith("I am")
        client.sendall(b"take\n" + data)
        end_writing(client)
        wanted = f"took {len(data)} {hashlib.sha256(data).hexdigest()}\n"
        assert until(lambda: any(wanted in each.log.read_text() for each in pool.programs), 30)
        answered = rest(client).decode()
    server_goes_on = not way.secure_link  # asyncio's TLS does not
    assert answered == (wanted if server_goes_on and (TRANSPORT == "own" or not way.secure) else "")


@pytest.mark.parametrize("way", [Way(False, False), Way(True, True)], ids=str)
@pytest.mark.parametrize("word", ["give", "sip"])
def test_1_gb_with_a_slow_reader_costs_the_broker_little(
    word: str, way: Way, certificates: Certificates, pool: Pool, tmp_path: Path
) -> None:
    """The reader rests a second every 100 MB: the client of what it is given, the server of what it sips."""
    digest = hashlib.sha256()
    for piece in pieces(GB):
        digest.update(piece)
    with Streams(tmp_path, certificates, {"any": pool.servers}) as streams:
        with streams.connect("any", way) as client:
            assert line(client).startswith("I am")
            client.sendall(f"{word} {GB}\n".encode())
            if word == "sip":
                for piece in pieces(GB):
                    client.sendall(piece)
                got = rest(client).decode()
            else:
                got = f"took {take(client)}\n"
        now, highest = memory(streams.broker.pid)
    assert got == f"took {GB} {digest.hexdigest()}\n"
    print(f"{word} {way}: {now / MB:.0f} MB after, {highest / MB:.0f} MB at most", file=sys.stderr)
    assert highest < LIMIT


def end(client: socket.socket) -> None:
    """Close in good order."""
    if isinstance(client, ssl.SSLSocket):
        client = client.unwrap()
    client.close()


def end_writing(client: socket.socket) -> None:
    """Say that nothing more comes (over TLS by a close_notify), and be ready to read on."""
    if not isinstance(client, ssl.SSLSocket):
        client.shutdown(socket.SHUT_WR)
        return
    client.setblocking(False)  # `unwrap` would wait for the other end's close_notify, and take no answer
    try:
        while True:
            try:
                client.unwrap()
            except ssl.SSLWantWriteError:
                select.select([], [client], [], 60)
            else:
                break
    except ssl.SSLWantReadError:
        pass
    client.settimeout(60)


def take(client: socket.socket) -> str:
    """Read to the end, with rests; how much it was, and its SHA-256."""
    taken, digest, rest_at = 0, hashlib.sha256(), 0
    while data := client.recv(256 * 1024):
        taken += len(data)
        digest.update(data)
        if taken >= rest_at:
            rest_at += REST_EVERY
            time.sleep(1)
    return f"{taken} {digest.hexdigest()}"


def test_200_idle_streams(certificates: Certificates, pool: Pool, tmp_path: Path) -> None:
    way = Way(True, True)
    with Streams(tmp_path, certificates, {"any": pool.servers}) as streams, ExitStack() as stack:
        before, _ = memory(streams.broker.pid)
        clients = [stack.enter_context(streams.connect("any", way)) for _ in range(200)]
        for client in clients:
            assert line(client).startswith("I am")
            client.sendall(b"echo\n")
        after, _ = memory(streams.broker.pid)
        print(f"200 idle streams: {(after - before) / 200 / 1000:.0f} kB each", file=sys.stderr)
        with streams.connect("any", way) as busy:  # one that works does not end those that wait
            line(busy)
            busy.sendall(f"give {50 * MB}\n".encode())
            assert len(rest(busy)) == 50 * MB
        for number, client in enumerate(clients):
            client.sendall(f"number {number}\n".encode())
        for number, client in enumerate(clients):
            assert line(client) == f"number {number}\n"
    assert after - before < 50 * MB


@each_way
def test_a_stream_without_a_byte_ends_at_its_limit(
    way: Way, certificates: Certificates, pool: Pool, tmp_path: Path
) -> None:
    servers = {"any": pool.servers}
    with Streams(tmp_path, certificates, servers, limits='tunnel = "1s"') as streams:
        with streams.connect("any", way) as client:
            line(client)
            with pytest.raises(OSError, match=CUT):
                rest(client)
        assert streams.records(f"any-{way}", {"end": "frame:client-timeout"})


@each_way
def test_a_server_killed_before_it_spoke_is_not_noticed(
    way: Way, certificates: Certificates, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(tmp_path, certificates, "mute"))
        streams = stack.enter_context(Streams(tmp_path, certificates, {"any": pool.servers}))
        for gone in range(1, 3):
            before = pool.clients()
            with streams.connect("any", way) as client:
                mine = pool.newcomer(before)
                pool.programs[mine].kill()
                client.sendall(b"who\n")
                assert rest(client).decode() in set("abc") - {"abc"[mine]}
            found = streams.records(f"any-{way}", {"bytes_in": 4}, gone)
            assert [each["end"] for each in found] == ["ok"] * gone
            assert [each["outcome"] for each in found[-1]["tries"]][-1] == "ok"
            assert found[-1]["tries"][0]["next"] == "nothing-sent"


@each_way
def test_a_server_killed_in_the_middle(way: Way, certificates: Certificates, tmp_path: Path) -> None:
    """No other server gets what this one had; over a secure link the end shows that it was none."""
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(tmp_path, certificates))
        streams = stack.enter_context(Streams(tmp_path, certificates, {"any": pool.servers}))
        client = stack.enter_context(streams.connect("any", way))
        mine = "abc".index(line(client).split()[-1])
        client.sendall(b"echo\nfirst\n")
        assert line(client) == "first\n"
        pool.programs[mine].kill()
        if way.secure_link:
            with pytest.raises(OSError, match=CUT):
                rest(client)
            assert streams.records(f"any-{way}", {"end": "relay:truncated"})
        else:
            assert rest(client) == b""  # the kernel ends what a dead program had open, in good order


@each_way
def test_a_server_killed_while_it_sends(way: Way, certificates: Certificates, tmp_path: Path) -> None:
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(tmp_path, certificates))
        streams = stack.enter_context(Streams(tmp_path, certificates, {"any": pool.servers}))
        client = stack.enter_context(streams.connect("any", way))
        mine = "abc".index(line(client).split()[-1])
        client.sendall(f"give {GB}\n".encode())
        taken = len(client.recv(MB))
        pool.programs[mine].kill()
        cut = False
        try:
            taken += len(rest(client))
        except OSError:
            cut = True
        assert taken < GB
        assert cut or not way.secure_link


@each_way
def test_nobody_to_be_reached_is_a_cut(way: Way, certificates: Certificates, tmp_path: Path) -> None:
    nobody = {"any": Servers(free_ports(2), free_ports(2))}
    with Streams(tmp_path, certificates, nobody) as streams:
        with pytest.raises(OSError, match=CUT), streams.connect("any", way) as client:
            rest(client)
        assert streams.records(f"any-{way}", {"end": "link:refused"})


@each_way
def test_a_stop_lets_a_stream_end(way: Way, certificates: Certificates, pool: Pool, tmp_path: Path) -> None:
    with Streams(tmp_path, certificates, {"any": pool.servers}, drain_timeout="60s") as streams:
        with streams.connect("any", way) as client:
            line(client)
            client.sendall(b"echo\n")
            streams.broker.child.send_signal(signal.SIGTERM)
            assert until(lambda: not listens(streams.port("any", way)), 10), "it still accepts clients"
            for number in range(100):
                client.sendall(f"{number}\n".encode())
                assert line(client) == f"{number}\n"
            assert streams.broker.child.poll() is None
            end(client)
        assert streams.broker.child.wait(30) in (0, -signal.SIGTERM)
        (record,) = streams.records(f"any-{way}", {"end": "ok", "bytes_in": 295})
        assert len(record["tries"]) == 1


@each_way
def test_a_stop_ends_a_stream_at_its_deadline(
    way: Way, certificates: Certificates, pool: Pool, tmp_path: Path
) -> None:
    with Streams(tmp_path, certificates, {"any": pool.servers}, drain_timeout="1s") as streams:
        with streams.connect("any", way) as client:
            line(client)
            streams.broker.child.send_signal(signal.SIGTERM)
            with pytest.raises(OSError, match=CUT):
                rest(client)
        assert streams.broker.child.wait(30) in (0, -signal.SIGTERM)
