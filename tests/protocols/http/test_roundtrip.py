"""What one codec writes the other reads, whatever the message and however it is cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.interfaces import Body, End, Event, Head
from sslbroker.outcome import After
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.grammar import CONNECTION_FIELDS, TOKEN_BYTES
from sslbroker.protocols.http.message import Field, Framing, Request, Response, Trailers
from sslbroker.protocols.http.server_codec import ServerCodec
from sslbroker.testkit import joined

LIMITS = (65536, 100)

token = st.lists(st.sampled_from(sorted(TOKEN_BYTES)), min_size=1, max_size=12).map(bytes)
value = st.binary(max_size=20).map(
    lambda raw: bytes(byte for byte in raw if byte == 9 or (byte >= 32 and byte != 127)).strip(b" \t")
)
target = st.lists(st.sampled_from([b for b in range(33, 127) if b != 35]), max_size=20).map(
    lambda raw: b"/" + bytes(raw)
)


def _field(pair: tuple[bytes, bytes]) -> Field:
    return pair[0].lower(), pair[0], pair[1]


fields = st.lists(
    st.tuples(token, value)
    .map(_field)
    .filter(lambda field: field[0] not in CONNECTION_FIELDS and field[0] not in (b"host", b"expect")),
    max_size=8,
)
trailers = st.one_of(
    st.none(),
    st.lists(st.tuples(token.map(lambda name: b"x-" + name), value).map(_field), min_size=1, max_size=3).map(
        Trailers
    ),
)
contents = st.lists(st.binary(min_size=1, max_size=30), max_size=4)
places = st.lists(st.integers(0, 10_000), max_size=6)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


def framed(framing: Framing, content: list[bytes]) -> tuple[list[bytes], int]:
    """The content that a message so framed can have, and its declared length."""
    if framing is Framing.NONE:
        content = []
    return content, sum(map(len, content)) if framing is Framing.LENGTH else 0


def body_events(exchange: int, content: list[bytes], end: Trailers | None) -> list[Event]:
    return [*joined(Body(exchange, piece) for piece in content), End(exchange, end)]


@settings(max_examples=150, deadline=None)
@given(
    token.filter(lambda name: name != b"CONNECT"),
    target,
    fields,
    st.sampled_from([Framing.NONE, Framing.LENGTH, Framing.CHUNKED]),
    contents,
    trailers,
    places,
    st.booleans(),
)
def test_a_request_that_is_sent_to_a_server_is_read_back_the_same(
    method: bytes,
    path: bytes,
    extra: list[Field],
    framing: Framing,
    content: list[bytes],
    end: Trailers | None,
    marks: list[int],
    close: bool,
) -> None:
    content, length = framed(framing, content)
    request = Request(method, path, 1, extra, b"a:1", framing, length, close)
    link, connection = ServerCodec(*LIMITS), ClientCodec(*LIMITS)
    exchange = link.open()
    wire = link.send(Head(exchange, request))
    wire += b"".join(link.send(Body(exchange, piece)) for piece in content) + link.send(End(exchange, end))

    events = joined(event for piece in cut(wire, marks) for event in connection.receive(piece))

    head = events[0]
    assert isinstance(head, Head)
    read: Request = head.message
    assert (read.method, read.target, read.host, read.close) == (method, path, b"a:1", close)
    assert (read.framing, read.length) == (framing, length)
    assert [field for field in read.fields if field[0] not in (*CONNECTION_FIELDS, b"host")] == extra
    assert events[1:] == body_events(exchange, content, end if framing is Framing.CHUNKED else None)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(200, 999).filter(lambda status: status not in (204, 304)),
    value,
    fields,
    st.sampled_from(list(Framing)),
    contents,
    trailers,
    places,
    st.sampled_from(
        [b"HTTP/1.1\r\nHost: a\r\nTE: trailers", b"HTTP/1.0", b"HTTP/1.0\r\nConnection: keep-alive"]
    ),
)
def test_a_response_that_is_sent_to_a_client_is_read_back_the_same(
    status: int,
    reason: bytes,
    extra: list[Field],
    framing: Framing,
    content: list[bytes],
    end: Trailers | None,
    marks: list[int],
    version: bytes,
) -> None:
    content, length = framed(framing, content)
    connection, link = ClientCodec(*LIMITS), ServerCodec(*LIMITS)
    connection.receive(b"GET / " + version + b"\r\n\r\n")
    wire = connection.send(Head(1, Response(status, reason, 1, extra, framing, length)))
    wire += b"".join(connection.send(Body(1, piece)) for piece in content) + connection.send(End(1, end))
    link.send(Head(link.open(), Request(b"GET", b"/", 1, [], b"a")))
    link.send(End(1))

    received = [event for piece in cut(wire, marks) for event in link.receive(piece)]
    if connection.after(1) is After.CLOSE:
        received += link.receive_end()
    events = joined(received)

    head = events[0]
    assert isinstance(head, Head)
    read: Response = head.message
    assert (read.status, read.reason) == (status, reason)
    assert [field for field in read.fields if field[0] not in CONNECTION_FIELDS] == extra
    chunked = read.framing is Framing.CHUNKED
    assert chunked is (framing in (Framing.CHUNKED, Framing.UNTIL_CLOSE) and version.startswith(b"HTTP/1.1"))
    assert events[1:] == body_events(1, content, end if chunked else None)
    assert (link.after(1) is After.REUSABLE) is (connection.after(1) is After.REUSABLE)
