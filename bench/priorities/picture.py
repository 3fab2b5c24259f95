"""The result as a picture over time: how long those of the group wait, how long the others, who is served.

Decides what is drawn: the cases in which something happens, and the broker and HAProxy, each with limits and
without. Invariant: a second in which nothing was served is a gap. Needs matplotlib, which is in the
environment of `make bench-priorities` only; without it there is a reason and no picture.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import plot
from ..programs import CannotRun
from .cases import CASES, THRESHOLD, Case
from .fronts import TITLES

_CASES = ("150", "slow", "back")
_LINES = {
    "broker": ("#c0392b", "-"),
    "broker-limits": ("#c0392b", ":"),
    "haproxy": ("#34495e", "-"),
    "haproxy-limits": ("#34495e", ":"),
}
_ROWS = (
    ("secure_p99", "secure, p99, ms"),
    ("plain_p50", "plain, median, ms"),
    ("share", "plain share served"),
)


def draw(result: Mapping[str, Any], file: Path) -> None:
    """A column for each case, a row for each question."""
    drawn = [case for case in CASES if case.name in _CASES and result["cases"].get(case.name)]
    if not drawn:
        raise CannotRun(f"no picture: none of the cases {', '.join(_CASES)} has run")
    pyplot = plot.pyplot()
    figure, grid = pyplot.subplots(
        len(_ROWS), len(drawn), figsize=(4.2 * len(drawn), 7.5), sharex="col", sharey="row", squeeze=False
    )
    for column, case in enumerate(drawn):
        for row, (series, label) in enumerate(_ROWS):
            axes = grid[row][column]
            panel(axes, case, result["cases"][case.name], series)
            axes.set_ylabel(label if column == 0 else "")
        grid[0][column].set_title(textwrap.fill(case.title, 40), fontsize=9)
        grid[0][column].axhline(float(THRESHOLD.removesuffix("ms")), color="#888888", lw=1)
        grid[-1][column].set_xlabel("seconds")
    known = {
        name: line for axes in grid[0] for line, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(known.values(), known, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(
        f"Who is served first ({result['date']}); grey: what the group is promised, and when a server is slow"
        " or too much comes",
        fontsize=9,
    )
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def panel(axes: Any, case: Case, fronts: Mapping[str, Any], series: str) -> None:
    for name, (color, style) in _LINES.items():
        if name in fronts:
            values = [float("nan") if each is None else each for each in fronts[name]["series"][series]]
            middles = [second + 0.5 for second in range(len(values))]
            axes.plot(middles, values, style, color=color, lw=1.3, label=TITLES[name])
    for begin, end in troubles(case):
        axes.axvspan(begin, end, color="#dddddd", lw=0)
    if series == "share":
        axes.set_ylim(0, 1.05)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.spines[["top", "right"]].set_visible(False)


def troubles(case: Case) -> list[tuple[float, float]]:
    """When a server is slow, or more comes than all can do."""
    found, at = list(case.slow), 0.0
    for share, seconds in case.phases:
        if share > 1 and len(case.phases) > 1:
            found.append((at, at + seconds))
        at += seconds
    return found
