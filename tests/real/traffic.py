"""Clients that ask all the time, and compare all that they get: what a change must not disturb.

Decides what an error is: anything but status 200 with the bytes expected. Invariant: each client has one
connection, which it uses again; an error is kept with its time and its words, and the client goes on.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import itertools
import json
import os
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .programs import ROOT, Program

PIECE = 64 * 1024
TIMEOUT = 30.0


@functools.cache
def sha256(length: int) -> str:
    """Of the bytes that a counting server gives for ``/bytes/LENGTH``."""
    digest = hashlib.sha256()
    for start in range(0, length, PIECE):
        digest.update(hashlib.shake_256(start.to_bytes(8, "big")).digest(PIECE)[: length - start])
    return digest.hexdigest()


class Client:
    """One connection to the broker, made anew when it was closed. `source` is the client's own address."""

    def __init__(self, port: int, authority: Path | None = None, source: str = "127.0.0.1") -> None:
        self.name = f"{source}-{id(self)}"
        given: dict[str, Any] = {"timeout": TIMEOUT, "source_address": (source, 0)}
        if authority is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", port, **given)
        else:
            context = ssl.create_default_context(cafile=authority)
            self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, **given)

    def ask(
        self,
        target: str,
        body: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        method: str = "",
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, content and fields of the answer to one request."""
        method = method or ("GET" if body is None else "POST")
        try:
            self.connection.request(method, target, body, dict(fields or {}))
            answer = self.connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        self.connection.close()


Job = Callable[[Client, int], str]
"""One transaction of a client, by its number: why it is wrong, or ""."""


def expected(status: int, found: object, right: object) -> str:
    """What a job says of one answer."""
    return "" if status == 200 and found == right else f"status {status}: {str(found)[:200]}"


def get(length: int) -> Job:
    """So many bytes, compared by their hash."""
    right = sha256(length)

    def job(client: Client, number: int) -> str:
        status, data, _ = client.ask(f"/bytes/{length}")
        return expected(status, hashlib.sha256(data).hexdigest() if status == 200 else data, right)

    return job


class Posts:
    """Contents of up to a megabyte, each under an ID of its own; the server says what it has got."""

    def __init__(self, largest: int = 1_000_000) -> None:
        noise = os.urandom(largest)
        sizes = (1, 1000, 30_000, 100_000, largest)
        self._contents = [(noise[:size], hashlib.sha256(noise[:size]).hexdigest()) for size in sizes]
        self._numbers = itertools.count()
        self.sent: list[str] = []

    def __call__(self, client: Client, number: int) -> str:
        content, right = self._contents[number // 2 % len(self._contents)]
        name = str(next(self._numbers))
        self.sent.append(name)
        status, data, _ = client.ask(f"/once/{name}", content)
        return expected(status, json.loads(data)["sha256"] if status == 200 else data, right)


def mixed(*jobs: Job) -> Job:
    """One after the other."""
    return lambda client, number: jobs[number % len(jobs)](client, number)


class Traffic:
    """Some clients, each in a thread, that do a job again and again."""

    def __init__(self, job: Job, clients: list[Client]) -> None:
        self.job = job
        self.errors: list[str] = []
        self.done = 0
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(client,)) for client in clients]

    def _run(self, client: Client) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                wrong = self.job(client, number)
            except (OSError, http.client.HTTPException, ValueError) as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                self.errors.append(f"{time.monotonic() - self._began:.1f} s, transaction {number}: {wrong}")
            number += 1
            self.done += 1
        client.close()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)

    def during(self, seconds: float) -> None:
        """Let it run: what is tested is what happens in that time."""
        time.sleep(seconds)


@contextmanager
def traffic(job: Job, clients: list[Client]) -> Iterator[Traffic]:
    """Traffic while the block runs; all clients have ended after it."""
    running = Traffic(job, clients)
    running.start()
    try:
        yield running
    finally:
        running.stop()


# --- the servers that count ---


def counting(name: str, directory: Path, port: int, certificate: Path, *addresses: str) -> Program:
    """Start one; it listens on 127.0.0.1 when no address is given."""
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.real.counting_server",
        name,
        str(port),
        certificate,
    ]
    env = {"PYTHONPATH": str(ROOT)}
    return Program(name, [*argv, *(addresses or ("127.0.0.1",))], directory, ports=[port], env=env)


def told(port: int, address: str = "127.0.0.1") -> dict[str, Any]:
    """What the server at this port has counted."""
    return _ask(port, "/told", address)


def fail(port: int, status: int) -> None:
    """Let the server answer so from now on; 200: as it should."""
    _ask(port, f"/fail/{status}", "127.0.0.1")


def _ask(port: int, target: str, address: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    try:
        connection.request("GET", target)
        found: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return found


def state(port: int) -> dict[str, Any]:
    """``/state`` of the broker whose admin pages are on this port."""
    return _ask(port, "/state", "127.0.0.1")


def log_of(path: Path) -> list[dict[str, Any]]:
    """The whole entries of an access log."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def how_often(names: list[str], servers: list[int]) -> Counter[int]:
    """How many of the IDs in `names` were done how often, by all servers together."""
    counts: Counter[str] = Counter()
    for port in servers:
        counts.update(told(port)["once"])
    return Counter(counts[name] for name in names)
