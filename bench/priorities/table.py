"""How what was found is shown: lines for a terminal, and tables for docs/priorities.md.

Decides the columns. Invariant: every front that ran is shown, with what it failed, and for the broker
whether a case reaches what it is to reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .aims import Fronts, ratio, told
from .cases import CASES, Case
from .fronts import TITLES

Figures = Mapping[str, Any]

PROGRAMS = {"broker": "sslbroker", "haproxy": "HAProxy", "nginx": "nginx"}
_BACK = {
    "Plain requests are all served again after": "back",
    "Their median is below 40 ms again after": "fast",
}
_COLUMNS = (
    "secure p50 ms",
    "p99",
    "p99, from the start",
    "max",
    "secure failed",
    "plain p50 ms",
    "p99",
    "plain served",
    "a second",
    "÷ HAProxy",
    "CPU µs",
)


def lines(name: str, figures: Figures) -> Iterator[str]:
    """One run for a terminal."""
    yield (
        f"  {name}: {figures['later']['throughput']:.0f} a second;"
        f" proxy {figures['proxy_busy']:.0%} of a core, {figures['proxy_us']:.0f} µs each"
    )
    for span in ("later", "whole"):
        secure, plain = figures[span]["secure"], figures[span]["plain"]
        yield (
            f"    {span}: secure p50 {ms(secure['p50'])}, p95 {ms(secure['p95'])}, p99 {ms(secure['p99'])},"
            f" max {ms(secure['max'])} ms, waiting p99 {ms(secure['wait_p99'])}, {lost(secure)};"
            f" plain p50 {ms(plain['p50'])}, p99 {ms(plain['p99'])} ms,"
            f" {plain['served'] / plain['requests']:.1%} served, {lost(plain)}"
        )
    share, series = figures["share"], figures["series"]
    said = f"    plain share: least {share['least']:.2f}"
    if share["turns"] is not None:
        said += f", {share['turns']:.1f} turns a minute"
    if share["back"]:
        said += f", back after {after(share['back'])}"
    yield f"{said}; " + " ".join(f"{each:.2f}" for each in series["share"])
    yield "    secure p99, second by second: " + " ".join(ms(each, 0) for each in series["secure_p99"])
    yield "    plain p50, second by second: " + " ".join(ms(each, 0) for each in series["plain_p50"])
    if windows := figures.get("windows"):
        yield f"    its windows, {windows['turns']:.1f} turns a minute: " + " ".join(
            "/".join(str(each) for each in now) for now in zip(*windows["servers"], strict=True)
        )
        yield "    its plain share: " + " ".join(f"{each:.2f}" for each in windows["share"])
    if chosen := figures.get("choose"):
        yield f"    its log: secure ones waited p50 {chosen['p50']:.1f}, p99 {chosen['p99']:.1f} ms"
    if figures.get("tracebacks"):
        yield f"    {figures['tracebacks']} TRACEBACKS in the broker's log"
    load, servers = figures["load_late"], figures["servers_late"]
    yield (
        f"    load late p50 {load['p50']:.2f}, p99 {load['p99']:.2f}, max {load['max']:.1f} ms"
        f" ({figures['load_busy']:.0%} of a core); servers late p50 {servers['p50']:.2f},"
        f" p99 {servers['p99']:.2f}, max {servers['max']:.1f} ms ({figures['servers_busy']:.0%});"
        f" disturbed {figures['others']:.0%}"
    )


def ms(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def after(back: list[int | None]) -> str:
    """As in "0 s, 2 s, not"."""
    return ", ".join("not" if each is None else f"{each} s" for each in back)


def lost(group: Figures) -> str:
    """What was not served: "no failure", or as in "3 timeout, 12 refused with 503"."""
    found = [f"{count} {kind}" for kind, count in group["kinds"].items()]
    if group["refused"]:
        found.append(f"{group['refused']} refused with 503")
    return ", ".join(found) or "no failure"


def priorities(result: Mapping[str, Any]) -> Iterator[str]:
    """All cases, for docs/priorities.md."""
    box = result["machine"]
    yield f"Measured on {result['date']}: {box['cores']} cores of {box['cpu']}, Linux {box['kernel']}."
    yield ""
    for name, title in PROGRAMS.items():
        if version := result["versions"].get(name):
            yield f"- {title}: {version}"
    for case in CASES:
        if fronts := result["cases"].get(case.name):
            yield from ("", f"**{case.title[0].upper()}{case.title[1:]}**", "")
            yield f"| | {' | '.join(_COLUMNS)} |"
            yield "|---" + "|---:" * len(_COLUMNS) + "|"
            for name in (each for each in TITLES if each in fronts):
                yield f"| {TITLES[name]} | {' | '.join(cells(case, fronts, name))} |"
            said = [f"- {each}." for each in (*told(case, fronts, TITLES), *more_said(fronts))]
            yield from ("", *said) if said else ()
        for name, why in result["not_run"].get(case.name, {}).items():
            yield from ("", f"{case.title}: not run with {TITLES[name]}: {why}")
    yield from ("", lateness(result))


def cells(case: Case, fronts: Fronts, name: str) -> Iterator[str]:
    """Throughput is compared where the load is steady: else it tells who has put off most."""
    figures = fronts[name]
    secure, plain = (figures["later"][group] for group in ("secure", "plain"))
    yield ms(secure["p50"])
    yield ms(secure["p99"])
    yield ms(figures["whole"]["secure"]["p99"])
    yield ms(secure["max"], 0)
    failed = secure["requests"] - secure["served"]
    yield f"{failed / secure['requests']:.1%}" if failed else "0"
    yield ms(plain["p50"], 0)
    yield ms(plain["p99"], 0)
    yield f"{plain['served'] / plain['requests']:.1%}"
    yield f"{figures['later']['throughput']:.0f}"
    found = ratio(fronts, name) if len(case.phases) == 1 else None
    yield "-" if found is None else f"{found:.3f}"
    yield f"{figures['proxy_us']:.0f}"


def more_said(fronts: Fronts) -> Iterator[str]:
    """How the plain traffic went, where that is a question, and what the broker says of waiting."""
    there = [(TITLES[name], fronts[name]) for name in TITLES if name in fronts]
    for words, key in _BACK.items():
        if found := [f"{title} {after(each['share'][key])}" for title, each in there if each["share"][key]]:
            yield f"{words}: {'; '.join(found)}"
    turned = [(title, each["share"]["turns"]) for title, each in there]
    if found := [f"{title} {value:.1f}" for title, value in turned if value is not None]:
        yield f"Turns of the plain share a minute: {'; '.join(found)}"
    waited = [(title, each.get("choose")) for title, each in there]
    if found := [f"{title} {value['p99']:.1f} ms" for title, value in waited if value]:
        yield f"Waiting of secure ones by the broker's own log, p99: {'; '.join(found)}"


def lateness(result: Mapping[str, Any]) -> str:
    """How exact all of it is."""
    runs = [figures for fronts in result["cases"].values() for figures in fronts.values()]
    load, servers = (sorted(run[what]["p99"] for run in runs) for what in ("load_late", "servers_late"))
    return (
        f"In {len(runs)} runs the load sent 99 % of its requests at most {load[len(load) // 2]:.1f} ms late"
        f" (median; worst {load[-1]:.1f}), and the servers answered so at most"
        f" {servers[len(servers) // 2]:.1f} ms late (worst {servers[-1]:.1f})."
    )
