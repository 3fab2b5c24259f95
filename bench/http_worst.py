"""What the worst input for HTTP/1 framing and rules costs: milliseconds of CPU.

    python bench/http_worst.py

Decides nothing; each row is shown for one size and for twice that, so that what grows faster than its
input shows: "growth" should be near 2. Refuses to judge; docs/conformance.md says what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from sslbroker.interfaces import End, Head, Origin
from sslbroker.protocols.http.backend import HTTP
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.message import Response
from sslbroker.settings import Pool, Server, Sticky

READ = 65536
START = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
RULES = HTTP.rules(Pool("p", (Server("10.0.0.1:80"),), sticky=Sticky("SRV"), hash_cookie="SRV"), "edge")
PEER = Origin("192.0.2.1", 1, listener_port=80, trusted=True)
PEER.trusts = lambda address: True
UNBOUND = 1 << 20


def fed(data: bytes, read: int = READ) -> None:
    """A client's bytes, in reads of that many."""
    codec = HTTP.client_codec(UNBOUND, 1000)
    for at in range(0, len(data), read):
        codec.receive(data[at : at + read])


def ruled(data: bytes) -> None:
    """One whole request, through the rules of a trusted listener."""
    (head, *_) = HTTP.client_codec(UNBOUND, 1000).receive(data)
    if isinstance(head, Head):
        request = head.message
        origin = RULES.origin(request, PEER)
        RULES.admit(request, origin)
        RULES.affinity(request)
        RULES.stuck(request)
        RULES.to_server(request, origin, "10.0.0.1:80", False)


def answered(data: bytes) -> None:
    """Pipelined requests, each answered at once."""
    codec: ClientCodec = HTTP.client_codec(UNBOUND, 1000)
    events = codec.receive(data)
    while events:
        exchange = events[0].exchange
        codec.send(Head(exchange, Response(204, b"", 1, [])))
        codec.send(End(exchange))
        codec.release(exchange)
        events = codec.receive(b"")


def line(name: bytes, member: bytes, size: int) -> bytes:
    return START + name + b": " + member * (size // len(member)) + b"\r\n\r\n"


ROWS: list[tuple[str, Callable[[int], None], int]] = [
    ("a head, one byte a read", lambda size: fed(START + b"X: " + b"x" * size, 1), 16384),
    ("a head of short fields", lambda size: fed(START + b"a:b\r\n" * (size // 5)), 2500),
    ("Connection: a,a,a…", lambda size: fed(line(b"Connection", b"a,", size)), 16384),
    ("Transfer-Encoding: a,a,a…", lambda size: fed(line(b"Transfer-Encoding", b"a,", size)), 16384),
    ("Via: 1.1 a,1.1 a…", lambda size: ruled(line(b"Via", b"1.1 a,", size)), 16384),
    ("Via of blanks and commas", lambda size: ruled(line(b"Via", b", \t", size)), 16384),
    ("X-Forwarded-For: 1,1,1…", lambda size: ruled(line(b"X-Forwarded-For", b"1,", size)), 16384),
    (
        "X-Forwarded-For of trusted proxies",
        lambda size: ruled(line(b"X-Forwarded-For", b"::1,", size)),
        16384,
    ),
    ("Forwarded of trusted proxies", lambda size: ruled(line(b"Forwarded", b"for=10.0.0.2,", size)), 1300),
    (
        "Forwarded, an open quote",
        lambda size: ruled(START + b'Forwarded: for="' + b"\\a" * size + b"\r\n\r\n"),
        8192,
    ),
    ("Cookie: ;SRV;SRV…", lambda size: ruled(line(b"Cookie", b";SRV", size)), 16384),
    ("Cookie: SRV=;SRV=…", lambda size: ruled(line(b"Cookie", b"SRV=;", size)), 16384),
    ("Cookie of blanks and semicolons", lambda size: ruled(line(b"Cookie", b"; \t", size)), 16384),
    ("content in 1-byte chunks", lambda size: fed(CHUNKED + b"1\r\nx\r\n" * size), 131072),
    ("1-byte chunks, one byte a read", lambda size: fed(CHUNKED + b"1\r\nx\r\n" * size, 1), 4096),
    ("a trailer section, one byte a read", lambda size: fed(CHUNKED + b"0\r\nX: " + b"x" * size, 1), 16384),
    ("pipelined requests", lambda size: answered((START + b"\r\n") * (size // 27)), 32768),
]


def milliseconds(run: Callable[[int], None], size: int) -> float:
    """CPU of one run, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = process_time()
        run(size)
        best = min(best, process_time() - start)
    return best * 1000


def main() -> None:
    for name, run, size in ROWS:
        once, twice = milliseconds(run, size), milliseconds(run, 2 * size)
        print(f"{name:36} {size:7} {once:9.2f} ms   {2 * size:7} {twice:9.2f} ms   growth {twice / once:.1f}")


if __name__ == "__main__":
    main()
