"""Where the broker's time goes during a row: by its functions (cProfile), or by those of the machine (perf).

Decides what is shown of a profile: the functions with most time of their own. Invariant: the result of a row
that was profiled says so, for cProfile makes the broker slower.
"""

from __future__ import annotations

import io
import pstats
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL

from .programs import CannotRun, find

_SHOWN = 40


def by_functions(file: Path) -> str:
    """What cProfile found, in a file that the broker has left when it ended."""
    if not file.exists():
        raise CannotRun(f"the broker has left no profile in {file}")
    out = io.StringIO()
    pstats.Stats(str(file), stream=out).strip_dirs().sort_stats("tottime").print_stats(_SHOWN)
    return out.getvalue()


@contextmanager
def by_machine(pid: int, file: Path) -> Iterator[None]:
    """Let perf watch this process while the block runs; `file` then has its samples."""
    argv = [find("perf"), "record", "-q", "-F", "1999", "-g", "-p", str(pid), "-o", str(file)]
    with subprocess.Popen(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=subprocess.PIPE, text=True) as perf:
        try:
            yield
        finally:
            perf.send_signal(signal.SIGINT)  # it writes its file and ends
            _, errors = perf.communicate()
    if not file.exists():
        raise CannotRun(f"perf: {errors.strip()[-300:]}")


def samples(file: Path) -> str:
    """What perf saw most."""
    argv = [find("perf"), "report", "--stdio", "--no-children", "-g", "none", "-i", str(file)]
    done = subprocess.run(argv, stdin=DEVNULL, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(lines[:_SHOWN])
