"""What the rules answer."""

from __future__ import annotations

from typing import Any

import pytest
from made import request
from sslbroker_resp.message import Answer
from sslbroker_resp.rules import Classifier, Rules

from sslbroker.errors import (
    BrokerError,
    ConfigurationError,
    FramingError,
    LinkBroken,
    NoServer,
    RequestRefused,
)
from sslbroker.interfaces import Body, Origin
from sslbroker.outcome import Replay
from sslbroker.settings import Failover, Pool

ORIGIN = Origin("192.0.2.1")


def rules(by_key: bool = False, **failover: Any) -> Rules:
    return Rules(Pool("p", (), balance="hash", failover=Failover(**failover)), by_key=by_key)


@pytest.mark.parametrize("balance", ["round-robin", "least-connections", "least-time"])
def test_keys_need_a_balance_that_looks_at_them(balance: str) -> None:
    with pytest.raises(ConfigurationError, match=r'pools.p.balance: found "[a-z-]+", expected "hash"'):
        Rules(Pool("p", (), balance=balance), by_key=True)
    Rules(Pool("p", (), balance=balance), by_key=False)


@pytest.mark.parametrize(
    ("lines", "replay"),
    [
        ("GET a", Replay.REPLAYABLE),
        ("GET a;MGET b c", Replay.REPLAYABLE),
        ("SELECT 1", Replay.REPLAYABLE),
        ("SUBSCRIBE a", Replay.REPLAYABLE),
        ("SCAN 0", Replay.REPLAYABLE),
        ("SET a 1", Replay.METHOD),
        ("SET a 1;DEL b", Replay.METHOD),
        ("EVAL x 0", Replay.METHOD),
        ("EXEC", Replay.METHOD),
        ("FROB a", Replay.METHOD),
        ("MULTI;GET a;EXEC", Replay.METHOD),
    ],
)
def test_what_may_be_repeated(lines: str, replay: Replay) -> None:
    assert rules().replay(request(lines)) is replay
    assert rules(methods=("*",)).replay(request(lines)) is Replay.REPLAYABLE


def test_the_operator_may_promise_that_a_write_can_be_repeated() -> None:
    promised = rules(methods=("set", "DEL"))
    assert promised.replay(request("SET a 1;DEL b")) is Replay.REPLAYABLE
    assert promised.replay(request("SET a 1;INCR b")) is Replay.METHOD


def test_only_reads_are_done_twice_at_once() -> None:
    assert rules().hedgeable(request("GET a"))
    assert not rules().hedgeable(request("SELECT 1"))


def test_which_server_a_key_has() -> None:
    assert rules().affinity(request("GET a")) is None
    by_key = rules(by_key=True)
    assert by_key.affinity(request("GET x{a}y")) == b"a"
    assert by_key.affinity(request("MULTI;SET a 1;EXEC")) == b"a"
    assert by_key.affinity(request("PING")) is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("CLIENT REPLY OFF", "CLIENT REPLY is not carried"),
        ("WAIT 1 0", "WAIT counts the writes of one connection"),
    ],
)
def test_what_is_not_carried(lines: str, words: str) -> None:
    refused = rules().admit(request(lines), ORIGIN)
    assert isinstance(refused, RequestRefused)
    assert words in refused.detail


@pytest.mark.parametrize("lines", ["GET a", "SET a 1;WAIT 1 0", "SELECT 1", "MGET a b", "SUBSCRIBE a"])
def test_what_is_carried(lines: str) -> None:
    assert rules().admit(request(lines), ORIGIN) is None


def test_wait_is_carried_where_the_link_is_the_clients_own() -> None:
    assert rules().admit(request("WAIT 1 0", settled=True), ORIGIN) is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("SELECT 1", "one server for a connection"),
        ("MULTI", "one server for a connection"),
        ("SUBSCRIBE a", "one server for a connection"),
        ("MGET a b", "CROSSSLOT"),
        ("MULTI;SET a 1;SET b 1;EXEC", "CROSSSLOT"),
        ("EVAL x many", "nobody can tell which keys"),
        ("FROB a", "one server for a connection"),
    ],
)
def test_what_is_not_carried_where_each_key_has_its_server(lines: str, words: str) -> None:
    refused = rules(by_key=True).admit(request(lines), ORIGIN)
    assert isinstance(refused, RequestRefused)
    assert words in refused.detail


@pytest.mark.parametrize(
    "lines", ["GET a", "MGET {a}1 {a}2", "MULTI;SET a 1;INCR a;EXEC", "HELLO 3", "PING", "SSCAN s 0"]
)
def test_what_is_carried_there(lines: str) -> None:
    assert rules(by_key=True).admit(request(lines), ORIGIN) is None


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("GET a", None),
        ("BLPOP a 5", 35.0),
        ("BLPOP a 0", 0.0),
        ("BLPOP a never", None),
        ("SET a 1;WAIT 1 5000", 35.0),
    ],
)
def test_how_long_an_answer_may_take(lines: str, seconds: float | None) -> None:
    assert rules(response_timeout=30.0).answer_within(request(lines)) == seconds


