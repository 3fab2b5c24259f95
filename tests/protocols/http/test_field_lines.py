"""Field lines: what one says, and that those of the last head change nothing but who is read again."""

from __future__ import annotations

import pytest

from sslbroker.errors import FramingError
from sslbroker.protocols.http.field_lines import KEPT, KEPT_FIELDS, FieldLines, read_lines
from sslbroker.protocols.http.parse import parse_request_head, parse_response_head

LINES = [b"Host: a", b"Accept: */*", b"X-Own: 1"]


def read(last: FieldLines, *lines: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return last.read(list(lines), sum(map(len, lines)))


def test_a_line_is_a_name_a_colon_and_a_value_without_blanks_around_it() -> None:
    assert read_lines([b"hOST:a", b"X-Own: \t a b:c\xff\t ", b"Accept:"]) == [
        (b"host", b"hOST", b"a"),
        (b"x-own", b"X-Own", b"a b:c\xff"),
        (b"accept", b"Accept", b""),
    ]


@pytest.mark.parametrize("line", [b"", b"Host", b"X-Own", b": a", b"Host : a", b"X\x00: a"])
def test_anything_else_is_no_line(line: bytes) -> None:
    with pytest.raises(FramingError, match="expected name, colon, value"):
        read_lines([b"Host: a", line])


@pytest.mark.parametrize("value", [b"\x00", b"a\rb", b"\n", b"\x7f", b"\x0b"])
def test_no_control_character_stands_in_a_value(value: bytes) -> None:
    last = FieldLines()
    for _ in range(2):
        with pytest.raises(FramingError, match="control character"):
            read(last, b"Host: a", b"X-Own: " + value)
        read(last, b"Host: a", b"X-Own: 1")


@pytest.mark.parametrize("line", [b" a: b", b"\ta: b"])
def test_a_folded_line_is_told_apart(line: bytes) -> None:
    with pytest.raises(FramingError, match="folded"):
        read_lines([line])


@pytest.mark.parametrize(
    "lines",
    [
        LINES,
        [b"Host: a", b"Accept: x", b"X-Own: 1"],
        [b"Accept: */*", b"Host: a", b"X-Own: 1"],
        [b"Host: a", b"X-Own: 1"],
        [b"Host: a", b"Accept: */*", b"X-Own: 1", b"X-Own: 1"],
        [],
    ],
)
def test_lines_say_the_same_whatever_came_before(lines: list[bytes]) -> None:
    last = FieldLines()
    read(last, *LINES)
    assert read(last, *lines) == read_lines(lines)
    assert read(last, *LINES) == read_lines(LINES)


@pytest.mark.parametrize("lines", [[b"Host: a", b"Accept: x", b"X-Own: 1"], [b"X-New: 2", *LINES], LINES[1:]])
def test_a_line_that_came_before_is_not_read_again(lines: list[bytes]) -> None:
    last = FieldLines()
    before = read(last, *LINES)
    again = read(last, *lines)
    assert [any(field is known for known in before) for field in again] == [line in LINES for line in lines]


def test_whoever_changes_the_fields_of_a_head_changes_no_other() -> None:
    last = FieldLines()
    for _ in range(3):
        fields = read(last, *LINES)
        assert fields == read_lines(LINES)
        fields.clear()


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (LINES, True),
        ([b"Host: a", b"Accept: x", b"X-Own: 2"], True),
        ([b"Host: b", b"Accept: */*", b"X-Own: 1"], False),
        ([b"X-Own: 1", b"Accept: */*", b"X-Own: 1"], False),
        ([b"Host: a", b"Accept: */*", b"Expect: 1"], False),
        (LINES[:2], False),
    ],
)
def test_what_meaningful_fields_said_is_forgotten_when_one_changes(lines: list[bytes], kept: bool) -> None:
    last = FieldLines()
    read(last, *LINES)
    last.said = 1
    read(last, *lines)
    assert last.said == (1 if kept else None)


def test_nothing_is_left_of_what_a_head_without_fields_said() -> None:
    last = FieldLines()
    read(last)
    last.said = 1
    read(last, b"Host: a")
    assert last.said is None


@pytest.mark.parametrize("more", [0, 1])
def test_only_small_heads_are_kept(more: int) -> None:
    last = FieldLines()
    lines = [b"Host: a", b"X-Own: " + b"x" * (KEPT - 14 + more)]
    first = read(last, *lines)
    assert first == read_lines(lines)
    assert (read(last, *lines)[1] is first[1]) is (not more)


@pytest.mark.parametrize("more", [0, 1])
def test_only_heads_of_few_fields_are_kept(more: int) -> None:
    last = FieldLines()
    lines = [b"a%d:" % number for number in range(KEPT_FIELDS + more)]
    first = read(last, *lines)
    assert first == read_lines(lines)
    assert (read(last, *lines)[1] is first[1]) is (not more)


def test_a_line_that_is_none_is_none_again() -> None:
    last = FieldLines()
    read(last, *LINES)
    for _ in range(2):
        with pytest.raises(FramingError):
            read(last, b"Host: a", b"Accept */*", b"X-Own: 1")
    assert read(last, *LINES) == read_lines(LINES)


def test_a_head_of_another_version_does_not_mean_what_the_last_one_did() -> None:
    last = FieldLines()
    fields = b"\r\nHost: a\r\nTransfer-Encoding: chunked"
    for line, sound in ((b"PUT / HTTP/1.1", True), (b"PUT / HTTP/1.0", False), (b"PUT / HTTP/1.1", True)):
        if sound:
            assert parse_request_head(line + fields, 9, last) == parse_request_head(line + fields, 9)
        else:
            with pytest.raises(FramingError, match=r"HTTP/1\.0"):
                parse_request_head(line + fields, 9, last)
    for version in (b"1.1", b"1.0", b"1.1"):
        head = b"HTTP/%b 200 OK\r\nServer: a" % version
        assert parse_response_head(head, 9, FieldLines()) == parse_response_head(head, 9, last)


@pytest.mark.parametrize("size", [1, KEPT])
def test_a_head_without_fields_means_nothing_whatever_the_last_one_did(size: int) -> None:
    last = FieldLines()
    bare = b"HTTP/1.1 200 OK"
    parse_response_head(bare + b"\r\nContent-Length: 5\r\nX-Own: " + b"x" * size, 9, last)
    for _ in range(2):
        assert parse_response_head(bare, 9, last) == parse_response_head(bare, 9)


@pytest.mark.parametrize("size", [1, KEPT])
def test_a_status_line_says_the_same_whatever_came_before(size: int) -> None:
    last = FieldLines()
    for status in (
        b"200 OK",
        b"404 " + b"x" * size,
        b"200 OK",
        b"404 " + b"x" * size,
        b"404 y",
        b"404",
        b"404 ",
    ):
        head = b"HTTP/1.1 " + status
        assert parse_response_head(head, 9, last) == parse_response_head(head, 9)
    assert last.first == b"HTTP/1.1 404 "


def test_nothing_that_a_large_head_said_is_kept() -> None:
    of_client, of_server = FieldLines(), FieldLines()
    large = b"\r\nHost: a\r\nConnection: " + b"x" * KEPT
    for fields, kept in ((b"\r\nHost: a", True), (large, False)):
        parse_request_head(b"GET / HTTP/1.1" + fields, 9, of_client)
        parse_response_head(b"HTTP/1.1 200 OK" + fields, 9, of_server)
        assert [last.said is not None for last in (of_client, of_server)] == [kept, kept]
