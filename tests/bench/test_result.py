"""A result is written whatever else fails, and a bench that cannot run says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import document
from bench.programs import CannotRun
from bench.result import finish, origin, program


@pytest.fixture
def updated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    monkeypatch.setattr(document, "update", lambda: done.append("documents"))
    return done


def no_picture(result: Mapping[str, Any], file: Path) -> None:
    raise CannotRun("no picture: no matplotlib")


def test_the_result_and_its_picture_are_side_by_side(tmp_path: Path, updated: list[str]) -> None:
    drawn: list[Path] = []
    file = tmp_path / "new" / "bench.json"
    finish({"rate": 1}, file, lambda result, picture: drawn.append(picture), publish=False)
    assert json.loads(file.read_text()) == {"rate": 1}
    assert drawn == [tmp_path / "new" / "bench.png"]
    assert updated == []


def test_without_a_picture_it_is_published_all_the_same(
    tmp_path: Path, updated: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    finish({"rate": 1}, tmp_path / "bench.json", no_picture, publish=True)
    assert "no picture: no matplotlib" in capsys.readouterr().out
    assert updated == ["documents"]


def test_it_says_where_it_was_measured() -> None:
    assert set(origin()["machine"]) == {"cpu", "cores", "kernel"}


def test_a_bench_that_cannot_run_ends_with_the_reason() -> None:
    def main() -> None:
        raise CannotRun("wrk is not installed")

    with pytest.raises(SystemExit, match="bench: wrk is not installed"):
        program(main)
    with pytest.raises(SystemExit) as ended:
        program(lambda: None)
    assert ended.value.code == 0
