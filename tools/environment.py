"""Set up the checkout's own virtual environment, once, and again only when something changed.

Decides whether ``.venv`` is current: it is when its stamp names this pyproject.toml, this Python and
this checkout. Invariant: the stamp is written last, so a set-up that broke off is done again. Refuses
to touch the Python it was started with, and to need anything but the standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


class SetUpError(Exception):
    """The environment cannot be set up; the text says what was found and what to do."""


def key(root: Path) -> str:
    """What an environment depends on besides its Python, as one word."""
    digest = hashlib.sha256()
    for part in (os.fsencode(root), (root / "pyproject.toml").read_bytes()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def is_current(venv: Path, wanted: str, extras: Sequence[str], python: str | None) -> bool:
    """Whether `venv` was set up whole for `wanted`, with at least these extras; `python` None: any."""
    try:
        stamp = json.loads((venv / "sslbroker-stamp.json").read_text())
        same = stamp["key"] == wanted and python in (None, stamp["python"])
        return same and set(extras) <= set(stamp["extras"]) and (venv / "bin" / "python").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def earlier_extras(venv: Path) -> list[str]:
    """What an outdated environment had: `make demo` shall not take the tools of `make test` away."""
    try:
        return [str(extra) for extra in json.loads((venv / "sslbroker-stamp.json").read_text())["extras"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def run(argv: Sequence[str], what: str) -> None:
    done = subprocess.run(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SetUpError(f"{what} failed:\n{done.stdout.rstrip()}")


def set_up(venv: Path, extras: Sequence[str], *, any_python: bool) -> None:
    """Make `venv` current, with the project installed in it editable; at once when it is already.

    `any_python`: a current one that another Python made will do. Raises `SetUpError`.
    """
    python = f"{sys.executable} {sys.version}"
    wanted = key(ROOT)
    if is_current(venv, wanted, extras, None if any_python else python):
        return
    if sys.version_info < OLDEST:
        found = ".".join(str(part) for part in sys.version_info[:3])
        others = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
        advice = f"PYTHON={others[0]}" if others else "PYTHON=/path/to/python3.11"
        raise SetUpError(f"{sys.executable} is Python {found}; sslbroker needs 3.11 or newer: say {advice}")
    started = time.monotonic()
    version = ".".join(str(part) for part in sys.version_info[:3])
    print(f"setting up {venv.name} with Python {version} …", flush=True)
    extras = sorted({*extras, *earlier_extras(venv)})
    stamp = venv / "sslbroker-stamp.json"
    stamp.unlink(missing_ok=True)
    run(
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        f"making {venv} (Debian and Ubuntu keep this in the package python3-venv)",
    )
    project = f".[{','.join(extras)}]" if extras else "."
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(
        [*pip, "-e", project],
        "installing the project and what it needs (from PyPI or your pip's index)",
    )
    stamp.write_text(json.dumps({"key": wanted, "python": python, "extras": extras}))
    print(f"set up {venv.name} in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Set up the checkout's virtual environment.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extra", action="append", default=[], help="an extra of pyproject.toml")
    parser.add_argument("--any-python", action="store_true", help="keep an environment of another Python")
    options = parser.parse_args()
    try:
        set_up(options.venv.absolute(), options.extra, any_python=options.any_python)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
