"""What a client reads when its transaction failed."""

from __future__ import annotations

import pytest

from sslbroker.errors import (
    AttemptError,
    BrokerError,
    ClientGone,
    ClientTimeout,
    ConnectTimeout,
    FramingError,
    InternalError,
    LoopDetected,
    NoServer,
    QueueFull,
    QueueTimeout,
    Refused,
    RequestRefused,
    ShuttingDown,
    Silent,
)
from sslbroker.interfaces import Body, End, Head
from sslbroker.outcome import Cause
from sslbroker.protocols.http import answers
from sslbroker.protocols.http.answers import Answers
from sslbroker.protocols.http.message import Framing, Request, Response

from .written import line, lines, request

NOON = 784111777.9  # the example of RFC 9110 §5.6.7, and a little


def answer(error: BrokerError, to: Request | None = None) -> tuple[Response, bytes]:
    head, body, end = Answers(lambda: NOON).error(error, to or request("GET /", "Host: a"), 7)
    assert isinstance(head, Head)
    assert isinstance(body, Body)
    assert (head.exchange, body.exchange, end) == (7, 7, End(7))
    assert isinstance(head.message, Response)
    return head.message, body.data


def test_the_whole_answer() -> None:
    response, content = answer(Refused("10.0.0.9:8080 refused"))
    assert (response.status, response.reason, response.close) == (502, b"Bad Gateway", False)
    assert content == b"502 Bad Gateway: no server could be reached (link)\n"
    assert (response.framing, response.length) == (Framing.LENGTH, len(content))
    assert lines(response) == [
        "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        "Content-Type: text/plain; charset=utf-8",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Retry-After: 1",
    ]


def test_an_answer_to_head_states_the_length_and_has_no_content() -> None:
    head, end = Answers(lambda: NOON).error(NoServer(), request("HEAD /", "Host: a"), 7)
    assert isinstance(head, Head)
    assert end == End(7)
    _, content = answer(NoServer())
    assert (head.message.framing, head.message.length) == (Framing.NONE, 0)
    assert line(head.message, "Content-Length") == [str(len(content))]


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Refused(), 502, ["1"]),
        (NoServer(), 503, ["1"]),
        (QueueFull(), 503, ["1"]),
        (QueueTimeout(), 503, ["1"]),
        (RequestRefused("no", 421), 421, []),
        (ShuttingDown(), 503, ["1"]),
        (ConnectTimeout(), 504, ["1"]),
        (Silent(), 504, ["1"]),
        (InternalError(), 502, ["1"]),
        (ClientTimeout("too slow"), 408, []),
        (LoopDetected(), 508, []),
        (FramingError("", 431), 431, []),
        (FramingError("", 501), 501, []),
        (ClientGone(), 502, ["1"]),
        (FramingError("", 299), 502, ["1"]),
    ],
)
def test_status_and_when_to_come_again(error: BrokerError, status: int, retry: list[str]) -> None:
    response, content = answer(error)
    assert (response.status, line(response, "Retry-After")) == (status, retry)
    assert content.startswith(b"%d %b: " % (status, response.reason))


def test_a_method_that_is_not_carried_is_told_which_are() -> None:
    response, _ = answer(RequestRefused("CONNECT asks for a forward proxy"))
    assert "GET" in line(response, "Allow")[0]
    assert "CONNECT" not in line(response, "Allow")[0]
    assert line(answer(RequestRefused("no", status=400))[0], "Allow") == []


@pytest.mark.parametrize(
    "error", [FramingError("x"), ClientTimeout("too slow"), ClientGone(), ShuttingDown()]
)
def test_a_connection_of_which_nothing_certain_can_follow_ends(error: BrokerError) -> None:
    assert answer(error)[0].close is True


@pytest.mark.parametrize("error", [NoServer(), Refused(), LoopDetected(), RequestRefused("no")])
def test_other_failures_leave_the_connection_open(error: BrokerError) -> None:
    assert answer(error)[0].close is False


def test_without_a_request_the_connection_ends() -> None:
    [head, *_] = Answers(lambda: NOON).error(NoServer(), None, 1)
    assert isinstance(head, Head)
    assert head.message.close is True


def test_a_clients_mistake_is_told_in_detail() -> None:
    _, content = answer(FramingError("Content-Length twice"))
    assert content == b"400 Bad Request: the request cannot be understood: Content-Length twice (frame)\n"


def test_a_detail_is_bounded_and_printable() -> None:
    _, content = answer(FramingError("a\r\n\x1b[31m\u202e" + "é" * 5000))
    assert b"a???[31m?" in content
    assert len(content) < 600
    assert content.count(b"\n") == 1


def test_nothing_of_what_stands_behind_the_broker_is_shown() -> None:
    for error in (Refused("10.0.0.9:8080"), NoServer("10.0.0.9:8080"), InternalError("10.0.0.9 Traceback")):
        assert b"10.0.0.9" not in answer(error)[1]


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words_for_people(cause: Cause) -> None:
    error = type("Made", (AttemptError,), {"cause": cause, "phase": Refused.phase})()
    _, content = answer(error)
    words = content.decode().partition(": ")[2]
    assert len(words.split()) > 3
    if cause not in (Cause.OK, Cause.INTERNAL):
        assert answers._INTERNAL_WORDS not in words


def test_the_date_is_made_once_a_second() -> None:
    clock = [NOON]
    made = Answers(lambda: clock[0])
    first = made.date()
    clock[0] += 0.05
    assert made.date() is first
    clock[0] += 0.1
    assert made.date() == ((b"date", b"Date", b"Sun, 06 Nov 1994 08:49:38 GMT"),)


def test_without_a_clock_an_answer_has_no_date() -> None:
    [head, *_] = Answers().error(NoServer(), None, 1)
    assert isinstance(head, Head)
    assert line(head.message, "Date") == []
