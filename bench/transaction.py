"""What the broker's own code costs for one small transaction: no sockets, no TLS, no reactor.

    python bench/transaction.py [--profile]

A client's connection and a link with transports that do nothing play GETs with answers of 1 KiB, with the
access log (to /dev/null), figures and time limits on. Prints the best of several rounds, in microseconds
of CPU time a transaction. Compare figures of one machine and one run only.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock

from sslbroker.service import BrokerService
from sslbroker.settings import Configuration, Listener, Log, Pool, Server

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

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 40000)

    getHost = getPeer

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def main() -> None:
    clock = MemoryReactorClock()
    broker = BrokerService(
        Configuration(
            listeners=(Listener("plain", "tcp:80", "shop"),),
            pools=(Pool("shop", (Server("10.0.0.1:80"), Server("10.0.0.2:80"))),),
            log=Log("/dev/null"),
        ),
        clock,
    )
    client: Any = broker.frontends[0].buildProtocol(None)
    near = Nothing()
    client.makeConnection(near)
    links: list[Any] = []

    def transactions(count: int) -> None:
        for _ in range(count):
            client.dataReceived(REQUEST)
            for call in clock.tcpClients:
                link = call[2].buildProtocol(None)
                links.append(link)
                link.makeConnection(Nothing())
            clock.tcpClients.clear()
            for link in links:
                if link.state is link.links.busy:
                    link.dataReceived(ANSWER)
            clock.advance(0.0001)

    transactions(100)
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.runcall(transactions, COUNT)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    times = []
    for _ in range(ROUNDS):
        before = time.process_time()
        transactions(COUNT)
        times.append((time.process_time() - before) / COUNT * 1e6)
    assert near.written > COUNT * ROUNDS * 1024
    print(
        f"one transaction: {min(times):.1f} µs of CPU time (rounds: {', '.join(f'{t:.1f}' for t in times)})"
    )


if __name__ == "__main__":
    main()
