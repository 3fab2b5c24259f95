"""Find, install, start and end the programs that a bench needs.

Decides where programs come from (Debian's packages, for root where there is apt-get) and on which core
each one runs. Invariant: whatever was started has ended, by its own process id, when the bench ends; what
cannot be had is a `CannotRun` with the reason, for the row that needs it. Starts no service of the system.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "haproxy": "haproxy",
    "nginx": "nginx",
    "wrk": "wrk",
    "ab": "apache2-utils",
    "taskset": "util-linux",
}
_ELSEWHERE = "/usr/sbin:/usr/local/sbin:/sbin"
_LISTENING = "0A"


class CannotRun(Exception):
    """Something cannot be measured here; the text says why."""


def find(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=_ELSEWHERE)
    if path is None:
        package = PACKAGES.get(name, name)
        raise CannotRun(f"{name} is not installed, and only root with apt-get may (Debian: {package})")
    return path


def install() -> None:
    """Install what is not there, where that is allowed; what is still absent shows when it is needed."""
    absent = {package for name, package in PACKAGES.items() if not _there(name)}
    if not absent or os.geteuid() or not shutil.which("apt-get"):
        return
    # As a virtual machine's or a container's set-up does it: no package may start its service.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    print(f"installing {', '.join(sorted(absent))} …", flush=True)
    for words in (("update",), ("install", "-y", "--no-install-recommends", *sorted(absent))):
        subprocess.run(("apt-get", "-q", *words), env=env, stdin=DEVNULL, stdout=DEVNULL, check=False)


def open_files() -> None:
    """As many files as the system lets a process have, for this one and all that it starts."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _there(name: str) -> bool:
    with contextlib.suppress(CannotRun):
        return bool(find(name))
    return False


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has now; below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 12_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise CannotRun(f"{count} free ports wanted, {len(found)} found")


def sockets(port: int, state: str = _LISTENING) -> list[str]:
    """The inodes of the sockets that have this local port, as the kernel has them: nothing is connected."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):  # no IPv6
            for entry in Path(table).read_text().splitlines()[1:]:
                fields = entry.split()
                if fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append(fields[9])
    return found


def wait_for(true: Callable[[], object], seconds: float) -> bool:
    """Ask again and again until the answer is yes; False when it never was."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)  # a foreign program gives no other sign
    return True


class Program:
    """One started program, kept on `cores`, with its output in a file; ends with the `with` block."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        directory: Path,
        *,
        cores: Sequence[int] = (),
        ports: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        patience: float = 20.0,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.output"
        pinned = [find("taskset"), "-c", ",".join(map(str, cores))] if cores else []
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(
                [*pinned, *map(str, argv)],
                cwd=directory,
                env={**os.environ, **(env or {})},
                stdin=DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        wait_for(lambda: self.child.poll() is not None or all(map(sockets, ports)), patience)
        if self.child.poll() is not None or not all(map(sockets, ports)):
            self.end()
            raise CannotRun(f"{name} did not start: {self.output()}")

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self.child.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip()

    def end(self, patience: float = 10.0) -> None:
        """Ask it to end, insist after `patience` seconds."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()
        with contextlib.suppress(ProcessLookupError):  # a parent may leave its children behind
            os.killpg(self.child.pid, signal.SIGKILL)
