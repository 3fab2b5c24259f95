"""A program: a fulfillment server of a fixed capacity. ``python -m bench.priorities.server JSON``.

Decides when each request is answered: so many at a time (`places`), each for `service` seconds, the others
in the order in which they came, and never refused. Invariant: a place that is free goes on at the moment at
which it became free, so that a late turn of this program costs no capacity; how late answers were is told. A
request whose link has ended is carried out all the same, as most applications do. Refuses to know
priorities.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from ..connecting import read_some
from ..turns import READ, At, Gone, Loop, Ready, Turns

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
SERVED = b"served\n"
SECURE, PLAIN, SLOW, TOLD = "/secure", "/plain", "/slow", "/told"


class Server:
    def __init__(self, loop: Loop, places: int, service: float) -> None:
        self.loop = loop
        self.free = places
        self.service = service
        self.factor = 1.0  # how many times as long as it should a request takes
        self.waiting: deque[tuple[socket.socket, str, float]] = deque()
        self.done: dict[str, list[float]] = {SECURE: [], PLAIN: []}  # when each one had its time
        self.late: list[float] = []  # milliseconds

    def enter(self, link: socket.socket, kind: str) -> None:
        """A request has come."""
        wanted = (link, kind, time.perf_counter())
        if self.free:
            self.free -= 1
            self.loop.start(self.place(*wanted))
        else:
            self.waiting.append(wanted)

    def place(self, link: socket.socket, kind: str, arrived: float) -> Turns:
        """One place, while there is something to do in it."""
        end = arrived
        while True:
            end = max(end, arrived) + self.service * self.factor
            yield At(end)
            say(link, SERVED)
            self.done[kind].append(end)
            self.late.append((time.perf_counter() - end) * 1e3)
            if not self.waiting:
                break
            link, kind, arrived = self.waiting.popleft()
        self.free += 1

    def told(self) -> bytes:
        """What it has done, and what it cost this program: for who started it."""
        return json.dumps({"done": self.done, "late": self.late, "cpu": time.process_time()}).encode()

    def asked(self, link: socket.socket, target: str) -> None:
        path, _, query = target.partition("?")
        if path in self.done:
            self.enter(link, path)
        elif path == SLOW:
            self.factor = float(query.partition("=")[2])
            say(link, b"well\n")
        else:  # a check of its health takes no place
            say(link, self.told() if path == TOLD else b"well\n")

    def serve(self, link: socket.socket) -> Turns:
        data = b""
        with suppress(OSError, ValueError):
            while got := (yield from read_some(link, 65_536)):
                *heads, data = (data + got).split(b"\r\n\r\n")
                for head in heads:
                    _, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
                    self.asked(link, target)
        yield Gone(link.fileno())
        link.close()

    def accept(self, listening: socket.socket) -> Turns:
        while True:
            yield Ready(listening.fileno(), READ)
            with suppress(BlockingIOError):
                while True:
                    link, _ = listening.accept()
                    link.setblocking(False)
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.loop.start(self.serve(link))


def say(link: socket.socket, body: bytes) -> None:
    with suppress(OSError):  # who asked may be gone
        link.send(_ANSWER % (len(body), body)) if len(body) < 4096 else whole(link, body)


def whole(link: socket.socket, body: bytes) -> None:
    """A long answer, for which nobody but who started this waits."""
    link.setblocking(True)
    link.sendall(_ANSWER % (len(body), body))
    link.setblocking(False)


def main(said: dict[str, Any]) -> None:
    loop = Loop()
    server = Server(loop, said["places"], said["service"])
    listening = socket.create_server(("127.0.0.1", said["port"]), backlog=4096)
    listening.setblocking(False)
    loop.start(server.accept(listening))
    gc.disable()  # a collection would be a pause of the server
    loop.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
