"""A head that repeats the last one is read as if it had come alone: `parse` is the law, errors included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.errors import FramingError
from sslbroker.interfaces import Origin
from sslbroker.protocols.http.backend import HTTP
from sslbroker.protocols.http.field_lines import KEPT
from sslbroker.protocols.http.message import Framing, Request, Response
from sslbroker.protocols.http.parse import parse_request_head, parse_response_head
from sslbroker.protocols.http.repeats import RequestHeads, ResponseHeads
from sslbroker.protocols.http.write import write_request_head, write_response_head
from sslbroker.settings import Pool, Server

FIELDS = 6

lines = st.lists(
    st.sampled_from(
        (
            *(
                b"Host: a",
                b"Host: b",
                b"host:a",
                b"Content-Length: 0",
                b"Content-Length: 7",
                b"Content-Length: x",
            ),
            *(b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive, X-A"),
            *(
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Expect: 100-continue",
                b"TE: trailers",
                b"X-A: 1",
            ),
            *(
                b"X-Forwarded-For: 1.2.3.4",
                b"X_Forwarded_For: 1",
                b"Via: 1.1 x",
                b"Max-Forwards: 3",
                b" folded",
            ),
            *(
                b"X-A : 1",
                b"X-A: \x00",
                b"X-A: \r",
                b"",
                b"Trailer: X",
                b"Date: now",
                b"ETag: 1",
                b"Proxy: x",
            ),
        )
    ),
    max_size=4,
).map(lambda some: b"".join(b"\r\n" + line for line in some))

request_lines = st.sampled_from(
    (
        *(b"GET / HTTP/1.1", b"GET /a?b HTTP/1.1", b"POST /a HTTP/1.1", b"GET / HTTP/1.0", b"GET / HTTP/1.2"),
        *(b"GET http://a/x HTTP/1.1", b"GET http://b/x HTTP/1.1", b"OPTIONS * HTTP/1.1", b"TRACE / HTTP/1.1"),
        *(
            b"CONNECT a:80 HTTP/1.1",
            b"CONNECT / HTTP/1.1",
            b"GET / HTTP/2.0",
            b"GET  / HTTP/1.1",
            b"GET /#a HTTP/1.1",
        ),
        *(
            b"GET /\x00 HTTP/1.1",
            b"GET /\xff HTTP/1.1",
            b"G@T / HTTP/1.1",
            b"GET /",
            b"",
            b" / HTTP/1.1",
            b"HEAD / HTTP/1.1",
        ),
    )
)
status_lines = st.sampled_from(
    (
        *(
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 200",
            b"HTTP/1.0 200 OK",
            b"HTTP/1.1 304 Not Modified",
            b"HTTP/1.1 204 None",
        ),
        *(
            b"HTTP/1.1 101 Now",
            b"HTTP/1.1 426 Ask",
            b"HTTP/1.1 20 OK",
            b"HTTP/2.0 200 OK",
            b"HTTP/1.1 500 \x7f",
            b"",
        ),
    )
)


def outcome(read: Callable[[], Any]) -> object:
    try:
        return read()
    except FramingError as error:
        return error.detail, error.status


@settings(max_examples=400)
@given(lines, lines, st.lists(st.tuples(request_lines, st.booleans()), max_size=6))
def test_requests_are_read_as_if_each_had_come_alone(
    one: bytes, other: bytes, asked: list[tuple[bytes, bool]]
) -> None:
    heads = RequestHeads(FIELDS)
    for line, which in asked:
        head = line + (one if which else other)
        assert outcome(lambda head=head: heads.parse(head)) == outcome(  # type: ignore[misc]
            lambda head=head: parse_request_head(head, FIELDS)  # type: ignore[misc]
        )


@settings(max_examples=400)
@given(lines, lines, st.lists(st.tuples(status_lines, st.booleans(), st.booleans()), max_size=6))
def test_responses_are_read_as_if_each_had_come_alone(
    one: bytes, other: bytes, told: list[tuple[bytes, bool, bool]]
) -> None:
    heads = ResponseHeads(FIELDS)
    for line, which, to_head in told:
        head = line + (one if which else other)
        assert outcome(lambda head=head, to_head=to_head: heads.parse(head, to_head)) == outcome(  # type: ignore[misc]
            lambda head=head, to_head=to_head: parse_response_head(head, FIELDS, to_head=to_head)  # type: ignore[misc]
        )


@settings(max_examples=300)
@given(
    lines, lines, st.lists(st.tuples(request_lines, st.booleans(), st.booleans(), st.booleans()), max_size=6)
)
def test_requests_that_repeat_are_passed_on_as_those_that_do_not(
    one: bytes, other: bytes, asked: list[tuple[bytes, bool, bool, bool]]
) -> None:
    rules = HTTP.rules(Pool("shop", (Server("10.0.0.1:80"),)), "broker")
    origins = [Origin("192.0.2.1", 5), Origin("192.0.2.2", 6, secure=True, trusted=True)]
    heads = RequestHeads(FIELDS)
    for line, which, trusted, close in asked:
        head = line + (one if which else other)
        try:
            request, alone = heads.parse(head), parse_request_head(head, FIELDS)
        except FramingError:
            continue
        if request.method == b"CONNECT":
            continue
        origin = origins[trusted]
        sent = [rules.to_server(asking, origin, "10.0.0.1:80", False) for asking in (request, alone)]
        assert sent[0] == sent[1]
        assert write_request_head(sent[0], close=close) == write_request_head(sent[1], close=close)


@settings(max_examples=300)
@given(
    lines, lines, st.lists(st.tuples(status_lines, st.booleans(), st.booleans(), st.booleans()), max_size=6)
)
def test_responses_that_repeat_are_passed_on_as_those_that_do_not(
    one: bytes, other: bytes, told: list[tuple[bytes, bool, bool, bool]]
) -> None:
    rules = HTTP.rules(Pool("shop", (Server("10.0.0.1:80"),)), "broker")
    heads = ResponseHeads(FIELDS)
    for line, which, trailers, close in told:
        head = line + (one if which else other)
        try:
            response, alone = heads.parse(head, False), parse_response_head(head, FIELDS)
        except FramingError:
            continue
        asking = Request(b"GET", b"/", 1, [], accepts_trailers=trailers)
        passed = [rules.to_client(answer, asking, Origin("192.0.2.1")) for answer in (response, alone)]
        assert passed[0] == passed[1]
        connection, length = (b"close" if close else b""), (7 if trailers else None)
        written = [
            write_response_head(answer, length=length, chunked=close, connection=connection)
            for answer in passed
        ]
        assert written[0] == written[1]


def test_whoever_changes_a_message_changes_no_other() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1"
    heads = RequestHeads(FIELDS)
    rules = HTTP.rules(Pool("shop", (Server("10.0.0.1:80"),)), "broker")
    origin = Origin("192.0.2.1")
    first = rules.to_server(heads.parse(head), origin, "10.0.0.1:80", False)
    written = write_request_head(first)
    for _ in range(3):
        request = heads.parse(head)
        assert request == parse_request_head(head, FIELDS)
        sent = rules.to_server(request, origin, "10.0.0.1:80", False)
        assert sent == first
        assert write_request_head(sent) == written
        request.fields.append((b"x-b", b"X-B", b"2"))
        assert b"X-B: 2" in write_request_head(rules.to_server(request, origin, "10.0.0.1:80", False))
        request.fields.clear()
        sent.fields.append((b"x-c", b"X-C", b"3"))
        assert b"X-C: 3" in write_request_head(sent)
        sent.fields.clear()
        assert write_request_head(sent) == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_whoever_changes_a_response_changes_no_other() -> None:
    head = b"HTTP/1.1 200 OK\r\nDate: now\r\nX-A: 1"
    heads = ResponseHeads(FIELDS)
    rules = HTTP.rules(Pool("shop", (Server("10.0.0.1:80"),)), "broker")
    asking, origin = Request(b"GET", b"/", 1, []), Origin("192.0.2.1")
    first = rules.to_client(heads.parse(head, False), asking, origin)
    written = write_response_head(first)
    for _ in range(3):
        response = heads.parse(head, False)
        assert response == parse_response_head(head, FIELDS)
        passed = rules.to_client(response, asking, origin)
        assert (passed, write_response_head(passed)) == (first, written)
        response.fields.append((b"x-b", b"X-B", b"2"))
        assert b"X-B: 2" in write_response_head(rules.to_client(response, asking, origin))
        rules.tell_tries(passed, 3)
        assert b"Sslbroker-Tries: 3" in write_response_head(passed)
        response.fields.clear()
        passed.fields.clear()


def test_a_head_that_is_repeated_means_another_thing_to_another_request() -> None:
    heads = ResponseHeads(FIELDS)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7"
    framings = [heads.parse(head, to_head).framing for to_head in (False, False, True, True, False)]
    assert framings == [Framing.LENGTH, Framing.LENGTH, Framing.NONE, Framing.NONE, Framing.LENGTH]


@pytest.mark.parametrize("more", [0, 1])
def test_only_small_heads_are_kept(more: int) -> None:
    fields = b"\r\nHost: a\r\nX-A: "
    fields += b"x" * (KEPT - len(fields) + more)
    requests, responses = RequestHeads(FIELDS), ResponseHeads(FIELDS)
    for _ in range(2):
        assert isinstance(responses.parse(b"HTTP/1.1 200 OK" + fields[: len(fields) - 15], False), Response)
        requests.parse(b"GET / HTTP/1.1" + fields)
    assert (requests._last is None, responses._last is None) == (bool(more), bool(more))


def test_heads_that_differ_are_not_kept_for_a_third() -> None:
    requests, responses = RequestHeads(FIELDS), ResponseHeads(FIELDS)
    for number in range(4):
        assert requests.parse(b"GET / HTTP/1.1\r\nHost: a%d" % number).memo is None
        assert responses.parse(b"HTTP/1.1 200 OK\r\nETag: %d" % number, False).memo is None
    assert (requests._last, responses._last) == (None, None)


def test_a_request_without_fields_is_no_beginning_of_another() -> None:
    heads = RequestHeads(FIELDS)
    for _ in range(3):
        heads.parse(b"GET / HTTP/1.0")
    assert heads.whole(b"GET / HTTP/1.00\r\n\r\n") is None
