"""Each failure that a client saw has its story in the broker's access log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.faults.reasons import entries, reasons, story, tries
from bench.faults.seen import Failure

CUT: dict[str, Any] = {
    "target": "/01?n=1",
    "status": 200,
    "end": "relay:truncated",
    "tries": [{"outcome": "truncated", "next": "response-begun", "detail": "a weak ETag"}],
}
GOOD: dict[str, Any] = {
    "target": "/01?n=2",
    "status": 200,
    "end": "ok",
    "tries": [{"outcome": "refused", "next": "nothing-sent"}, {"outcome": "ok"}],
}


def test_a_story_tells_of_each_try_and_of_the_end() -> None:
    assert story(CUT) == "truncated response-begun a weak ETag; end: relay:truncated, status 200"
    assert story(GOOD).startswith("refused nothing-sent; then ok; end: ok")


def test_equal_stories_are_counted_and_who_is_not_in_the_log_is_told() -> None:
    failed = [Failure(f"/0{number}?n={number}", "cut", "here", 0.0) for number in (1, 1, 7)]
    assert reasons(failed, [CUT, GOOD]) == [
        f"2 times cut (here): {story(CUT)}",
        "1 times cut (here): not in the access log",
    ]


def test_the_log_is_read_and_outcomes_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert entries(file) == []
    file.write_text(f"{json.dumps(CUT)}\n{json.dumps(GOOD)}\n")
    assert tries(entries(file)) == {"truncated": 1, "refused": 1, "ok": 1}
