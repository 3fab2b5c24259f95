"""What HTTP/1 costs: microseconds of CPU for a head, and for one exchange through both codecs.

    python bench/http_codec.py [rounds]

Decides nothing; prints the best of some rounds, because noise only adds. Refuses to compare with
figures of another machine or another run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time

from sslbroker.interfaces import Body, End, Event, Head, Origin
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.forwarding import Forwarding
from sslbroker.protocols.http.message import Field, Request, Response
from sslbroker.protocols.http.parse import parse_request_head, parse_response_head
from sslbroker.protocols.http.server_codec import ServerCodec
from sslbroker.protocols.http.write import write_request_head, write_response_head
from sslbroker.settings import Pool, Server

REQUEST = b"\r\n".join(
    (
        b"GET /shop/item?id=12345 HTTP/1.1",
        b"Host: www.example.com",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        b"Accept-Language: en-GB,en;q=0.5",
        b"Accept-Encoding: gzip, deflate, br",
        b"Connection: keep-alive",
        b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
        b"Referer: https://www.example.com/shop",
        b"X-Trace: 4bf92f3577b34da6a3ce929d0e0e4736",
        b"Cache-Control: max-age=0",
    )
)

RESPONSE = b"\r\n".join(
    (
        b"HTTP/1.1 200 OK",
        b"Date: Thu, 01 Jan 2026 00:00:00 GMT",
        b"Server: fulfillment",
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Length: 1024",
        b'ETag: "0123456789abcdef"',
        b"Cache-Control: no-cache",
    )
)

CONTENT = b"x" * 1024
PIECE = b"y" * 16384


def exchange() -> Callable[[], None]:
    """One GET and its answer of 1 KiB: client → broker → server and back, on kept connections."""
    client, link = ClientCodec(32768, 100), ServerCodec(65536, 200)
    from_client, from_server = REQUEST + b"\r\n\r\n", RESPONSE + b"\r\n\r\n" + CONTENT

    def run() -> None:
        number = link.open()
        for event in client.receive(from_client):
            link.send(event)
        for event in link.receive(from_server):
            client.send(event)
        link.after(number)
        link.release(number)
        client.after(number)
        client.release(number)
        client.receive(b"")

    return run


def pieces(framing: bytes) -> Callable[[], None]:
    """16 KiB of a response's body: read from the link and written to the client."""
    client, link = ClientCodec(32768, 100), ServerCodec(65536, 200)
    for event in client.receive(REQUEST + b"\r\n\r\n"):
        link.open() if isinstance(event, Head) else None
        link.send(event)
    chunked = framing.startswith(b"Transfer")
    first: list[Event] = list(link.receive(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n"))
    client.send(first[0])
    wire = b"4000\r\n" + PIECE + b"\r\n" if chunked else PIECE

    def run() -> None:
        for event in link.receive(wire):
            client.send(event)

    return run


def plain(fields: list[Field]) -> list[Field]:
    return [field for field in fields if field[0] not in (b"host", b"connection", b"content-length")]


def measure(run: Callable[[], object], rounds: int) -> float:
    """Microseconds of CPU for one call, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = process_time()
        for _ in range(5000):
            run()
        best = min(best, process_time() - start)
    return best / 5000 * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    request: Request = parse_request_head(REQUEST, 100)
    request.fields = plain(request.fields)
    response: Response = parse_response_head(RESPONSE, 100)
    response.fields = plain(response.fields)
    client = Origin("192.0.2.1", 40000, listener="https", listener_port=443, secure=True)
    forwarding, address = Forwarding(Pool("shop", (Server("10.0.0.1:80"),)), "edge"), "10.0.0.1:80"
    events = (Body(1, CONTENT), End(1))
    rows: list[tuple[str, Callable[[], object]]] = [
        ("parse a request head of 10 fields", lambda: parse_request_head(REQUEST, 100)),
        ("rewrite it for its server", lambda: forwarding.to_server(request, client, address, False)),
        ("write a request head of 8 fields", lambda: write_request_head(request)),
        ("parse a response head of 6 fields", lambda: parse_response_head(RESPONSE, 100)),
        ("rewrite it for its client", lambda: forwarding.to_client(response, request)),
        ("write a response head of 5 fields", lambda: write_response_head(response, length=1024)),
        ("one exchange through both codecs", exchange()),
        ("16 KiB of a body of known length", pieces(b"Content-Length: 999999999999")),
        ("16 KiB of a chunked body", pieces(b"Transfer-Encoding: chunked")),
        ("make two events", lambda: (Body(1, CONTENT), End(1))),
    ]
    assert events[0].data == CONTENT
    for name, run in rows:
        print(f"{name:40} {measure(run, rounds):8.2f} µs")


if __name__ == "__main__":
    main()
