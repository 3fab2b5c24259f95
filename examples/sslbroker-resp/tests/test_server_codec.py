"""How replies are counted, what they say of the server, and to whom the link belongs afterwards."""

from __future__ import annotations

import pytest
from made import asked, done, request
from sslbroker_resp.message import Answer
from sslbroker_resp.server_codec import ServerCodec

from sslbroker.errors import FramingError
from sslbroker.interfaces import CONNECTION, Body, End, Error, Head, Interim, Upgraded
from sslbroker.outcome import After
from sslbroker.testkit import cuts, joined


def judged(lines: str, answer: bytes, limit: int = 4096) -> Answer:
    """What the answer's head says, however the answer is cut."""
    found: list[Answer] = []
    for pieces in cuts(answer):
        codec = ServerCodec(limit)
        asked(codec, lines)
        events = joined([event for piece in pieces for event in codec.receive(piece)])
        head = events[0]
        assert isinstance(head, Head), pieces
        assert events[1:] == [Body(1, answer), End(1)]
        found.append(head.message)
    assert all(answer == found[0] for answer in found)
    return found[0]


LOADING = b"-LOADING Redis is loading\r\n"
READONLY = b"-READONLY You can't write\r\n"
QUEUED = b"+QUEUED\r\n"
ABORT = b"-EXECABORT Transaction discarded\r\n"


@pytest.mark.parametrize(
    ("lines", "answer", "refusal", "undone"),
    [
        ("GET a", b"$1\r\nb\r\n", False, False),
        ("GET a", b"-WRONGTYPE no\r\n", False, False),
        ("GET a", LOADING, True, True),
        ("INCR a", READONLY, True, True),
        ("INCR a", b"-MOVED 1 b:1\r\n", False, False),
        ("EVAL x 0", READONLY, True, False),
        ("FROB a", READONLY, True, False),
        ("INCR a;INCR b", READONLY + READONLY, True, True),
        ("INCR a;INCR b", READONLY + b":1\r\n", True, False),
        ("INCR a;INCR b", b":1\r\n" + READONLY, False, False),
        ("INCR a;EVAL x 0", READONLY + READONLY, True, False),
        ("GET a;GET b", LOADING + b"$-1\r\n", True, False),
        ("MULTI;INCR a;EXEC", b"+OK\r\n" + QUEUED + b"*1\r\n:1\r\n", False, False),
        ("MULTI;INCR a;EXEC", b"+OK\r\n" + READONLY + ABORT, True, True),
        ("MULTI;EVAL x 0;EXEC", b"+OK\r\n" + READONLY + ABORT, True, True),
        ("MULTI;INCR a;EXEC", b"+OK\r\n-ERR no\r\n" + ABORT, False, False),
        ("MULTI;INCR a;EXEC", b"+OK\r\n" + QUEUED + READONLY, True, True),
        ("SUBSCRIBE a", b"-NOPERM no\r\n", False, False),
        ("SUBSCRIBE a", LOADING, True, True),
        ("HELLO 3", b">1\r\n+push\r\n%0\r\n", False, False),
    ],
)
def test_what_replies_say_of_the_server(lines: str, answer: bytes, refusal: bool, undone: bool) -> None:
    found = judged(lines, answer)
    assert (found.refusal, found.undone) == (refusal, undone)


def test_the_first_error_is_kept_for_the_log() -> None:
    assert judged("GET a", b"-WRONGTYPE no\r\n").error == b"WRONGTYPE no"


def test_what_is_looked_at_before_the_head_is_bounded() -> None:
    lines = ";".join(["INCR a"] * 20)
    assert judged(lines, READONLY * 20).undone
    assert not judged(lines, READONLY * 20, limit=100).undone
    group = ";".join(["MULTI", *["GET a"] * 20, "EXEC"])
    assert judged(group, b"+OK\r\n" + READONLY + QUEUED * 19 + ABORT).undone
    assert not judged(group, b"+OK\r\n" + READONLY + QUEUED * 19 + ABORT, limit=100).undone


@pytest.mark.parametrize(
    "line", [b"-ERR max number of clients reached\r\n", b"-DENIED Redis is protected\r\n"]
)
def test_a_server_that_takes_nobody_has_done_nothing_whatever_it_was_asked(line: bytes) -> None:
    codec = ServerCodec(4096)
    asked(codec, "INCR a;EVAL x 0")
    head, _ = codec.receive(line)
    assert isinstance(head, Head)
    assert head.message.undone
    assert isinstance(codec.receive_end()[0], Error)


