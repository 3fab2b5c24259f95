"""Secure links to real servers: good ones are used, and whoever cannot prove who it is gets no request."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .programs import Program, free_ports, until
from .site import DIRECT, start_broker
from .tls_servers import MODERN, NAME, OLD, authority, start

pytestmark = pytest.mark.skipif(DIRECT, reason="the links are the broker's")

#: What is wrong with a server, and the words that an operator finds in the log of a try.
WRONG = {
    "expired": "certificate has expired (",
    "misnamed": f"certificate is for other.test, expected {NAME} (pools.misnamed.tls.server_name)",
    "unknown": "signed by an unknown CA: 'strangers' (not in pools.unknown.tls.ca)",
    "old": "no common TLS version: expected TLSv1.2 or later (pools.old.tls.minimum)",
    "plain": "did not speak TLS (answered 'HTTP/1.1 400 Bad Request')",
}

POOL = """
[listeners.{name}]
endpoint = "tcp:{listener}:interface=127.0.0.1"
pool = "{name}"
[pools.{name}]
servers = [{servers}]
balance = "round-robin"
continue_secure_link = true
[pools.{name}.tls]
{tls}
"""


class Servers:
    """Three good servers, one of each bad kind, and the broker before them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._programs = ExitStack()
        self._free = iter(free_ports(32))  # at once, so that they differ
        self.ours, self.strangers = authority(directory, "ours"), authority(directory, "strangers")
        self.good: dict[str, Program] = {}
        self._addresses: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def get(self, pool: str) -> tuple[int, str]:
        """Ask a pool once, on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[pool], timeout=30)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def tries(self, pool: str, transactions: int) -> list[dict[str, Any]]:
        """All tries of a pool's transactions, once so many are in the log: it is written a little later."""
        log = self.directory / "access.log"
        found: list[dict[str, Any]] = []

        def written() -> bool:
            whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
            entries = map(json.loads, whole.splitlines())
            found[:] = (entry for entry in entries if entry["pool"] == pool)
            return len(found) >= transactions

        assert until(written, 10)
        return [one for entry in found for one in entry["tries"]]

    def address(self, server: str) -> str:
        return self._addresses[server]

    def _start(self) -> None:
        certificate = self.ours.issue("good.pem", NAME)
        for number in range(3):
            name = f"good-{number}"
            self.good[name] = self._server(name, certificate)
        self._server("expired", self.ours.issue("expired.pem", NAME, days=-1))
        self._server("misnamed", self.ours.issue("misnamed.pem", "other.test"))
        self._server("unknown", self.strangers.issue("unknown.pem", NAME))
        self._server("old", certificate, OLD)
        self._server("plain", None)
        self._server("strict", certificate, f"ssl_verify_client on; ssl_client_certificate {self.ours.pem};")
        own = self.ours.issue("broker.pem", "broker.test")

        trust = f'ca = "{self.ours.pem}"\nserver_name = "{NAME}"\n'
        text = self._pool("good", list(self.good), trust)
        for name in WRONG:
            text += self._pool(name, [name, "good-0"], trust)
        text += self._pool("nobody", list(WRONG), trust)
        text += self._pool("unverified", ["misnamed", "unknown"], trust + "verify = false\n")
        text += self._pool("strict", ["strict"], f'{trust}certificate = "{own}"\n')
        text += self._pool("bare", ["strict"], trust)
        text += '[log]\naccess = "access.log"\n'
        self.broker = self._keep(start_broker(self.directory, text, list(self.ports.values())))

    def _server(self, name: str, certificate: Path | None, more: str = MODERN) -> Program:
        port = next(self._free)
        self._addresses[name] = f"127.0.0.1:{port}"
        return self._keep(start(name, self.directory, port, certificate, more))

    def _pool(self, name: str, servers: Sequence[str], tls: str) -> str:
        self.ports[name] = next(self._free)
        addresses = ", ".join(f'"{self._addresses[server]}"' for server in servers)
        return POOL.format(name=name, listener=self.ports[name], servers=addresses, tls=tls)

    def _keep(self, program: Program) -> Program:
        return self._programs.enter_context(program)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("secure"))
    yield servers
    servers.close()
    assert "Traceback" not in servers.broker.output()


def test_good_servers_are_asked_by_name_over_tls_1_3(servers: Servers) -> None:
    answers = {servers.get("good") for _ in range(6)}
    assert answers == {(200, f"good-{number} as '{NAME}' for '' over TLSv1.3") for number in range(3)}


@pytest.mark.parametrize("kind", WRONG)
def test_a_server_that_is_wrong_gets_no_request_and_the_log_says_why(servers: Servers, kind: str) -> None:
    answers = [servers.get(kind) for _ in range(4)]
    assert {status for status, _ in answers} == {200}
    assert all(body.startswith("good-0 ") for _, body in answers)
    wrong = [one for one in servers.tries(kind, 4) if one["server"] == servers.address(kind)]
    assert wrong
    for one in wrong:
        assert one["outcome"] == "tls-failed"
        assert one["detail"].startswith(WRONG[kind])


def test_when_all_are_wrong_the_client_is_told_so_without_details(servers: Servers) -> None:
    status, body = servers.get("nobody")
    assert status in (502, 503)
    assert not any(words[:20] in body for words in WRONG.values())


def test_without_verification_any_server_is_used_and_the_start_warns(servers: Servers) -> None:
    assert {servers.get("unverified")[0] for _ in range(4)} == {200}
    assert "tls.verify: false" in servers.broker.log.read_text()


def test_a_server_that_wants_a_certificate_gets_the_brokers_own(servers: Servers) -> None:
    status, body = servers.get("strict")
    assert (status, body.split(" for ")[0]) == (200, f"strict as '{NAME}'")
    assert " for ''" not in body
    status, body = servers.get("bare")
    assert (status, "No required SSL certificate was sent" in body) == (400, True)  # nginx's own answer


def test_no_request_fails_when_a_server_with_tls_is_killed(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    try:
        for number in range(60):
            if number == 20:
                servers.good["good-1"].kill()
            status, body = servers.get("good")
            assert status == 200, (number, body)
    finally:
        servers.close()
