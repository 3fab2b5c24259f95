"""Real programs in tests.

Decides how a test meets a program (`tools.programs`): a missing one skips the test with the reason, one that
does not start fails it. Invariant: what a `Program` started is gone after `end`. Refuses to know what any
program is for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tools import programs
from tools.programs import NotStarted, free_ports, path_of, sockets, until

__all__ = [
    "HERE",
    "ROOT",
    "Program",
    "client_python",
    "find",
    "free_ports",
    "listens",
    "memory",
    "until",
]

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent


def find(name: str) -> str:
    """The path of a program; skips the test when it is not installed."""
    path = path_of(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def curl_words(*words: str, patience: int = 20) -> list[str]:
    """What runs curl, without the settings and proxies of whoever runs the tests; seconds of patience."""
    quiet = ["-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", str(patience)]
    return [find("curl"), *quiet, *words]


def client_python() -> str:
    """The Python that has requests, aiohttp and websockets; skips the test when there is none."""
    path = os.environ.get("REAL_PYTHON") or str(ROOT / ".cache" / "venv-real" / "bin" / "python")
    if not Path(path).exists():
        pytest.skip(f"no {path} (make test-all sets it up; REAL_PYTHON names another)")
    return path


def listens(port: int) -> bool:
    """Whether somebody listens on this port, as the kernel has it: a connection would be logged."""
    return bool(sockets(port))


class Program(programs.Program):
    """One started program; the test fails when it does not start."""

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
        try:
            super().__init__(name, argv, directory, ports=ports, env=env, patience=patience)
        except NotStarted as error:
            pytest.fail(str(error))

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()
        self.child.wait()


def memory(pid: int) -> tuple[int, int]:
    """The resident memory of a process, now and at its highest: bytes."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    now, highest = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest
