"""How much of the plain traffic is served, second by second: how often that turns, and when it is back.

Decides what a turn is: the share, as a mean of five seconds, goes up by more than `TURN` after it went down
by as much, or the other way round. A single second says little: with 675 arrivals at random the share of one
second is off by 0.02 on average, whoever serves. Invariant: pure functions of what clients saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..measuring import quantile
from .arriving import OK, Row

TURN = 0.05
FULL = 0.98
FAST = 40.0  # milliseconds: twice what a request takes
MEAN = 5  # seconds


def seconds_of(rows: Iterable[Row], seconds: float) -> list[list[Row]]:
    """The requests that were due in each second."""
    bins: list[list[Row]] = [[] for _ in range(max(1, round(seconds)))]
    for row in rows:
        bins[min(int(row.due), len(bins) - 1)].append(row)
    return bins


def served(rows: Sequence[Row]) -> float:
    """Which share of them was served; nothing that was not asked is missing."""
    return sum(row.outcome == OK for row in rows) / len(rows) if rows else 1.0


def at(rows: Sequence[Row], share: float) -> float | None:
    """A quantile of the response times of those that were served."""
    times = [row.milliseconds for row in rows if row.outcome == OK]
    return round(quantile(times, share), 1) if times else None


def smooth(series: Sequence[float], width: int = MEAN) -> list[float]:
    return [sum(series[end - width : end]) / width for end in range(width, len(series) + 1)]


def turns(series: Sequence[float], least: float = TURN) -> int:
    """How often a series changes its direction, by more than `least`."""
    found, direction, low, high = 0, 0, float("inf"), float("-inf")
    for value in series:
        low, high = min(low, value), max(high, value)
        if direction <= 0 and value - low > least:
            found, direction, high = found + (direction < 0), 1, value
        elif direction >= 0 and high - value > least:
            found, direction, low = found + (direction > 0), -1, value
    return found


def back(good: Sequence[bool], ends: Sequence[float], begins: Sequence[float]) -> list[int | None]:
    """How many seconds after the end of each trouble all is good, and stays so until the next begins.

    None: it is not.
    """
    found: list[int | None] = []
    for end in ends:
        until = min([begin for begin in begins if begin >= end], default=len(good))
        after = good[int(end) : int(until)]
        lacking = [second for second, each in enumerate(after, 1) if not each]
        last = max(lacking, default=0)
        found.append(None if last == len(after) else last)
    return found
