"""``python -m bench.faults``: run cases, show them, and write what was found.

Decides what a result is. Invariant: it says what it was made with (versions, machine, seed) and is written
after each run, so that one that is broken off has what it had; what could not run is told in it, with the
reason. Exit code 0: all that can run has run, whatever was seen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .. import document, result, site
from ..options import chosen
from ..programs import CannotRun, install, open_files
from . import overload, running
from .cases import CASES
from .fronts import Front
from .fronts.broker import Broker
from .fronts.haproxy import HAProxy
from .fronts.nginx import Nginx
from .options import NAMES, ORDER, OVERLOAD, options
from .table import case_lines, overload_lines


def begin(said: argparse.Namespace, versions: dict[str, str]) -> dict[str, Any]:
    """A result without the cases of this run."""
    before: dict[str, Any] = {}
    if said.add and said.json.exists():
        before = json.loads(said.json.read_text())
    return {
        **result.origin(),
        "seed": said.seed,
        "versions": {**before.get("versions", {}), **versions},
        "cases": before.get("cases", {}),
        "not_run": before.get("not_run", {}),
        OVERLOAD: before.get(OVERLOAD, {}),
    }


def main() -> None:
    said = options()
    wanted = chosen(said.only, NAMES, "--only")
    everyone: dict[str, Front] = {
        "broker": Broker(Path(os.path.abspath(said.python)), said.sets),
        "haproxy": HAProxy(),
        "nginx": Nginx(),
    }
    fronts = [everyone[name] for name in chosen(said.proxy, ORDER, "--proxy")]
    install()
    open_files()
    found = begin(said, {front.name: front.version() for front in fronts})
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as made:
        ready = site.prepared(Path(made))
        for case in CASES:
            if case.name not in wanted:
                continue
            for front in fronts:
                print(f"{time.strftime('%H:%M:%S')} … {case.name} {front.name}", flush=True)
                try:
                    figures = running.run(case, front, ready, said.requests or case.requests, said.seed)
                    found["cases"].setdefault(case.name, {})[front.name] = figures
                    print("\n".join(case_lines(front.name, figures)), flush=True)
                except CannotRun as error:
                    found["not_run"].setdefault(case.name, {})[front.name] = str(error)
                    print(f"  NOT RUN: {front.name}: {error}", flush=True)
                result.write(found, said.json)
        for front in fronts if OVERLOAD in wanted else ():
            print(f"{time.strftime('%H:%M:%S')} … {OVERLOAD} {front.name}", flush=True)
            figures = overload.run(front, ready, said.seed)
            found[OVERLOAD][front.name] = figures
            print("\n".join(overload_lines(front.name, figures)), flush=True)
            result.write(found, said.json)
    if said.publish:
        document.update()
    print(f"written to {os.path.relpath(said.json)}")


if __name__ == "__main__":
    try:
        main()
    except CannotRun as error:
        sys.exit(f"bench: {error}")
