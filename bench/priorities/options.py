"""The options of ``python -m bench.priorities``.

Decides what a run does and where its result goes. Invariant: a name that is not there is told with those
that are. Refuses to start anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..programs import ROOT
from .cases import CASES
from .fronts import GROUP

CASE_NAMES = tuple(case.name for case in CASES)
FRONT_NAMES = tuple(dict.fromkeys(name for case in CASES for name in case.fronts))
PUBLISHED = ROOT / "bench" / "results" / "priorities.json"
PRIVATE = ROOT / ".cache" / "bench" / "priorities.json"

#: What `--quick` chooses: the case that says most, in a quarter of a minute.
QUICK = {"only": "150", "proxy": "broker", "seconds": 10.0}


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.priorities",
        description="Who is served first, beside HAProxy and nginx, when servers have too much to do.",
    )
    add = parser.add_argument
    add("--only", default=",".join(CASE_NAMES), help="which cases, with commas; all: %(default)s")
    add("--proxy", default=",".join(FRONT_NAMES), help="which proxies; all: %(default)s; ours: broker")
    add("--seconds", type=float, default=0.0, help="of a case, or of its last part (as long as it says)")
    add("--quick", action="store_true", help="one case and the broker, a quarter of a minute")
    add("--seed", type=int, default=1, help="of what is random (%(default)s)")
    add("--python", default=sys.executable, help="the broker's interpreter (%(default)s)")
    more = "a setting of the broker, as in pools.servers.pacing.floor=0; may be repeated"
    add("--set", action="append", default=[], metavar="PATH=VALUE", dest="sets", help=more)
    add("--no-groups", action="store_true", help="the broker is told of no groups")
    add("--json", type=Path, metavar="FILE", default=PRIVATE, help="where the result goes (%(default)s)")
    add("--add", action="store_true", help="keep the other cases and proxies that FILE has")
    add("--publish", action="store_true", help="it goes to bench/results, and into the documents")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**QUICK)
    found = parser.parse_args(arguments)
    found.proxy = found.proxy.replace("ours", "broker,broker-limits")
    if found.publish and (found.sets or found.no_groups):
        parser.error(
            "what is published is the broker as it comes: say --publish without --set and --no-groups"
        )
    if not found.no_groups:
        found.sets = [*GROUP, *found.sets]
    if found.publish:
        found.json = PUBLISHED
    return found
