"""Which commands of a client make one exchange, and when its connection goes on."""

from __future__ import annotations

import pytest
from made import exchanges, reply
from sslbroker_resp.client_codec import TOGETHER, ClientCodec
from sslbroker_resp.message import Answer

from sslbroker.errors import ClientTimeout, FramingError
from sslbroker.interfaces import Body, End, Error, Head, Interim, Upgraded
from sslbroker.outcome import After


def lines(*commands: str) -> bytes:
    return b"".join(command.encode() + b"\r\n" for command in commands)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["GET a"], ["read GET a"]),
        (["GET a", "GET b"], ["read GET a | GET b"]),
        (["GET a", "SET b 1", "SET c 1", "GET d"], ["read GET a", "write SET b 1 | SET c 1", "read GET d"]),
        (["SELECT 1", "SELECT 2"], ["alone SELECT 1", "alone SELECT 2"]),
        (["BLPOP a 0", "BLPOP a 0"], ["block BLPOP a 0", "block BLPOP a 0"]),
        (["EVAL x 0", "SET a 1"], ["write EVAL x 0 | SET a 1"]),
        (["FROB a", "GET a"], ["alone FROB a", "read GET a"]),
        (
            ["CLIENT SETINFO LIB-NAME x", "CLIENT SETINFO LIB-VER 1"],
            ["own CLIENT SETINFO LIB-NAME x | CLIENT SETINFO LIB-VER 1"],
        ),
        (["SET a 1", "WAIT 1 0", "SET b 1"], ["write SET a 1 | WAIT 1 0", "write SET b 1"]),
        (["WAIT 1 0"], ["wait WAIT 1 0"]),
        (["GET a", "WAIT 1 0"], ["read GET a", "wait WAIT 1 0"]),
        (
            ["MULTI", "GET a", "SET b 1", "EXEC", "GET a"],
            ["group MULTI | GET a | SET b 1 | EXEC", "read GET a"],
        ),
        (["MULTI", "GET a", "BLPOP a 0", "EXEC"], ["group MULTI | GET a | BLPOP a 0 | EXEC"]),
        (["MULTI", "EXEC"], ["group MULTI | EXEC"]),
        (["MULTI", "GET a", "DISCARD"], ["group MULTI | GET a | DISCARD"]),
        (["MULTI", "GET a"], ["alone MULTI", "queued GET a"]),
        (
            ["MULTI", "GET a", "SELECT 1", "SET b 1", "EXEC"],
            ["alone MULTI", "queued GET a", "alone SELECT 1", "queued SET b 1 | EXEC"],
        ),
        (
            ["MULTI", "CLIENT SETINFO LIB-VER 1", "EXEC", "GET a"],
            ["alone MULTI", "queued CLIENT SETINFO LIB-VER 1 | EXEC", "read GET a"],
        ),
        (["MULTI", "SUBSCRIBE a"], ["alone MULTI", "stream SUBSCRIBE a"]),
        (["MULTI", "QUIT"], ["alone MULTI", "last QUIT"]),
        (["GET a", "CLIENT REPLY OFF", "GET b"], ["read GET a", "refused CLIENT REPLY OFF", "read GET b"]),
    ],
)
def test_what_came_together(commands: list[str], expected: list[str]) -> None:
    assert exchanges(ClientCodec(4096), lines(*commands)) == expected


def test_where_each_key_has_its_server_only_one_place_goes_together() -> None:
    codec = ClientCodec(4096, by_key=True)
    found = exchanges(codec, lines("GET {a}1", "GET {a}2", "GET b", "PING", "PING", "GET b"))
    assert found == ["read GET {a}1 | GET {a}2", "read GET b", "read PING | PING", "read GET b"]


