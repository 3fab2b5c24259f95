"""``python -m bench.priorities``: run cases, show them, and write what was found.

Decides what a result is. Invariant: it says what it was made with (versions, machine, seed) and is written
after each run, so that one that is broken off has what it had; what could not run is told in it, with the
reason. Exit code 0: all that can run has run, whatever was seen.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import result, site
from ..options import chosen
from ..programs import CannotRun, install, open_files
from . import picture, running
from .cases import CASES
from .fronts import fronts, versions
from .options import CASE_NAMES, FRONT_NAMES, options
from .table import lines


def begin(said: argparse.Namespace, known: Mapping[str, str]) -> dict[str, Any]:
    """A result without the runs of this time."""
    before: dict[str, Any] = {}
    if said.add and said.json.exists():
        before = json.loads(said.json.read_text())
    return {
        **result.origin(),
        "seed": said.seed,
        "versions": {**before.get("versions", {}), **known},
        "cases": before.get("cases", {}),
        "not_run": before.get("not_run", {}),
    }


def main() -> None:
    said = options()
    wanted = chosen(said.only, CASE_NAMES, "--only")
    asked = chosen(said.proxy, FRONT_NAMES, "--proxy")
    everyone = fronts(Path(os.path.abspath(said.python)), said.sets)
    install()
    open_files()
    found = begin(said, versions({name: everyone[name] for name in asked}))
    with tempfile.TemporaryDirectory(prefix="priorities-", ignore_cleanup_errors=True) as made:
        ready = site.prepared(Path(made))
        for case in (each for each in CASES if each.name in wanted):
            shown = case.lasting(said.seconds) if said.seconds else case
            for name in (each for each in case.fronts if each in asked):
                print(f"{time.strftime('%H:%M:%S')} … {case.name} {name}", flush=True)
                try:
                    figures = running.run(shown, everyone[name], ready, said.seed)
                    found["cases"].setdefault(case.name, {})[name] = figures
                    print("\n".join(lines(name, figures)), flush=True)
                except CannotRun as error:
                    found["not_run"].setdefault(case.name, {})[name] = str(error)
                    print(f"  NOT RUN: {name}: {error}", flush=True)
                result.write(found, said.json)
    result.finish(found, said.json, picture.draw, publish=said.publish)


if __name__ == "__main__":
    result.program(main)
