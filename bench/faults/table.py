"""How what was found is shown: lines for a terminal, and tables for docs/failover.md.

Decides the columns. Invariant: each visible error and wrong hash is shown, for every proxy, and for the
broker whether a case reaches what it is to reach. Refuses to leave a proxy out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .cases import CASES, Case
from .seen import KINDS

NAMES = {"broker": "sslbroker", "haproxy": "HAProxy", "nginx": "nginx"}


def kinds(figures: Mapping[str, Any]) -> str:
    """The errors of each kind, as in "12 cut, 3 status"."""
    return ", ".join(f"{figures[kind]} {kind}" for kind in KINDS if figures[kind])


def case_lines(front: str, figures: Mapping[str, Any]) -> Iterator[str]:
    """One run for a terminal."""
    yield (
        f"  {front}: {figures['requests']} requests in {figures['seconds']:.1f} s, {figures['faults']} faults"
        f" (away {figures.get('away_ms', 0):.0f} ms): {figures['errors']} errors"
        f" ({kinds(figures) or 'none'}), {figures['wrong']} wrong;"
        f" p50 {figures['p50_ms']:.1f}, p99 {figures['p99_ms']:.1f}, max {figures['max_ms']:.0f} ms"
    )
    if "executed" in figures:
        yield f"    executed {figures['executed']}, twice {figures['twice']}, lost {figures['lost']}"
    if figures.get("tries"):
        yield "    tries: " + ", ".join(f"{count} {outcome}" for outcome, count in figures["tries"].items())
    if figures.get("tracebacks"):
        yield f"    {figures['tracebacks']} TRACEBACKS in the broker's log"
    for reason in figures.get("why", ())[:12]:
        yield f"    {reason}"


def overload_lines(front: str, figures: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"  {front}: {figures['transactions']} transactions, {figures['tries_each']:.3f} tries each"
        f" (at most {figures['tries_most']:.3f}); RSS {figures['rss_before_mib']:.0f} to"
        f" {figures['rss_most_mib']:.0f} MiB; unanswered {figures['unanswered']}"
    )
    for phase in ("before", "during", "after", "settled"):
        seen = figures[phase]
        yield (
            f"    {phase}: {seen['good']} good, {seen['errors']} errors ({kinds(seen) or 'none'});"
            f" p50 {seen['p50_ms']:.1f}, p99 {seen['p99_ms']:.1f}, max {seen['max_ms']:.0f} ms"
        )
    for reason in figures.get("why", ())[:12]:
        yield f"    {reason}"


def faults(result: Mapping[str, Any]) -> Iterator[str]:
    """All cases, for docs/failover.md."""
    box = result["machine"]
    yield f"Measured on {result['date']}: {box['cores']} cores of {box['cpu']}, Linux {box['kernel']}."
    yield ""
    for name, version in result["versions"].items():
        yield f"- {NAMES[name]}: {version}"
    yield ""
    yield "| case | | requests | visible errors | wrong hashes | p99 ms | max ms |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for case in CASES:
        for name, figures in result["cases"].get(case.name, {}).items():
            told = kinds(figures)
            errors = f"{figures['errors']}" + (f" ({told})" if told else "")
            cells = [case.title, NAMES[name], str(figures["requests"]), errors, str(figures["wrong"])]
            cells += [f"{figures['p99_ms']:.0f}", f"{figures['max_ms']:.0f}"]
            yield f"| {' | '.join(cells)} |"
    yield ""
    for case in CASES:
        for name, why in result["not_run"].get(case.name, {}).items():
            yield f"- {case.title}: not run with {NAMES[name]}: {why}"
        if figures := result["cases"].get(case.name, {}).get("broker"):
            yield f"- {case.title}: {reached(case, figures)}."
    yield from executions(result)
    yield from overloads(result)


def reached(case: Case, figures: Mapping[str, Any]) -> str:
    """What the broker is to reach in this case, and whether it does."""
    bad = figures["wrong"] + figures.get("twice", 0) + figures.get("lost", 0)
    wanted = "no visible error and no wrong answer" if case.unseen else "no wrong answer"
    if case.unseen:
        bad += figures["errors"]
    note = f" ({case.note})" if case.note else ""
    return f"{wanted} wanted{note}: {'reached' if not bad else 'not reached'}"


def executions(result: Mapping[str, Any]) -> Iterator[str]:
    posts = [case for case in CASES if case.posts and case.name in result["cases"]]
    if not posts:
        return
    yield from ("", "| what was sent | | executed once | executed twice | answered, not executed | failed |")
    yield "|---|---|---:|---:|---:|---:|"
    for case in posts:
        for name, figures in result["cases"][case.name].items():
            once = figures["executed"] - figures["twice"]
            cells = [case.title, NAMES[name], once, figures["twice"], figures["lost"], figures["errors"]]
            yield f"| {' | '.join(map(str, cells))} |"


def overloads(result: Mapping[str, Any]) -> Iterator[str]:
    if not result["overload"]:
        return
    headings = (
        "tries each",
        "at most",
        "good, during",
        "never answered",
        "errors 2 s after",
        "p99 ms before",
    )
    yield from ("", f"| twice the load | {' | '.join((*headings, 'p99 ms 2 s after', 'RSS MiB'))} |")
    yield "|---" + "|---:" * (len(headings) + 2) + "|"
    for name, each in result["overload"].items():
        before, during, settled = each["before"], each["during"], each["settled"]
        cells = [NAMES[name], f"{each['tries_each']:.3f}", f"{each['tries_most']:.3f}"]
        cells += [
            f"{during['good']} of {during['requests']}",
            str(each["unanswered"]),
            str(settled["errors"]),
        ]
        cells += [f"{before['p99_ms']:.0f}", f"{settled['p99_ms']:.0f}"]
        cells.append(f"{each['rss_before_mib']:.0f} to {each['rss_most_mib']:.0f}")
        yield f"| {' | '.join(cells)} |"
