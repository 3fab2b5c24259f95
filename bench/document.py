"""Put the published figures into the documents: ``python -m bench.document``; ``--check`` only compares.

Decides the tables that README.md, docs/performance.md, docs/failover.md and docs/priorities.md show.
Invariant: what stands between the marks comes from bench/results and from nothing else; text around them is
left alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from .faults.table import faults
from .gains import WAYS, gain, middle
from .measuring import spread
from .options import PUBLISHED
from .plot import NAMES
from .priorities.table import priorities
from .programs import ROOT
from .report import COLUMNS, YARDSTICK, aim_text, proxies, ratio_text, ratios, values

_BEGIN = "<!-- generated: bench {} -->"
_END = "<!-- end bench -->"


def cell(result: Mapping[str, Any], proxy: str, figure: str) -> str:
    found = spread(values(result, proxy, figure))
    return COLUMNS[figure][1].format(found.median) if found else "-"


def machine(result: Mapping[str, Any]) -> Iterator[str]:
    box = result["machine"]
    yield f"Measured on {result['date']}: {box['cores']} cores of {box['cpu']}, Linux {box['kernel']}."
    yield ""
    for name, version in result["versions"].items():
        lacks = result["lacks"].get(name)
        yield f"- {NAMES[name]}: {version}" + (f"; {lacks}" if lacks else "")


def summary(result: Mapping[str, Any]) -> Iterator[str]:
    """A line for each row: the broker's figure, and its peers', as ratios to HAProxy's."""
    others = [name for name in ("broker", "nginx", "stock") if name in result["versions"]]
    yield f"| times {NAMES[YARDSTICK]}'s | {' | '.join(NAMES[name] for name in others)} | to reach |"
    yield "|---" * (len(others) + 2) + "|"
    for row in result["rows"].values():
        found = [ratio_text(spread(ratios(row, name, row["main"]))) for name in others]
        relative = [f"{aim['limit']:g}" for aim in row["aims"] if aim["relative"]]
        if relative:
            yield f"| {row['title']} | {' | '.join(found)} | {relative[0]} |"


def details(result: Mapping[str, Any]) -> Iterator[str]:
    """Every row with every figure: medians."""
    yield from machine(result)
    for row in result["rows"].values():
        names = proxies(row)
        figures = [name for name in COLUMNS if any(values(row, proxy, name) for proxy in names)]
        yield from ("", f"### {row['title']}", "", f"{row['conditions']}; {len(row['rounds'])} rounds.", "")
        if names:
            yield f"| | {' | '.join(COLUMNS[name][0] for name in figures)} | ÷ {NAMES[YARDSTICK]} |"
            yield "|---" + "|---:" * (len(figures) + 1) + "|"
        for proxy in names:
            shown = [cell(row, proxy, name) for name in figures]
            shown.append(ratio_text(spread(ratios(row, proxy, row["main"]))))
            yield f"| {NAMES[proxy]} | {' | '.join(shown)} |"
        said = [f"- To reach: {text}." for aim in row["aims"] if (text := aim_text(row, aim))]
        said += [f"- Not run: {NAMES[proxy]}: {why}" for proxy, why in row["not_run"].items()]
        if said:
            yield from ("", *said)


def offload(result: Mapping[str, Any]) -> Iterator[str]:
    """For each rate, what clients and the server see both ways: medians."""
    box = result["machine"]
    yield f"Measured on {result['date']}, {box['cores']} cores of {box['cpu']}; {result['conditions']}."
    yield f"With its own TLS the application serves {result['capacity']:.0f} new clients a second."
    yield ""
    headings = ("p50 ms, own TLS", "behind the broker", "p99 ms, own TLS", "behind the broker")
    yield f"| new clients a second | {' | '.join(headings)} |"
    yield "|---:" * 5 + "|"
    for point in result["points"]:
        cells = [f"{point['rate']:.0f}"]
        for figure in ("p50_ms", "p99_ms"):
            for way in WAYS:
                found = middle(point, way, figure)
                cells.append("-" if found is None else f"{found:.1f}")
        yield f"| {' | '.join(cells)} |"
    yield ""
    columns = ("CPU of the server, own TLS, µs", "behind the broker", "times less: p50, p99, CPU")
    yield f"| new clients a second | {' | '.join(columns)} |"
    yield "|---:" * 4 + "|"
    for point in result["points"]:
        spent = [middle(point, way, "server_us") for way in WAYS]
        cells = ["-" if found is None else f"{found:.0f}" for found in spent]
        cells.append(", ".join(f"{each:.1f}" for each in gain(point)) or "-")
        yield f"| {point['rate']:.0f} | {' | '.join(cells)} |"


#: Document, name of the marks, where the result is, what is shown of it.
PLACES = (
    ("README.md", "summary", PUBLISHED, summary),
    ("docs/performance.md", "details", PUBLISHED, details),
    ("docs/performance.md", "offload", PUBLISHED.with_name("offload.json"), offload),
    ("docs/failover.md", "faults", PUBLISHED.with_name("faults.json"), faults),
    ("docs/priorities.md", "priorities", PUBLISHED.with_name("priorities.json"), priorities),
)


def replaced(text: str, name: str, lines: Iterator[str]) -> str:
    """`text` with these lines between its marks; unchanged when it has no marks."""
    begin = _BEGIN.format(name)
    before, found, rest = text.partition(begin)
    if not found:
        return text
    return "\n".join([before + begin, "", *lines, "", _END]) + rest.partition(_END)[2]


def update(*, check: bool = False) -> list[str]:
    """Write the tables; the documents in which something changed, or would."""
    changed = []
    for place, name, published, lines in PLACES:
        if not published.exists():
            continue
        file = ROOT / place
        text = file.read_text()
        new = replaced(text, name, lines(json.loads(published.read_text())))
        if new != text:
            changed.append(place)
            if not check:
                file.write_text(new)
    return changed


if __name__ == "__main__":
    stale = update(check="--check" in sys.argv)
    print(f"changed: {', '.join(stale) or 'nothing'}")
    sys.exit(bool(stale) and "--check" in sys.argv)