def test_a_server_that_speaks_before_it_was_asked_is_heard_then() -> None:
    codec = ServerCodec(4096)
    exchange = codec.open()
    assert codec.receive(b"-ERR max number of clients reached\r\n") == []
    codec.send(Head(exchange, request("GET a")))
    codec.send(End(exchange))
    assert isinstance(codec.receive(b"")[0], Head)


def test_commands_are_written_anew() -> None:
    codec = ServerCodec(4096)
    _, out = asked(codec, "get  a;GET 'b c'")
    assert out == b"*2\r\n$3\r\nget\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$3\r\nb c\r\n"


def test_the_rest_of_a_long_command_is_passed_on() -> None:
    codec = ServerCodec(4096)
    long = request("SET a b")
    long.commands[0].count = 4
    exchange = codec.open()
    assert codec.send(Head(exchange, long)).startswith(b"*4\r\n$3\r\nSET")
    assert codec.send(Body(exchange, b"$1\r\nc\r\n")) == b"$1\r\nc\r\n"
    codec.receive(b"+OK\r\n")
    assert codec.after(exchange) is After.CLOSE  # the request is not whole
    codec.send(End(exchange))
    assert codec.after(exchange) is After.REUSABLE


@pytest.mark.parametrize(
    ("lines", "answer", "after"),
    [
        ("GET a", b"$-1\r\n", After.REUSABLE),
        ("SELECT 1", b"+OK\r\n", After.PINNED),
        ("MULTI", b"+OK\r\n", After.PINNED),
        ("MULTI;GET a;EXEC", b"+OK\r\n+QUEUED\r\n*0\r\n", After.REUSABLE),
        ("SCAN 0", b"*2\r\n$1\r\n7\r\n*0\r\n", After.PINNED),
        ("SCAN 0", b"*2\r\n$1\r\n0\r\n*0\r\n", After.REUSABLE),
        ("GET a", b"$-1\r\n+more\r\n", After.CLOSE),
        ("GET a", b"$", After.CLOSE),
    ],
)
def test_to_whom_the_link_belongs(lines: str, answer: bytes, after: After) -> None:
    assert done(ServerCodec(4096), lines, answer) is after
    codec = ServerCodec(4096)
    exchange, _ = asked(codec, lines)
    for at in range(len(answer)):
        codec.receive(answer[at : at + 1])
    assert codec.after(exchange) is after


def test_a_pin_is_taken_back() -> None:
    codec = ServerCodec(4096)
    assert done(codec, "WATCH a") is After.PINNED
    assert done(codec, "MULTI") is After.PINNED
    assert done(codec, "GET a", b"+QUEUED\r\n") is After.PINNED
    assert done(codec, "EXEC", b"*1\r\n$-1\r\n") is After.REUSABLE


def test_a_link_is_brought_to_the_version_that_its_client_speaks() -> None:
    codec = ServerCodec(4096)
    hello = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
    exchange, out = asked(codec, "GET a", version=3)
    assert out == hello + b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
    for piece in (b"%1\r\n+proto\r\n", b":3"):
        assert codec.receive(piece) == []
    assert codec.receive(b"\r\n_\r\n") == [Head(1, Answer()), Body(1, b"_\r\n"), End(1)]
    assert codec.after(exchange) is After.REUSABLE
    codec.release(exchange)
    assert b"HELLO" not in asked(codec, "GET a", version=3)[1]
    codec.receive(b"_\r\n")
    codec.release(2)
    assert asked(codec, "GET a", version=2)[1].startswith(hello.replace(b"\n3", b"\n2"))


def test_a_server_that_does_not_know_the_version_answers_for_itself() -> None:
    codec = ServerCodec(4096)
    asked(codec, "GET a", version=3)
    head, *_ = codec.receive(b"-NOAUTH first\r\n-NOAUTH first\r\n")
    assert isinstance(head, Head)
    assert head.message.error == b"NOAUTH first"
    codec.release(1)
    assert b"HELLO" in asked(codec, "GET a", version=3)[1]


def test_what_a_server_pushes_before_its_greeting_is_not_kept() -> None:
    codec = ServerCodec(4096)
    asked(codec, "GET a", version=3)
    for _ in range(50):
        assert codec.receive(b">1\r\n+x\r\n" * 100) == []
    assert (codec.held(), len(codec._replies.lines)) == (0, 1)
    assert len(codec.receive(b"%0\r\n_\r\n")) == 3


