"""What the broker's own code costs for a small transaction and for a chunk: no sockets, no TLS, no reactor.

    python bench/transaction.py [--profile]

A client's connection and a link with transports that do nothing play GETs with answers of 1 KiB, with the
access log (to /dev/null), figures and time limits on: first the same heads again and again, as a program or a
load generator sends them, then heads that each differ from the last. Then come bodies in reads of 64 KiB.
Prints the best of several rounds, in microseconds of CPU time, and how often the garbage collector ran: there
should be nothing for it. Compare figures of one machine and one run only.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock

from sslbroker.service import BrokerService
from sslbroker.settings import Broker, Configuration, Listener, Log, Pool, Server

COUNT = 5_000
ROUNDS = 5
REQUEST = (
    b"GET /some/where?a=b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip\r\nCookie: a=b; c=d\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 09:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b'Content-Length: 1024\r\nETag: "5f-4d"\r\nAccept-Ranges: bytes\r\n\r\n' + b"x" * 1024
)


class Nothing:
    """A transport that takes everything."""

    unsent = 0

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 40000)

    getHost = getPeer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # it provides no interface
        return lambda *_: None


class Bench:
    """A broker of two servers, and a client that is connected to it."""

    def __init__(self) -> None:
        self.clock = MemoryReactorClock()
        broker = BrokerService(
            Configuration(
                listeners=(Listener("plain", "tcp:80", "shop"),),
                pools=(Pool("shop", (Server("10.0.0.1:80"), Server("10.0.0.2:80"))),),
                log=Log("/dev/null"),
                broker=Broker(transport="stock"),
            ),
            self.clock,
        )
        frontend: Any = broker.frontends[0]
        self.client = frontend.buildProtocol(None)
        self.near = Nothing()
        self.client.makeConnection(self.near)
        self.links: list[Any] = []

    def connect(self) -> None:
        """Every link that is asked for is made."""
        for call in self.clock.tcpClients:
            link: Any = call[2].buildProtocol(None)
            self.links.append(link)
            link.makeConnection(Nothing())
        self.clock.tcpClients.clear()

    def transactions(self, count: int) -> None:
        for _ in range(count):
            self.transaction(REQUEST, ANSWER)

    def differing(self, count: int) -> None:
        for number in range(count):
            request = REQUEST.replace(b"c=d", b"c=%d" % number)
            self.transaction(request, ANSWER.replace(b"5f-4d", b"5f-%d" % number))

    def transaction(self, request: bytes, answer: bytes) -> None:
        self.client.dataReceived(request)
        self.connect()
        for link in self.links:
            if link.state is link.links.busy:
                link.dataReceived(answer)
        self.clock.advance(0.0001)


def best(what: str, count: int, done: Callable[[int], None]) -> None:
    """Print what one of `count` costs, in the best of some rounds."""
    times = []
    runs = sum(generation["collections"] for generation in gc.get_stats())
    for _ in range(ROUNDS):
        before = time.process_time()
        done(count)
        times.append((time.process_time() - before) / count * 1e6)
    runs = sum(generation["collections"] for generation in gc.get_stats()) - runs
    rounds = ", ".join(f"{spent:.1f}" for spent in times)
    print(f"{what}: {min(times):.1f} µs of CPU time (rounds: {rounds}; runs of the collector: {runs})")


def chunks(what: str, request: bytes, answer: bytes, chunk: bytes) -> None:
    """One message whose body goes on for ever: an answer's, or a request's when there is no `answer`."""
    bench = Bench()
    bench.client.dataReceived(request)
    bench.connect()
    side = bench.client
    if answer:
        side = bench.links[0]
        side.dataReceived(answer)

    def move(count: int) -> None:
        for _ in range(count):
            side.dataReceived(chunk)

    best(what, COUNT, move)


def main() -> None:
    bench = Bench()
    bench.transactions(100)
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.runcall(bench.transactions, COUNT)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    best("one transaction", COUNT, bench.transactions)
    best("one transaction, heads that differ", COUNT, bench.differing)
    assert bench.near.written > COUNT * ROUNDS * 1024
    data = b"x" * 65536
    length = b"Content-Length: %d\r\n\r\n" % (COUNT * ROUNDS * len(data) + 1)
    ok = b"HTTP/1.1 200 OK\r\n"
    chunked = b"%x\r\n%b\r\n" % (len(data), data)
    chunks("64 KiB down", REQUEST, ok + length, data)
    chunks("64 KiB down, chunked", REQUEST, ok + b"Transfer-Encoding: chunked\r\n\r\n", chunked)
    chunks("64 KiB up", b"PUT / HTTP/1.1\r\nHost: a\r\n" + length, b"", data)


if __name__ == "__main__":
    main()
