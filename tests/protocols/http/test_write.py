"""A message to a head's bytes: transcripts of what goes out, and what never does."""

from __future__ import annotations

import pytest

from sslbroker.protocols.http.message import Framing, Request, Response, Trailers
from sslbroker.protocols.http.write import (
    write_chunk,
    write_last_chunk,
    write_request_head,
    write_response_head,
)


def request(*fields: tuple[bytes, bytes], **attributes: object) -> Request:
    values: dict[str, object] = {"method": b"GET", "target": b"/a?b", "minor": 1, "host": b"shop:81"}
    values.update(attributes)
    return Request(fields=[(name.lower(), name, value) for name, value in fields], **values)  # type: ignore[arg-type]


def response(*fields: tuple[bytes, bytes], status: int = 200, reason: bytes = b"OK") -> Response:
    return Response(status, reason, 1, [(name.lower(), name, value) for name, value in fields])


def test_a_request_begins_with_its_host_and_keeps_the_order_of_its_fields() -> None:
    assert write_request_head(request((b"X-B", b"1"), (b"accept", b"*/*"), (b"X-B", b"2"))) == (
        b"GET /a?b HTTP/1.1\r\nHost: shop:81\r\nX-B: 1\r\naccept: */*\r\nX-B: 2\r\n\r\n"
    )


def test_a_request_without_a_host_has_an_empty_one() -> None:
    assert write_request_head(request(host=None)) == b"GET /a?b HTTP/1.1\r\nHost: \r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "length", "line"),
    [
        (Framing.NONE, 0, b""),
        (Framing.LENGTH, 0, b"Content-Length: 0\r\n"),
        (Framing.LENGTH, 12, b"Content-Length: 12\r\n"),
        (Framing.CHUNKED, 0, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_a_request_is_framed_by_its_attributes(framing: Framing, length: int, line: bytes) -> None:
    head = write_request_head(request(framing=framing, length=length))
    assert head == b"GET /a?b HTTP/1.1\r\nHost: shop:81\r\n" + line + b"\r\n"


def test_a_request_cannot_end_with_its_connection() -> None:
    with pytest.raises(ValueError, match="expected a length or chunks"):
        write_request_head(request(framing=Framing.UNTIL_CLOSE))


CONNECTION_FIELDS = (
    (b"Connection", b"x-a"),
    (b"Keep-Alive", b"timeout=5"),
    (b"Proxy-Connection", b"keep-alive"),
    (b"TE", b"gzip"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Content-Length", b"9"),
    (b"Upgrade", b"h2c"),
)


def test_fields_of_framing_and_of_the_other_connection_are_never_sent() -> None:
    stripped = request(*CONNECTION_FIELDS, (b"Host", b"evil"), (b"Expect", b"100-continue"))
    assert write_request_head(stripped) == b"GET /a?b HTTP/1.1\r\nHost: shop:81\r\n\r\n"
    assert write_response_head(response(*CONNECTION_FIELDS)) == b"HTTP/1.1 200 OK\r\n\r\n"


def test_what_a_request_asks_of_its_connection_is_listed_with_close_apart_and_first() -> None:
    asking = request(upgrade=b"websocket", accepts_trailers=True, expects_continue=True)
    assert write_request_head(asking, close=True) == (
        b"GET /a?b HTTP/1.1\r\nHost: shop:81\r\n"
        b"Expect: 100-continue\r\nUpgrade: websocket\r\nTE: trailers\r\n"
        b"Connection: close\r\nConnection: upgrade, TE\r\n\r\n"
    )
    assert write_request_head(request(close=True)).endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("end", [b"\r\nX: y", b"\n", b"\r", b"\x00", b"\x7f"])
def test_no_value_can_end_its_line(end: bytes) -> None:
    for poisoned in (
        request((b"X", b"a" + end)),
        request((b"X" + end, b"a")),
        request(host=b"a" + end),
        request(target=b"/" + end),
        request(method=b"GET" + end),
        request(upgrade=b"a" + end),
    ):
        with pytest.raises(ValueError, match=r"control character|request line"):
            write_request_head(poisoned)
    for poisoned_response in (response((b"X", b"a" + end)), response(reason=b"OK" + end)):
        with pytest.raises(ValueError, match="control character"):
            write_response_head(poisoned_response)
    with pytest.raises(ValueError, match="control character"):
        write_last_chunk(Trailers([(b"x", b"X", b"a" + end)]))


@pytest.mark.parametrize("blank", [b" ", b"\t"])
def test_a_blank_cannot_make_a_request_line_of_more_words(blank: bytes) -> None:
    with pytest.raises(ValueError, match="in the request line"):
        write_request_head(request(target=b"/a" + blank + b"HTTP/1.1"))
    with pytest.raises(ValueError, match="in the request line"):
        write_request_head(request(method=b"GET" + blank + b"/b"))


@pytest.mark.parametrize("target", [b"", b"/a#b", b"/\xc3\xa9"])
def test_a_request_line_is_written_only_if_it_would_be_read(target: bytes) -> None:
    with pytest.raises(ValueError, match="in the request line"):
        write_request_head(request(target=target))


def test_a_response_is_framed_by_what_is_said_beside_it() -> None:
    head = b"HTTP/1.1 200 OK\r\nA: b\r\n"
    assert write_response_head(response((b"A", b"b")), length=0) == head + b"Content-Length: 0\r\n\r\n"
    assert (
        write_response_head(response((b"A", b"b")), chunked=True)
        == head + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    assert (
        write_response_head(response((b"A", b"b")), connection=b"close")
        == head + b"Connection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("lengths", "line"),
    [
        ([b"12"], b"Content-Length: 12\r\n"),
        ([], b""),
        ([b"12", b"12"], b""),
        ([b"+1"], b""),
    ],
)
def test_the_length_that_a_get_would_get_is_kept_when_it_is_one(lengths: list[bytes], line: bytes) -> None:
    head = response(*((b"Content-Length", length) for length in lengths))
    assert write_response_head(head, keep_length=True) == b"HTTP/1.1 200 OK\r\n" + line + b"\r\n"


@pytest.mark.parametrize("status", [99, 1000, -1])
def test_a_status_has_three_digits(status: int) -> None:
    with pytest.raises(ValueError, match="expected 100 to 999"):
        write_response_head(response(status=status))


def test_a_chunk_says_its_size_and_nothing_is_no_chunk() -> None:
    assert write_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert write_chunk(b"") == b""


def test_the_last_chunk_carries_the_trailers_that_may_follow_a_body() -> None:
    assert write_last_chunk(None) == b"0\r\n\r\n"
    assert write_last_chunk(Trailers([(b"host", b"Host", b"a")])) == b"0\r\n\r\n"
    assert write_last_chunk(Trailers([(b"x", b"X", b"a"), (b"y", b"Y", b"")])) == b"0\r\nX: a\r\nY: \r\n\r\n"
