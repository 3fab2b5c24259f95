"""Packages are installed by root only, and start nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import packages


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with an apt-get that notes how it is called; the notes."""
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$RUNLEVEL" "$@" >> {tmp_path}/notes\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path / "notes"


def test_root_installs_what_is_wanted_once(machine: Path) -> None:
    packages.install(["wrk", "nginx", "wrk"])
    assert machine.read_text().splitlines() == [
        "1 -q update",
        "1 -q install -y --no-install-recommends nginx wrk",
    ]


def test_nothing_is_done_for_nothing(machine: Path) -> None:
    packages.install([])
    assert not machine.exists()


def test_nothing_is_done_by_others(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    packages.install(["wrk"])
    assert not machine.exists()


def test_nothing_is_done_where_there_are_no_such_packages(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    packages.install(["wrk"])
    assert not machine.exists()
