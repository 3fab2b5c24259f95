"""Several workers behind one address: they are killed, ended and told things while clients come and go.

Each client connects anew for each transaction, so that whoever is refused, or waits at a socket that nobody
serves, is seen.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .programs import free_ports, until
from .site import DIRECT, Certificates, doors, start_broker
from .traffic import TIMEOUT, Client, counting, log_of, state, told, traffic
from .traffic import get as same

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that has workers")

WORKERS = 3
CLIENTS = 16

CONFIGURATION = """
[pools.shop]
servers = [{servers}]
{of_pool}
[log]
access = "{log}"
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
[broker]
workers = {workers}
drain_timeout = "5s"
worker_timeout = "{timeout}s"
"""


class Crew:
    """Two servers that count, and a broker with workers."""

    def __init__(
        self,
        directory: Path,
        certificates: Certificates,
        *,
        limit: str = "",
        of_pool: str = "",
        log: str = "access.log",
        timeout: int = 30,
    ) -> None:
        self.directory = directory
        self.certificates = certificates
        self._programs = ExitStack()
        *self.servers, self.https, self.http, self.admin = free_ports(5)
        try:
            for number, port in enumerate(self.servers):
                program = counting(f"server-{number}", directory, port, certificates.server)
                self._programs.enter_context(program)
            text = doors(self.https, self.http, certificates.server)
            servers = ", ".join(f'{{ address = "127.0.0.1:{port}"{limit} }}' for port in self.servers)
            text += CONFIGURATION.format(
                servers=servers,
                of_pool=of_pool,
                admin=self.admin,
                workers=WORKERS,
                log=log,
                timeout=timeout,
            )
            self.broker = start_broker(directory, text, [self.https, self.http, self.admin])
            self._programs.enter_context(self.broker)
            assert until(lambda: len(self.serving()) == WORKERS, 20), self.broker.output()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = state(self.admin)["workers"]
        return found

    def serving(self) -> dict[int, int]:
        """The pid of each slot's worker."""
        return {one["number"]: one["pid"] for one in self.workers() if one["state"] == "serving"}

    def clients(self, count: int = CLIENTS) -> list[Client]:
        """Half of them secure."""
        plain = [Client(self.http) for _ in range(count // 2)]
        return plain + [Client(self.https, self.certificates.authority) for _ in range(count - count // 2)]

    def end(self, number: int, how: signal.Signals) -> None:
        """Let the worker of this slot end, and wait until there is another one."""
        pid = self.serving()[number]
        os.kill(pid, how)
        replaced = functools.partial(lambda: self.serving().get(number) not in (None, pid))
        assert until(replaced, 20), self.broker.output()


def processes(group: int) -> set[int]:
    """Those of a group that live."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.add(int(entry.name))
    return found


@pytest.fixture
def crew(tmp_path: Path, certificates: Certificates) -> Iterator[Crew]:
    crew = Crew(tmp_path, certificates)
    yield crew
    crew.close()
    assert "Traceback" not in crew.broker.output()


class Connecting:
    """A transaction on a connection of its own. Broken off by a worker's death is no error; refused is."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.longest = 0.0
        self._lock = threading.Lock()

    def __call__(self, client: Client, number: int) -> str:
        began = time.monotonic()
        client.close()
        try:
            client.connection.connect()
            status, data, _ = client.ask("/bytes/1000")
            end = "whole" if (status, len(data)) == (200, 1000) else f"status {status}"
        except (ConnectionResetError, BrokenPipeError, http.client.HTTPException, ssl.SSLError):
            end = "broken off"
        except ConnectionRefusedError:
            end = "refused"
        with self._lock:
            self.ends[end] += 1
            self.longest = max(self.longest, time.monotonic() - began)
        return "" if end in ("whole", "broken off") else end


def test_nobody_is_refused_while_workers_are_killed(crew: Crew) -> None:
    connecting = Connecting()
    with traffic(connecting, crew.clients()) as running:
        for kill in range(6):
            running.during(0.3)
            crew.end(1 + kill % WORKERS, signal.SIGKILL)
        running.during(0.5)
    assert running.errors == []
    assert connecting.ends["whole"] > 300
    # What a worker had in its hands when it was killed, and no more.
    assert connecting.ends["broken off"] <= 6 * CLIENTS
    assert connecting.longest < TIMEOUT / 3
    assert sum(worker["restarts"] for worker in crew.workers()) == 6
    assert len(processes(crew.broker.pid)) == 2 + WORKERS


def test_no_transaction_is_lost_when_workers_are_told_to_end(crew: Crew) -> None:
    with traffic(same(20_000), crew.clients()) as running:
        for number in range(1, WORKERS + 1):
            running.during(0.3)
            crew.end(number, signal.SIGTERM)
        running.during(0.5)
    # A connection that was kept is closed, with its last answer or while it is idle.
    wrong = [error for error in running.errors if "RemoteDisconnected" not in error]
    assert wrong == []
    assert running.done > 100


def test_the_log_and_the_figures_are_complete(crew: Crew) -> None:
    clients = crew.clients()
    with traffic(same(1000), clients) as running:
        running.during(2)
    assert running.errors == []
    shown = state(crew.admin)
    assert sum(listener["transactions"] for listener in shown["listeners"]) == running.done
    assert sum(listener["ends"].get("ok", 0) for listener in shown["listeners"]) == running.done
    assert sum(server["outcomes"]["ok"] for server in shown["pools"][0]["servers"]) == running.done
    assert sum(worker["transactions"] for worker in shown["workers"]) == running.done
    assert sum(told(port)["words"]["bytes"] for port in crew.servers) == running.done
    assert crew.broker.end() == 0
    lines = log_of(crew.directory / "access.log")
    assert len(lines) == len({line["id"] for line in lines}) == running.done


def test_totals_never_go_down_while_workers_die(crew: Crew) -> None:
    seen = []
    with traffic(Connecting(), crew.clients()) as running:
        for number in range(1, WORKERS + 1):
            running.during(1.2)
            seen.append(sum(one["transactions"] for one in state(crew.admin)["listeners"]))
            crew.end(number, signal.SIGKILL)
            seen.append(sum(one["transactions"] for one in state(crew.admin)["listeners"]))
    assert seen == sorted(seen)
    assert seen[0] > 0


def some_long(client: Client, number: int) -> str:
    """Each tenth line of the log is more than a pipe takes whole."""
    target = "/bytes/10/" + "x" * (6000 if number % 10 == 0 else 10)
    return str(client.ask(target)[0]).strip("20")


def test_lines_are_whole_in_a_pipe_too(tmp_path: Path, certificates: Certificates) -> None:
    os.mkfifo(tmp_path / "log")
    read: list[bytes] = []
    pipe = os.open(tmp_path / "log", os.O_RDWR)  # also for writing: it does not end with a worker

    def reading() -> None:
        while data := os.read(pipe, 65536):
            read.append(data)
            if data.endswith(b"the end\n"):
                return

    reader = threading.Thread(target=reading)
    reader.start()
    try:
        crew = Crew(tmp_path, certificates, log="log")
        try:
            with traffic(some_long, crew.clients()) as running:
                running.during(1)
            assert running.errors == []
            # A full pipe is tried again four times a second: it takes its time.
            assert until(lambda: b"".join(read).count(b"\n") == running.done, 30)
            assert crew.broker.end() == 0
        finally:
            crew.close()
    finally:
        os.write(pipe, b"the end\n")
        reader.join(10)
        os.close(pipe)
    lines = b"".join(read).splitlines()[:-1]
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == running.done


@pytest.mark.parametrize("key", ["maximum_transactions", "maximum_links"])
def test_a_limit_of_a_server_holds_for_all_workers(
    tmp_path: Path, certificates: Certificates, key: str
) -> None:
    crew = Crew(tmp_path, certificates, limit=f", {key} = {WORKERS + 1}")

    def slow(client: Client, number: int) -> str:
        status, _, _ = client.ask("/slow/30")
        return "" if status == 200 else f"status {status}"

    try:
        links = []
        with traffic(slow, crew.clients(24)) as running:
            for _ in range(10):
                running.during(0.2)
                servers = state(crew.admin)["pools"][0]["servers"]
                links += [sum(server["links"].values()) for server in servers]
        assert running.errors == []
        if key == "maximum_links":
            assert 1 <= max(links) <= WORKERS + 1
        assert [told(port)["most_transactions"] for port in crew.servers] <= [WORKERS + 1] * 2
        # All places are used: 8 at once, 30 ms each.
        assert running.done > 0.6 * 2 * (WORKERS + 1) * 2 / 0.03
    finally:
        crew.close()


def test_a_limit_of_a_pool_holds_for_all_workers(tmp_path: Path, certificates: Certificates) -> None:
    crew = Crew(tmp_path, certificates, of_pool=f"maximum_transactions = {2 * WORKERS}")

    def slow(client: Client, number: int) -> str:
        status, _, _ = client.ask("/slow/30")
        return "" if status == 200 else f"status {status}"

    try:
        with traffic(slow, crew.clients(24)) as running:
            running.during(2)
        assert running.errors == []
        most = [told(port)["most_transactions"] for port in crew.servers]
        assert max(most) <= 2 * WORKERS <= sum(most)
        # All places are used: 6 at once, 30 ms each.
        assert running.done > 0.6 * 2 * WORKERS * 2 / 0.03
    finally:
        crew.close()


def test_one_busy_worker_gets_the_places_of_idle_ones(tmp_path: Path, certificates: Certificates) -> None:
    crew = Crew(tmp_path, certificates, limit=", maximum_transactions = 12")
    try:
        found = connections_of_one_worker(crew, 24)
        began = time.monotonic()
        for connection in found:
            connection.sendall(b"GET /slow/500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = [b"".join(iter(lambda one=one: one.recv(65536), b"")) for one in found]  # type: ignore[misc]
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        assert time.monotonic() - began < 3 * 0.5  # with a third of the places it takes 3 rounds of 500 ms
        for connection in found:
            connection.close()
    finally:
        crew.close()


def test_one_that_stands_still_is_replaced_and_its_places_are_used(
    tmp_path: Path, certificates: Certificates
) -> None:
    crew = Crew(tmp_path, certificates, limit=f", maximum_transactions = {WORKERS}", timeout=3)

    def patient(client: Client, number: int) -> str:
        """Whoever is at the one that stands still waits until it is ended, and is broken off."""
        try:
            return str(client.ask("/slow/30")[0]).strip("20")
        except (ConnectionResetError, http.client.HTTPException):
            return ""

    try:
        with traffic(patient, crew.clients()) as running:
            running.during(0.5)
            stopped = time.monotonic()
            crew.end(2, signal.SIGSTOP)
            stood = time.monotonic() - stopped
            before = running.done
            running.during(2)
        assert running.errors == []
        assert 3 <= stood < 3 * 8 / 6 + 3  # two looks more: SIGABRT waits for SIGCONT, SIGKILL does not
        told_of = crew.broker.output()
        assert "hangs: it has not answered for 3 s, and is ended" in told_of
        assert "was killed by SIGKILL" in told_of
        # Its place at each server is the next one's: 6 at once, 30 ms each.
        assert running.done - before > 0.6 * 2 * 2 * WORKERS / 0.03
        assert [told(port)["most_transactions"] for port in crew.servers] <= [WORKERS] * 2
        assert len(processes(crew.broker.pid)) == 2 + WORKERS
    finally:
        crew.close()


def test_one_that_stands_still_for_a_moment_goes_on(tmp_path: Path, certificates: Certificates) -> None:
    crew = Crew(tmp_path, certificates, timeout=4)
    try:
        pid = crew.serving()[1]
        with traffic(same(1000), crew.clients()) as running:
            running.during(0.3)
            os.kill(pid, signal.SIGSTOP)
            running.during(2)
            os.kill(pid, signal.SIGCONT)
            running.during(3)
        assert running.errors == []
        assert crew.serving()[1] == pid
    finally:
        crew.close()


def connections_of_one_worker(crew: Crew, count: int) -> list[socket.socket]:
    """Connections that the kernel has given to the same worker; the others are closed."""
    mine: list[socket.socket] = []
    number = 1
    while len(mine) < count:
        before = {one["number"]: one["connections"] for one in crew.workers()}[number]
        one = socket.create_connection(("127.0.0.1", crew.http))
        one.settimeout(TIMEOUT)
        assert until(lambda: sum(worker["connections"] for worker in crew.workers()) == len(mine) + 1, 10), (
            crew.workers()
        )
        after = {worker["number"]: worker["connections"] for worker in crew.workers()}[number]
        if after > before:
            mine.append(one)
        else:
            one.close()
            assert until(lambda: sum(worker["connections"] for worker in crew.workers()) == len(mine), 10)
    return mine


def test_when_the_parent_is_killed_nothing_is_left(crew: Crew) -> None:
    group = crew.broker.pid
    assert len(processes(group)) == 2 + WORKERS
    with traffic(Connecting(), crew.clients()) as running:
        running.during(0.5)
        crew.broker.kill()
        assert until(lambda: not processes(group), 15)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", crew.http))


def test_a_session_resumes_at_every_worker(crew: Crew) -> None:
    context = ssl.create_default_context(cafile=crew.certificates.authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there with the handshake
    session = None
    resumed = []
    for _ in range(24):
        with socket.create_connection(("127.0.0.1", crew.https)) as plain:
            wrapped = context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
            with wrapped as secure:
                resumed.append(secure.session_reused)
                session = session or secure.session
                secure.sendall(b"GET /bytes/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while secure.recv(4096):
                    pass
    assert resumed == [False, *[True] * 23]
    shares = [worker["transactions"] for worker in crew.workers()]
    assert sum(map(bool, shares)) > 1, shares
