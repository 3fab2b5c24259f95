"""Where a result goes: a file of JSON, a picture beside it, and the documents where it is published.

Decides how a bench ends. Invariant: what was measured is written before anything is made of it, and a picture
that cannot be drawn loses nothing. Refuses to know what was measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from . import document, site
from .programs import CannotRun

Draw = Callable[[Mapping[str, Any], Path], None]
"""Makes a picture of a result in a file; `CannotRun` when there is none."""


def origin() -> dict[str, Any]:
    """When and where it is measured."""
    return {"date": time.strftime("%Y-%m-%d"), "machine": site.machine()}


def write(result: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def finish(result: Mapping[str, Any], file: Path, draw: Draw, *, publish: bool) -> None:
    """Write all that comes of it, and say where."""
    write(result, file)
    try:
        draw(result, file.with_suffix(".png"))
    except CannotRun as error:
        print(error)
    if publish:
        document.update()
    print(f"written to {os.path.relpath(file)}")


def program(main: Callable[[], None]) -> NoReturn:
    """The life of a bench: exit code 0 when it has measured, else a reason."""
    try:
        main()
    except CannotRun as error:
        sys.exit(f"bench: {error}")
    sys.exit(0)
