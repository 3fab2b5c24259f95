"""The environment is made again when, and only when, what it was made from has changed."""

from __future__ import annotations

import json
from pathlib import Path

from tools.environment import is_current, key


def stamped(venv: Path, word: str, *extras: str) -> Path:
    venv.mkdir(exist_ok=True)
    (venv / "sslbroker-stamp.json").write_text(json.dumps({"key": word, "extras": extras}))
    return venv


def test_the_key_follows_the_project_file_the_python_and_the_place(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there with a space"
    for root in (here, there):
        root.mkdir()
        (root / "pyproject.toml").write_text("one")
    keys = [key(here, "3.11"), key(here, "3.12"), key(there, "3.11")]
    (here / "pyproject.toml").write_text("two")
    assert len({*keys, key(here, "3.11")}) == 4


def test_an_environment_with_more_extras_serves(tmp_path: Path) -> None:
    venv = stamped(tmp_path / "venv", "k", "dev")
    assert is_current(venv, "k", [])
    assert is_current(venv, "k", ["dev"])


def test_an_environment_with_fewer_extras_does_not(tmp_path: Path) -> None:
    assert not is_current(stamped(tmp_path / "venv", "k"), "k", ["dev"])


def test_an_environment_of_another_key_does_not_serve(tmp_path: Path) -> None:
    assert not is_current(stamped(tmp_path / "venv", "old"), "new", [])


def test_a_missing_or_broken_stamp_does_not_serve(tmp_path: Path) -> None:
    assert not is_current(tmp_path / "none", "k", [])
    (tmp_path / "sslbroker-stamp.json").write_text("{")
    assert not is_current(tmp_path, "k", [])
