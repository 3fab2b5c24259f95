"""Run named commands one after the other and sum up: what `make test` and `make test-all` share.

Decides how a step is run, shown and counted. Invariant: every step runs whatever became of those
before it, its output is shown when it fails, and nothing that failed or did not run is missing from
the summary. Refuses to know what the steps are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".cache" / "check"


@dataclass(frozen=True)
class Step:
    """One command, run in the checkout; `limit` is the seconds it may take."""

    name: str
    argv: Sequence[str]
    limit: float = 900.0
    env: Mapping[str, str] = field(default_factory=dict)
    junit: Path | None = None  # where the command leaves its JUnit report, if it is pytest
    note: Callable[[str], str] | None = None  # from the output, what the summary says beside the result


@dataclass(frozen=True)
class Tally:
    """Tests, counted; an error in set-up or collection is a failed test."""

    passed: int = 0
    failed: int = 0
    skipped: tuple[tuple[str, str], ...] = ()  # name and reason

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


@dataclass(frozen=True)
class Result:
    name: str
    passed: bool
    seconds: float
    note: str = ""
    tally: Tally = Tally()


def read_junit(path: Path) -> Tally | None:
    """The tests of a JUnit report; None when there is none, or only part of one."""
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return None
    passed = failed = 0
    skipped = []
    for case in cases:
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            skipped.append((f"{case.get('classname')}.{case.get('name')}", skip.get("message", "")))
        else:
            passed += 1
    return Tally(passed, failed, tuple(skipped))


def run(step: Step) -> Result:
    """Run one step; its output goes to a file, and to the reader when it failed."""
    WORK.mkdir(parents=True, exist_ok=True)
    if step.junit is not None:
        step.junit.unlink(missing_ok=True)
    log = WORK / f"{step.name.replace(' ', '-').replace('/', '-')}.log"
    print(f"… {step.name}", flush=True)
    started = time.monotonic()
    code, remark = _execute(step, log)
    seconds = time.monotonic() - started
    output = log.read_text(errors="replace")
    tally = Tally()
    if step.junit is not None:
        tally = read_junit(step.junit) or Tally(failed=1)
        remark = remark or f"{tally.passed} passed, {tally.failed} failed, {len(tally.skipped)} skipped"
        if code and not tally.failed:
            tally += Tally(failed=1)  # stopped, or crashed, after the last test it reported
    if not remark and step.note is not None:
        remark = step.note(output)
    passed = code == 0 and not tally.failed
    if not passed:
        print(f"---- {step.name} failed: {' '.join(map(str, step.argv))}")
        print(output.rstrip() or "(no output)")
        print(f"---- end of {step.name} ({os.path.relpath(log)})", flush=True)
    return Result(step.name, passed, seconds, remark, tally)


def _execute(step: Step, log: Path) -> tuple[int, str]:
    with log.open("wb") as out:
        try:
            child = subprocess.Popen(
                step.argv,
                cwd=ROOT,
                env={**os.environ, **step.env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return 127, f"cannot run {step.argv[0]}: {error.strerror}"
        try:
            return child.wait(step.limit), ""
        except subprocess.TimeoutExpired:
            return 1, f"ended after its limit of {step.limit:.0f} s"
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)  # the group is the step's own: start_new_session
                child.wait()


def summary(results: Sequence[Result], not_run: Sequence[tuple[str, str]] = ()) -> int:
    """Print a line for each step, what did not run, and the totals; give the exit code."""
    tally = sum((result.tally for result in results), Tally())
    width = max((len(result.name) for result in results), default=0)
    print("\nsummary")
    for result in results:
        word = "pass" if result.passed else "FAIL"
        print(f"  {word}  {result.name:<{width}}  {result.seconds:6.1f} s  {result.note}".rstrip())
    for name, why in (*not_run, *tally.skipped):
        print(f"  NOT RUN: {name}: {why}")
    print(f"{tally.passed} passed, {tally.failed} failed", flush=True)
    return 0 if all(result.passed for result in results) else 1
