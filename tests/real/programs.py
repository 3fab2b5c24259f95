"""Find, start and end real programs, each by the process that was started and no other.

Decides how a test meets a program: a missing one skips the test with the reason, a started one is
waited for until it listens, and is always ended. Invariant: what a `Program` started is gone after
`end`. Refuses to know what any program is for.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent


def find(name: str) -> str:
    """The path of a program; skips the test when it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def client_python() -> str:
    """The Python that has requests, aiohttp and websockets; skips the test when there is none."""
    path = os.environ.get("REAL_PYTHON") or str(ROOT / ".cache" / "venv-real" / "bin" / "python")
    if not Path(path).exists():
        pytest.skip(f"no {path} (make test-all sets it up; REAL_PYTHON names another)")
    return path


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has now, all different.

    Below those that the kernel gives to connections going out: one of these could take a port between
    here and the program that shall listen on it.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 12_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"{count} free ports wanted, {len(found)} found")


def listens(port: int) -> bool:
    """Whether somebody listens on this port, as the kernel has it: a connection would be logged."""
    listening = "0A"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):  # no IPv6
            for entry in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *_ = entry.split()
                if state == listening and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False


def until(true: object, seconds: float) -> bool:
    """Ask `true` (a callable) again and again until it says yes; False when it never did."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)  # a foreign program gives no other sign
    return True


class Program:
    """One started program with its output in a file; ends with the `with` block."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        directory: Path,
        *,
        ports: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        patience: float = 20.0,
    ) -> None:
        self.name = name
        self.ports = list(ports)
        self.log = directory / f"{name}.output"
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(
                [str(word) for word in argv],
                cwd=directory,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        started = until(lambda: self.child.poll() is not None or all(map(listens, ports)), patience)
        if not started or self.child.poll() is not None:
            self.end()
            pytest.fail(f"{name} did not start listening on {ports}: {self.output()}")

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self.child.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()
        self.child.wait()

    def end(self, patience: float = 10.0) -> int:
        """Ask it to end, insist after `patience` seconds; its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
        code = self.child.wait()
        with contextlib.suppress(ProcessLookupError):  # a parent may leave its children behind
            os.killpg(self.child.pid, signal.SIGKILL)
        return code


def memory(pid: int) -> tuple[int, int]:
    """The resident memory of a process, now and at its highest: bytes."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    now, highest = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest
