"""A source file without tests is found, and so is an excuse that has outlived its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_tests_mirror import problems

BEHAVIOUR = "def decide() -> int:\n    return 1\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "sslbroker" / "core").mkdir(parents=True)
    (tmp_path / "tests" / "core").mkdir(parents=True)
    (tmp_path / "sslbroker" / "core" / "storage.py").write_text(BEHAVIOUR)
    return tmp_path


def test_a_file_without_its_test_file_is_reported_with_the_place_it_belongs(checkout: Path) -> None:
    assert problems(checkout, {}) == [
        "sslbroker/core/storage.py: no test file, expected tests/core/test_storage.py"
    ]


def test_a_file_with_its_test_file_is_fine(checkout: Path) -> None:
    (checkout / "tests" / "core" / "test_storage.py").write_text("")
    assert problems(checkout, {}) == []


def test_a_file_that_defines_nothing_owes_no_test(checkout: Path) -> None:
    (checkout / "sslbroker" / "core" / "storage.py").write_text('"""Only words."""\nLIMIT = 3\n')
    assert problems(checkout, {}) == []


def test_an_excused_file_is_fine(checkout: Path) -> None:
    assert problems(checkout, {"sslbroker/core/storage.py": "words"}) == []


def test_an_excuse_ends_when_the_test_file_comes(checkout: Path) -> None:
    (checkout / "tests" / "core" / "test_storage.py").write_text("")
    [line] = problems(checkout, {"sslbroker/core/storage.py": "words"})
    assert line.endswith("tests/core/test_storage.py exists: drop the excuse")


def test_an_excuse_ends_when_the_file_goes(checkout: Path) -> None:
    (checkout / "tests" / "core" / "test_storage.py").write_text("")
    assert problems(checkout, {"sslbroker/gone.py": "words"}) == [
        "sslbroker/gone.py: is excused, but there is no such file: drop the excuse"
    ]
