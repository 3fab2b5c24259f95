"""What clients and servers say in the cases of `faults`, and what they understand, by h11.

Decides the bytes of requests and answers. Invariant: an answer depends on its request, its form and its
server's fault alone. Refuses to send anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h11

from .faults import CONTENT, ETAG, GIVEN, PART_OF_REQUEST, Asked, Fault, Form

NOT_HTTP = b"\x00SSH-2.0-OpenSSH_9.9\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OTHER_ETAG = b'"v2"'
OTHER = CONTENT.replace(b"0", b"o")


class Message:
    """What a peer received of one message, as far as it came: by h11."""

    def __init__(self, data: bytes, asked: Asked | None = None, ended: bool = False) -> None:
        """Of a request; or of the answer to `asked`. `ended`: the connection did, in order."""
        self.head: Any = None
        self.content = b""
        self.interim = 0
        self.whole = False
        self.rest = b""
        connection = h11.Connection(h11.CLIENT if asked else h11.SERVER, max_incomplete_event_size=100_000)
        if asked:
            request = h11.Request(
                method=asked.method,
                target="/",
                headers=[("host", "shop")] + [("connection", "close")] * (not asked.minor),
            )
            connection.send(request)
            connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        if ended:
            connection.receive_data(b"")
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:  # it ended too early
                break
            if isinstance(event, h11.Request | h11.Response):
                self.head = event
            elif isinstance(event, h11.InformationalResponse):
                self.interim += 1
            elif isinstance(event, h11.Data):
                self.content += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.whole = True
                self.rest = connection.trailing_data[0]
                break
            else:
                break

    def field(self, name: bytes) -> bytes | None:
        found = [value for key, value in self.head.headers if key == name]
        assert len(found) < 2, found
        return found[0] if found else None


def request_of(asked: Asked) -> tuple[bytes, bytes, bytes]:
    """A request as its client sends it: head, first part of the content, the rest."""
    fields = [b"Host: shop"]
    parts = [GIVEN[:PART_OF_REQUEST], GIVEN[PART_OF_REQUEST:]] if asked.framing else [b"", b""]
    if asked.framing == "length":
        fields.append(b"Content-Length: %d" % len(GIVEN))
    elif asked.framing == "chunked":
        fields.append(b"Transfer-Encoding: chunked")
        parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
        parts[1] += b"0\r\n\r\n"
    if asked.key:
        fields.append(b'Idempotency-Key: "7"')
    if asked.expects:
        fields.append(b"Expect: 100-continue")
    if asked.part:
        fields.append(b"Range: bytes=%d-%d" % asked.part)
    line = b"%s /a HTTP/1.%d" % (asked.method, asked.minor)
    return b"\r\n".join([line, *fields, b"", b""]), parts[0], parts[1]


def validators(form: Form, etag: bytes = ETAG) -> Sequence[tuple[bytes, bytes]]:
    """The fields that say which version of its content an answer has; the last one is asked for."""
    day = b"Fri, 27 Nov 2026 %s GMT" if etag == ETAG else b"Sat, 28 Nov 2026 %s GMT"
    return {
        "": (),
        "strong": ((b"etag", etag),),
        "weak": ((b"etag", b"W/" + etag),),
        "dated": ((b"date", day % b"18:00:00"), (b"last-modified", day % b"17:00:00")),
        "recent": ((b"date", day % b"17:00:20"), (b"last-modified", day % b"17:00:00")),
    }[form.validator]


def answer_to(
    request: Message, form: Form, fault: Fault = Fault.NONE, content: bytes = CONTENT
) -> tuple[bytes, list[bytes], bytes]:
    """A server's answer: its head, its content in two pieces with their framing, its end."""
    status, fields = 200, [b"Content-Type: text/plain"]
    etag = ETAG
    if fault is Fault.CHANGED:
        content, etag = OTHER, OTHER_ETAG
    elif fault is Fault.LYING:
        content = OTHER
    if fault is Fault.OTHER_TYPE:
        fields = [b"Content-Type: text/html"]
    elif fault is Fault.OTHER_CODING:
        fields.append(b"Content-Encoding: gzip")
    span, condition = request.field(b"range"), request.field(b"if-range")
    if fault is Fault.FROM_BEGINNING or (
        condition is not None and (condition != validators(form, etag)[-1][1] or not form.proves)
    ):
        span = None
    total = len(content)
    if span is not None:
        first, _, last = span.removeprefix(b"bytes=").partition(b"-")
        start, stop = int(first), int(last or total - 1)
        if fault is Fault.ELSEWHERE:
            start += 8
        status, content = 206, content[start : stop + 1]
        said = total + 8 if fault is Fault.OTHER_TOTAL else total
        fields.append(b"Content-Range: bytes %d-%d/%d" % (start, stop, said))
    weaker = Form(form.framing, "weak" if form.validator == "strong" else "recent")
    if fault is not Fault.UNPROVED:
        fields += map(b": ".join, validators(weaker if fault is Fault.WEAK else form, etag))
    middle = 3 * len(content) // 5
    pieces, end = [content[:middle], content[middle:]], b""
    if form.framing == "nothing":
        status, pieces = 204, []
    elif form.framing == "length":
        fields.append(b"Content-Length: %d" % len(content))
        pieces, end = [content[:middle], content[middle:-1]], content[-1:]
    elif form.framing in ("chunked", "trailers"):
        fields.append(b"Transfer-Encoding: chunked")
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece]
        end = b"0\r\n\r\n"
        if form.framing == "trailers":
            fields.append(b"Trailer: X-Sum")
            end = b"0\r\nX-Sum: 1\r\n\r\n"
    if request.head.method == b"HEAD":
        pieces, end = [], b""
    reason = {200: b"OK", 204: b"No Content", 206: b"Partial Content"}[status]
    head = b"\r\n".join([b"HTTP/1.1 %d %s" % (status, reason), *fields, b"", b""])
    return head, pieces, end


def failing_answer(status: int, by: int, bare: bool) -> bytes:
    """That of a server that fails; `bare`: to a HEAD."""
    content = b"%d by server %d\n" % (status, by)
    head = b"HTTP/1.1 %d Failed\r\nContent-Length: %d\r\n" % (status, len(content))
    if status == 503:
        head += b"Retry-After: 7\r\n"
    return head + b"\r\n" + (b"" if bare else content)
