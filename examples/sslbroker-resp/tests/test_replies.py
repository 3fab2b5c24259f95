"""Where a server's replies begin and end, in both versions of RESP."""

from __future__ import annotations

import pytest
from sslbroker_resp.replies import DEPTH, Replies

from sslbroker.testkit import cuts

WHOLE = [
    b"+OK\r\n",
    b"+\r\n",
    b"-ERR no\r\n",
    b":-12\r\n",
    b":+12\r\n",
    b"$0\r\n\r\n",
    b"$5\r\na\r\nbc\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5e-9\r\n",
    b",-inf\r\n",
    b",nan\r\n",
    b"(-12345678901234567890123\r\n",
    b"!3\r\nERR\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"%1\r\n+a\r\n%0\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b"|1\r\n+ttl\r\n:9\r\n+OK\r\n",
    b"*1\r\n|1\r\n+ttl\r\n:9\r\n:1\r\n",
    b"|0\r\n+OK\r\n",
    b">2\r\n+message\r\n*1\r\n:1\r\n+OK\r\n",
    b"*1\r\n>1\r\n+a\r\n",
]
BROKEN = [
    b"OK\r\n",
    b"\r\n",
    b"+a\rb\r\n",
    b"+a\nb\r\n",
    b":\r\n",
    b":1.5\r\n",
    b":12a\r\n",
    b",\r\n",
    b",1,5\r\n",
    b"(1.5\r\n",
    b"#x\r\n",
    b"_x\r\n",
    b"$+1\r\n",
    b"$01\r\n",
    b"$-2\r\n",
    b"$?\r\n",
    b"*?\r\n",
    b"%-1\r\n",
    b"!-1\r\n",
    b"$99999999999\r\n",
    b"*2147483649\r\n",
    b"$1\r\nab\r\n",
    b"$1\r\na\n\r",
    b"$1\r\na\r\r\n",
    b";1\r\na\r\n",
    b"*1\r\n" * (DEPTH + 1),
    b"+" + b"a" * 200,
]


def count(pieces: list[bytes], number: int = 1) -> Replies:
    replies = Replies(100)
    replies.expect(number)
    taken = b""
    for piece in pieces:
        replies.feed(piece)
        taken += replies.take()
    assert b"".join(pieces).startswith(taken)
    return replies


@pytest.mark.parametrize("data", WHOLE)
def test_a_reply_ends_where_it_ends(data: bytes) -> None:
    for pieces in cuts(data):
        replies = count(pieces)
        assert (replies.left, replies.held(), replies.error) == (0, 0, None), pieces
        assert count([*pieces, b"+x"]).held() == 2


@pytest.mark.parametrize("data", WHOLE)
def test_a_reply_that_is_cut_is_waited_for(data: bytes) -> None:
    for at in range(len(data)):
        replies = count([data[:at]])
        assert (replies.left, replies.error) == (1, None)


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_reply(data: bytes) -> None:
    for pieces in cuts(data):
        replies = count(pieces)
        assert replies.error is not None, pieces
        assert replies.left == 1


def test_the_first_lines_are_told() -> None:
    replies = count([b">1\r\n+a\r\n+OK\r\n*2\r\n+a\r\n-b\r\n"], 2)
    assert replies.lines == [b">1", b"+OK", b"*2"]


def test_a_number_of_replies() -> None:
    replies = count([b"+a\r\n" * 3], 2)
    assert (replies.left, replies.held(), replies.first()) == (0, 4, ord("+"))
    assert (replies.everything(), replies.held(), replies.first()) == (b"+a\r\n", 0, 0)


def test_as_deep_as_may_be() -> None:
    assert count([b"*1\r\n" * DEPTH + b":1\r\n"]).left == 0


def test_a_long_string_is_not_kept() -> None:
    replies = Replies(100)
    replies.expect(1)
    replies.feed(b"$1000000\r\n")
    replies.take()
    for _ in range(10):
        replies.feed(b"x" * 100_000)
        assert len(replies.take()) == 100_000
        assert replies.held() == 0
    assert replies.left == 1
