"""The load of the throughput rows: wrk, which answers its own questions in C.

Decides how wrk is called and read. Invariant: a run with errors, or without transactions, is no figure: it is
a `CannotRun`. Refuses to read what wrk prints for people: a script of ours writes its counts as JSON.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .programs import CannotRun, find

_MARK = "counted "
_SCRIPT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'counted {"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
"""


@dataclass(frozen=True)
class Load:
    """What one run of wrk did; times in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def load(
    url: str, *, connections: int, seconds: float, cores: Sequence[int], directory: Path, close: bool = False
) -> Load:
    """Ask for `url` as fast as it is answered, over so many connections; `close`: a new one each time."""
    script = directory / "counted.lua"
    script.write_text(_SCRIPT)
    pinned = (find("taskset"), "-c", ",".join(map(str, cores)))
    argv = [*pinned, find("wrk"), f"-t{len(cores)}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    argv += ["-H", "Connection: close"] if close else []
    argv += ["-s", str(script), url]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired:
        raise CannotRun("wrk did not end") from None
    if done.returncode:
        raise CannotRun(f"wrk: {(done.stderr or done.stdout).strip()[-300:]}")
    return read(done.stdout)


def read(output: str) -> Load:
    """The counts in wrk's output."""
    line = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise CannotRun(f"wrk did not say what it counted: {output.strip()[-300:]}")
    counts: dict[str, int] = json.loads(line.removeprefix(_MARK))
    errors = {name: counts[name] for name in ("connect", "read", "write", "timeout", "status")}
    if any(errors.values()) or not counts["requests"]:
        told = ", ".join(f"{count} of {name}" for name, count in errors.items() if count)
        raise CannotRun(f"{counts['requests']} transactions, errors: {told or 'none'}")
    return Load(counts["requests"], counts["microseconds"] / 1e6, counts["p50"] / 1e6, counts["p99"] / 1e6)
