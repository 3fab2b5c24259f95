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
    "memory_kib": ("KiB each", "{:.1f}"),
    "cpu_us": ("CPU µs", "{:.0f}"),
    "rate": ("a second", "{:.0f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "p99_none_ms": ("p99 ms, none slow", "{:.2f}"),
    "slowdown": ("p99 ÷ none slow", "{:.2f}"),
    "late_ms": ("load late ms", "{:.2f}"),
    "cost_ratio": ("CPU ÷ one worker", "{:.2f}"),
    "split": ("share of the busier", "{:.0%}"),
    "gain": ("rate ÷ one worker", "{:.2f}"),
    "held_ratio": ("CPU ÷ one worker, held", "{:.2f}"),
    "held_used": ("used of what is held", "{:.0%}"),
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


def aim_text(result: Mapping[str, Any], aim: Mapping[str, Any], proxy: str = "broker") -> str:
    """What is to be reached, what was found, and whether it is reached by the median; "" without figures."""
    found = (ratios if aim["relative"] else values)(result, proxy, aim["figure"])
    middle = spread(found)
    if middle is None:
        return ""
    said = "at least" if aim["at_least"] else "at most"
    of = f" of {YARDSTICK}'s" if aim["relative"] else ""
    good = middle.median >= aim["limit"] if aim["at_least"] else middle.median <= aim["limit"]
    named = COLUMNS[aim["figure"]][0]
    reached = "reached" if good else "not reached"
    return f"{named} {said} {aim['limit']:g}{of}: {ratio_text(middle)}, {reached}"


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
    if result.get("profiled"):
        yield "  PROFILED: the broker's figures are worse for it"
    for aim in result["aims"]:
        if said := aim_text(result, aim):
            yield f"  to reach: {said}"
    for proxy, why in result["not_run"].items():
        yield f"  NOT RUN: {proxy}: {why}"


def columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[number]) for line in table) for number in range(len(table[0]))]
    for line in table:
        yield "  " + "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True))
