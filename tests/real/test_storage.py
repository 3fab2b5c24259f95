"""Many large uploads into servers that read slowly, and that die: what the broker stores, and what it costs.

``REAL_UPLOADS`` says how many clients send how many bytes each (``30x50000000``; fewer unless set). The
figures are printed; see them with ``pytest -s``.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .attacked import head_of
from .programs import HERE, Program, free_ports, listens, memory, until
from .site import LISTENER, POOL, POOL_TLS, TLS, Certificates, start_broker

CLIENTS, SIZE = (int(word) for word in os.environ.get("REAL_UPLOADS", "12x20000000").split("x"))
MIB = 1 << 20
MAXIMUM = 8 * MIB
#: For each upload under way, beside what is stored: a read of the client's, and what waits for the kernel.
EACH = MIB // 2
#: What the allocator keeps, and the broker's own growth as it begins to serve.
ONCE = 12 * MIB
RATE = 8_000_000
STORAGE = 'initial = "1MiB"\nmaximum = "8MiB"\n'
TINY = 'initial = "64KiB"\nminimum = "64KiB"\nmaximum = "256KiB"\nper_transaction = "128KiB"\n'


class Uploads:
    """The broker, its servers, and how much memory it had at most."""

    def __init__(self, directory: Path, certificates: Certificates, storage: str = STORAGE) -> None:
        self.directory, self.certificates = directory, certificates
        self.ports = free_ports(6)
        self.servers = [self.server(number) for number in range(3)]
        self.http, self.https, self.admin = free_ports(3)
        self.text = ""
        for name, port in (("http", self.http), ("https", self.https)):
            self.text += LISTENER.format(name=name, port=port, pool=name)
            if name == "https":
                self.text += TLS.format(name=name, certificate=certificates.server)
            servers = self.ports[1::2] if name == "https" else self.ports[::2]
            addresses = ", ".join(f'"127.0.0.1:{port}"' for port in servers)
            self.text += POOL.format(
                name=name, servers=addresses, secure="true" if name == "https" else "false"
            )
            if name == "https":
                self.text += POOL_TLS.format(name=name, authority=certificates.authority)
        self.text += f'[admin]\nendpoint = "tcp:{self.admin}:interface=127.0.0.1"\n'
        self.text += f'[log]\naccess = "access.log"\n[storage]\n{storage}'
        self.broker = start_broker(directory, self.text, [self.http, self.https, self.admin])
        self.before = memory(self.broker.pid)[0]
        self.most: dict[str, int] = {}

    def server(self, number: int) -> Program:
        ports = self.ports[2 * number : 2 * number + 2]
        argv: list[Any] = [sys.executable, HERE / "origin.py", *map(str, ports), self.certificates.server]
        return Program(f"origin-{number}", argv, self.directory, ports=ports)

    def close(self) -> None:
        self.broker.end()
        for server in self.servers:
            server.end()

    @property
    def storage(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/state", timeout=20) as answer:
            found: dict[str, int] = json.load(answer)["storage"]
        return found

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def look(self) -> None:
        for name, value in self.storage.items():
            self.most[name] = max(self.most.get(name, 0), value)

    def highest(self) -> int:
        return memory(self.broker.pid)[1] - self.before

    def records(self) -> list[Any]:
        time.sleep(0.5)
        return [json.loads(line) for line in (self.directory / "access.log").read_text().splitlines()]


@pytest.fixture
def uploads(tmp_path: Path, certificates: Certificates) -> Iterator[Uploads]:
    uploads = Uploads(tmp_path, certificates)
    yield uploads
    uploads.close()
    assert "Traceback" not in uploads.broker.output()


class Sender(threading.Thread):
    """One client: sends a body, by chunks or with a length, and compares what the server says of it."""

    def __init__(self, uploads: Uploads, number: int, size: int, times: int, rate: int = RATE) -> None:
        super().__init__(daemon=True)
        self.uploads, self.number, self.size, self.times, self.rate = uploads, number, size, times, rate
        self.whole = 0
        self.failed: list[str] = []
        self.wrong: list[str] = []

    def connect(self) -> Any:
        secure = self.number % 2 == 1
        port = self.uploads.https if secure else self.uploads.http
        raw = socket.create_connection(("127.0.0.1", port), timeout=120)
        if not secure:
            return raw
        context = ssl.create_default_context(cafile=self.uploads.certificates.authority)
        return context.wrap_socket(raw, server_hostname="127.0.0.1")

    def run(self) -> None:
        for turn in range(self.times):
            try:
                self.upload(turn)
            except OSError as error:
                self.failed.append(repr(error))

    def upload(self, turn: int) -> None:
        block = hashlib.shake_256(b"%d.%d" % (self.number, turn)).digest(1 << 16)
        digest = hashlib.sha256()
        chunked = self.number % 3 == 2
        head = b"PUT /rate/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" % self.rate
        head += (
            b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % self.size
        )
        with self.connect() as connection:
            with suppress(ConnectionError):  # there may be an answer all the same
                connection.sendall(head)
                for at in range(0, self.size, len(block)):
                    piece = block[: self.size - at]
                    digest.update(piece)
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    connection.sendall(b"0\r\n\r\n")
            answer = head_of(connection)
            while data := connection.recv(65536):
                answer += data
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.failed.append(answer[:60].decode("latin-1"))
        elif json.loads(answer.partition(b"\r\n\r\n")[2])["sha256"] == digest.hexdigest():
            self.whole += 1
        else:
            self.wrong.append(f"{self.number}.{turn}")


def sent(uploads: Uploads, senders: list[Sender], meanwhile: Any = None) -> None:
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        uploads.look()
        if meanwhile is not None:
            meanwhile()
        time.sleep(0.05)
    until(lambda: not uploads.storage["unsent"] + uploads.storage["replay"], 5)
    uploads.look()
    figures = {name: f"{value / MIB:.1f}" for name, value in uploads.most.items() if value > 10_000}
    print(
        f"{len(senders)} clients: {sum(sender.whole for sender in senders)} whole, "
        f"{sum(len(sender.failed) for sender in senders)} failed; at most MiB {figures}; "
        f"grown {uploads.storage['grown']}, shrunk {uploads.storage['shrunk']}, given up "
        f"{uploads.storage['given_up']}; resident "
        f"{uploads.before / MIB:.0f} + {uploads.highest() / MIB:.1f} MiB"
    )


def test_large_uploads_into_slow_servers(uploads: Uploads) -> None:
    senders = [Sender(uploads, number, SIZE, 1) for number in range(CLIENTS)]
    sent(uploads, senders)
    assert [sender.failed + sender.wrong for sender in senders] == [[]] * CLIENTS
    assert sum(sender.whole for sender in senders) == CLIENTS
    assert uploads.most["size"] <= MAXIMUM
    assert uploads.highest() < MAXIMUM + CLIENTS * EACH + ONCE
    storage = uploads.storage
    assert (storage["unsent"], storage["replay"], storage["size"]) == (0, 0, MIB)
    assert storage["given_up"] == uploads.metric("sslbroker_storage_given_up_copies_total") > 0
    assert storage["grown"] == uploads.metric('sslbroker_storage_resizes_total{direction="up"}') > 0
    assert storage["shrunk"] == uploads.metric('sslbroker_storage_resizes_total{direction="down"}') > 0


def test_a_storage_smaller_than_the_reads_of_all_while_servers_stop(
    tmp_path: Path, certificates: Certificates
) -> None:
    """Nobody waits for ever: whoever is held back is let go on."""
    uploads = Uploads(tmp_path, certificates, TINY)
    turn = iter(range(1_000_000))

    def stop() -> None:
        number = next(turn)
        if number % 20 in (0, 10):
            for server in uploads.servers:
                server.child.send_signal(signal.SIGCONT if number % 20 else signal.SIGSTOP)

    try:
        senders = [Sender(uploads, number, 5_000_000, 1) for number in range(30)]
        sent(uploads, senders, stop)
    finally:
        for server in uploads.servers:
            server.child.send_signal(signal.SIGCONT)
        uploads.close()
    assert [sender.failed + sender.wrong for sender in senders] == [[]] * 30
    assert uploads.most["size"] <= 256 * 1024
    assert "Traceback" not in uploads.broker.output()


def test_uploads_while_servers_die(uploads: Uploads) -> None:
    """Those that are still stored move on; those whose copy was given up fail visibly; none is wrong."""
    turn = iter(range(1_000_000))
    killed: list[int] = []

    def kill() -> None:
        if next(turn) % 8:
            return
        number = len(killed) % 3
        uploads.servers[number].kill()
        killed.append(number)
        assert until(lambda: not any(map(listens, uploads.ports[2 * number : 2 * number + 2])), 5)
        uploads.servers[number] = uploads.server(number)

    senders = [Sender(uploads, number, 700_000, 8, rate=2_000_000) for number in range(30)]
    sent(uploads, senders, kill)
    assert [sender.wrong for sender in senders] == [[]] * 30
    whole = sum(sender.whole for sender in senders)
    failed = [words for sender in senders for words in sender.failed]
    assert whole + len(failed) == 30 * 8
    records = uploads.records()
    moved = sum(len(record["tries"]) > 1 and record["end"] == "ok" for record in records)
    why = [record["tries"][-1].get("next", "-") for record in records if record["end"] != "ok"]
    print(f"{len(killed)} servers killed, {moved} uploads moved on; failed: {failed[:3]} {sorted(set(why))}")
    assert moved > 0
    assert whole > 30 * 8 // 2
    assert set(why) <= {"storage-full", "too-large", "tries", "response-begun", "budget"}
    assert uploads.highest() < MAXIMUM + 30 * EACH + ONCE
    assert uploads.storage["unsent"] + uploads.storage["replay"] == 0
