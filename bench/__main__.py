"""``python -m bench``: choose rows, proxies, rounds and seconds; measure; show, and write what was found.

Decides what a run is, and what of it is kept. Invariant: the result says what it was measured with (versions,
machine, settings), and rows of an earlier run are kept only on demand (``--add``). Exit code 0: measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import site
from .programs import CannotRun, install, open_files
from .proxies import Proxy
from .proxies.broker import Broker
from .proxies.haproxy import HAProxy
from .proxies.nginx import Nginx
from .proxies.stock import Stock
from .report import row_lines
from .rows.table import ROWS
from .running import Plan, measure_row

#: What `--quick` chooses: the rows that say most, in two minutes.
QUICK = {"rows": "1k,64k,1m,new-ecdsa,reencrypted", "rounds": 3, "seconds": 1}
ORDER = ("broker", "haproxy", "nginx", "stock")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    names = ",".join(row.name for row in ROWS)
    parser = argparse.ArgumentParser(prog="python -m bench", description="The broker beside its peers.")
    parser.add_argument("--rows", default=names, help="which, with commas; all: %(default)s")
    parser.add_argument("--proxies", default=",".join(ORDER), help="which; all: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of a row (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of load for a figure (%(default)s)")
    parser.add_argument(
        "--python", default=sys.executable, help="the broker's interpreter, with its packages"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="sets",
        help="a setting of the broker, as in broker.transport=stock; may be repeated",
    )
    parser.add_argument("-r", "--reactor", default="", help="the broker's reactor, as in epoll")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="run the broker under cProfile and leave its profile there (it is slower so)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--add", action="store_true", help="keep the other rows that FILE has")
    parser.add_argument("--quick", action="store_true", help="some rows, two minutes; others may be chosen")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args(arguments)


def chosen(said: str, there: Sequence[str], what: str) -> list[str]:
    names = [name.strip() for name in said.split(",") if name.strip()]
    unknown = [name for name in names if name not in there]
    if unknown or not names:
        raise CannotRun(f"found {what} {said!r}, expected some of {', '.join(there)}")
    return names


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


def machine() -> dict[str, Any]:
    text = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line), "")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}


def main() -> int:
    said = options()
    install()
    open_files()
    rows = [row for row in ROWS if row.name in chosen(said.rows, [row.name for row in ROWS], "--rows")]
    python = Path(os.path.abspath(said.python))
    everyone: dict[str, Proxy] = {
        "broker": Broker(python, said.sets, said.reactor),
        "haproxy": HAProxy(),
        "nginx": Nginx(),
        "stock": Stock(python),
    }
    proxies, versions, absent = present([everyone[name] for name in chosen(said.proxies, ORDER, "--proxies")])
    plan = Plan(proxies, said.rounds, said.seconds, said.profile and said.profile.absolute())
    result: dict[str, Any] = {"rows": {}}
    if said.add and said.json and said.json.exists():
        result = json.loads(said.json.read_text())
    result["date"] = time.strftime("%Y-%m-%d")
    result["machine"] = machine()
    result["versions"] = {**result.get("versions", {}), **versions}
    result["lacks"] = {name: everyone[name].lacks for name in ORDER if everyone[name].lacks}
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as made,
        site.started(Path(made)) as ready,
    ):
        for row in rows:
            measured = measure_row(row, plan, ready)
            measured["not_run"] |= absent
            result["rows"][row.name] = measured
            print("\n".join(row_lines(measured)), flush=True)
    if said.json:
        said.json.parent.mkdir(parents=True, exist_ok=True)
        said.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRun as error:
        sys.exit(f"bench: {error}")