@pytest.mark.parametrize(
    ("lines", "answer", "last"),
    [
        ("CLIENT SETINFO LIB-NAME x;CLIENT SETINFO LIB-VER 1", b"+OK\r\n+OK\r\n", False),
        (
            "CLIENT MAINT_NOTIFICATIONS ON",
            b"-ERR sslbroker: no notifications of maintenance are carried\r\n",
            False,
        ),
        ("QUIT", b"+OK\r\n", True),
    ],
)
def test_what_the_broker_answers_itself(lines: str, answer: bytes, last: bool) -> None:
    head, body, _ = rules().own_answer(request(lines), ORIGIN, 3)
    assert body == Body(3, answer)
    assert head.message.last is last  # type: ignore[attr-defined]


def test_everything_else_is_a_servers() -> None:
    assert rules().own_answer(request("PING"), ORIGIN, 3) == ()


@pytest.mark.parametrize(
    ("error", "lines", "answer", "last"),
    [
        (NoServer(), "GET a", "no server is there to do this; try again later", False),
        (NoServer(), "GET a;GET b", "no server is there to do this; try again later", False),
        (
            LinkBroken("10.0.0.1 reset"),
            "INCR a",
            "the server broke off; nobody knows whether it was done",
            False,
        ),
        (BrokerError, "INCR a", "the server cannot do this now", False),
        (NoServer(), "SELECT 1", "no server is there to do this; try again later", True),
        (NoServer(), "SCAN 0", "no server is there to do this; try again later", False),
        (NoServer(), "MULTI", "no server is there to do this; try again later", True),
        (NoServer(), "MULTI;INCR a;EXEC", "no server is there to do this; try again later", False),
        (RequestRefused("not so"), "GET a", "not so", False),
    ],
)
def test_an_error_answer_for_each_command(error: Any, lines: str, answer: str, last: bool) -> None:
    class Odd(BrokerError):
        pass

    asked = request(lines)
    head, body, _ = rules().error_answer(Odd() if error is BrokerError else error, asked, 1)
    words = answer if error is not BrokerError else "a mistake in the broker"
    assert body.data == f"-ERR sslbroker: {words}\r\n".encode() * len(asked.commands)  # type: ignore[attr-defined]
    assert head.message.last is last  # type: ignore[attr-defined]


def test_what_was_no_command_is_told_and_cannot_forge_a_reply() -> None:
    head, body, _ = rules().error_answer(FramingError("bad\r\n+OK \u20ac"), None, 1)
    assert body.data == b"-ERR sslbroker: Protocol error: bad\\r\\n+OK \\xe2\\x82\\xac\r\n"  # type: ignore[attr-defined]
    assert head.message.last  # type: ignore[attr-defined]


def test_keys_of_several_places_are_told_as_a_cluster_does() -> None:
    refused = RequestRefused("CROSSSLOT Keys of one request have different hash tags")
    _, body, _ = rules(by_key=True).error_answer(refused, request("MGET a b"), 1)
    assert body.data.startswith(b"-CROSSSLOT Keys")  # type: ignore[attr-defined]


def test_a_client_in_multi_does_not_go_on_after_an_error() -> None:
    head, *_ = rules().error_answer(NoServer(), request("GET a", in_multi=True), 1)
    assert head.message.last  # type: ignore[attr-defined]


def test_for_the_log() -> None:
    fields = rules().log_fields(request("GET a\\x00;GET b"), Answer(b"WRONGTYPE no"))
    assert fields == {"method": "GET x2", "target": "a\\\\x00", "error": "WRONGTYPE"}
    assert rules().log_fields(request("PING"), None) == {"method": "PING", "target": None}
    assert rules().log_fields(None, None) == {}
    long = rules().log_fields(request("GET " + "k" * 500), Answer())["target"]
    assert long == "k" * 128 + "…"


def test_messages_are_copied() -> None:
    asked, answer = request("GET a"), Answer(b"x", refusal=True, undone=True, last=True)
    copy = rules().to_server(asked, ORIGIN, "a:1", False)
    assert copy == asked
    assert copy is not asked
    assert rules().to_client(answer, asked, ORIGIN) == answer
    assert rules().to_client(answer, asked, ORIGIN) is not answer
    assert rules().origin(asked, ORIGIN) is ORIGIN
    assert rules().go_ahead_wait(asked) == 0.0


def test_the_classifier() -> None:
    classifier = Classifier()
    assert classifier.failing(Answer(refusal=True))
    assert not classifier.failing(Answer(b"ERR"))
    assert classifier.nothing_done(Answer(refusal=True, undone=True))
    assert not classifier.nothing_done(Answer(refusal=True))
    assert classifier.status(Answer()) == 0