def test_a_reply_to_the_greeting_that_is_none() -> None:
    codec = ServerCodec(4096)
    asked(codec, "GET a", version=3)
    [error] = codec.receive(b"nonsense\r\n")
    assert isinstance(error, Error)


def test_a_hello_of_the_clients_own_needs_no_other() -> None:
    codec = ServerCodec(4096)
    assert done(codec, "HELLO 3", b"%0\r\n") is After.REUSABLE
    _, out = asked(codec, "HELLO 3")
    assert out.count(b"HELLO") == 1
    codec.receive(b"%0\r\n")
    codec.release(2)
    assert asked(codec, "HELLO")[1].count(b"HELLO") == 2


def test_a_held_link_is_left_at_its_version() -> None:
    codec = ServerCodec(4096)
    done(codec, "SELECT 1")
    assert b"HELLO" not in asked(codec, "GET a", version=3)[1]


@pytest.mark.parametrize("first", [b"*3\r\n$9\r\nsubscribe\r\n", b">3\r\n", b"+OK\r\n", b"\n"])
def test_a_stream_begins_with_the_first_byte(first: bytes) -> None:
    codec = ServerCodec(4096)
    asked(codec, "SUBSCRIBE a")
    assert codec.receive(first) == [Upgraded(1, Answer()), Body(1, first)]
    assert codec.receive(b"any") == [Body(1, b"any")]
    assert codec.receive(b"") == []
    assert codec.send(Body(1, b"any")) == b"any"
    assert codec.receive_end() == [End(1)]
    assert codec.send(Body(1, b"more")) == b"more"
    assert codec.send(End(1)) == b""
    with pytest.raises(ValueError, match="cannot be sent"):
        codec.send(End(1))
    assert codec.after(1) is After.CLOSE


def test_a_stream_that_is_refused_leaves_the_link_as_it_was() -> None:
    assert done(ServerCodec(4096), "SUBSCRIBE a", b"-NOPERM no\r\n") is After.REUSABLE


def test_bytes_on_an_idle_link_end_it() -> None:
    codec = ServerCodec(4096)
    [error] = codec.receive(b"+OK\r\n")
    assert error.exchange == CONNECTION
    assert codec.receive(b"+OK\r\n") == []
    codec = ServerCodec(4096)
    done(codec, "GET a")
    assert isinstance(codec.receive(b">1\r\n+x\r\n")[0], Error)


@pytest.mark.parametrize("data", [b"", b"$3\r\nab", b"+OK\r\n"])
def test_an_end_within_an_answer_is_an_error(data: bytes) -> None:
    codec = ServerCodec(4096)
    asked(codec, "GET a;GET b")
    codec.receive(data)
    assert isinstance(codec.receive_end()[0], Error)
    assert codec.after(1) is After.CLOSE


def test_an_end_of_an_idle_link_is_none() -> None:
    codec = ServerCodec(4096)
    assert codec.receive_end() == []
    done(codec, "GET a")
    assert codec.receive_end() == []


def test_what_is_broken_in_the_middle_is_told_behind_what_was_right() -> None:
    codec = ServerCodec(4096)
    asked(codec, "GET a;GET b")
    head, body, error = codec.receive(b"+a\r\n?\r\n")
    assert (type(head), body, type(error)) == (Head, Body(1, b"+a\r\n"), Error)


def test_refused_by_a_time_limit() -> None:
    codec = ServerCodec(4096)
    assert codec.refuse(FramingError("late"))[0].exchange == CONNECTION
    assert codec.refuse(FramingError("late")) == []
    codec = ServerCodec(4096)
    asked(codec, "GET a")
    assert codec.refuse(FramingError("late"))[0].exchange == 1


@pytest.mark.parametrize("event", [Interim(1, None), Body(1, b"x"), Head(2, None), Upgraded(1, None)])
def test_what_cannot_be_sent(event: Body) -> None:
    codec = ServerCodec(4096)
    with pytest.raises(ValueError, match="not open"):
        codec.send(event)
    asked(codec, "GET a")
    with pytest.raises(ValueError, match=r"cannot be sent|not open"):
        codec.send(event)


def test_a_link_that_must_be_closed_is_not_released() -> None:
    codec = ServerCodec(4096)
    asked(codec, "GET a")
    with pytest.raises(ValueError, match="must be closed"):
        codec.release(1)
    assert (codec.drain(), codec.held()) == (b"", 0)
