"""Find, install, start and end the programs that a bench needs.

Decides which of Debian's packages programs come from, and on which core each one runs. Invariant: whatever
was started has ended, by its own process id, when the bench ends; what cannot be had is a `CannotRun` with
the reason, for the row that needs it. Starts no service of the system.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import packages, programs
from tools.programs import NotStarted, path_of, sockets

__all__ = ["ROOT", "CannotRun", "Program", "find", "free_ports", "install", "open_files", "sockets"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "haproxy": "haproxy",
    "nginx": "nginx",
    "wrk": "wrk",
    "ab": "apache2-utils",
    "taskset": "util-linux",
}


class CannotRun(Exception):
    """Something cannot be measured here; the text says why."""


def find(name: str) -> str:
    path = path_of(name)
    if path is None:
        package = PACKAGES.get(name, name)
        raise CannotRun(f"{name} is not installed, and only root with apt-get may (Debian: {package})")
    return path


def install() -> None:
    """Install what is not there, where that is allowed; what is still absent shows when it is needed."""
    packages.install(package for name, package in PACKAGES.items() if path_of(name) is None)


def open_files() -> None:
    """As many files as the system lets a process have, for this one and all that it starts."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_ports(count: int) -> list[int]:
    try:
        return programs.free_ports(count)
    except OSError as error:
        raise CannotRun(str(error)) from None


class Program(programs.Program):
    """One started program, kept on `cores`; `CannotRun` when it does not start."""

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
        pinned = [find("taskset"), "-c", ",".join(map(str, cores))] if cores else []
        try:
            super().__init__(name, [*pinned, *argv], directory, ports=ports, env=env, patience=patience)
        except NotStarted as error:
            raise CannotRun(str(error)) from None
