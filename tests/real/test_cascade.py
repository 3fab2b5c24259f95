"""A broker in front of two brokers in front of three servers: who asked is known, and tries do not multiply.

The first broker proves itself to the others with a certificate, and they to it. A client is known by its
address on loopback: one that is trusted, one that is not.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .programs import HERE, Program, client_python, find, free_ports, until
from .site import DIRECT, Certificates, start_broker
from .tls_servers import Authority, authority
from .traffic import Client, counting, fail, get, log_of, sha256, state, told, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="brokers stand in a row here")

CLIENT, PROXY = "127.0.0.5", "127.0.0.9"
"""Addresses of clients: one that nobody trusts, and one that the first broker believes."""

FRONT = """
[broker]
name = "edge"
[listeners.https]
endpoint = "tcp:{https}:interface=127.0.0.1"
pool = "inner"
trusted = ["{proxy}"]
[listeners.https.tls]
certificates = ["{certificate}"]
[listeners.http]
endpoint = "tcp:{http}:interface=127.0.0.1"
pool = "inner"
trusted = ["{proxy}"]
[listeners.socket]
endpoint = "tcp:{socket}:interface=127.0.0.1"
pool = "sockets"
[listeners.circle]
endpoint = "tcp:{circle}:interface=127.0.0.1"
pool = "circle"
[pools.inner]
servers = [{inner}]
continue_secure_link = true
trusted = ["127.0.0.1"]
[pools.inner.tls]
ca = "{authority}"
server_name = "inner.test"
certificate = "{broker}"
[pools.inner.failover]
tries = {tries}
response_timeout = "{patience}"
connect_timeout = "500ms"
[pools.sockets]
servers = [{sockets}]
continue_secure_link = true
[pools.sockets.tls]
ca = "{authority}"
server_name = "inner.test"
certificate = "{broker}"
[pools.circle]
servers = ["127.0.0.1:{back}"]
[log]
access = "access.log"
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
"""

INNER = """
[broker]
name = "{name}"
[listeners.https]
endpoint = "tcp:{https}:interface=127.0.0.1"
pool = "shop"
trusted = ["127.0.0.1", "{proxy}"]
[listeners.https.tls]
certificates = ["{certificate}"]
client_ca = "{authority}"
client_certificate = "required"
[listeners.socket]
endpoint = "tcp:{socket}:interface=127.0.0.1"
pool = "sockets"
[listeners.socket.tls]
certificates = ["{certificate}"]
client_ca = "{authority}"
client_certificate = "required"
[listeners.circle]
endpoint = "tcp:{back}:interface=127.0.0.1"
pool = "circle"
[pools.shop]
servers = [{servers}]
[pools.shop.failover]
tries = {tries}
[pools.sockets]
servers = ["127.0.0.1:{websocket}"]
[pools.circle]
servers = ["127.0.0.1:{circle}"]
[pools.circle.links]
idle = 0
[log]
access = "access.log"
"""


def quoted(ports: list[int]) -> str:
    return ", ".join(f'"127.0.0.1:{port}"' for port in ports)


class Cascade:
    """All of them started, the brokers each in a directory of their own."""

    def __init__(
        self,
        directory: Path,
        certificates: Certificates,
        *,
        tries: tuple[int, int] = (4, 2),
        patience: str = "10s",
    ) -> None:
        self.directory = directory
        self.certificates = certificates
        self._programs = ExitStack()
        names = ("https", "http", "socket", "circle", "admin", "websocket", "unused")
        *found, one, two, three, h1, h2, s1, s2, b1, b2 = free_ports(len(names) + 9)
        ports = dict(zip(names, found, strict=True))
        self.https, self.http, self.socket, self.circle = found[:4]
        self.admin = ports["admin"]
        self.servers = [one, two, three]
        ours: Authority = authority(directory, "brokers")
        paths: dict[str, object] = {
            "proxy": PROXY,
            "certificate": ours.issue("inner.pem", "inner.test"),
            "broker": ours.issue("edge.pem", "edge.test"),
            "authority": ours.pem,
        }
        try:
            for number, port in enumerate(self.servers):
                self._keep(counting(f"server-{number}", directory, port, certificates.server))
            argv: list[str | Path] = [client_python(), HERE / "clients" / "websocket_server.py"]
            argv += [str(ports["websocket"]), str(ports["unused"]), certificates.server]
            self._keep(Program("websocket", argv, directory, ports=[ports["websocket"]]))
            self.inner: list[Program] = []
            for number, (https, sock, back) in enumerate(((h1, s1, b1), (h2, s2, b2))):
                mine = {**ports, "https": https, "socket": sock, "back": back, "tries": tries[1], **paths}
                text = INNER.format(name=f"inner-{number}", servers=quoted(self.servers), **mine)
                self.inner.append(self._broker(f"inner-{number}", text, [https, sock, back]))
            inner, sockets = quoted([h1, h2]), quoted([s1, s2])
            mine = {**ports, "inner": inner, "sockets": sockets, "back": b1}
            mine |= {**paths, "certificate": certificates.server, "tries": tries[0], "patience": patience}
            self.edge = self._broker("edge", FRONT.format(**mine), found[:5])
        except BaseException:
            self.close()
            raise

    def _keep(self, program: Program) -> Program:
        return self._programs.enter_context(program)

    def _broker(self, name: str, text: str, ports: list[int]) -> Program:
        directory = self.directory / name
        directory.mkdir()
        return self._keep(start_broker(directory, text, ports))

    def close(self) -> None:
        self._programs.close()

    def complaints(self) -> str:
        outputs = [program.output() for program in (self.edge, *self.inner)]
        return "".join(output for output in outputs if "Traceback" in output)

    def client(self, source: str = CLIENT, secure: bool = True) -> Client:
        if secure:
            return Client(self.https, self.certificates.authority, source)
        return Client(self.http, source=source)

    def asked(self) -> int:
        """How many transactions reached the servers, all together."""
        return sum(sum(told(port)["words"].values()) for port in self.servers)

    def log(self, name: str, target: str, count: int) -> list[dict[str, object]]:
        """The entries about a target in a broker's log, or in the inner ones', once there are so many."""
        names = ["inner-0", "inner-1"] if name == "inner" else [name]

        def entries() -> list[dict[str, object]]:
            logs = (log_of(self.directory / each / "access.log") for each in names)
            return [entry for log in logs for entry in log if entry["target"] == target]

        assert until(lambda: len(entries()) >= count, 10), entries()
        return entries()


@contextmanager
def running(directory: Path, certificates: Certificates, **given: object) -> Iterator[Cascade]:
    cascade = Cascade(directory, certificates, **given)  # type: ignore[arg-type]
    try:
        yield cascade
    finally:
        cascade.close()
    assert cascade.complaints() == ""


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Cascade]:
    with running(tmp_path_factory.mktemp("cascade"), certificates) as cascade:
        yield cascade


def fields(client: Client, sent: dict[str, str], target: str = "/headers") -> dict[str, str]:
    """What the server got, by name; several of one name joined."""
    status, data, _ = client.ask(target, fields=sent)
    assert status == 200, data
    found: dict[str, str] = {}
    for name, value in json.loads(data):
        found[name] = f"{found[name]} | {value}" if name in found else value
    return found


FORGED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "1",
    "Forwarded": "for=203.0.113.7;proto=https",
    "Client-Cert": ":MIIB:",
    "X-Client-Subject": "CN=root",
}


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_the_client_is_known_to_the_servers_and_to_every_broker(cascade: Cascade, secure: bool) -> None:
    client = cascade.client(secure=secure)
    target, scheme = f"/headers/{secure}", "https" if secure else "http"
    found = fields(client, {"Host": "shop.test"}, target)
    assert found["x-forwarded-for"] == f"{CLIENT}, 127.0.0.1"
    assert found["x-forwarded-proto"] == scheme
    assert found["forwarded"].startswith(f'for={CLIENT};host="shop.test";proto={scheme}, ')
    assert found["x-forwarded-port"] == str(cascade.https if secure else cascade.http)
    assert (found["host"], found["x-forwarded-host"]) == ("shop.test", "shop.test")
    assert found["via"] in [f"1.1 edge, 1.1 inner-{number}" for number in range(2)] or found["via"] in [
        f"1.1 edge | 1.1 inner-{number}" for number in range(2)
    ]
    assert not any(name.startswith(("client-cert", "x-client")) for name in found)
    for name in ("edge", "inner"):
        (entry,) = cascade.log(name, target, 1)
        assert (entry["client"], entry["secure"], entry["end"]) == (CLIENT, secure, "ok")
    client.close()


def test_what_a_client_forges_reaches_no_server(cascade: Cascade) -> None:
    client = cascade.client(secure=False)
    found = fields(client, FORGED)
    assert found["x-forwarded-for"] == f"{CLIENT}, 127.0.0.1"
    assert found["x-forwarded-proto"] == "http"
    assert not any("203.0.113.7" in value or "evil.test" in value for value in found.values()), found
    assert not {"client-cert", "x-client-subject"} & set(found)
    client.close()


def test_a_proxy_that_is_trusted_speaks_for_its_client(cascade: Cascade) -> None:
    client = cascade.client(PROXY, secure=False)
    found = fields(client, FORGED, "/headers/proxy")
    assert found["x-forwarded-for"] == f"203.0.113.7, {PROXY}, 127.0.0.1"
    assert found["x-forwarded-proto"] == "https"
    assert found["x-client-subject"] == "CN=root"
    (entry,) = cascade.log("inner", "/headers/proxy", 1)
    assert (entry["client"], entry["secure"]) == ("203.0.113.7", True)
    client.close()


def test_an_inner_broker_takes_no_stranger(cascade: Cascade) -> None:
    """Without the certificate of a broker nobody gets in."""
    text = (cascade.directory / "inner-0" / "sslbroker.toml").read_text()
    port = text.split("[listeners.https]")[1].split("tcp:")[1].split(":")[0]
    words = [
        find("curl"),
        "-q",
        "--noproxy",
        "*",
        "--silent",
        "--insecure",
        f"https://127.0.0.1:{port}/headers",
    ]
    done = subprocess.run(words, capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
    assert done.stdout == b""


@pytest.mark.parametrize("tries", [(4, 2), (3, 3)], ids=["4-2", "3-3"])
def test_when_all_servers_fail_the_tries_do_not_multiply(
    tmp_path: Path, certificates: Certificates, tries: tuple[int, int]
) -> None:
    with running(tmp_path, certificates, tries=tries) as cascade:
        for port in cascade.servers:
            fail(port, 500)
        before = 0
        for source in (CLIENT, PROXY):
            client = cascade.client(source)
            status, _, said = client.ask("/bytes/10")
            assert status == 500
            asked, before = cascade.asked() - before, cascade.asked()
            assert asked == tries[0]
            assert said.get("Sslbroker-Tries") == (str(tries[0]) if source == PROXY else None)
            client.close()
        for port in cascade.servers:
            fail(port, 200)
        client = cascade.client()
        assert client.ask("/bytes/10")[0] == 200
        client.close()


def test_a_circle_ends_soon_with_508(cascade: Cascade) -> None:
    """Though nobody in it trusts anybody, for nobody plans a circle: no broker sends it round twice."""
    client = Client(cascade.circle)
    began = time.monotonic()
    status, data, _ = client.ask("/circle")
    assert time.monotonic() - began < 5
    assert status == 508, data
    client.close()
    passed = [entry["end"] for entry in cascade.log("edge", "/circle", 3)]
    assert sorted(map(str, passed)) == ["admit:loop", "ok", "ok"]
    assert len(cascade.log("inner", "/circle", 2)) == 2


def test_a_websocket_goes_through_both(cascade: Cascade) -> None:
    client = HERE / "clients" / "websocket_client.py"
    argv = [client_python(), str(client), f"ws://127.0.0.1:{cascade.socket}", "-", "3000"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "3000"), done.stderr[-3000:]


def test_a_hundred_megabytes_go_up_and_come_down(cascade: Cascade) -> None:
    data = os.urandom(100_000_000)
    client = cascade.client()
    status, answer, _ = client.ask("/echoed", data, method="PUT")
    assert status == 200
    assert json.loads(answer)["sha256"] == hashlib.sha256(data).hexdigest()
    status, data, _ = client.ask("/bytes/100000000")
    assert (status, hashlib.sha256(data).hexdigest()) == (200, sha256(100_000_000))
    client.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_no_client_notices_that_an_inner_broker_is_gone(
    tmp_path: Path, certificates: Certificates, how: signal.Signals
) -> None:
    with running(tmp_path, certificates, patience="1s") as cascade:
        clients = [cascade.client(secure=bool(number % 2)) for number in range(20)]
        with traffic(get(1000), clients) as busy:
            busy.during(1.5)
            child = cascade.inner[1].child
            os.kill(child.pid, how)
            busy.during(3)
            if how is signal.SIGSTOP:
                os.kill(child.pid, signal.SIGCONT)
                busy.during(1)
        assert busy.errors == []
        assert busy.done > 500
        servers = state(cascade.admin)["pools"][0]["servers"]
        assert any(set(server["outcomes"]) - {"ok"} for server in servers), servers
