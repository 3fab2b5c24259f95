"""``python -m bench``: measure rows, show them, and write what was found.

Decides what a result is. Invariant: it says what it was measured with (versions, machine), is written after
each row, and keeps rows of an earlier run only on demand (``--add``). Exit code 0: measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import plot, profiling, result, site
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
        **result.origin(),
        "versions": {**before.get("versions", {}), **versions},
        "lacks": {**before.get("lacks", {}), **{each.name: each.lacks for each in proxies if each.lacks}},
        "rows": before.get("rows", {}),
    }


def add(found: dict[str, Any], name: str, measured: Mapping[str, Any]) -> None:
    """This row's result, among the others in the order of the table."""
    order = [row.name for row in ROWS]
    rows = {**found["rows"], name: measured}
    found["rows"] = dict(sorted(rows.items(), key=lambda item: order.index(item[0])))


def main() -> None:
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
    found = begin(said, versions, proxies)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as made,
        site.started(Path(made)) as ready,
    ):
        for row in ROWS:
            if row.name not in wanted:
                continue
            measured = measure_row(row, plan, ready)
            measured["not_run"] |= absent
            add(found, row.name, measured)
            print("\n".join(row_lines(measured)), flush=True)
            if file := plan.profile("broker", row.name, "cprofile"):
                print(profiling.by_functions(file))
            if file := plan.profile("broker", row.name, "perf"):
                print(profiling.samples(file))
            result.write(found, said.json)
    result.finish(found, said.json, plot.draw, publish=said.publish)


if __name__ == "__main__":
    result.program(main)
