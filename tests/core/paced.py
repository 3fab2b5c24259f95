"""A pool with plain and secure traffic, played out in a time of its own.

Servers work on `places` tries at once and let the others wait, first come, first served, as real ones do that
tell nobody what they can do. Secure transactions are of one group, or of several in turn. Who cannot begin
waits here: secure ones first. Nothing sleeps: the next event is the next moment, and the same seed gives the
same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from sslbroker.core.attempt import Attempt
from sslbroker.core.balancing import LeastTime
from sslbroker.core.choosing import Choosing
from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.promises import Promises
from sslbroker.core.thresholds import Thresholds
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
    groups: list[list[tuple[float, float]]] = field(default_factory=list)  # `secure`, of each group
    begun: list[bool] = field(default_factory=list)  # is it secure? of each that began

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
    threshold: float | Sequence[float] = 0.04,
    service: Callable[[int, float], float] = lambda server, now: 0.02,
    usual: float = 0.02,
    places: int = 4,
    servers: int = 3,
    secure_share: float = 0.25,
    limit: int = 0,
    queue: int = 1000,
    patience: float = 5.0,
    exponential: bool = False,
    varies: Callable[[Random], float] = lambda random: 1.0,
    heavier: float = 1.0,
    paced: bool = True,
    settings: Pacing = USUAL,
    seed: int = 1,
) -> Played:
    """`loads`: for how many seconds which part of the capacity comes. `service`: how long the server of that
    number takes now, without waiting; `varies` that, by a factor whose mean is 1; a plain transaction takes
    `heavier` times as long. Each `threshold` is that of a group."""
    comes, takes = Random(seed), Random(seed + 1)
    members = [Member(Server(f"10.0.0.{number}:80", maximum_transactions=limit)) for number in range(servers)]
    thresholds = (threshold,) if isinstance(threshold, float) else threshold
    groups = [Group(f"group{number}", (), 5, seconds) for number, seconds in enumerate(thresholds)]
    figures = PoolFigures("pool", "http", [member.figures for member in members])
    promised = Thresholds(groups, members)
    promises = Promises(members, settings, promised, figures, lambda since, now: 0.0) if paced else None
    choosing = Choosing(members, LeastTime(Random(7)), promises)
    plain = Origin("198.51.100.7")
    secures = [Origin("203.0.113.7", secure=True) for _ in groups]
    for origin, group in zip(secures, groups, strict=True):
        origin.group = group
    mean = usual * (secure_share + (1.0 - secure_share) * heavier)
    played = Played(servers * places / mean, groups=[[] for _ in groups])
    busy = [0] * servers
    queues: list[deque[tuple[Attempt, Origin, float]]] = [deque() for _ in members]
    waiting: dict[bool, deque[tuple[Origin, float]]] = {True: deque(), False: deque()}
    events: list[tuple[float, int, Callable[[], None]]] = []
    order = count()
    now = end = 0.0

    def later(when: float, what: Callable[[], None]) -> None:
        heappush(events, (when, next(order), what))

    def work(number: int, attempt: Attempt, origin: Origin, came: float) -> None:
        busy[number] += 1
        time = service(number, now) * varies(takes) * (1.0 if origin.secure else heavier)
        later(
            now + (takes.expovariate(1.0 / time) if exponential else time),
            lambda: over(number, attempt, origin, came),
        )

    def over(number: int, attempt: Attempt, origin: Origin, came: float) -> None:
        member = attempt.member
        busy[number] -= 1
        if queues[number]:
            work(number, *queues[number].popleft())
        member.answered(attempt, now - attempt.sent, True)
        if promises is not None:
            promises.answered(attempt, now, True)
            if origin.group is not None:
                promises.waited(origin.group, now - came, attempt.began - came, now)
        member.ended(attempt)
        if promises is not None:
            promises.ended(attempt)
        (played.secure if origin.secure else played.plain).append((came, now - came))
        if origin.secure:
            played.groups[secures.index(origin)].append((came, now - came))
        played.done.append(now)
        serve()

    def begin(origin: Origin, came: float) -> bool:
        member = choosing.choose((), origin, b"", "", now, came)
        if member is None:
            return False
        attempt = Attempt(member, now)
        attempt.sent = now
        member.began(attempt, now)
        if promises is not None:
            promises.began(attempt, origin, now)
            if not origin.secure:
                promises.placed(now)
        played.begun.append(origin.secure)
        number = members.index(member)
        if busy[number] < places:
            work(number, attempt, origin, came)
        else:
            queues[number].append((attempt, origin, came))
        return True

    def serve() -> None:
        for line in waiting.values():
            while line and now - line[0][1] > patience:
                line.popleft()
                played.refused += 1
            while line and begin(*line[0]):
                line.popleft()

    def come(origin: Origin) -> None:
        if promises is not None and not origin.secure:
            promises.arrived(now)
        line = waiting[origin.secure]
        if not line and begin(origin, now):
            return
        if origin.secure or len(line) < queue:
            line.append((origin, now))
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
            origin = secures[next(order) % len(secures)] if comes.random() < secure_share else plain
            later(when, lambda origin=origin: come(origin))  # type: ignore[misc]
    later(0.25, tick)
    while events and events[0][0] <= end:
        now, _, what = heappop(events)
        what()
    return played
