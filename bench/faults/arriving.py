"""A program: more users than the servers can serve. ``python -m bench.faults.arriving JSON``.

Decides when requests come: at times fixed before, so that slow answers do not make them fewer: few, then too
many, then few again. Invariant: each is sent at its time, or as soon as one of `most` connections is free,
and counted in its phase; its time counts from when it was due. Refuses to give up what is due.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from ..clients import due_times
from ..connecting import Target, client_context
from ..turns import At, Loop, Turns
from .conversation import Conversation, Request, watch
from .seen import Seen

_GET = "GET {target} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
_SERVED = hashlib.sha256(b"served\n").hexdigest()

BEFORE, DURING, AFTER, SETTLED = range(4)


@dataclass(frozen=True)
class Order:
    port: int
    few: float  # requests a second
    many: float
    before: float = 3.0  # seconds
    during: float = 10.0
    after: float = 5.0
    settled: float = 2.0  # so long after the load has ended all must be as before
    connections: int = 100  # made before
    most: int = 500  # as many as are made when none is free
    patience: float = 15.0
    secure: bool = True

    def words(self) -> str:
        return json.dumps(asdict(self))

    def times(self) -> list[tuple[float, int]]:
        """When requests are due, and of which phase each one is."""
        found = []
        begin = 0.0
        for rate, seconds, phase in (
            (self.few, self.before, BEFORE),
            (self.many, self.during, DURING),
            (self.few, self.settled, AFTER),
            (self.few, self.after - self.settled, SETTLED),
        ):
            found += [(begin + due, phase) for due in due_times(rate, seconds, regular=phase != DURING)]
            begin += seconds
        return found


def run(order: Order) -> list[Seen]:
    """What was seen in each phase."""
    loop = Loop()
    phases = [Seen() for _ in range(4)]
    times = order.times()
    left = len(times)
    begin = time.perf_counter() + 0.5
    target = Target(order.port, "", client_context() if order.secure else None)
    conversations: list[Conversation] = []
    free: deque[Conversation] = deque()
    waiting: deque[tuple[int, float, int]] = deque()

    def made() -> Conversation:
        conversations.append(Conversation(target, phases[BEFORE], begin, order.patience))
        return conversations[-1]

    def serve(conversation: Conversation, number: int, due: float, phase: int) -> Turns:
        nonlocal left
        while True:
            conversation.seen = phases[phase]
            place = f"/place?n={number}"
            request = Request(place, _GET.format(target=place).encode(), _SERVED)
            yield from conversation.ask(request, begin + due)
            left -= 1
            if not waiting:
                break
            number, due, phase = waiting.popleft()
        free.append(conversation)

    def all_of_them() -> Turns:
        for number, (due, phase) in enumerate(times):
            yield At(begin + due)
            if free:
                loop.start(serve(free.popleft(), number, due, phase))
            elif len(conversations) < order.most:
                loop.start(serve(made(), number, due, phase))
            else:
                waiting.append((number, due, phase))

    free.extend(made() for _ in range(order.connections))
    for conversation in free:
        loop.start(conversation.open())
    loop.start(all_of_them())
    watch(loop, conversations, lambda: left > 0)
    loop.run(begin + times[-1][0] + 2 * order.patience)
    return phases


def main(said: dict[str, Any]) -> None:
    print(json.dumps([seen.told() for seen in run(Order(**said))]), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
