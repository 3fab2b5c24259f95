"""The load of new connections: ab, which makes a whole handshake for each request.

Decides how ab is called and read. Invariant: no session is resumed (wrk would: it keeps the last session of a
connection that it opens again), and a run with errors is no figure. ab speaks HTTP/1.0.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .programs import CannotRun, find
from .wrk import Load

_COUNT = re.compile(
    r"^(Complete requests|Failed requests|Non-2xx responses|Time taken for tests): +([\d.]+)", re.M
)


def load(url: str, *, connections: int, seconds: float, cores: Sequence[int], directory: Path) -> Load:
    """Ask for `url` as fast as it is answered, so many at a time, each over a connection of its own."""
    times = directory / "ab.csv"
    pinned = (find("taskset"), "-c", ",".join(map(str, cores)))
    argv = [*pinned, find("ab"), "-q", "-c", str(connections), "-t", str(max(1, round(seconds)))]
    argv += ["-n", "10000000", "-s", "10", "-e", str(times), "-H", "Connection: close"]
    argv += ["-f", "TLS1.3"] if url.startswith("https:") else []
    try:
        done = subprocess.run([*argv, url], capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired:
        raise CannotRun("ab did not end") from None
    if done.returncode:
        raise CannotRun(f"ab: {(done.stderr or done.stdout).strip()[-300:]}")
    return read(done.stdout, times.read_text())


def read(output: str, times: str) -> Load:
    """The counts in what ab prints, and the quantiles in its file of times."""
    counts = {name: float(value) for name, value in _COUNT.findall(output)}
    complete = int(counts.get("Complete requests", 0))
    failed = int(counts.get("Failed requests", 0) + counts.get("Non-2xx responses", 0))
    if failed or not complete:
        raise CannotRun(f"{complete} transactions, {failed} of them failed")
    found = dict(line.split(",") for line in times.splitlines()[1:])
    p50, p99 = (float(found[share]) / 1e3 for share in ("50", "99"))
    return Load(complete, counts["Time taken for tests"], p50, p99)
