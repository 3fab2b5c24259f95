"""Which Python a bench is set up with: an optimized build, where the machine has one.

Decides what an optimized build is, and which one is taken: that which runs this, if it is one, else the
first of the machine's that the project supports. HAProxy and nginx come from Debian optimized; a Python that
is not takes some 20 % more time for everything. Invariant: one path is printed, that of the Python that runs
this where there is nothing better, and why goes to standard error. Refuses to be asked where somebody has
named a Python (Makefile).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TypedDict

from . import packages
from .environment import OLDEST, ROOT

#: Where it is looked for, in this order: first the one that a user of Debian would take.
NAMES = ("/usr/bin/python3", "python3.13", "python3.12", "python3.11")


class Build(TypedDict):
    """A Python, by what it says of itself."""

    path: str
    version: list[int]
    optimized: bool
    venv: bool  # whether it makes environments


def optimized(arguments: str, prefix: str, *, debian: bool) -> bool:
    """By the arguments of its ``configure``; but Debian optimizes what it installs in /usr and says so
    nowhere."""
    return "--enable-optimizations" in arguments or (debian and prefix == "/usr")


def build() -> Build:
    """The Python that runs this."""
    return {
        "path": sys.executable,
        "version": list(sys.version_info[:3]),
        "optimized": optimized(
            sysconfig.get_config_var("CONFIG_ARGS") or "",
            sys.base_prefix,
            debian=os.path.exists("/etc/debian_version"),
        ),
        "venv": find_spec("venv") is not None and find_spec("ensurepip") is not None,
    }


def name(found: Build) -> str:
    version = ".".join(map(str, found["version"]))
    return f"Python {version}, {'an' if found['optimized'] else 'not an'} optimized build"


def ask(path: str) -> Build | None:
    """The Python at `path`; None when there is none that runs."""
    try:
        argv = (path, "-E", "-m", "tools.optimized", "--tell")
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=30)
        found: Build = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return found


def there() -> Iterator[str]:
    """The paths of the machine's Pythons."""
    return (path for path in map(shutil.which, NAMES) if path is not None)


def choose(
    own: Build,
    paths: Iterable[str],
    ask: Callable[[str], Build | None],
    install: Callable[[Sequence[str]], None],
) -> tuple[Build, list[str]]:
    """The one to take, and why others were not."""
    refused: list[str] = []
    if own["optimized"] and tuple(own["version"]) >= OLDEST:
        return own, refused
    for path in paths:
        found = ask(path)
        if found is None or not found["optimized"] or tuple(found["version"]) < OLDEST:
            continue
        if not found["venv"]:
            package = "python{}.{}-venv".format(*found["version"])
            install([package])
            found = ask(path)
            if found is None or not found["venv"]:
                refused.append(f"{path} makes no environments: install {package}")
                continue
        return found, refused
    return own, refused


def main() -> None:
    if sys.argv[1:] == ["--tell"]:
        print(json.dumps(build()))
        return
    chosen, refused = choose(build(), there(), ask, packages.install)
    for line in (*refused, f"measuring with {chosen['path']} ({name(chosen)})"):
        print(line, file=sys.stderr)
    print(chosen["path"])


if __name__ == "__main__":
    main()
