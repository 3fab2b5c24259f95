"""Who takes part in the soak: requests, clients and links, each with what it has said and heard.

Decides whether what came is right, as far as it came. Invariant: the content of an answer is a function of
its URL alone, and no two URLs and no two places of one look alike. Refuses to decide who does what, and when.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import h11
from twisted.internet.error import ConnectionDone

from ..memory import Peer
from .faults import FORMS as ALL_FORMS
from .faults import REQUESTS as ALL_REQUESTS
from .faults import Asked, Form
from .spoken import Message

REQUESTS = (*ALL_REQUESTS, *ALL_REQUESTS[:3] * 2)
FORMS = (*ALL_FORMS, *[Form("length")] * 4, *[Form("chunked")] * 2)
SIZES = (0, 5, 3000, 20_000, 150_000)


@lru_cache(maxsize=64)
def content_of(number: int, size: int) -> bytes:
    """Of the answer to ``/number/size``: no two places and no two URLs look alike."""
    return b"".join(b"%d.%06d;" % (number, place) for place in range(size // 8 + 1))[:size]


class Sent:
    """A request of a client: what it is, and what of it is still to be sent."""

    def __init__(self, number: int, kind: int, size: int) -> None:
        self.number = number
        self.asked: Asked = REQUESTS[kind % len(REQUESTS)]
        self.form: Form = FORMS[number % len(FORMS)]
        self.answer = content_of(number, size)
        self.part = (size // 8, size - size // 8 - 1) if self.asked.part and size > 100 else None
        self.content = bytes([97 + number % 26]) * SIZES[(kind + size) % 4] if self.asked.framing else b""
        fields = [b"Host: shop"]
        body = self.content
        if self.asked.framing == "chunked":
            fields.append(b"Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            body += b"0\r\n\r\n"
        elif self.asked.framing:
            fields.append(b"Content-Length: %d" % len(body))
        if self.asked.key:
            fields.append(b"Idempotency-Key: %d" % number)
        if self.asked.expects:
            fields.append(b"Expect: 100-continue")
        if self.part:
            fields.append(b"Range: bytes=%d-%d" % self.part)
        line = b"%s /%d/%d HTTP/1.%d" % (self.asked.method, number, size, self.asked.minor)
        self.left = b"\r\n".join([line, *fields, b"", b""]) + body

    @property
    def right(self) -> tuple[int, bytes]:
        """The status and the content of a good answer."""
        status, content = 200, self.answer
        if self.form.framing == "nothing":
            return 204, b""
        if self.part:
            status, content = 206, content[self.part[0] : self.part[1] + 1]
        return status, b"" if self.asked.method == b"HEAD" else content


class Heard:
    """A client, what it has sent, and the answers that it has got, checked while they come."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.sent: list[Sent] = []
        self.gone = False  # by itself
        self.answered = 0
        self.statuses: Counter[str] = Counter()
        self._connection: Any = None
        self._status = 0
        self._content = b""
        self._ended = False
        self._broken = False

    def check(self) -> None:
        """What has come since the last time is right."""
        data, self.peer.received = self.peer.received, b""
        clean = self.peer.ended or isinstance(self.peer.lost, ConnectionDone)
        while not self._broken and (data or (clean and not self._ended)):
            if self._connection is None:
                if not data:
                    return
                assert self.answered < len(self.sent), f"an answer that nobody asked for: {data[:80]!r}"
                self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100_000)
                self._status, self._content = 0, b""
                asked = self.sent[self.answered].asked
                close = [("connection", "close")] * (not asked.minor)
                self._connection.send(
                    h11.Request(method=asked.method, target="/", headers=[("host", "shop"), *close])
                )
                self._connection.send(h11.EndOfMessage())
            if data:
                self._connection.receive_data(data)
            elif clean:
                self._ended = True
                self._connection.receive_data(b"")
            data = self._events()

    def _events(self) -> bytes:
        """What of the answer has come; gives what comes after it."""
        sent = self.sent[self.answered]
        status, right = sent.right
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError:
                assert self._ended, "no HTTP"
                self._broken = True  # visibly
                return b""
            if isinstance(event, h11.Response):
                self._status = event.status_code
                assert self._status in (status, 408) or self._status >= 500, self._status
            elif isinstance(event, h11.Data):
                self._content += event.data
                if self._status == status:
                    assert right.startswith(self._content), f"not the content of /{sent.number}"
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                self._broken = self._ended
                return b""
        if self._status == status:
            assert self._content == right, f"/{sent.number} looks complete, and is not"
        elif sent.asked.method != b"HEAD":
            assert self._content.startswith(b"%d " % self._status), self._content
        self.answered += 1
        self.statuses[str(self._status)] += 1
        rest: bytes = self._connection.trailing_data[0]
        self._connection = None
        return rest


class Served:
    """A link, as its server sees it: the request under way, and what of its answer is still to be said."""

    def __init__(self, peer: Peer, by: int) -> None:
        self.peer = peer
        self.by = by
        self.seen: list[Message] = []  # the requests on it; the last one may be under way
        self.left: bytes | None = None  # of the answer to that; None: it has not begun
        self.by_close = False
        self.over = False  # the server has ended it
        self.continued = False  # it has said 100
        self._data = b""

    def take(self) -> Message | None:
        """The request that waits for an answer, or for the rest of one."""
        data, self.peer.received = self.peer.received, b""
        if data:
            self._data += data
            if self.left == b"" or not self.seen:
                self.left, self.continued = None, False
                self.seen.append(Message(b""))
            self.seen[-1] = Message(self._data)
            if self.seen[-1].whole:
                assert not self.seen[-1].rest, "a request before the answer to the last one"
                self._data = b""
        if not self.seen or self.left == b"" or self.seen[-1].head is None:
            return None
        return self.seen[-1]
