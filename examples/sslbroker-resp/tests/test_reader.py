"""How a client's bytes are cut into commands, and what is refused."""

from __future__ import annotations

import pytest
from sslbroker_resp.reader import BULK, INLINE, Reader, split

from sslbroker.errors import FramingError


def read(data: bytes, kept: int = 4096) -> list[list[bytes]]:
    reader = Reader(kept)
    reader.feed(data)
    found = []
    while (command := reader.next()) is not None:
        assert command.whole
        found.append(command.args)
    return found


@pytest.mark.parametrize(
    ("data", "commands"),
    [
        (b"", []),
        (b"*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
        (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", [[b"GET", b""]]),
        (b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n", [[b"ECHO", b"\r\n"]]),
        (b"PING\r\nPING\n", [[b"PING"], [b"PING"]]),
        (b"\r\n\n*0\r\n  \r\nPING\n", [[b"PING"]]),
        (b"SET a 'b c'\n", [[b"SET", b"a", b"b c"]]),
        (b"*1\r\n$4\r\nPI", []),
        (b"*1\r\n$4\r\nPING\r", []),
        (b"GET a", []),
    ],
)
def test_commands(data: bytes, commands: list[list[bytes]]) -> None:
    assert read(data) == commands


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b" a\tb ", [b"a", b"b"]),
        (b'"a b" c', [b"a b", b"c"]),
        (rb'"\x41\n\r\t\b\a\"\\\q"', [b'A\n\r\t\x08\x07"\\q']),
        (rb'"\x4"', [b"x4"]),
        (rb"'it\'s \n'", [rb"it's \n"]),
        (b'""', [b""]),
        (b"a'b'", [b"ab"]),
        (b"\fa\fb\v c", [b"a\fb\v", b"c"]),
        (b"'a'\fb", [b"a", b"b"]),
    ],
)
def test_words_of_a_line(line: bytes, words: list[bytes]) -> None:
    assert split(line) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"*+1\r\n", r"found the line \*\+1.*expected \*, a plain number and CRLF"),
        (b"*01\r\n", "plain number"),
        (b"*-1\r\n", "plain number"),
        (b"*\r\n", "plain number"),
        (b"*1\n$4\r\nPING\r\n", "plain number"),
        (b"*1 \r\n", "plain number"),
        (b"*1048577\r\n", "1048577 arguments, expected 1048576 at most"),
        (b"*11111111111111111111", "a line of more than 16 bytes, expected the number of arguments"),
        (b"*1\r\n$-1\r\n", "plain number"),
        (b"*1\r\n$%d\r\n" % (BULK + 1), "536870913 bytes, expected 536870912 at most"),
        (b"*1\r\n:1\r\n", "found the byte 0x3a, expected '\\$' and a length"),
        (b"*2\r\n$3\r\nGET\r\nGET a\r\n", "found the byte 0x47"),
        (b"*1\r\n$4\r\nPINGS\r\n", "longer than its length says"),
        (b"*1\r\n$4\r\nPING\r.", "longer than its length says"),
        (b"*1\r\n$5000\r\n", "a command's name of more than 4096 bytes"),
        (b'GET "a\r\n', "a quote that is not closed"),
        (b"GET 'a\r\n", "a quote that is not closed"),
        (b'GET "a"b\r\n', "a quote that is closed within a word"),
        (b"GET a\0b\r\n", "a line with a zero byte"),
        (b"a " * 1025 + b"\n", "a line of 1025 words"),
        (b"a" * (INLINE + 2), "a line of more than 65536 bytes, expected a command"),
        (b"\r\n" * 1025, "empty commands without an end"),
        (b"*0\r\n" * 1025, "empty commands without an end"),
        (b"POST / HTTP/1.1\r\n", "expected a Redis command and not HTTP"),
        (b"*1\r\n$5\r\nhost:\r\n", "expected a Redis command and not HTTP"),
    ],
)
def test_what_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(FramingError, match=words):
        read(data)


def test_the_longest_line() -> None:
    assert read(b"a" * (INLINE - 1) + b"\r\n") == [[b"a" * (INLINE - 1)]]


def test_a_long_command_is_begun_before_it_has_come() -> None:
    reader = Reader(100)
    reader.feed(b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$200\r\n" + b"x" * 50)
    command = reader.next()
    assert command is not None
    assert (command.args, command.count, command.whole) == ([b"SET", b"a"], 4, False)
    assert (reader.next(), reader.resting) == (None, 2)
    assert reader.rest() == b"$200\r\n" + b"x" * 50
    reader.feed(b"x" * 150 + b"\r")
    assert reader.rest() == b"x" * 150
    assert reader.held() == 1
    reader.feed(b"\n$2\r\nNX\r\n*1\r\n$4\r\nPING\r\n")
    assert (reader.rest(), reader.resting) == (b"\r\n$2\r\nNX\r\n", 0)
    command = reader.next()
    assert command is not None
    assert command.args == [b"PING"]


def test_a_command_of_many_arguments_is_passed_on_from_where_it_is_long() -> None:
    reader = Reader(1 << 20)
    reader.feed(b"*2000\r\n" + b"$1\r\na\r\n" * 2000)
    command = reader.next()
    assert command is not None
    assert (len(command.args), reader.resting) == (1024, 976)
    assert reader.rest() == b"$1\r\na\r\n" * 976


@pytest.mark.parametrize(
    "rest", [b"x" * 11, b"x" * 10 + b"\r.", b"x" * 10 + b"\r\n$01\r\n", b"x" * 10 + b"\r\n?"]
)
def test_a_long_command_that_goes_wrong(rest: bytes) -> None:
    reader = Reader(10)
    reader.feed(b"*3\r\n$1\r\na\r\n$10\r\n" + rest)
    assert reader.next() is not None
    assert reader.rest().startswith(b"$10\r\n" + b"x" * 10)
    assert reader.error is not None


def test_a_name_that_was_kept_waiting_a_byte_at_a_time_costs_little() -> None:
    """Work grows with the bytes: each is looked at a few times, not once for each that came before."""
    reader = Reader(1 << 20)
    for byte in b"a" * 60_000:
        reader.feed(bytes([byte]))
        assert reader.next() is None
    assert reader._line == 60_000
    assert reader.held() == 60_000


def test_everything_behind_a_command() -> None:
    reader = Reader(100)
    reader.feed(b"MONITOR\r\nany\0thing")
    assert reader.next() is not None
    assert (reader.take(), reader.held()) == (b"any\0thing", 0)
