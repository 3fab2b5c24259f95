"""What one run comes to: response times and failures by group, throughput, what the proxy and the load cost.

Decides the figures. Invariant: a time is one of those that were served, and failures are counted apart; both
are told over all of the run and `later`, without its first seconds. Refuses to leave out how late the load
and the servers themselves were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..measuring import quantile
from .arriving import OK, Row
from .cases import SERVICE, SETTLED, Case
from .servers import Done
from .shares import FAST, FULL, at, back, seconds_of, served, smooth, turns

REFUSED = "503"


def times(rows: Sequence[Row]) -> dict[str, float | None]:
    """None where nothing was served."""
    found = [row.milliseconds for row in rows if row.outcome == OK]
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: quantile(found, share) if found else None for name, share in shares.items()}


def group(rows: Sequence[Row]) -> dict[str, Any]:
    """Those who come over TLS, or the others."""
    outcomes = Counter(row.outcome for row in rows)
    good, refused = outcomes.pop(OK, 0), outcomes.pop(REFUSED, 0)
    found: dict[str, Any] = {"requests": len(rows), "served": good, "refused": refused}
    found |= {"failed": sum(outcomes.values()), "kinds": dict(outcomes.most_common())}
    found |= times(rows)
    found["wait_p99"] = None if found["p99"] is None else found["p99"] - SERVICE * 1e3
    return found


def scope(rows: Sequence[Row], done: Done, begin: float, since: float, until: float) -> dict[str, Any]:
    """The figures of what was due in this time, and what the servers did in it."""
    wanted = [row for row in rows if row.due >= since]
    count = sum(begin + since <= each < begin + until for each in done.all)
    return {
        "secure": group([row for row in wanted if row.secure]),
        "plain": group([row for row in wanted if not row.secure]),
        "throughput": count / (until - since),
    }


def lateness(late: Iterable[float]) -> dict[str, float]:
    found = sorted(late)
    return {"p50": quantile(found, 0.5), "p99": quantile(found, 0.99), "max": found[-1]}


def figures(case: Case, rows: Sequence[Row], done: Done, begin: float) -> dict[str, Any]:
    seconds = case.seconds
    since = min(SETTLED, seconds / 2)
    plain = seconds_of((row for row in rows if not row.secure), seconds)
    secure = seconds_of((row for row in rows if row.secure), seconds)
    share = [served(each) for each in plain]
    plain_p50 = [at(each, 0.5) for each in plain]
    begins = [start for start, _ in case.slow]
    minutes = len(smooth(share)) / 60
    return {
        "seconds": seconds,
        "whole": scope(rows, done, begin, 0.0, seconds),
        "later": scope(rows, done, begin, since, seconds),
        "share": {
            "least": min(share),
            "turns": turns(smooth(share)) / minutes if minutes >= 0.5 else None,
            "back": back([each >= FULL for each in share], case.ends, begins),
            "fast": back([each is not None and each <= FAST for each in plain_p50], case.ends, begins),
        },
        "load_late": lateness(row.late for row in rows),
        "servers_late": lateness(done.late),
        "series": {
            "secure_p50": [at(each, 0.5) for each in secure],
            "secure_p99": [at(each, 0.99) for each in secure],
            "plain_p50": plain_p50,
            "share": [round(each, 3) for each in share],
        },
    }


def chosen(log: Iterable[Mapping[str, Any]], rows: Sequence[Row], since: float) -> dict[str, float]:
    """How long the broker says that those who came over TLS waited for a server: milliseconds."""
    found = []
    for entry in log:
        number = int(entry["target"].partition("?n=")[2] or -1)
        if 0 <= number < len(rows) and rows[number].secure and rows[number].due >= since:
            found.append(entry["timings"].get("choose", 0.0))
    return {"p50": quantile(found, 0.5), "p99": quantile(found, 0.99)} if found else {}
