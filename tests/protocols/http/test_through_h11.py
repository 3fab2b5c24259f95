"""What leaves the broker, as h11 reads it: one message each time, with the meaning that was logged."""

from __future__ import annotations

from collections.abc import Sequence

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.interfaces import Body, End, Error, Event, Head, Interim, Upgraded
from sslbroker.outcome import After
from sslbroker.protocols.http.backend import HTTP
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.message import Response

from .mutation import mutated
from .transcript import HEAD_SIZE, HEADERS, Vector, vectors
from .written import BROKER, CLIENT, SERVER, pool

RULES = HTTP.rules(pool(), BROKER)
SOUND_REQUESTS = [vector for vector in vectors("requests") if vector.name.startswith("ok-")]
SOUND_RESPONSES = [vector for vector in vectors("responses") if vector.name.startswith("ok-")]
ASKING = {
    b"GET": b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
    b"HEAD": b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST": b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
}


def content(events: Sequence[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Body))


def read(reader: h11.Connection) -> tuple[h11.Request | h11.Response, bytes]:
    """The one message, and its content; anything else fails."""
    message: h11.Request | h11.Response | None = None
    body = b""
    while True:
        event = reader.next_event()
        if isinstance(event, h11.Request | h11.Response):
            message = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert message is not None
            assert reader.trailing_data[0] == b""
            return message, body
        else:
            assert isinstance(event, h11.InformationalResponse), event


def whole_requests(codec: ClientCodec, data: bytes) -> list[Sequence[Event]]:
    """The events of each whole and admitted request, every one answered."""
    found: list[Sequence[Event]] = []
    events = codec.receive(data)
    while events and isinstance(events[-1], End):
        head = events[0]
        assert isinstance(head, Head)
        if RULES.admit(head.message, CLIENT) is None:
            found.append(events)
        codec.send(Head(head.exchange, Response(404, b"Not Found", 1, [])))
        codec.send(End(head.exchange))
        if codec.after(head.exchange) is not After.REUSABLE:
            break
        codec.release(head.exchange)
        events = codec.receive(b"")
    return found


@settings(max_examples=200, deadline=None)
@given(mutated(SOUND_REQUESTS))
def test_a_server_reads_one_request_of_the_same_meaning(vector: Vector) -> None:
    for events in whole_requests(HTTP.client_codec(HEAD_SIZE, HEADERS), vector.data):
        link = HTTP.server_codec(HEAD_SIZE, HEADERS)
        exchange = link.open()
        wire = b""
        for event in events:
            event.exchange = exchange
            if isinstance(event, Head):
                request = event.message
                event = Head(exchange, RULES.to_server(request, CLIENT, SERVER, False))
            wire += link.send(event)
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(wire)
        got, body = read(reader)
        assert isinstance(got, h11.Request)
        assert (got.method, got.target, body) == (request.method, request.target, content(events))
        names = [name for name, _ in got.headers]
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        for written, value in (
            (b"host", request.host or SERVER.encode()),
            (b"x-forwarded-for", b"198.51.100.7"),
        ):
            assert [found for name, found in got.headers if name == written] == [value]


@settings(max_examples=200, deadline=None)
@given(mutated(SOUND_RESPONSES), st.sampled_from(sorted(ASKING)))
def test_a_client_reads_one_response_of_the_same_meaning(vector: Vector, method: bytes) -> None:
    client, link = HTTP.client_codec(HEAD_SIZE, HEADERS), HTTP.server_codec(HEAD_SIZE, HEADERS)
    asked = client.receive(ASKING[method])[0]
    assert isinstance(asked, Head)
    request = asked.message
    link.open()
    link.send(Head(1, RULES.to_server(request, CLIENT, SERVER, False)))
    link.send(End(1))
    events = [*link.receive(vector.data), *link.receive_end()]
    if any(isinstance(event, Error | Upgraded) for event in events) or not isinstance(events[-1], End):
        return
    wire = b""
    for event in events:
        if isinstance(event, Head | Interim):
            status = event.message.status
            event.message = RULES.to_client(event.message, request, CLIENT)
        wire += client.send(event)
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(wire)
    if client.after(1) is not After.REUSABLE:
        reader.receive_data(b"")
    got, body = read(reader)
    assert isinstance(got, h11.Response)
    assert (got.status_code, body) == (status, b"" if method == b"HEAD" else content(events))