def test_an_exchange_has_a_limit_of_commands_and_of_bytes() -> None:
    codec = ClientCodec(1 << 20)
    assert [found.count("|") + 1 for found in exchanges(codec, b"PING\r\n" * 2500)] == [
        TOGETHER,
        TOGETHER,
        500,
    ]
    sizes = exchanges(ClientCodec(100), b"GET aaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 5)
    assert [found.count("|") + 1 for found in sizes] == [3, 2]
    assert exchanges(ClientCodec(60), lines("MULTI", "SET a " + "b" * 50, "EXEC"))[0] == "alone MULTI"


def test_a_long_command_is_alone_and_its_rest_follows() -> None:
    codec = ClientCodec(100)
    get, _ = codec.receive(b"GET a\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$200\r\n" + b"x" * 50)
    assert isinstance(get, Head)
    reply(codec, 1, b"$-1\r\n")
    codec.release(1)
    head, body = codec.receive(b"")
    assert isinstance(head, Head)
    assert not head.message.commands[0].whole
    assert body == Body(2, b"$200\r\n" + b"x" * 50)
    assert codec.receive(b"x" * 150 + b"\r\nPING\r\n") == [Body(2, b"x" * 150 + b"\r\n"), End(2)]
    assert codec.held() == 6
    reply(codec, 2, b"+OK\r\n")
    codec.release(2)
    assert isinstance(codec.receive(b"")[0], Head)


def test_a_long_command_that_goes_wrong_is_an_error_of_its_exchange() -> None:
    codec = ClientCodec(100)
    codec.receive(b"*2\r\n$3\r\nGET\r\n$200\r\n")
    body, error = codec.receive(b"x" * 201)
    assert body == Body(1, b"x" * 200)
    assert isinstance(error, Error)
    assert (error.exchange, codec.receive(b"GET a\r\n"), codec.held()) == (1, [], 0)


def test_what_is_wrong_is_told_after_what_was_right() -> None:
    codec = ClientCodec(4096)
    head, _ = codec.receive(b"GET a\r\nGET b\r\n*x\r\n")
    assert isinstance(head, Head)
    assert len(head.message.commands) == 2
    reply(codec, 1, b"$-1\r\n$-1\r\n")
    codec.release(1)
    [error] = codec.receive(b"")
    assert isinstance(error, Error)
    assert error.exchange == 2


def test_each_request_says_what_was_before() -> None:
    codec = ClientCodec(4096)

    def next_head(data: bytes, answer: bytes) -> tuple[int, bool, bool]:
        head = codec.receive(data)[0]
        assert isinstance(head, Head)
        reply(codec, head.exchange, answer)
        codec.release(head.exchange)
        return head.message.version, head.message.in_multi, head.message.settled

    assert next_head(b"HELLO 3\r\n", b"%0\r\n") == (2, False, False)
    assert next_head(b"GET a\r\n", b"_\r\n") == (3, False, False)
    assert next_head(b"MULTI\r\n", b"+OK\r\n") == (3, False, False)
    assert next_head(b"EXEC\r\n", b"*0\r\n") == (3, True, True)
    assert next_head(b"SELECT 1\r\n", b"+OK\r\n") == (3, False, False)
    assert next_head(b"WAIT 0 0\r\n", b":0\r\n") == (3, False, True)


def test_an_answer_whose_beginning_comes_in_pieces_is_understood() -> None:
    codec = ClientCodec(4096)
    codec.receive(b"SELECT 1\r\n")
    reply(codec, 1, b"+OK\r\n")
    codec.release(1)
    codec.receive(b"RESET\r\n")
    codec.send(Head(2, Answer()))
    codec.send(Body(2, b"+RES"))
    codec.send(Body(2, b"ET\r\n"))
    codec.send(End(2))
    codec.release(2)
    assert not codec._session.held


def test_a_stream_begins_with_its_answer() -> None:
    codec = ClientCodec(4096)
    codec.receive(b"SUBSCRIBE a\r\nraw\0")
    assert codec.send(Upgraded(1, Answer())) == b""
    assert codec.receive(b"") == [Body(1, b"raw\0")]
    assert codec.receive(b"more") == [Body(1, b"more")]
    assert codec.receive(b"") == []
    assert codec.send(Body(1, b"*3\r\n")) == b"*3\r\n"
    assert codec.receive_end() == [End(1)]
    assert codec.send(End(1)) == b""
    assert codec.after(1) is After.CLOSE


def test_a_stream_whose_client_had_ended_before() -> None:
    codec = ClientCodec(4096)
    codec.receive(b"MONITOR\r\n")
    assert codec.receive_end() == []
    codec.send(Upgraded(1, Answer()))
    assert codec.receive(b"") == [End(1)]


def test_a_client_that_ends_is_answered_to_the_last() -> None:
    codec = ClientCodec(4096)
    codec.receive(b"GET a\r\nSET b 1\r\n")
    assert codec.receive_end() == []
    reply(codec, 1, b"$-1\r\n")
    assert codec.after(1) is After.REUSABLE
    codec.release(1)
    assert len(codec.receive(b"")) == 2
    reply(codec, 2, b"+OK\r\n")
    assert codec.after(2) is After.CLOSE


@pytest.mark.parametrize("data", [b"GE", b"*1\r\n", b"*1\r\n$4\r\nPI", b"*2\r\n$3\r\nGET\r\n$9000\r\nx"])
def test_an_end_within_a_command_is_an_error(data: bytes) -> None:
    codec = ClientCodec(4096)
    codec.receive(data)
    [error] = codec.receive_end()
    assert isinstance(error, Error)
    reply(codec, error.exchange, b"-ERR\r\n")
    assert codec.after(1) is After.CLOSE


def test_an_answer_that_is_the_last_one_ends_the_connection() -> None:
    codec = ClientCodec(4096)
    codec.receive(b"QUIT\r\n")
    codec.send(Head(1, Answer(last=True)))
    codec.send(Body(1, b"+OK\r\n"))
    codec.send(End(1))
    assert codec.after(1) is After.CLOSE
    with pytest.raises(ValueError, match="must be closed"):
        codec.release(1)


def test_draining_ends_the_connection_after_an_answer() -> None:
    codec = ClientCodec(4096)
    assert codec.drain() == b""
    codec.receive(b"GET a\r\n")
    reply(codec, 1, b"$-1\r\n")
    assert codec.after(1) is After.CLOSE


def test_an_answer_that_comes_before_the_command_is_whole_ends_the_connection() -> None:
    codec = ClientCodec(10)
    codec.receive(b"*2\r\n$3\r\nGET\r\n$200\r\n")
    reply(codec, 1, b"-ERR\r\n")
    codec.receive(b"x" * 200 + b"\r\n")
    assert codec.after(1) is After.CLOSE


def test_a_client_too_slow_is_refused_where_it_waits() -> None:
    codec = ClientCodec(4096)
    codec.receive(b"GET")
    [error] = codec.refuse(ClientTimeout("late"))
    assert (error.exchange, codec.held()) == (1, 0)
    assert codec.refuse(ClientTimeout("late")) == []
    codec = ClientCodec(4096)
    codec.receive(b"GET a\r\n")
    assert codec.refuse(FramingError("late")) == []


@pytest.mark.parametrize(
    "event", [Interim(1, None), Body(1, b"x"), End(1), Head(2, Answer()), Head(0, Answer())]
)
def test_what_cannot_be_sent(event: Body) -> None:
    codec = ClientCodec(4096)
    with pytest.raises(ValueError, match="not open"):
        codec.send(event)
    codec.receive(b"GET a\r\n")
    with pytest.raises(ValueError, match=r"cannot be sent|not open"):
        codec.send(event)


def test_a_client_opens_its_exchanges_itself() -> None:
    with pytest.raises(ValueError, match="opened by its commands"):
        ClientCodec(4096).open()
