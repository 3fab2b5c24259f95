"""A chunked body's bytes to its content. How sizes and trailers fail is in the vectors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.protocols.http.chunked import BODY_EXTENSIONS, ChunkedBody
from sslbroker.protocols.http.message import Trailers
from sslbroker.protocols.http.write import write_chunk, write_last_chunk


def body() -> ChunkedBody:
    return ChunkedBody(head_size=1024, headers=10)


def test_content_of_several_chunks_is_given_as_one() -> None:
    reading = body()
    assert reading.feed(b"5\r\nhello\r\n7\r\n, world\r\n") == b"hello, world"
    assert (reading.ended, reading.error, reading.held) == (False, None, 0)
    assert reading.feed(b"0\r\n\r\nGET") == b""
    assert (reading.ended, reading.trailers, reading.rest) == (True, None, b"GET")


def test_the_middle_of_a_chunk_is_passed_on_without_a_copy() -> None:
    reading = body()
    reading.feed(b"ffff\r\n")
    middle = b"x" * 1000
    assert reading.feed(middle) is middle


def test_only_an_unfinished_line_is_kept() -> None:
    reading = body()
    assert reading.feed(b"5;abc") == b""
    assert reading.held == 5
    assert reading.feed(b"\r\nhel") == b"hel"
    assert reading.held == 0


def test_content_before_an_error_is_given_and_nothing_is_kept() -> None:
    reading = body()
    assert reading.feed(b"5\r\nhello\r\nx\r\n") == b"hello"
    assert reading.error is not None
    assert reading.error.status == 400
    assert (reading.ended, reading.held) == (False, 0)


def test_the_largest_size_is_counted_down_without_being_kept() -> None:
    reading = body()
    assert reading.feed(b"ffffffffffffffff\r\n") == b""
    assert reading.feed(b"x" * 4096) == b"x" * 4096
    assert reading.held == 0


def chunk_with_extension(content: int, extension: int) -> bytes:
    return b"%x;%b\r\n%b\r\n" % (content, b"e" * (extension - 1), b"x" * content)


def test_extensions_are_bounded_over_the_whole_body() -> None:
    reading = body()
    for _ in range(BODY_EXTENSIONS // 256):
        reading.feed(chunk_with_extension(1, 256))
    assert reading.error is None
    reading.feed(chunk_with_extension(1, 2))
    assert reading.error is not None
    assert "more chunk extensions" in reading.error.detail


def test_content_earns_extensions() -> None:
    reading = body()
    for _ in range(BODY_EXTENSIONS // 256):
        reading.feed(chunk_with_extension(1024, 256))
    reading.feed(chunk_with_extension(1, BODY_EXTENSIONS // 256))  # one byte for each KiB so far
    assert reading.error is None
    reading.feed(chunk_with_extension(1, 2))
    assert reading.error is not None


contents = st.lists(st.binary(max_size=40), max_size=8)
trailer_sections = st.one_of(
    st.none(),
    st.lists(st.sampled_from([(b"x-a", b"X-A", b"1"), (b"etag", b"ETag", b'"y"')]), min_size=1, max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(contents, trailer_sections, st.binary(max_size=9), st.data())
def test_what_is_written_in_chunks_is_read_back_however_it_is_cut(
    pieces: list[bytes], fields: list[tuple[bytes, bytes, bytes]] | None, rest: bytes, data: st.DataObject
) -> None:
    trailers = Trailers(fields) if fields is not None else None
    wire = b"".join(map(write_chunk, pieces)) + write_last_chunk(trailers)
    places = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reading = body()
    content = b""
    for start, end in zip([0, *places], [*places, len(wire)], strict=True):
        if end == len(wire) and not reading.ended:
            content += reading.feed(wire[start:] + rest)
        elif not reading.ended:
            content += reading.feed(wire[start:end])
        if reading.ended:
            break
    assert reading.error is None
    assert reading.ended
    assert (content, reading.trailers, reading.rest) == (b"".join(pieces), trailers, rest)


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_what_is_kept_stays_small_whatever_a_peer_sends(size: int) -> None:
    reading = ChunkedBody(head_size=64, headers=10)
    for start in (b"0\r\nX: ", b"5;"):
        reading = ChunkedBody(head_size=64, headers=10)
        reading.feed(start)
        for _ in range(20_000 // size):
            reading.feed(b"x" * size)
            assert reading.held <= 300
            if reading.error is not None:
                break
        assert reading.error is not None
