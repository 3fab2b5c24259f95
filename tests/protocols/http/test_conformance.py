"""What docs/conformance.md names is there: files, tests and vectors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .test_hostile import ONE_CLIENT
from .transcript import VECTORS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "conformance.md").read_text("utf-8")
TABLES = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
NAMES = sorted(set(re.findall(r"`([^`]+)`", TABLES)))
TESTS = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


def exists(name: str) -> bool:
    """A source file, a test, a test's class, or a vector of that name."""
    if name.endswith(".py"):
        here = ROOT / "sslbroker" / "protocols" / "http" / name
        return here.exists() or (ROOT / name).exists()
    if name.startswith("test_"):
        return re.search(rf"def {name}\(", TESTS) is not None
    if re.fullmatch(r"[A-Z][A-Za-z]+", name) and f"class {name}(" in TESTS:
        return True
    return any((VECTORS / folder / f"{name}.txt").exists() for folder in ("requests", "responses"))


@pytest.mark.parametrize(
    "name", [name for name in NAMES if re.match(r"test_|.*\.py$|[A-Z][a-z]+Through|(ok|bad|\d{3})-", name)]
)
def test_what_the_page_names_exists(name: str) -> None:
    if name not in ("100-continue",):
        assert exists(name)


def test_every_row_says_whether_it_is_met_and_by_what() -> None:
    rows = [
        line.split("|") for line in TABLES.splitlines() if re.search(r"\| (9110 |9112 )?\d+(\.\d+)*", line)
    ]
    assert len(rows) > 60
    for row in rows:
        if len(row) == 7:
            assert re.match(r" (met|stricter|in part|not met|does not apply)", row[3]), row
            assert "`" in row[4], row


def test_the_page_has_the_number_that_is_tested() -> None:
    assert f"**{ONE_CLIENT // 1024} KiB**" in PAGE
