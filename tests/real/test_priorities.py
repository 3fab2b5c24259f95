"""Real servers that are too slow for all that is asked: who is of a group is served first, by two workers."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .programs import ROOT, Program, curl_words, free_ports, until
from .site import DIRECT, Certificates, doors, start_broker
from .traffic import Client, Job, log_of, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that has groups")

PLACES, SERVICE = 2, 0.05  # of each of three servers: together they answer 120 requests a second
GOLD, NOBODY = "127.0.0.2", "127.0.0.1"

CONFIGURATION = """
[pools.shop]
servers = [{servers}]
[pools.shop.pacing]
queue = 20
timeout = "400ms"
[groups.gold]
networks = ["127.0.0.2"]
priority = 5
threshold = "100ms"
[log]
access = "access.log"
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
[broker]
workers = 2
"""


class Shop:
    """Three servers of a fixed capacity, and the broker before them."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.certificates = certificates
        self._programs = ExitStack()
        *servers, self.https, self.http, self.admin = free_ports(6)
        try:
            for port in servers:
                said = json.dumps({"port": port, "places": PLACES, "service": SERVICE})
                argv = [sys.executable, "-m", "bench.priorities.server", said]
                env = {"PYTHONPATH": str(ROOT)}
                program = Program(f"server-{port}", argv, directory, ports=[port], env=env)
                self._programs.enter_context(program)
            text = doors(self.https, self.http, certificates.server)
            addresses = ", ".join(f'"127.0.0.1:{port}"' for port in servers)
            text += CONFIGURATION.format(servers=addresses, admin=self.admin)
            self.broker = start_broker(directory, text, [self.https, self.http, self.admin])
            self._programs.enter_context(self.broker)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def clients(self, count: int, source: str, *, secure: bool) -> list[Client]:
        port, authority = (self.https, self.certificates.authority) if secure else (self.http, None)
        return [Client(port, authority, source) for _ in range(count)]

    def metric(self, name: str, *labels: str) -> float:
        """The sum of those of this name that have all these labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith(name) and all(label in line for label in labels)]
        assert found, name
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def curl(self) -> subprocess.CompletedProcess[str]:
        where = ["--cacert", str(self.certificates.authority), "--ipv4", "--interface", GOLD]
        words = curl_words("--fail", *where, f"https://localhost:{self.https}/secure")
        return subprocess.run(words, check=False, capture_output=True, text=True)


class Seen:
    """What clients of one kind got: the times of good answers, and who was refused."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.refused: list[str | None] = []  # how long to wait before the next request, as the broker said
        self._lock = threading.Lock()

    def job(self, target: str, pause: float) -> Job:
        def job(client: Client, number: int) -> str:
            began = time.monotonic()
            status, data, fields = client.ask(target)
            seconds = time.monotonic() - began
            with self._lock:
                if status == 503:
                    self.refused.append(fields["Retry-After"])
                elif status == 200:
                    self.times.append(seconds)
            time.sleep(pause if status == 200 else 0.2)
            return "" if status in (200, 503) else f"status {status}: {data!r}"

        return job


@pytest.fixture
def shop(tmp_path: Path, certificates: Certificates) -> Iterator[Shop]:
    shop = Shop(tmp_path, certificates)
    yield shop
    shop.close()
    assert "Traceback" not in shop.broker.output()


def test_secure_clients_of_a_group_stay_fast_while_plain_ones_ask_for_too_much(shop: Shop) -> None:
    gold, plain = Seen(), Seen()
    with (
        traffic(gold.job("/secure", 0.05), shop.clients(4, GOLD, secure=True)) as secure_traffic,
        traffic(plain.job("/plain", 0.02), shop.clients(60, NOBODY, secure=False)) as plain_traffic,
    ):
        time.sleep(3)  # in which the broker finds out what its servers can do
        for seen in (gold, plain):
            seen.times.clear()
        plain_traffic.during(4)
        curl = shop.curl()
    assert (curl.returncode, curl.stdout, curl.stderr) == (0, "served\n", "")
    assert (secure_traffic.errors, plain_traffic.errors) == ([], [])
    assert gold.refused == [], "a secure one was refused"
    assert len(gold.times) > 20
    assert len(plain.times) > 20, "plain traffic goes on"
    assert statistics.median(gold.times) < statistics.median(plain.times) / 2
    assert plain.refused, "nobody was refused, so it was not too much"
    assert all(said is not None and int(said) >= 1 for said in plain.refused)

    asked = secure_traffic.done + plain_traffic.done + 1
    log = shop.directory / "access.log"
    assert until(lambda: len(log_of(log)) >= asked, 20), shop.broker.output()
    check_log(log_of(log), len(plain.refused))
    assert shop.metric("sslbroker_pool_held_back_transactions_total") > 0
    assert shop.metric("sslbroker_pool_shed_transactions_total") == len(plain.refused)
    assert shop.metric("sslbroker_server_pacing_reductions_total") > 0
    assert shop.metric("sslbroker_group_transactions_total", 'group="gold"') == secure_traffic.done + 1
    assert until(lambda: shop.metric("sslbroker_pool_plain_share") == 1.0, 30), "all of it comes back"


def check_log(entries: list[dict[str, Any]], refused: int) -> None:
    """Who was refused, and what was promised to whom."""
    paced = [entry for entry in entries if entry["end"] == "choose:paced"]
    assert len(paced) == refused
    for entry in paced:
        assert (entry["secure"], entry["group"], entry["tries"]) == (False, None, [])
    gold = [entry for entry in entries if entry["group"] == "gold"]
    assert {(entry["secure"], entry["priority"], entry["threshold"]) for entry in gold} == {(True, 5, 100.0)}
    assert {entry["end"] for entry in gold} == {"ok"}
    assert not any(entry["breach"] for entry in entries if entry not in gold)
