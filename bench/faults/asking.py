"""A program: clients that ask all the time and compare hashes. ``python -m bench.faults.asking JSON``.

Decides what each of them asks, and when: all begin a request together, again and again, so that many are
under way at every moment at which something breaks. Invariant: the order says everything, a seed included, so
each proxy is asked the same; what was seen goes to standard output as JSON.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..connecting import Target, client_context
from ..turns import At, Loop, Turns
from .conversation import Conversation, Request, watch
from .seen import Seen

_HEAD = "{method} {target} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: bench\r\nAccept: */*\r\n{more}\r\n"


@dataclass(frozen=True)
class Order:
    port: int
    hashes: dict[str, str]  # of the files, by name; none: it sends content
    requests: int
    connections: int = 50
    seconds: float = 0.0  # how long it shall take at least
    keyed: bool = False  # whether a request that sends content has a key
    patience: float = 5.0
    seed: int = 1
    secure: bool = True

    def words(self) -> str:
        return json.dumps(asdict(self))


def getting(order: Order, lane: int) -> Iterator[Request]:
    """Files in an order of the lane's own; `n=` tells a request from all others."""
    chance = random.Random(order.seed * 1000 + lane)
    names = list(order.hashes)
    for number in range(lane, order.requests, order.connections):
        file = chance.choice(names)
        target = f"/{file}?n={number}"
        data = _HEAD.format(method="GET", target=target, more="").encode()
        yield Request(target, data, order.hashes[file])


def sending(order: Order, lane: int) -> Iterator[Request]:
    """Content of 1 KiB, to be executed once; the answer names the request."""
    for number in range(lane, order.requests, order.connections):
        name = f"{order.seed}-{number}"
        more = "Content-Length: 1024\r\n" + (f"Idempotency-Key: {name}\r\n" if order.keyed else "")
        target = f"/once/{name}"
        data = _HEAD.format(method="POST", target=target, more=more).encode() + b"x" * 1024
        yield Request(target, data, hashlib.sha256(done(name)).hexdigest())


def done(name: str) -> bytes:
    """What a server says when it has executed the request of this name."""
    return f"done {name}\n".encode()


def run(order: Order) -> Seen:
    loop, seen = Loop(), Seen()
    lanes = min(order.connections, order.requests)
    step = order.seconds / max(1, order.requests // lanes)
    begin = time.perf_counter() + 0.05
    left = lanes

    def one(lane: int, conversation: Conversation) -> Turns:
        nonlocal left
        requests = getting(order, lane) if order.hashes else sending(order, lane)
        for number, request in enumerate(requests):
            yield At(begin + number * step)
            yield from conversation.ask(request)
        yield from conversation.close()
        left -= 1

    target = Target(order.port, "", client_context() if order.secure else None)
    conversations = [Conversation(target, seen, begin, order.patience) for _ in range(lanes)]
    for lane, conversation in enumerate(conversations):
        loop.start(one(lane, conversation))
    watch(loop, conversations, lambda: left > 0)
    loop.run()
    seen.seconds = time.perf_counter() - begin
    return seen


def main(said: dict[str, Any]) -> None:
    print(json.dumps(run(Order(**said)).told()), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
