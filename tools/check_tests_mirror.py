"""Demand a test file for each source file: ``sslbroker/core/x.py`` → ``tests/core/test_x.py``.

Decides which source files owe a test. Invariant: a file is tested, excused here with a reason, or
reported; an excuse for a file that is gone or tested is reported too, so the list cannot rot.
Refuses to judge what a test file holds: coverage does.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EXCUSED: Mapping[str, str] = {
    "sslbroker/protocols/http/message.py": "fields without behaviour",
    "sslbroker/__init__.py": "one call that tests/test_service.py makes",
}


def test_path(source: str) -> str:
    """Where the tests of a source file are, both relative to the checkout."""
    path = Path(source)
    inside = path.parent.relative_to("sslbroker")
    name = "test_init.py" if path.name == "__init__.py" else f"test_{path.name}"
    return str(Path("tests") / inside / name)


def defines(text: str) -> bool:
    """Whether a file holds behaviour at all: a function or a class."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(text)))


def problems(root: Path, excused: Mapping[str, str]) -> list[str]:
    """What is wrong, a line each; empty when every source file is tested or excused."""
    found = []
    sources = {str(path.relative_to(root)) for path in (root / "sslbroker").rglob("*.py")}
    for source in sorted(sources):
        tested = (root / test_path(source)).exists()
        if source in excused:
            if tested:
                found.append(f"{source}: is excused, but {test_path(source)} exists: drop the excuse")
        elif not tested and defines((root / source).read_text()):
            found.append(f"{source}: no test file, expected {test_path(source)}")
    gone = sorted(set(excused) - sources)
    return found + [f"{source}: is excused, but there is no such file: drop the excuse" for source in gone]


def main() -> int:
    found = problems(ROOT, EXCUSED)
    for source, reason in sorted(EXCUSED.items()):
        print(f"excused: {source}: {reason}")
    for line in found:
        print(line)
    print(f"{len(found)} without, {len(EXCUSED)} excused")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
