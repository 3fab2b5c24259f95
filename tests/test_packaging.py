"""What is installed is what is in the checkout: no package, plugin or data file is forgotten.

`make test-all` builds and installs for real; these find the usual mistakes without a build.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import sslbroker

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "twisted" / "plugins" / "sslbroker_plugin.py"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed(project: dict[str, Any]) -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "sslbroker").rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == found | {"twisted.plugins"}


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "sslbroker").rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_data_file_is_installed(project: dict[str, Any]) -> None:
    data: dict[str, list[str]] = project["tool"]["setuptools"]["package-data"]
    forgotten = []
    for path in sorted((ROOT / "sslbroker").rglob("*")):
        if path.is_dir() or path.suffix in (".py", ".pyc"):
            continue
        covered = any(
            fnmatch(str(path), str(ROOT.joinpath(*package.split(".")) / pattern))
            for package, patterns in data.items()
            for pattern in patterns
        )
        if not covered:
            forgotten.append(str(path.relative_to(ROOT)))
    assert forgotten == []


def test_twisted_stays_a_namespace() -> None:
    # An __init__.py here would hide Twisted itself, or Twisted's other plugins.
    assert not (ROOT / "twisted" / "__init__.py").exists()
    assert not (ROOT / "twisted" / "plugins" / "__init__.py").exists()


def test_the_version_is_said_in_one_place() -> None:
    assert metadata.version("sslbroker") == sslbroker.__version__


def test_finding_the_plugin_loads_neither_a_reactor_nor_openssl() -> None:
    """Every twistd on the machine imports every plugin, whatever it then runs."""
    if not PLUGIN.exists():
        pytest.skip("there is no twisted/plugins/sslbroker_plugin.py yet")
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(PLUGIN)!r})\n"
        "heavy = [name for name in ('twisted.internet.reactor', 'OpenSSL', 'sslbroker.service') "
        "if name in sys.modules]\n"
        "print(' '.join(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
