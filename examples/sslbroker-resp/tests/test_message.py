"""Commands as they are written, and messages as they are compared."""

from __future__ import annotations

from sslbroker_resp.commands import Command, Kind
from sslbroker_resp.message import Answer, Request, written


def test_commands_are_written_in_one_way() -> None:
    commands = [Command([b"get", b"a\r\n"], 2, 0), Command([b"SET", b"a"], 3, 0)]
    assert written(commands) == b"*2\r\n$3\r\nget\r\n$3\r\na\r\n\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n"


def test_messages_are_compared_and_shown() -> None:
    one = Request(Kind.READ, [Command([b"GET", b"a"], 2, 0)])
    assert one == one.copy()
    assert one != Request(Kind.WRITE, one.commands)
    assert repr(one) == "Request(READ, [Command([b'GET', b'a'])])"
    assert Answer(b"x") == Answer(b"x")
    assert Answer(b"x") != Answer(b"x", last=True)
    assert "refusal=True" in repr(Answer(refusal=True))
