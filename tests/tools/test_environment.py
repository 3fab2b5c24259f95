"""The environment is made again when, and only when, what it was made from has changed."""

from __future__ import annotations

import json
from pathlib import Path

from tools.environment import is_current, key


def stamped(venv: Path, word: str, *extras: str) -> Path:
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    stamp = {"key": word, "python": "3.11", "extras": extras}
    (venv / "sslbroker-stamp.json").write_text(json.dumps(stamp))
    return venv


def test_the_key_follows_the_project_file_and_the_place(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there with a space"
    for root in (here, there):
        root.mkdir()
        (root / "pyproject.toml").write_text("one")
    keys = {key(here), key(there)}
    (here / "pyproject.toml").write_text("two")
    assert len({*keys, key(here)}) == 3


def test_an_environment_with_more_extras_serves(tmp_path: Path) -> None:
    venv = stamped(tmp_path / "venv", "k", "dev")
    assert is_current(venv, "k", [], "3.11")
    assert is_current(venv, "k", ["dev"], "3.11")


def test_an_environment_with_fewer_extras_does_not(tmp_path: Path) -> None:
    assert not is_current(stamped(tmp_path / "venv", "k"), "k", ["dev"], "3.11")


def test_an_environment_of_another_key_does_not_serve(tmp_path: Path) -> None:
    assert not is_current(stamped(tmp_path / "venv", "old"), "new", [], "3.11")


def test_an_environment_of_another_python_serves_only_who_does_not_care(tmp_path: Path) -> None:
    venv = stamped(tmp_path / "venv", "k")
    assert not is_current(venv, "k", [], "3.12")
    assert is_current(venv, "k", [], None)


def test_a_missing_or_broken_stamp_does_not_serve(tmp_path: Path) -> None:
    assert not is_current(tmp_path / "none", "k", [], None)
    venv = stamped(tmp_path / "venv", "k")
    (venv / "sslbroker-stamp.json").write_text("{")
    assert not is_current(venv, "k", [], None)


def test_an_environment_whose_python_is_gone_does_not_serve(tmp_path: Path) -> None:
    venv = stamped(tmp_path / "venv", "k")
    (venv / "bin" / "python").unlink()
    assert not is_current(venv, "k", [], None)
