"""``make test``: every check that needs no program but Python, and one summary at the end.

Decides which checks there are and their order. Invariant: the last line is exactly
``N passed, N failed`` (tests), and the exit code is 0 only when every step passed. Refuses to set
anything up: `tools/environment.py` did.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .steps import ROOT, WORK, Result, Step, run, summary

BIN = Path(sys.executable).parent
RESP = "examples/sslbroker-resp"
CODE = (
    "sslbroker",
    "tests",
    "tools",
    "bench",
    "twisted/plugins",
    f"{RESP}/src/sslbroker_resp",
    f"{RESP}/tests",
)


def counted(output: str) -> str:
    """The last line that counts something: each of these tools ends with one."""
    lines = [line.strip() for line in output.splitlines()]
    words = ("Found ", "All checks passed", "Success", "Contracts:", "would be", "without,", "files already")
    return next((line for line in reversed(lines) if any(word in line for word in words)), "")


def total(output: str) -> str:
    """Coverage of lines and branches together: the last column of the table's TOTAL."""
    return next((line.split()[-1] for line in output.splitlines() if line.startswith("TOTAL")), "")


def pytest_step(python: Path, name: str, data: Path, *, transport: str = "own", measured: bool) -> Step:
    """The tests under `python`, with `data` for its report, and for coverage when `measured`.

    `transport` carries the connections of brokers in memory (tests/memory.py).
    """
    measure = ("-m", "coverage", "run") if measured else ()
    junit = data / f"{name.replace(' ', '-')}.xml"
    argv = (
        str(python),
        *measure,
        "-m",
        "pytest",
        f"--junitxml={junit}",
        "-o",
        "junit_family=xunit2",
        "--durations=10",
    )
    env = {"COVERAGE_FILE": str(data / "measured"), "SSLBROKER_TRANSPORT": transport}
    return Step(name, argv, limit=1500, env=env, junit=junit)


def steps() -> list[Step]:
    python = str(BIN / "python")
    coverage = {"COVERAGE_FILE": str(WORK / "measured")}
    present = [path for path in CODE if any((ROOT / path).glob("*.py"))]
    report = (python, "-m", "coverage", "report", "--skip-covered", "--show-missing")
    return [
        Step("format", (python, "-m", "ruff", "format", "--check", "."), note=counted),
        Step("lint", (python, "-m", "ruff", "check", "."), note=counted),
        Step("types", (python, "-m", "mypy", *present), note=counted),
        Step("imports", (str(BIN / "lint-imports"), "--no-cache"), note=counted),
        Step("a test file for each file", (python, "-m", "tools.check_tests_mirror"), note=counted),
        Step("diagram", (python, "-m", "tools.diagram", "--check")),
        pytest_step(BIN / "python", "tests with own transport", WORK, measured=True),
        Step(
            "core covered whole",
            (*report, "--include=sslbroker/core/*", "--fail-under=100"),
            env=coverage,
            note=total,
        ),
        Step("coverage", report, env=coverage, note=total),
    ]


def check(names: Sequence[str] = ()) -> list[Result]:
    """Run the steps so named, or all; the others are left out of the summary."""
    return [run(step) for step in steps() if not names or step.name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run every check that needs no other program.")
    parser.add_argument("step", nargs="*", help="only these: " + ", ".join(step.name for step in steps()))
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    return summary(check(options.step))


if __name__ == "__main__":
    sys.exit(main())
