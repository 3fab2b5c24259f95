"""A pool with plain and secure traffic, played out in a time of its own.

Servers work on `places` tries at once and let the others wait, first come, first served, as real ones do that
tell nobody what they can do. Secure transactions are of one group. Who cannot begin waits here: secure ones
first. Nothing sleeps: the next event is the next moment, and the same seed gives the same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from sslbroker.core.balancing import LeastTime
from sslbroker.core.choosing import Choosing
from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.promises import Promises
from sslbroker.core.thresholds import Thresholds
from sslbroker.core.transaction import Attempt
from sslbroker.interfaces import Origin
from sslbroker.settings import Group, Pacing, Server

USUAL = Pacing()


@dataclass
class Played:
    """What happened; times in seconds."""

    capacity: float  # transactions a second
    secure: list[tuple[float, float]] = field(default_factory=list)  # when it came, and how long it took
    plain: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0
    windows: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)  # of each server; 0: none
    shares: list[tuple[float, float]] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    done: list[float] = field(default_factory=list)  # when each was done

    def quantile(self, share: float, since: float = 0.0, until: float = 1e9) -> float:
        """Of the times of secure transactions."""
        times = sorted(took for when, took in self.secure if since <= when < until)
        return times[int(len(times) * share)]

    def throughput(self, since: float, until: float) -> float:
        """The part of the capacity that was used."""
        return sum(since <= when < until for when in self.done) / (until - since) / self.capacity


def turns(values: Sequence[float], least: float) -> int:
    """How often a series changes its direction, by more than `least`."""
    found, direction, extreme = 0, 0, values[0]
    for value in values:
        if direction == 0:
            if abs(value - extreme) > least:
                direction, extreme = (1 if value > extreme else -1), value
        elif (value - extreme) * direction > 0:
            extreme = value
        elif abs(value - extreme) > least:
            direction, extreme, found = -direction, value, found + 1
    return found


def play(
    loads: Sequence[tuple[float, float]],
    *,
    threshold: float = 0.04,
    service: Callable[[int, float], float] = lambda server, now: 0.02,
    usual: float = 0.02,
    places: int = 4,
    servers: int = 3,
    secure_share: float = 0.25,
    limit: int = 0,
    queue: int = 1000,
    patience: float = 5.0,
    exponential: bool = False,
    paced: bool = True,
    settings: Pacing = USUAL,
    seed: int = 1,
) -> Played:
    """`loads`: for how many seconds which part of the capacity comes. `service`: how long the server of that
    number takes now, without waiting."""
    comes, takes = Random(seed), Random(seed + 1)
    members = [Member(Server(f"10.0.0.{number}:80", maximum_transactions=limit)) for number in range(servers)]
    group = Group("gold", (), 5, threshold)
    figures = PoolFigures("pool", "http", [member.figures for member in members])
    thresholds = Thresholds((group,), members)
    promises = Promises(members, settings, thresholds, figures, lambda since, now: 0.0) if paced else None
    choosing = Choosing(members, LeastTime(Random(7)), promises)
    secure, plain = Origin("203.0.113.7", secure=True), Origin("198.51.100.7")
    secure.group = group
    played = Played(servers * places / usual)
    busy = [0] * servers
    queues: list[deque[tuple[Attempt, float]]] = [deque() for _ in members]
    waiting: dict[bool, deque[float]] = {True: deque(), False: deque()}
    events: list[tuple[float, int, Callable[[], None]]] = []
    order = count()
    now = end = 0.0

    def later(when: float, what: Callable[[], None]) -> None:
        heappush(events, (when, next(order), what))

    def work(number: int, attempt: Attempt, came: float) -> None:
        busy[number] += 1
        time = service(number, now)
        later(
            now + (takes.expovariate(1.0 / time) if exponential else time),
            lambda: over(number, attempt, came),
        )

    def over(number: int, attempt: Attempt, came: float) -> None:
        member, is_secure = attempt.member, attempt in secures
        busy[number] -= 1
        if queues[number]:
            work(number, *queues[number].popleft())
        member.answered(attempt, now - attempt.sent, True)
        if promises is not None:
            promises.answered(attempt, now, True)
            if is_secure:
                promises.waited(group, now - came, attempt.began - came, now)
        member.ended(attempt)
        if promises is not None:
            promises.ended(attempt)
        secures.discard(attempt)
        (played.secure if is_secure else played.plain).append((came, now - came))
        played.done.append(now)
        serve()

    secures: set[Attempt] = set()

    def begin(is_secure: bool, came: float) -> bool:
        member = choosing.choose((), secure if is_secure else plain, b"", "", now, came)
        if member is None:
            return False
        attempt = Attempt(member, now)
        attempt.sent = now
        member.began(attempt, now)
        if is_secure:
            secures.add(attempt)
        if promises is not None:
            promises.began(attempt, secure if is_secure else plain, now)
        number = members.index(member)
        if busy[number] < places:
            work(number, attempt, came)
        else:
            queues[number].append((attempt, came))
        return True

    def serve() -> None:
        for is_secure in (True, False):
            line = waiting[is_secure]
            while line and now - line[0] > patience:
                line.popleft()
                played.refused += 1
            while line and begin(is_secure, line[0]):
                line.popleft()

    def come(is_secure: bool) -> None:
        if promises is not None and not is_secure:
            promises.arrived(now)
        line = waiting[is_secure]
        if not line and begin(is_secure, now):
            return
        if is_secure or len(line) < queue:
            line.append(now)
        else:
            played.refused += 1

    def tick() -> None:
        if promises is not None:
            promises.look(now)
            played.states.update(member.figures.pacing for member in members)
            played.shares.append((now, figures.plain_share))
        played.windows.append((now, tuple(member.figures.window for member in members)))
        serve()
        if now < end:
            later(now + 0.25, tick)

    for seconds, part in loads:
        when, end = end, end + seconds
        while (when := when + comes.expovariate(played.capacity * part)) < end:
            is_secure = comes.random() < secure_share
            later(when, lambda is_secure=is_secure: come(is_secure))  # type: ignore[misc]
    later(0.25, tick)
    while events and events[0][0] <= end:
        now, _, what = heappop(events)
        what()
    return played
