"""Find, start and end programs that are not ours, each by the process that was started and no other.

Decides how a program is met: where it is looked for, when it has started, and how it is ended. Invariant:
what a `Program` started is gone after `end`. Refuses to install anything, to know what a program is for, and
what follows when one is missing: tests and benches say that.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

_ELSEWHERE = "/usr/sbin:/usr/local/sbin:/sbin"
_LISTENING = "0A"


class NotStarted(Exception):
    """A program ended, or did not listen in time; the text says which, and what it said."""


def path_of(name: str) -> str | None:
    """Where a program is; None when it is not installed."""
    return shutil.which(name) or shutil.which(name, path=_ELSEWHERE)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has now, all different; `OSError` when there are too few.

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


def sockets(port: int, state: str = _LISTENING) -> list[str]:
    """The inodes of the sockets with this local port, as the kernel tells: a connection would be logged."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):  # no IPv6
            for entry in Path(table).read_text().splitlines()[1:]:
                fields = entry.split()
                if fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append(fields[9])
    return found


def until(true: Callable[[], object], seconds: float) -> bool:
    """Ask again and again until the answer is yes; False when it never was."""
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
        """Wait up to `patience` seconds until it listens on all of `ports`; else `NotStarted`."""
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
        started = until(lambda: self.child.poll() is not None or all(map(sockets, ports)), patience)
        if not started or self.child.poll() is not None:
            self.end()
            raise NotStarted(f"{name} did not start listening on {self.ports}: {self.output()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self.child.pid

    def output(self) -> str:
        """The end of what it said."""
        return self.log.read_text(errors="replace")[-4000:]

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
