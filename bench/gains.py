"""What was gained by a broker that does the TLS: figures of `offload`'s result, as numbers and as text.

Decides how rounds become one figure. Invariant: a gain is of two figures of the same round; a way that did
not run is shown with its reason. Refuses to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .measuring import spread

WAYS = ("own TLS", "broker")


def middle(point: Mapping[str, Any], way: str, figure: str) -> float | None:
    found = spread([each[way][figure] for each in point["rounds"] if way in each])
    return found.median if found else None


def gain(point: Mapping[str, Any]) -> tuple[float, ...]:
    """How many times less it is behind the broker: p50, p99, CPU of the server; medians of the rounds."""
    found = []
    for figure in ("p50_ms", "p99_ms", "server_us"):
        ratios = [each[WAYS[0]][figure] / each[WAYS[1]][figure] for each in point["rounds"] if len(each) == 2]
        between = spread(ratios)
        if between is None:
            return ()
        found.append(between.median)
    return tuple(found)


def lines(point: Mapping[str, Any]) -> Iterator[str]:
    """One rate for a terminal."""
    yield f"{point['rate']:.0f} new clients a second ({point['share']:.0%} of what it does with its own TLS)"
    for way in WAYS:
        if middle(point, way, "p50_ms") is None:
            continue
        p50, p99, spent = (middle(point, way, name) for name in ("p50_ms", "p99_ms", "server_us"))
        yield f"  {way:>8}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, CPU of the server {spent:.0f} µs a request"
    if gains := gain(point):
        yield f"  {'gain':>8}: p50 ÷ {gains[0]:.1f}, p99 ÷ {gains[1]:.1f}, CPU of the server ÷ {gains[2]:.2f}"
    for way, why in point.get("not_run", {}).items():
        yield f"  NOT RUN: {way}: {why}"
