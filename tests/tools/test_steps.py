"""Every step runs, a failure is never lost from the summary, and the totals are the last line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.steps import Result, Step, Tally, read_junit, run, summary

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="a" name="one"/>
<testcase classname="a" name="two"><failure message="no"/></testcase>
<testcase classname="a" name="three"><error message="set-up"/></testcase>
<testcase classname="a" name="four"><skipped message="no nginx"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.steps.WORK", tmp_path / "logs")


def python(name: str, code: str, limit: float = 60.0) -> Step:
    return Step(name, (sys.executable, "-c", code), limit=limit)


def test_a_step_that_fails_shows_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(python("fails", "print('what went wrong'); raise SystemExit(3)"))
    assert not result.passed
    assert "what went wrong" in capsys.readouterr().out


def test_a_step_that_passes_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(python("passes", "print('chatter')")).passed
    assert "chatter" not in capsys.readouterr().out


def test_a_step_that_hangs_is_ended_at_its_limit() -> None:
    result = run(python("hangs", "import signal; signal.pause()", limit=0.5))
    assert not result.passed
    assert "limit" in result.note


def test_a_program_that_is_not_there_is_a_failed_step() -> None:
    result = run(Step("absent", ("/nonexistent/program",)))
    assert not result.passed
    assert "cannot run /nonexistent/program" in result.note


def test_a_report_is_counted_with_errors_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert read_junit(report) == Tally(1, 2, (("a.four", "no nginx"),))


def test_tests_that_crash_before_their_report_count_as_a_failure(tmp_path: Path) -> None:
    step = Step("crash", (sys.executable, "-c", "raise SystemExit(3)"), junit=tmp_path / "none.xml")
    assert run(step).tally == Tally(failed=1)


def test_a_report_left_by_an_earlier_run_is_not_believed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    step = Step("stale", (sys.executable, "-c", ""), junit=report)
    assert run(step).tally == Tally(failed=1)


def test_the_summary_ends_with_the_totals_and_names_what_did_not_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = [
        Result("lint", True, 1.0),
        Result("tests", True, 2.0, tally=Tally(7, 0, (("a.four", "no nginx"),))),
    ]
    assert summary(results, [("chromium", "not installed")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "7 passed, 0 failed"
    assert "  NOT RUN: chromium: not installed" in lines
    assert "  NOT RUN: a.four: no nginx" in lines


def test_one_failed_step_fails_the_whole_though_every_test_passed() -> None:
    assert summary([Result("lint", False, 1.0), Result("tests", True, 2.0, tally=Tally(7))]) == 1
