"""The options of ``python -m bench``.

Decides what a run measures and where its result goes. Invariant: a name that is not there is told with those
that are. Refuses to start anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .programs import ROOT, CannotRun
from .rows.table import ROWS

ORDER = ("broker", "haproxy", "nginx", "stock")
PUBLISHED = ROOT / "bench" / "results" / "bench.json"
PRIVATE = ROOT / ".cache" / "bench" / "bench.json"

#: What `--quick` chooses: the rows that say most, in two minutes.
QUICK = {"rows": "1k,64k,1m,new-ecdsa,reencrypted", "rounds": 3, "seconds": 1}


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="The broker beside HAProxy, nginx and stock Twisted."
    )
    add = parser.add_argument
    add("--rows", default=",".join(row.name for row in ROWS), help="which, with commas; all: %(default)s")
    add("--proxies", default=",".join(ORDER), help="which; all: %(default)s")
    add("--rounds", type=int, default=3, help="interleaved rounds of a row (%(default)s)")
    add("--seconds", type=float, default=5, help="of load for a figure (%(default)s)")
    add("--quick", action="store_true", help="some rows, two minutes; the options above change it")
    broker = parser.add_argument_group("the broker")
    add = broker.add_argument
    add(
        "--python", default=sys.executable, help="its interpreter, with what it needs installed (%(default)s)"
    )
    more = "a setting, as in broker.transport=stock; may be repeated"
    add("--set", action="append", default=[], metavar="PATH=VALUE", dest="sets", help=more)
    add("-r", "--reactor", default="", help="its reactor, as in epoll")
    add("--profile", type=Path, metavar="FOLDER", help="where its time goes, by cProfile, which slows it")
    add("--perf", type=Path, metavar="FOLDER", help="where its time goes, by Linux's perf")
    result = parser.add_argument_group("the result")
    add = result.add_argument
    add(
        "--json", type=Path, metavar="FILE", default=PRIVATE, help="where it goes (%(default)s); FILE.png too"
    )
    add("--add", action="store_true", help="keep the other rows that FILE has")
    add("--publish", action="store_true", help="it goes to bench/results, and into the documents")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**QUICK)
    found = parser.parse_args(arguments)
    if found.profile and found.perf:
        parser.error("say either --profile or --perf")
    if found.publish:
        found.json = PUBLISHED
    return found


def chosen(said: str, there: Sequence[str], what: str) -> list[str]:
    """The names in `said`, in the order of those that are `there`."""
    names = [name.strip() for name in said.split(",") if name.strip()]
    if not names or set(names) - set(there):
        raise CannotRun(f"found {what} {said!r}, expected some of {', '.join(there)}")
    return [name for name in there if name in names]
