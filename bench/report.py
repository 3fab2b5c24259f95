"""Results as text: a table for each row, and one of ratios to HAProxy for the documents.

Decides how figures are shown. Invariant: a ratio is always of two figures of the same round, and is shown
with its spread; a proxy without figures is shown with its reason. Refuses to measure and to draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .measuring import Spread, spread

YARDSTICK = "haproxy"

#: Figure → (heading, format), in the order of the columns.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "cpu_us": ("CPU µs", "{:.0f}"),
    "rate": ("a second", "{:.0f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "rss_mib": ("RSS MiB", "{:.0f}"),
    "busy": ("core used", "{:.0%}"),
    "others": ("disturbed", "{:.0%}"),
}


def proxies(result: Mapping[str, Any]) -> list[str]:
    """Those that a row has figures of, in the order in which they were measured."""
    return list(dict.fromkeys(name for each in result["rounds"] for name in each))


def values(result: Mapping[str, Any], proxy: str, figure: str) -> list[float]:
    found = (each.get(proxy, {}).get(figure) for each in result["rounds"])
    return [value for value in found if value is not None]


def ratios(result: Mapping[str, Any], proxy: str, figure: str) -> list[float]:
    """A proxy's figure by HAProxy's, for each round that has both."""
    found = []
    for each in result["rounds"]:
        mine, other = (each.get(name, {}).get(figure) for name in (proxy, YARDSTICK))
        if mine is not None and other:
            found.append(mine / other)
    return found


def ratio_text(found: Spread | None) -> str:
    if found is None:
        return "-"
    return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"


def verdict(result: Mapping[str, Any], proxy: str) -> str:
    """Whether the row's aim is reached, by the median."""
    found = spread(ratios(result, proxy, result["main"]))
    if result["reach"] is None or found is None:
        return ""
    return "reached" if found.median <= result["reach"] else "not reached"


def row_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """One row for a terminal."""
    yield f"{result['title']} ({result['conditions']})"
    figures = [name for name in COLUMNS if any(values(result, proxy, name) for proxy in proxies(result))]
    table = [["", *(COLUMNS[name][0] for name in figures), f"÷ {YARDSTICK} (least to most)"]]
    for proxy in proxies(result):
        line = [proxy]
        for name in figures:
            found = spread(values(result, proxy, name))
            line.append(COLUMNS[name][1].format(found.median) if found else "-")
        table.append([*line, ratio_text(spread(ratios(result, proxy, result["main"])))])
    yield from columns(table)
    if result["reach"] is not None and (said := verdict(result, "broker")):
        yield f"  to reach: {result['reach']} of {YARDSTICK}'s: {said}"
    for proxy, why in result["not_run"].items():
        yield f"  NOT RUN: {proxy}: {why}"


def columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[number]) for line in table) for number in range(len(table[0]))]
    for line in table:
        yield "  " + "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True))
