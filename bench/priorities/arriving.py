"""A program: clients who come when they come. ``python -m bench.priorities.arriving JSON``.

Decides when requests are due: at random but fixed times, the same for every proxy, whatever becomes of those
before; a share of them over TLS from an address of a group, the others plain. Invariant: each is sent at its
time, over a connection that is free or a new one, and its time counts from when it was due; how late this
program was is told of each. A client who has no answer in `patience` gives up. It also tells a server when to
be slow, for the time of both is then the same.
"""

from __future__ import annotations

import gc
import hashlib
import heapq
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ..clients import due_times
from ..connecting import Target, client_context, connect, exchange
from ..faults.conversation import Conversation, Request, watch
from ..faults.seen import Seen
from ..turns import At, Gone, Loop, Turns
from .server import PLAIN, SECURE, SERVED, SLOW

_GET = "GET {target} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
_HASH = hashlib.sha256(SERVED).hexdigest()
OK = ""  # the outcome of what was served


@dataclass(frozen=True)
class Order:
    secure: int  # the ports of the doors
    plain: int
    phases: Sequence[tuple[float, float]]  # requests a second, and for how many seconds
    slow: Sequence[tuple[float, int, float]] = ()  # when which server (its port) takes how many times as long
    share: float = 0.25  # of what comes over TLS
    source: str = "127.0.0.2"  # from where that comes
    connections: tuple[int, int] = (40, 120)  # made before: over TLS, plain
    patience: float = 5.0
    seed: int = 1

    def words(self) -> str:
        return json.dumps(asdict(self))

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.phases)

    def times(self) -> list[tuple[float, bool]]:
        """When requests are due, and whether each comes over TLS."""
        return list(heapq.merge(*self.streams()))

    def streams(self) -> Iterator[list[tuple[float, bool]]]:
        begin = 0.0
        for number, (rate, seconds) in enumerate(self.phases):
            for secure, part in ((True, self.share), (False, 1 - self.share)):
                seed = 1000 * self.seed + 2 * number + secure
                due = due_times(rate * part, seconds, regular=False, seed=seed)
                yield [(begin + each, secure) for each in due]
            begin += seconds


class Row(NamedTuple):
    """What became of one request; in the order in which they were due its place is its number."""

    due: float  # seconds from the first
    secure: bool
    milliseconds: float
    late: float  # milliseconds from when it was due until it was sent
    outcome: str  # `OK`, a status, or a kind of failure


class Side:
    """The connections of those who come over TLS, or of the others."""

    def __init__(self, target: Target, path: str, patience: float) -> None:
        self.target = target
        self.path = path
        self.patience = patience
        self.seen = Seen()
        self.all: list[Conversation] = []
        self.free: deque[Conversation] = deque()

    def made(self) -> Conversation:
        self.all.append(Conversation(self.target, self.seen, 0.0, self.patience))
        return self.all[-1]

    def request(self, number: int) -> Request:
        target = f"{self.path}?n={number}"
        return Request(target, _GET.format(target=target).encode(), _HASH)


def run(order: Order) -> dict[str, Any]:
    """When the first was due, by the machine's clock, and what became of each."""
    loop = Loop()
    sides = {
        True: Side(Target(order.secure, "", client_context(), source=order.source), SECURE, order.patience),
        False: Side(Target(order.plain, "", None), PLAIN, order.patience),
    }
    times = order.times()
    rows: list[Row | None] = [None] * len(times)
    left = len(times)

    def one(number: int, due: float, secure: bool) -> Turns:
        nonlocal left
        side = sides[secure]
        late = time.perf_counter() - begin - due
        conversation = side.free.popleft() if side.free else side.made()
        good = yield from conversation.ask(side.request(number), begin + due)
        outcome = OK if good else "wrong"
        if not good and side.seen.failed:
            failure = side.seen.failed.pop()
            outcome = failure.detail if failure.kind == "status" else failure.kind
        rows[number] = Row(due, secure, side.seen.times.pop(), late * 1e3, outcome)
        side.free.append(conversation)
        left -= 1

    def all_of_them() -> Turns:
        for number, (due, secure) in enumerate(times):
            yield At(begin + due)
            loop.start(one(number, due, secure))

    def slowness() -> Turns:
        for due, port, factor in order.slow:
            yield At(begin + due)
            target = Target(port, f"{SLOW[1:]}?factor={factor}", None)
            sock = yield from connect(target)
            yield from exchange(sock, target.request(close=True))
            yield Gone(sock.fileno())
            sock.close()

    def opened(conversations: Sequence[Conversation]) -> Turns:
        for conversation in conversations:  # one after the other: it shall not be an onslaught
            yield from conversation.open()

    for side, count in zip(sides.values(), order.connections, strict=True):
        side.free.extend(side.made() for _ in range(count))
        loop.start(opened(tuple(side.free)))
    loop.run(time.perf_counter() + 5)
    gc.collect()
    gc.disable()  # a collection would be a pause of the load
    spent = time.process_time()
    begin = time.perf_counter() + 0.05
    loop.start(all_of_them())
    loop.start(slowness())
    for side in sides.values():
        watch(loop, side.all, lambda: left > 0)
    loop.run(begin + order.seconds + 2 * order.patience)
    if left:
        raise SystemExit(f"{left} requests without an end")
    return {"begin": begin, "rows": rows, "cpu": time.process_time() - spent}


if __name__ == "__main__":
    print(json.dumps(run(Order(**json.loads(sys.argv[1])))), flush=True)
