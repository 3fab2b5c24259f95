"""Many clients in one thread: each is a generator that yields what it waits for.

Decides whose turn it is. Invariant: a client is resumed when its socket is ready or its time has come, late
by no more than what the others take; that lateness is the caller's to measure. It sleeps while nobody has a
turn, for servers may be on the same core. It is here because the load shall not be the slowest part of a
bench: an asyncio stream does the same at a higher cost.
"""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count

READ = select.EPOLLIN
WRITE = select.EPOLLOUT


@dataclass(frozen=True, slots=True)
class Ready:
    """Wait until this descriptor can be read or written."""

    descriptor: int
    mask: int


@dataclass(frozen=True, slots=True)
class At:
    """Wait until the clock (`time.perf_counter`) says so."""

    when: float


@dataclass(frozen=True, slots=True)
class Gone:
    """This descriptor is about to be closed: forget it, and go on at once."""

    descriptor: int


Turns = Generator[Ready | At | Gone, None, None]


class Loop:
    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.masks: dict[int, int] = {}
        self.waiting: dict[int, Turns] = {}
        self.timers: list[tuple[float, int, Turns]] = []
        self.order = count()

    def start(self, client: Turns) -> None:
        """Give a client its first turn."""
        for wish in client:
            if isinstance(wish, Gone):
                self._watch(wish.descriptor, 0)
                self.waiting.pop(wish.descriptor, None)
            elif isinstance(wish, At):
                heapq.heappush(self.timers, (wish.when, next(self.order), client))
                return
            else:
                self._watch(wish.descriptor, wish.mask)
                self.waiting[wish.descriptor] = client
                return

    def _watch(self, descriptor: int, mask: int) -> None:
        now = self.masks.get(descriptor, 0)
        if now == mask:
            return
        if not mask:
            self.epoll.unregister(descriptor)
            del self.masks[descriptor]
            return
        change = self.epoll.modify if now else self.epoll.register
        change(descriptor, mask)
        self.masks[descriptor] = mask

    def run(self, until: float = float("inf")) -> None:
        """Go on until nobody waits, or until then; who waits is then left waiting."""
        while self.waiting or self.timers:
            now = time.perf_counter()
            if now >= until:
                return
            while self.timers and self.timers[0][0] <= now:
                self.start(heapq.heappop(self.timers)[2])
            if not self.waiting and not self.timers:
                return
            soon = min(self.timers[0][0] if self.timers else until, until) - time.perf_counter()
            # epoll's clock has milliseconds, that of select microseconds.
            select.select([self.epoll], (), (), None if soon == float("inf") else max(0.0, soon))
            for descriptor, _ in self.epoll.poll(0):
                client = self.waiting.pop(descriptor, None)
                if client is None:
                    self._watch(descriptor, 0)  # it sleeps, and shall not be woken by its socket
                else:
                    self.start(client)
