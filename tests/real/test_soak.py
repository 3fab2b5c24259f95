"""Servers are killed and stopped while clients compare hashes: `bench.faults` in short, with assertions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.faults import reasons
from bench.faults.asking import Order, run
from bench.faults.befalling import Fault, Told, befalling
from bench.faults.seen import Seen
from bench.faults.servers import Trio, started

from .programs import Program, find, free_ports
from .site import LISTENER, TLS, Certificates, start_broker

KILLED = Fault("kill", every=1.0, away=0.2)
STOPPED = Fault("stop", every=3.5, away=3.0)
POOL = """
[pools.files]
servers = [{servers}]
[pools.files.failover]
response_timeout = "1s"
[log]
access = "access.log"
"""


@contextmanager
def behind_the_broker(
    kind: str, directory: Path, certificates: Certificates
) -> Iterator[tuple[Trio, Program, Order]]:
    """Three servers of one kind, the broker before them, and clients for it."""
    find("nginx")
    for each in (directory, directory.parent):
        each.chmod(0o755)
    with started([kind] * 3, directory, ()) as trio:
        (port,) = free_ports(1)
        text = LISTENER.format(name="https", port=port, pool="files")
        text += TLS.format(name="https", certificate=certificates.server)
        text += POOL.format(servers=", ".join(f'"127.0.0.1:{each}"' for each in trio.ports))
        with start_broker(directory, text, [port]) as broker:
            yield trio, broker, Order(port, dict(trio.hashes), 0, connections=30, patience=15)
        assert "Traceback" not in broker.log.read_text(errors="replace")


def soak(fault: Fault, trio: Trio, order: Order, seconds: float) -> tuple[Seen, Told]:
    """Some 300 requests a second for so long; a slow machine takes longer."""
    asked = replace(order, requests=int(300 * seconds), seconds=seconds)
    with befalling(fault, trio.servers, order.seed) as told:
        seen = run(asked)
    assert seen.requests == asked.requests
    assert told.count >= 1
    return seen, told


def why(seen: Seen, directory: Path) -> list[str]:
    return reasons.reasons(seen.failed, reasons.entries(directory / "access.log"))


def test_servers_that_are_killed_each_second_are_not_noticed(
    tmp_path: Path, certificates: Certificates
) -> None:
    with behind_the_broker("good", tmp_path, certificates) as (trio, _, order):
        seen, _ = soak(KILLED, trio, order, 5)
    assert (why(seen, tmp_path), seen.wrong) == ([], [])
    outcomes = reasons.tries(reasons.entries(tmp_path / "access.log"))
    assert outcomes.keys() & {"refused", "truncated", "stale"}, "nothing was broken that could be mended"


def test_servers_that_are_stopped_are_not_noticed(tmp_path: Path, certificates: Certificates) -> None:
    with behind_the_broker("good", tmp_path, certificates) as (trio, _, order):
        seen, _ = soak(STOPPED, trio, order, 4.5)
    assert (why(seen, tmp_path), seen.wrong) == ([], [])
    assert "silent" in reasons.tries(reasons.entries(tmp_path / "access.log"))


def test_what_cannot_be_proved_right_is_cut_and_never_wrong(
    tmp_path: Path, certificates: Certificates
) -> None:
    with behind_the_broker("weak", tmp_path, certificates) as (trio, _, order):
        seen, _ = soak(KILLED, trio, order, 3.5)
    assert seen.wrong == []
    # The reset by which a client is cut may overtake the beginning of the answer, which was written before.
    assert {each.kind for each in seen.failed} <= {"cut", "reset"}, why(seen, tmp_path)
    assert seen.good > seen.requests * 0.9
