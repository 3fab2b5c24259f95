"""How long a server takes, by how much it had to do: does load make it slow?

Decides whether a load is to blame for a slow answer. Invariant: a server that takes as long when it has
little to do is not slow because of what it has to do. Secure transactions are compared with each other where
enough of them are known, since plain ones may be much heavier, and hide how long others wait for them; else
all are. Memory is constant. Refuses to guess where too little is known, and to say what follows.
"""

from __future__ import annotations

from math import inf

#: Loads below twice this are told apart one by one, those above in so many steps for each power of 2.
FINE = 16

#: Loads above are all alike.
MOST = 1 << 16

#: Answers that a mean remembers, and that are enough to believe it.
REMEMBERED, ENOUGH = 64, 8

#: Seconds for which what is known of a load is believed.
FRESH = 30.0

#: A load is to blame when answers take so many times as long as with half of it, or less.
SLOWER = 1.5


def row(load: int) -> int:
    """Where a load is counted."""
    if load < FINE:
        return load
    load = min(load, MOST)
    power = load.bit_length() - FINE.bit_length()
    return (power << 4) + (load >> power)


class _Means:
    """By load: the mean of server times, of how many lately, and when the last one came."""

    __slots__ = ("at", "counts", "means")

    def __init__(self) -> None:
        rows = row(MOST) + 1
        self.means = [0.0] * rows
        self.counts = [0] * rows
        self.at = [-inf] * rows

    def add(self, row: int, seconds: float, now: float) -> None:
        count = self.counts[row]
        if now - self.at[row] > FRESH:
            count = 0
        if count < REMEMBERED:
            self.counts[row] = count = count + 1
        self.means[row] += (seconds - self.means[row]) / count
        self.at[row] = now

    def slower(self, load: int, now: float) -> bool | None:
        """Do answers take longer with this load than with half of it? None: too little is known."""
        calm, known = self._mean(0, load // 2, now)
        busy, seen = self._mean(-(-3 * load // 4), load, now)
        return None if known < ENOUGH or seen < ENOUGH else busy >= SLOWER * calm

    def _mean(self, least: int, most: int, now: float) -> tuple[float, int]:
        """Of the loads from `least` to `most`: the mean of answers, and of how many."""
        total, count = 0.0, 0
        for at in range(row(least), row(most) + 1):
            if now - self.at[at] <= FRESH:
                total += self.means[at] * self.counts[at]
                count += self.counts[at]
        return (total / count if count else 0.0), count


class Loads:
    """The server times of one server by its load: the tries that it had under way when one began."""

    __slots__ = ("_all", "_secure")

    def __init__(self) -> None:
        self._all = _Means()
        self._secure = _Means()

    def add(self, load: int, seconds: float, now: float, plain: bool) -> None:
        """An answer that took so long."""
        at = load if load < FINE else row(load)
        self._all.add(at, seconds, now)
        if not plain:
            self._secure.add(at, seconds, now)

    def blames(self, load: int, now: float) -> bool | None:
        """Is a slow answer that found this load slow because of it? None: too little is known."""
        if load == 0:
            return False
        slower = self._secure.slower(load, now)
        return self._all.slower(load, now) if slower is None else slower
