"""The options of ``python -m bench.faults``.

Decides what a run does and where its result goes. Invariant: a name that is not there is told with those that
are. Refuses to start anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..programs import ROOT
from .cases import CASES

ORDER = ("broker", "haproxy", "nginx")
OVERLOAD = "overload"
NAMES = (*(case.name for case in CASES), OVERLOAD)
PUBLISHED = ROOT / "bench" / "results" / "faults.json"
PRIVATE = ROOT / ".cache" / "bench" / "faults.json"


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.faults", description="The broker beside HAProxy and nginx while servers fail."
    )
    add = parser.add_argument
    add("--only", default=",".join(NAMES), help="which cases, with commas; all: %(default)s")
    add("--proxy", default=",".join(ORDER), help="which proxies; all: %(default)s; ours: broker")
    add("--requests", type=int, default=0, help="of a case (as many as it says)")
    add("--seed", type=int, default=1, help="of what is random (%(default)s)")
    add("--python", default=sys.executable, help="the broker's interpreter (%(default)s)")
    more = "a setting of the broker, as in pools.servers.ejection.failures=1000; may be repeated"
    add("--set", action="append", default=[], metavar="PATH=VALUE", dest="sets", help=more)
    add("--json", type=Path, metavar="FILE", default=PRIVATE, help="where the result goes (%(default)s)")
    add("--add", action="store_true", help="keep the other cases and proxies that FILE has")
    add("--publish", action="store_true", help="it goes to bench/results, and into the documents")
    found = parser.parse_args(arguments)
    found.proxy = found.proxy.replace("ours", "broker")
    if found.publish and found.sets:
        parser.error("what is published is the broker as it comes: say --publish without --set")
    if found.publish:
        found.json = PUBLISHED
    return found
