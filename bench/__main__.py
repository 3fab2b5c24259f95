"""``python -m bench``: measure rows, show them, and write what was found.

Decides what a result is. Invariant: it says what it was measured with (versions, machine), is written after
each row, and keeps rows of an earlier run only on demand (``--add``). Exit code 0: measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import document, plot, profiling, site
from .options import ORDER, chosen, options
from .programs import CannotRun, install, open_files
from .proxies import Proxy
from .proxies.broker import Broker
from .proxies.haproxy import HAProxy
from .proxies.nginx import Nginx
from .proxies.stock import Stock
from .report import row_lines
from .rows.table import ROWS
from .running import Plan, measure_row


def present(proxies: Sequence[Proxy]) -> tuple[list[Proxy], dict[str, str], dict[str, str]]:
    """Those that are there, the versions of these, and why the others are not."""
    found, versions, absent = [], {}, {}
    for proxy in proxies:
        try:
            versions[proxy.name] = proxy.version()
            found.append(proxy)
        except CannotRun as error:
            absent[proxy.name] = str(error)
    return found, versions, absent


def begin(said: argparse.Namespace, versions: Mapping[str, str], proxies: Sequence[Proxy]) -> dict[str, Any]:
    """A result without the rows of this run."""
    before: dict[str, Any] = {}
    if said.add and said.json.exists():
        before = json.loads(said.json.read_text())
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": site.machine(),
        "versions": {**before.get("versions", {}), **versions},
        "lacks": {**before.get("lacks", {}), **{each.name: each.lacks for each in proxies if each.lacks}},
        "rows": before.get("rows", {}),
    }


def write(result: dict[str, Any], file: Path) -> None:
    order = [row.name for row in ROWS]
    result["rows"] = dict(sorted(result["rows"].items(), key=lambda item: order.index(item[0])))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    said = options()
    wanted = chosen(said.rows, [row.name for row in ROWS], "--rows")
    python = Path(os.path.abspath(said.python))
    everyone: dict[str, Proxy] = {
        "broker": Broker(python, said.sets, said.reactor),
        "haproxy": HAProxy(),
        "nginx": Nginx(),
        "stock": Stock(python),
    }
    asked = [everyone[name] for name in chosen(said.proxies, ORDER, "--proxies")]
    install()
    open_files()
    proxies, versions, absent = present(asked)
    folder = said.profile or said.perf
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.absolute()
    plan = Plan(proxies, said.rounds, said.seconds, folder, perf=said.perf is not None)
    result = begin(said, versions, proxies)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as made,
        site.started(Path(made)) as ready,
    ):
        for row in ROWS:
            if row.name not in wanted:
                continue
            measured = measure_row(row, plan, ready)
            measured["not_run"] |= absent
            result["rows"][row.name] = measured
            print("\n".join(row_lines(measured)), flush=True)
            if file := plan.profile("broker", row.name, "cprofile"):
                print(profiling.by_functions(file))
            if file := plan.profile("broker", row.name, "perf"):
                print(profiling.samples(file))
            write(result, said.json)
    try:
        plot.draw(result, said.json.with_suffix(".png"))
    except CannotRun as error:
        print(error)
    if said.publish:
        document.update()
    print(f"written to {os.path.relpath(said.json)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRun as error:
        sys.exit(f"bench: {error}")
