"""A broker's loop whose capacity is known, under a load that does not wait for answers.

Decides nothing of the broker's: it does in turns what has become ready, as an event loop does, and each thing
takes its time. What is held back waits in a queue with a limit of length and time, and is refused after that.
Invariant: the same seed, the same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import pairwise
from random import Random
from typing import Any

from sslbroker.core.overload import Overload
from sslbroker.net.lag import Lag

READS = 0.00015
"""Seconds that the loop is busy with reading a request ..."""
SENDS = 0.0001
"""... with sending it to a server ..."""
ANSWERS = 0.00025
"""... with its answer ..."""
REFUSES = 0.00005
"""... and with a refusal in place of both."""

CAPACITY = 1.0 / (READS + SENDS + ANSWERS)
"""Transactions a second."""

NOTED = 0.1
"""Seconds between two notes."""

QUEUE, PATIENCE = 1000, 5.0


class Loop:
    """`load` gives the transactions a second that come at a time; a quarter of them are secure."""

    def __init__(
        self,
        overload: Overload,
        load: Callable[[float], float],
        *,
        serves: float = 0.02,
        secure: float = 0.25,
        seed: int = 1,
    ) -> None:
        self.overload = overload
        self.load, self.serves, self.share_of_secure = load, serves, secure
        self.random = Random(seed)
        self.now = self.turn_began = 0.0
        self.lag = Lag(self)
        self.coming: list[tuple[float, int, str, bool, float]] = []  # at, order, what, secure, since
        self.order = 0
        self.plain = 0  # in flight
        self.waiting: deque[tuple[float, float]] = deque()  # since, came
        self.long_turn: Any = None
        self.noted = NOTED
        self.history: list[tuple[float, float, float, int]] = []  # at, window, lag, plain in flight
        self.done: list[tuple[float, bool, float]] = []  # at, secure, seconds
        self.refused = 0
        self.turns: list[tuple[float, float]] = []  # at, seconds
        self.stalls: list[tuple[float, float]] = []  # at, seconds

    # What `Lag` asks a reactor for.
    def seconds(self) -> float:
        return self.now

    def watch_turns(self, long_turn: Any) -> None:
        self.long_turn = long_turn

    def unwatch_turns(self, long_turn: Any) -> None:
        self.long_turn = None

    def callLater(self, *_: object) -> Any:
        return self

    def cancel(self) -> None:
        pass

    def run(self, seconds: float) -> None:
        self.lag.start()
        self._arrives(0.0)
        while self.now < seconds:
            self._turn()
        self.lag.stop()

    def _later(self, at: float, what: str, secure: bool, since: float) -> None:
        self.order += 1
        heappush(self.coming, (at, self.order, what, secure, since))

    def _arrives(self, after: float) -> None:
        at = after + self.random.expovariate(max(self.load(after), 1e-3))
        self._later(at, "request", self.random.random() < self.share_of_secure, at)

    def _turn(self) -> None:
        """Wait for what comes next, or for the next note; do all that is ready, one after the other."""
        self.now = self.turn_began = max(self.now, min(self.coming[0][0], self.noted))
        ready = []
        while self.coming and self.coming[0][0] <= self.turn_began:
            ready.append(heappop(self.coming))
            if ready[-1][2] == "request":
                self._arrives(ready[-1][0])
        if self.stalls and self.stalls[0][0] <= self.now:
            self.now += self.stalls.pop(0)[1]
        for _, _, what, secure, since in ready:
            if what == "request":
                self._request(secure, since)
            else:
                self.now += ANSWERS
                self.done.append((self.now, secure, self.now - since))
                self.plain -= not secure
        self._serve()
        if self.now >= self.noted:
            self._note()
        self.turns.append((self.turn_began, self.now - self.turn_began))
        if self.now - self.turn_began > 0.001:
            self.long_turn(self.turn_began, self.now)

    def _request(self, secure: bool, came: float) -> None:
        self.now += READS
        if secure or self.overload.has_room(self.plain):
            self._send(secure, came)
        elif len(self.waiting) < QUEUE:
            self.waiting.append((self.now, came))
        else:
            self._refuse()

    def _send(self, secure: bool, came: float) -> None:
        self.now += SENDS
        self.plain += not secure
        self._later(self.now + self.random.uniform(0.8, 1.2) * self.serves, "answer", secure, came)

    def _refuse(self) -> None:
        self.now += REFUSES
        self.refused += 1

    def _serve(self) -> None:
        waiting = self.waiting
        while waiting and self.now - waiting[0][0] > PATIENCE:
            waiting.popleft()
            self._refuse()
        while waiting and self.overload.has_room(self.plain):
            self._send(False, waiting.popleft()[1])

    def _note(self) -> None:
        lag = self.lag.mean(self.now)
        self.overload.note(lag, self.plain, self.now)
        self.history.append((self.now, self.overload.window, lag, self.plain))
        self.noted = self.now + NOTED

    # --- what a test asks ---

    def turns_of_direction(self, since: float, until: float) -> int:
        """How often the window began to grow after it had shrunk, or to shrink after it had grown."""
        directions: list[bool] = []
        windows = [window for at, window, _, _ in self.history if since <= at < until]
        for before, after in pairwise(windows):
            if after != before and (not directions or directions[-1] != (after > before)):
                directions.append(after > before)
        return max(0, len(directions) - 1)

    def throughput(self, since: float, until: float) -> float:
        return sum(since <= at < until for at, _, _ in self.done) / (until - since)

    def busy(self, since: float, until: float) -> float:
        """Share of the time."""
        return sum(seconds for at, seconds in self.turns if since <= at < until) / (until - since)

    def quantile(self, share: float, secure: bool, since: float, until: float) -> float:
        times = sorted(seconds for at, kind, seconds in self.done if kind == secure and since <= at < until)
        return times[int(share * len(times))] if times else 0.0
