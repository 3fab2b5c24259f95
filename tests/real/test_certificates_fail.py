"""The certificate of one of three servers stops verifying while clients ask all the time: none notices.

Expired, of another authority, for another name: nginx serves each of them from some moment on, and a good one
again later. Links last for a few requests only, so that there are new ones all the time.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .programs import Program, free_ports, until
from .site import DIRECT, LISTENER, TLS, Certificates, start_broker
from .tls_servers import MODERN, NAME, RELOADABLE, Authority, authority, start
from .traffic import Client, expected, log_of, state, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="the links are the broker's")

POOL = """
[pools.shop]
servers = [{servers}]
continue_secure_link = true
[pools.shop.tls]
ca = "{authority}"
server_name = "{name}"
[pools.shop.ejection]
base = "200ms"                   # so that each is tried often, and all are back at the end
[log]
access = "access.log"
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
"""
MORE = "keepalive_requests 5; location = /file {{ alias {file}; }}"
CLIENTS = 20
LIFE = 5.0  # seconds for which the first server's certificate is good when clients begin to ask


class Servers:
    """Three servers of nginx whose certificates can be replaced, and the broker before them."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self._programs = ExitStack()
        self.directory = directory
        self.certificates = certificates
        self.ours, self.strangers = authority(directory, "ours"), authority(directory, "strangers")
        self.content = os.urandom(64 * 1024)
        (directory / "file").write_bytes(self.content)
        *self.ports, self.https, self.http, self.admin = free_ports(6)
        self.nginx: list[Program] = []
        try:
            for number, port in enumerate(self.ports):
                certificate = self.ours.issue(f"server-{number}.pem", NAME)
                more = MODERN + MORE.format(file=directory / "file")
                server = start(f"nginx-{number}", directory, port, certificate, more, RELOADABLE)
                self.nginx.append(self._keep(server))
            text = LISTENER.format(name="https", port=self.https, pool="shop")
            text += TLS.format(name="https", certificate=certificates.server)
            text += LISTENER.format(name="http", port=self.http, pool="shop")
            servers = ", ".join(f'"{self.address(number)}"' for number in range(3))
            text += POOL.format(servers=servers, authority=self.ours.pem, name=NAME, admin=self.admin)
            self.broker = self._keep(start_broker(directory, text, [self.https, self.http, self.admin]))
        except BaseException:
            self.close()
            raise

    def _keep(self, program: Program) -> Program:
        return self._programs.enter_context(program)

    def close(self) -> None:
        self._programs.close()

    def address(self, number: int) -> str:
        return f"127.0.0.1:{self.ports[number]}"

    def show(self, number: int, issuer: Authority, name: str = NAME, seconds: float = 30 * 86400) -> None:
        """From now on the server shows this certificate on new links; old ones go on."""
        issuer.issue(f"server-{number}.pem", name, days=seconds / 86400)
        self.nginx[number].child.send_signal(signal.SIGHUP)

    def clients(self) -> list[Client]:
        """Half of them secure."""
        plain = [Client(self.http) for _ in range(CLIENTS // 2)]
        return plain + [Client(self.https, self.certificates.authority) for _ in range(CLIENTS // 2)]

    def standing(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = state(self.admin)["pools"][0]["servers"][number]
        return found

    def failed(self, number: int) -> int:
        """How many tries on the server have failed in their handshake."""
        count: int = self.standing(number)["outcomes"].get("tls-failed", 0)
        return count


@pytest.fixture
def servers(tmp_path: Path, certificates: Certificates) -> Iterator[Servers]:
    servers = Servers(tmp_path, certificates)
    yield servers
    servers.close()
    assert "Traceback" not in servers.broker.output()


def test_no_client_notices_that_a_certificate_stops_verifying(servers: Servers) -> None:
    right = hashlib.sha256(servers.content).hexdigest()

    def job(client: Client, number: int) -> str:
        status, data, _ = client.ask("/file")
        return expected(status, hashlib.sha256(data).hexdigest() if status == 200 else data, right)

    clients = servers.clients()
    servers.show(0, servers.ours, seconds=LIFE)
    with traffic(job, clients) as busy:
        busy.during(1)
        assert [servers.failed(number) for number in range(3)] == [0, 0, 0], servers.standing(0)
        assert until(lambda: servers.failed(0) > 5, 10), "the certificate that has expired was never seen"
        servers.show(0, servers.ours)
        servers.show(1, servers.strangers)
        assert until(lambda: servers.failed(1) > 5, 10)
        servers.show(1, servers.ours)
        servers.show(2, servers.ours, "other.test")
        assert until(lambda: servers.failed(2) > 5, 10)
        servers.show(2, servers.ours)
        busy.during(1)
        stands = [servers.standing(number) for number in range(3)]
        busy.during(2)
        served = [servers.standing(number)["outcomes"]["ok"] for number in range(3)]
    assert busy.errors == []
    # All are used again.
    assert all(now > then["outcomes"]["ok"] for now, then in zip(served, stands, strict=True))
    for standing, words in zip(
        stands,
        (
            "certificate has expired (",
            "signed by an unknown CA: 'strangers'",
            "certificate is for other.test",
        ),
        strict=True,
    ):
        assert words in standing["last_failure"], standing
    _check_log(servers, busy.done)


def _check_log(servers: Servers, done: int) -> None:
    """Each failed try is in the log with its reason, and another server mended it."""
    log = servers.directory / "access.log"
    assert until(lambda: len(log_of(log)) >= done, 10)
    reasons: Counter[tuple[str, str]] = Counter()
    for entry in log_of(log):
        assert (entry["end"], entry["status"]) == ("ok", 200), entry
        *failed, last = entry["tries"]
        assert last["outcome"] == "ok"
        for one in failed:
            assert one["outcome"] in ("tls-failed", "broken", "stale"), one
            assert one["server"] != last["server"]
            reasons[one["server"], json.dumps(one.get("detail", ""))[1:12]] += 1
    wanted = ["certificate", "signed by a", "certificate"]
    assert all(reasons[servers.address(number), words] > 5 for number, words in enumerate(wanted)), reasons
