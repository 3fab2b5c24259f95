"""A head's bytes to a message: what the fields become. How heads fail is in the vectors."""

from __future__ import annotations

import pytest

from sslbroker.errors import FramingError
from sslbroker.protocols.http.message import Framing, Request, Response, Trailers
from sslbroker.protocols.http.parse import (
    find_head_end,
    parse_request_head,
    parse_response_head,
    parse_trailers,
)


def test_a_request_keeps_the_order_repetition_and_spelling_of_its_fields() -> None:
    request = parse_request_head(
        b"PUT /a HTTP/1.1\r\nhOST: a\r\nX-One:1\r\nCookie: a=1\r\ncookie:  b=2 \r\nX-Own: \xff\r\n"
        b"Content-Length: 3",
        headers=10,
    )
    assert request == Request(
        method=b"PUT",
        target=b"/a",
        minor=1,
        fields=[
            (b"host", b"hOST", b"a"),
            (b"x-one", b"X-One", b"1"),
            (b"cookie", b"Cookie", b"a=1"),
            (b"cookie", b"cookie", b"b=2"),
            (b"x-own", b"X-Own", b"\xff"),
            (b"content-length", b"Content-Length", b"3"),
        ],
        host=b"a",
        framing=Framing.LENGTH,
        length=3,
    )


def test_a_response_keeps_its_fields_and_what_connection_lists() -> None:
    response = parse_response_head(
        b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nConnection: X-A, close\r\nUpgrade: b\r\n"
        b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0",
        headers=10,
    )
    assert response == Response(
        status=426,
        reason=b"Upgrade Required",
        minor=1,
        fields=[
            (b"connection", b"Connection", b"Upgrade"),
            (b"connection", b"Connection", b"X-A, close"),
            (b"upgrade", b"Upgrade", b"b"),
            (b"set-cookie", b"Set-Cookie", b"a"),
            (b"set-cookie", b"Set-Cookie", b"b"),
            (b"content-length", b"Content-Length", b"0"),
        ],
        framing=Framing.LENGTH,
        close=True,
        options=(b"upgrade", b"x-a", b"close"),
        upgrade=b"b",
    )


def test_an_answer_to_head_keeps_the_length_that_a_get_would_have() -> None:
    response = parse_response_head(b"HTTP/1.1 200 OK\r\nContent-Length: 9", headers=10, to_head=True)
    assert (response.framing, response.length) == (Framing.NONE, 0)
    assert response.fields == [(b"content-length", b"Content-Length", b"9")]


def test_a_common_name_is_one_object_in_all_messages() -> None:
    first = parse_request_head(b"GET / HTTP/1.1\r\nHost: a", headers=10)
    second = parse_request_head(b"GET / HTTP/1.1\r\nHost: b", headers=10)
    assert first.fields[0][0] is second.fields[0][0]


def test_trailers_without_one_that_may_pass_are_none() -> None:
    assert parse_trailers(b"Host: a", headers=10) is None
    assert parse_trailers(b"X-A: 1\r\nHost: a", headers=10) == Trailers([(b"x-a", b"X-A", b"1")])


def test_an_error_shows_little_of_what_was_sent_and_only_printable_ascii() -> None:
    with pytest.raises(FramingError) as caught:
        parse_request_head(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"\xff" * 1000 + b": a", headers=10)
    assert caught.value.detail.isascii()
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 400


def test_an_error_about_a_field_shows_nothing_of_its_value() -> None:
    with pytest.raises(FramingError) as caught:
        parse_request_head(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Basic c2VjcmV0", headers=10)
    assert caught.value.detail == "header line 'Authorization '; expected name, colon, value"


def test_the_end_of_a_head_is_found_across_what_was_looked_at_before() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for seen in range(len(head)):
        assert find_head_end(head, seen, head_size=100) == len(head) - 4
        assert find_head_end(head[: seen + 1], seen, head_size=100) == (len(head) - 4 if seen == 26 else -1)


def test_a_head_of_exactly_head_size_is_taken_and_one_byte_more_is_not() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert find_head_end(head, 0, len(head)) == len(head) - 4
    with pytest.raises(FramingError, match="longer than 26 bytes") as caught:
        find_head_end(head, 0, len(head) - 1)
    assert caught.value.status == 431
