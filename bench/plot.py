"""The result as a picture: for each row, how many times HAProxy's cost each proxy's is.

Decides how it is drawn. Invariant: least, median and most of the rounds are all visible, and the aim. Needs
matplotlib, which is in the environment of `make bench` only; without it there is a reason and no picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .measuring import spread
from .programs import CannotRun
from .report import YARDSTICK, ratios

COLORS = {"broker": "#c0392b", "haproxy": "#34495e", "nginx": "#27ae60", "stock": "#f39c12"}
NAMES = {"broker": "sslbroker", "haproxy": "HAProxy", "nginx": "nginx", "stock": "stock Twisted"}


def pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise CannotRun("no picture: matplotlib is not installed here (make bench does it)") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as found

    return found


def draw(result: Mapping[str, Any], file: Path) -> None:
    """Bars of the medians, lines from least to most; rows without a ratio are left out."""
    rows = {
        name: row for name, row in result["rows"].items() if row["main"] in ("cpu_us", "memory_kib", "busy")
    }
    drawn = [(name, row) for name, row in rows.items() if spread(ratios(row, "broker", row["main"]))]
    if not drawn:
        raise CannotRun("no picture: no row has both the broker and HAProxy")
    plot = pyplot()
    figure, axes = plot.subplots(figsize=(9, 1.4 + 0.75 * len(drawn)))
    proxies = [name for name in COLORS if name != YARDSTICK]
    height = 0.8 / len(proxies)
    for place, (_, row) in enumerate(drawn):
        for number, proxy in enumerate(proxies):
            found = spread(ratios(row, proxy, row["main"]))
            if found is None:
                continue
            at = place + (number - 1) * height
            errors = [[found.median - found.low], [found.high - found.median]]
            label = NAMES[proxy] if place == 0 else None
            axes.barh(
                at,
                found.median,
                height * 0.92,
                xerr=errors,
                color=COLORS[proxy],
                label=label,
                error_kw={"ecolor": "#222222", "capsize": 2, "lw": 1},
            )
            axes.text(found.high + 0.06, at, f"{found.median:.2f}", va="center", fontsize=8)
        for aim in row["aims"]:
            if aim["relative"]:
                axes.plot([aim["limit"]] * 2, [place - 0.45, place + 0.45], color="#c0392b", ls=":", lw=1.5)
    axes.axvline(1, color=COLORS[YARDSTICK], lw=1.5, label=f"{NAMES[YARDSTICK]} = 1")
    axes.set_yticks(range(len(drawn)), [row["title"] for _, row in drawn])
    axes.invert_yaxis()
    axes.set_xlim(0)
    axes.set_xlabel(
        f"times {NAMES[YARDSTICK]}'s in the same round: median, least to most\n"
        "(CPU time for a transaction; memory for an idle connection)"
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.2, -0.1), ncols=4, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"Less is better; dotted: what sslbroker is to reach ({result['date']})", fontsize=10)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plot.close(figure)
