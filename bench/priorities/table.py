"""How what was found is shown: lines for a terminal, and tables for docs/priorities.md.

Decides the columns. Invariant: every front that ran is shown, with what it failed, and for the broker whether
a case reaches what it is to reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Figures = Mapping[str, Any]


def lines(name: str, figures: Figures) -> Iterator[str]:
    """One run for a terminal."""
    yield (
        f"  {name}: {figures['later']['throughput']:.0f} a second;"
        f" proxy {figures['proxy_busy']:.0%} of a core, {figures['proxy_us']:.0f} µs each"
    )
    for span in ("later", "whole"):
        secure, plain = figures[span]["secure"], figures[span]["plain"]
        yield (
            f"    {span}: secure p50 {secure['p50']:.1f}, p95 {secure['p95']:.1f}, p99 {secure['p99']:.1f},"
            f" max {secure['max']:.0f} ms, waiting p99 {secure['wait_p99']:.1f}, {lost(secure)};"
            f" plain p50 {plain['p50']:.0f}, p99 {plain['p99']:.0f} ms,"
            f" {plain['served'] / plain['requests']:.1%} served, {lost(plain)}"
        )
    share = figures["share"]
    said = f"    plain share: least {share['least']:.2f}"
    if share["turns"] is not None:
        said += f", {share['turns']:.1f} turns a minute"
    if share["back"] is not None:
        said += f", back after {share['back']:.0f} s"
    yield said + "; " + " ".join(f"{each:.2f}" for each in figures["series"]["share"])
    yield "    secure p99, second by second: " + " ".join(
        "-" if each is None else f"{each:.0f}" for each in figures["series"]["secure_p99"]
    )
    if chosen := figures.get("choose"):
        yield f"    its log: secure ones waited p50 {chosen['p50']:.1f}, p99 {chosen['p99']:.1f} ms"
    if figures.get("tracebacks"):
        yield f"    {figures['tracebacks']} TRACEBACKS in the broker's log"
    late, servers = figures["load_late"], figures["servers_late"]
    yield (
        f"    load late p50 {late['p50']:.2f}, p99 {late['p99']:.2f}, max {late['max']:.1f} ms"
        f" ({figures['load_busy']:.0%} of a core); servers late p50 {servers['p50']:.2f},"
        f" p99 {servers['p99']:.2f}, max {servers['max']:.1f} ms ({figures['servers_busy']:.0%});"
        f" disturbed {figures['others']:.0%}"
    )


def lost(group: Figures) -> str:
    """What was not served: "no failure", or as in "3 timeout, 12 refused with 503"."""
    found = [f"{count} {kind}" for kind, count in group["kinds"].items()]
    if group["refused"]:
        found.append(f"{group['refused']} refused with 503")
    return ", ".join(found) or "no failure"
