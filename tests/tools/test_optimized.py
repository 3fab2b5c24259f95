"""Benches take an optimized Python where there is one, and say why they did not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import pytest

from tools.optimized import Build, ask, build, choose, name, optimized


def python(path: str, minor: int = 11, *, fast: bool = True, venv: bool = True) -> Build:
    return {"path": path, "version": [3, minor, 2], "optimized": fast, "venv": venv}


class Machine:
    """Its Pythons by path; a package that is installed makes one able to make environments."""

    def __init__(self, *pythons: Build, packages: Mapping[str, str] | None = None) -> None:
        self.pythons = {each["path"]: each for each in pythons}
        self.packages = packages or {}
        self.installed: list[str] = []

    def install(self, names: Sequence[str]) -> None:
        self.installed += names
        for package in names:
            if package in self.packages:
                self.pythons[self.packages[package]]["venv"] = True

    def choose(self, own: Build) -> tuple[str, list[str]]:
        chosen, refused = choose(own, ["/gone", *self.pythons], self.pythons.get, self.install)
        return chosen["path"], refused


@pytest.mark.parametrize(
    ("arguments", "prefix", "debian", "expected"),
    [
        ("'--enable-shared' '--enable-optimizations' '--with-lto'", "/opt/python", False, True),
        ("'--prefix=/root/.pyenv/versions/3.11.7'", "/root/.pyenv/versions/3.11.7", True, False),
        ("'--prefix=/usr' '--with-dtrace'", "/usr", True, True),
        ("'--prefix=/usr'", "/usr", False, False),
        ("", "/usr/local", True, False),
    ],
)
def test_a_build_is_optimized_by_its_arguments_or_by_debian(
    arguments: str, prefix: str, debian: bool, expected: bool
) -> None:
    assert optimized(arguments, prefix, debian=debian) is expected


def test_the_one_that_asks_is_taken_when_it_is_optimized() -> None:
    assert Machine(python("/usr/bin/python3")).choose(python("/own")) == ("/own", [])


def test_else_the_first_optimized_one_of_a_version_that_will_do() -> None:
    machine = Machine(
        python("/old", 10), python("/slow", fast=False), python("/good", 12), python("/better", 13)
    )
    assert machine.choose(python("/own", fast=False)) == ("/good", [])
    assert machine.choose(python("/own", 9)) == ("/good", [])


def test_without_a_better_one_it_stays_with_the_one_that_asks() -> None:
    assert Machine(python("/slow", fast=False)).choose(python("/own", fast=False)) == ("/own", [])


def test_what_environments_need_is_installed_where_that_is_allowed() -> None:
    machine = Machine(
        python("/usr/bin/python3", venv=False), packages={"python3.11-venv": "/usr/bin/python3"}
    )
    assert machine.choose(python("/own", fast=False)) == ("/usr/bin/python3", [])
    assert machine.installed == ["python3.11-venv"]


def test_else_it_is_told_what_to_install() -> None:
    machine = Machine(python("/usr/bin/python3", venv=False))
    path, refused = machine.choose(python("/own", fast=False))
    assert path == "/own"
    assert refused == ["/usr/bin/python3 makes no environments: install python3.11-venv"]


def test_a_python_that_is_asked_says_what_it_is() -> None:
    assert ask(sys.executable) == build()
    assert ask("/nowhere/python3") is None
    assert ask("/bin/true") is None
    assert name(python("/own", 12, fast=False)) == "Python 3.12.2, not an optimized build"
