"""What the broker is to reach in a case, and whether it does.

Decides how a figure is held against an aim. Invariant: a figure that is missing, because nothing was served
or the plain traffic is not back, reaches nothing. Refuses to judge the peers: they are what ratios are made
with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .cases import Aim, Case

YARDSTICK = "haproxy-limits"

Fronts = Mapping[str, Mapping[str, Any]]
"""The figures of each front in one case."""


def figure(fronts: Fronts, aim: Aim) -> float | None:
    """The figure that the aim is about."""
    found: Any = fronts[aim.front]
    if aim.figure == "ratio":
        return ratio(fronts, aim.front)
    for key in aim.figure.split("."):
        found = found[key]
    if isinstance(found, list):  # of several troubles the worst
        return None if None in found else max(found)
    return None if found is None else float(found)


def ratio(fronts: Fronts, front: str) -> float | None:
    """The throughput, by that of HAProxy with limits."""
    if YARDSTICK not in fronts:
        return None
    mine, other = (fronts[name]["later"]["throughput"] for name in (front, YARDSTICK))
    return float(mine / other)


def reached(aim: Aim, value: float | None) -> bool:
    if value is None:
        return False
    return value >= aim.limit if aim.least else value <= aim.limit


def told(case: Case, fronts: Fronts, titles: Mapping[str, str]) -> Iterator[str]:
    """A line for each aim whose front has run."""
    for aim in case.aims:
        if aim.front in fronts and not (aim.figure == "ratio" and YARDSTICK not in fronts):
            value = figure(fronts, aim)
            found = "nothing" if value is None else f"{value:.3g}"
            verdict = "reached" if reached(aim, value) else "not reached"
            yield f"{titles[aim.front]}: {aim.says}: {found}, {verdict}"
