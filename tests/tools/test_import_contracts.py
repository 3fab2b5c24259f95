"""The import contracts hold for a clean tree and break for each street driven the wrong way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Every layer as an empty package: what is tested are the contracts, not today's imports."""
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = re.findall(r"\w+", contracts["importlinter:contract:layers"]["layers"])
    for layer in ("", "plugins", *layers):
        (tmp_path / "sslbroker" / layer).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sslbroker" / layer / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint(tree: Path) -> tuple[int, str]:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_clean_tree_keeps_the_contracts(tree: Path) -> None:
    (tree / "sslbroker" / "service" / "objects.py").write_text(
        "import sslbroker.net\nimport sslbroker.observe\n"
    )
    code, output = lint(tree)
    assert code == 0, output


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("core/storage.py", "twisted.internet.defer"),
        ("core/storage.py", "OpenSSL.SSL"),
        ("core/storage.py", "time"),
        ("protocols/stream.py", "twisted.python.failure"),
        ("core/storage.py", "sslbroker.protocols"),
        ("net/link.py", "sslbroker.observe"),
        ("observe/metrics.py", "sslbroker.net"),
        ("demo/shop.py", "sslbroker.net"),
        ("net/link.py", "sslbroker.service"),
        ("errors/tree.py", "sslbroker.settings"),
    ],
)
def test_an_import_the_wrong_way_breaks_them(tree: Path, module: str, imported: str) -> None:
    (tree / "sslbroker" / module).write_text(f"import {imported}\n")
    code, output = lint(tree)
    assert code == 1, output
    assert "BROKEN" in output


def test_core_cannot_reach_twisted_through_another_module(tree: Path) -> None:
    (tree / "sslbroker" / "core" / "storage.py").write_text("import sslbroker.errors.tree\n")
    (tree / "sslbroker" / "errors" / "tree.py").write_text("import twisted.internet.error\n")
    code, output = lint(tree)
    assert code == 1, output


def test_a_module_without_a_layer_breaks_them(tree: Path) -> None:
    (tree / "sslbroker" / "helpers.py").touch()
    code, output = lint(tree)
    assert code == 1, output
    assert "helpers" in output
