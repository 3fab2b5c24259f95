"""A program: the clients that wrk cannot be. ``python -m bench.clients JSON`` prints what they saw.

Decides when each client asks: at times fixed before (so that a slow answer delays no other question), once
and then never again, or slowly reading. Invariant: a time counts from when a request was due, and how late
this program itself was is told beside it. Refuses to judge: it counts.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from .connecting import Target, body_left, client_context, connect, exchange, read_some
from .turns import At, Gone, Loop, Turns

_PATIENCE = 10.0  # seconds that the last answers have


@dataclass
class Seen:
    """What the clients saw; times in milliseconds."""

    times: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    ended: float = 0.0  # the last answer: seconds after the first client was due

    def answered(self, begin: float, due: float) -> None:
        now = time.perf_counter()
        self.times.append((now - begin - due) * 1e3)
        self.ended = now - begin

    def missed(self, wanted: int) -> None:
        self.errors["unanswered"] += wanted - len(self.times) - self.errors.total()


def due_times(rate: float, seconds: float, *, regular: bool, seed: int = 1) -> list[float]:
    """When requests are due: in even steps, or as independent users come (the same for every proxy)."""
    if regular:
        return [number / rate for number in range(int(rate * seconds))]
    chance = random.Random(seed)
    return sorted(chance.uniform(0, seconds) for _ in range(int(rate * seconds)))


def arrive(loop: Loop, seen: Seen, target: Target, times: list[float]) -> None:
    """A new connection for each request, at these times."""
    request = target.request(close=True)
    begin = time.perf_counter() + 0.05

    def one(due: float) -> Turns:
        seen.late.append((time.perf_counter() - begin - due) * 1e3)
        sock: socket.socket | None = None
        try:
            sock = yield from connect(target)
            yield from exchange(sock, request)
            seen.answered(begin, due)
        except OSError as error:
            seen.errors[type(error).__name__] += 1
        finally:
            if sock is not None:
                yield Gone(sock.fileno())
                sock.close()

    def all_of_them() -> Turns:
        for due in times:
            yield At(begin + due)
            loop.start(one(due))

    loop.start(all_of_them())
    loop.run(begin + times[-1] + _PATIENCE)
    seen.missed(len(times))


def pace(loop: Loop, seen: Seen, target: Target, connections: int, times: list[float]) -> None:
    """Requests at these times, each over whichever connection is free."""
    request = target.request(close=False)
    free: deque[socket.socket] = deque()
    waiting: deque[float] = deque()

    def serve(sock: socket.socket, due: float) -> Turns:
        try:
            while True:
                yield from exchange(sock, request)
                seen.answered(begin, due)
                if not waiting:
                    break
                due = waiting.popleft()
            free.append(sock)
        except OSError as error:
            seen.errors[type(error).__name__] += 1

    def opened() -> Turns:
        sock = yield from connect(target)
        yield from exchange(sock, request)
        free.append(sock)

    def all_of_them() -> Turns:
        for due in times:
            yield At(begin + due)
            seen.late.append((time.perf_counter() - begin - due) * 1e3)
            if free:
                loop.start(serve(free.popleft(), due))
            else:
                waiting.append(due)

    for _ in range(connections):
        loop.start(opened())
    loop.run(time.perf_counter() + _PATIENCE)
    begin = time.perf_counter() + 0.05
    loop.start(all_of_them())
    loop.run(begin + times[-1] + _PATIENCE)
    seen.missed(len(times))


def hold(loop: Loop, target: Target, connections: int, together: int = 64) -> list[socket.socket]:
    """So many connections that have done one request each, and are idle from then on."""
    request = target.request(close=False)
    held: list[socket.socket] = []

    def some(number: int) -> Turns:
        for _ in range(number):
            sock = yield from connect(target)
            yield from exchange(sock, request)
            yield Gone(sock.fileno())
            held.append(sock)

    for lane in range(together):
        loop.start(some(len(range(lane, connections, together))))
    loop.run()
    return held


def dawdle(loop: Loop, target: Target, connections: int, seconds: float) -> int:
    """Clients that ask again and again and read 16 KiB each quarter of a second; the bytes they read."""
    request = target.request(close=False)
    total = 0
    stop = time.perf_counter() + seconds

    def one(number: int) -> Turns:
        nonlocal total
        yield At(time.perf_counter() + 0.25 * number / connections)
        sock = yield from connect(target)
        while True:
            sock.sendall(request)
            data = yield from read_some(sock, 16_384)
            left = body_left(data)
            while left > 0:
                yield At(time.perf_counter() + 0.25)
                data = yield from read_some(sock, min(left, 16_384))
                if not data:
                    raise ConnectionResetError("a slow reader was cut off")
                left -= len(data)
                total += len(data)

    for number in range(connections):
        loop.start(one(number))
    loop.run(stop)
    return total


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Do what `order` says; what was seen."""
    context = client_context() if order["secure"] else None
    target = Target(order["port"], order["file"], context, small=order["what"] == "dawdle")
    loop, seen = Loop(), Seen()
    if order["what"] == "hold":
        held = hold(loop, target, order["connections"])
        print(json.dumps({"held": len(held)}), flush=True)
        sys.stdin.read()  # until whoever started this has seen enough
        return {}
    if order["what"] == "dawdle":
        print(json.dumps({"started": True}), flush=True)
        return {"bytes": dawdle(loop, target, order["connections"], order["seconds"])}
    times = due_times(order["rate"], order["seconds"], regular=order["regular"])
    if order["what"] == "arrive":
        arrive(loop, seen, target, times)
    else:
        pace(loop, seen, target, order["connections"], times)
    errors = {name: count for name, count in seen.errors.items() if count}
    return {"times": seen.times, "late": seen.late, "ended": seen.ended, "errors": errors}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
