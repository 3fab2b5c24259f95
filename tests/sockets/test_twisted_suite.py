"""How Twisted's own tests are judged: what is left out, fails, and nothing that fails is left unsaid."""

from __future__ import annotations

import contextlib
import io

from .twisted_suite import KINDS, LEFT_OUT, Outcome, judge, left_out


def judged(how: str, excused: dict[str, bool]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return judge("direct", [Outcome("a.b", how, "why", 0.1)], excused)


def test_a_failure_is_wrong_unless_it_is_left_out() -> None:
    assert judged("failed", {}) == 1
    assert judged("failed", {"a.b": True}) == 0


def test_an_entry_that_passes_is_wrong_unless_that_depends_on_the_machine() -> None:
    assert judged("passed", {"a.b": True}) == 1
    assert judged("passed", {"a.b": False}) == 0
    assert judged("skipped", {"a.b": True}) == 0


def test_an_entry_that_is_no_test_is_wrong() -> None:
    assert judged("passed", {"a.gone": True}) == 1


def test_each_entry_has_kinds_that_there_are_a_name_and_a_reason() -> None:
    for line in LEFT_OUT.read_text().splitlines():
        if line and not line.startswith("#"):
            kinds, name, reason = line.split(maxsplit=2)
            assert {kind.rstrip("?") for kind in kinds.split(",")} <= KINDS.keys(), line
            assert name.endswith(":"), line
            assert reason.endswith("."), line
    assert (
        left_out("reactor")["twisted.internet.test.test_process.ProcessTestsBuilder.test_changeUID"] is False
    )
    assert left_out("reactor")["twisted.internet.test.test_unix.UNIXTestsBuilder.test_logPrefix"] is True
