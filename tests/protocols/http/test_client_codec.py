"""A connection to a client: transcripts of what it says and of what it is told."""

from __future__ import annotations

import pytest

from sslbroker.errors import FramingError
from sslbroker.interfaces import Body, End, Error, Event, Head, Interim, Reply, Upgraded
from sslbroker.outcome import After
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.message import Framing, Response, Trailers

from .transcript import render

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET_TRAILERS = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"
GET_10 = b"GET / HTTP/1.0\r\n\r\n"
GET_10_KEEP = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_10 = b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
PUT_5 = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
EXPECT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
MALFORMED = b"GET / HTTP/1.1\r\n\r\n"


def after_receiving(data: bytes) -> ClientCodec:
    codec = ClientCodec(4096, 20)
    codec.receive(data)
    return codec


def response(
    framing: Framing = Framing.NONE, length: int = 0, *, status: int = 200, close: bool = False
) -> Response:
    return Response(status, b"Why", 1, [(b"x", b"X", b"y")], framing, length, close)


def head(framing: Framing = Framing.NONE, length: int = 0, **more: int) -> Head:
    return Head(1, response(framing, length, status=more.get("status", 200), close=bool(more.get("close"))))


LINES = b"HTTP/1.1 200 Why\r\nX: y\r\n"


@pytest.mark.parametrize(
    ("request_", "answer", "lines", "body", "end", "after"),
    [
        (GET, head(Framing.LENGTH, 2), b"Content-Length: 2\r\n", b"ok", b"", After.REUSABLE),
        (
            GET,
            head(Framing.CHUNKED),
            b"Transfer-Encoding: chunked\r\n",
            b"2\r\nok\r\n",
            b"0\r\n\r\n",
            After.REUSABLE,
        ),
        (
            GET,
            head(Framing.UNTIL_CLOSE),
            b"Transfer-Encoding: chunked\r\n",
            b"2\r\nok\r\n",
            b"0\r\n\r\n",
            After.REUSABLE,
        ),
        (
            GET,
            head(Framing.LENGTH, 2, close=True),
            b"Content-Length: 2\r\nConnection: close\r\n",
            b"ok",
            b"",
            After.CLOSE,
        ),
        (
            GET_CLOSE,
            head(Framing.LENGTH, 2),
            b"Content-Length: 2\r\nConnection: close\r\n",
            b"ok",
            b"",
            After.CLOSE,
        ),
        (
            GET_10,
            head(Framing.LENGTH, 2),
            b"Content-Length: 2\r\nConnection: close\r\n",
            b"ok",
            b"",
            After.CLOSE,
        ),
        (
            GET_10_KEEP,
            head(Framing.LENGTH, 2),
            b"Content-Length: 2\r\nConnection: keep-alive\r\n",
            b"ok",
            b"",
            After.REUSABLE,
        ),
        (GET_10_KEEP, head(Framing.CHUNKED), b"Connection: close\r\n", b"ok", b"", After.CLOSE),
        (GET_10_KEEP, head(Framing.UNTIL_CLOSE), b"Connection: close\r\n", b"ok", b"", After.CLOSE),
        (
            MALFORMED,
            head(Framing.LENGTH, 2),
            b"Content-Length: 2\r\nConnection: close\r\n",
            b"ok",
            b"",
            After.CLOSE,
        ),
        (MALFORMED, head(Framing.CHUNKED), b"Connection: close\r\n", b"ok", b"", After.CLOSE),
        (HEAD, head(Framing.LENGTH, 2), b"Content-Length: 2\r\n", b"", b"", After.REUSABLE),
        (HEAD, head(Framing.CHUNKED), b"Transfer-Encoding: chunked\r\n", b"", b"", After.REUSABLE),
        (HEAD, head(Framing.UNTIL_CLOSE), b"Transfer-Encoding: chunked\r\n", b"", b"", After.REUSABLE),
        (HEAD_10, head(Framing.CHUNKED), b"Connection: keep-alive\r\n", b"", b"", After.REUSABLE),
    ],
)
def test_a_response_is_framed_for_its_client(
    request_: bytes, answer: Head, lines: bytes, body: bytes, end: bytes, after: After
) -> None:
    codec = after_receiving(request_)
    assert codec.send(answer) == LINES + lines + b"\r\n"
    assert codec.send(Body(1, b"ok")) == body
    assert codec.send(End(1)) == end
    assert codec.after(1) is after


def test_a_response_without_content_says_so() -> None:
    codec = after_receiving(GET)
    assert codec.send(head()) == LINES + b"Content-Length: 0\r\n\r\n"
    with pytest.raises(ValueError, match="2 bytes more"):
        codec.send(Body(1, b"ok"))


@pytest.mark.parametrize("framing", [Framing.NONE, Framing.LENGTH, Framing.CHUNKED])
def test_204_has_neither_length_nor_body(framing: Framing) -> None:
    codec = after_receiving(GET)
    assert codec.send(head(framing, 2, status=204)) == b"HTTP/1.1 204 Why\r\nX: y\r\n\r\n"
    assert codec.send(Body(1, b"ok")) + codec.send(End(1)) == b""
    assert codec.after(1) is After.REUSABLE


@pytest.mark.parametrize(("request_", "status"), [(HEAD, 200), (GET, 304)])
def test_the_length_that_a_get_would_get_reaches_the_client(request_: bytes, status: int) -> None:
    answer = Response(status, b"Why", 1, [(b"content-length", b"content-length", b"9")])
    codec = after_receiving(request_)
    assert codec.send(Head(1, answer)) == b"HTTP/1.1 %d Why\r\nContent-Length: 9\r\n\r\n" % status


def test_a_length_among_the_fields_of_another_response_is_not_sent() -> None:
    answer = Response(200, b"Why", 1, [(b"content-length", b"Content-Length", b"9")], Framing.LENGTH, 2)
    assert after_receiving(GET).send(Head(1, answer)) == b"HTTP/1.1 200 Why\r\nContent-Length: 2\r\n\r\n"


def test_426_names_what_it_wants() -> None:
    answer = Response(426, b"Upgrade", 1, [], upgrade=b"h2c")
    assert (
        after_receiving(GET)
        .send(Head(1, answer))
        .endswith(b"\r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
    )
    assert (
        after_receiving(GET_CLOSE)
        .send(Head(1, answer))
        .endswith(b"\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n")
    )
    other = Response(200, b"OK", 1, [], upgrade=b"h2c")
    assert b"pgrade" not in after_receiving(GET).send(Head(1, other))


TRAILERS = Trailers([(b"x-sum", b"X-Sum", b"5")])


@pytest.mark.parametrize(
    ("request_", "framing", "end"),
    [
        (GET_TRAILERS, Framing.CHUNKED, b"0\r\nX-Sum: 5\r\n\r\n"),
        (GET, Framing.CHUNKED, b"0\r\n\r\n"),
        (GET_TRAILERS, Framing.NONE, b""),
    ],
)
def test_trailers_reach_a_client_that_accepts_them(request_: bytes, framing: Framing, end: bytes) -> None:
    codec = after_receiving(request_)
    codec.send(head(framing))
    assert codec.send(End(1, TRAILERS)) == end


# --- one exchange after another ----------------------------------------------------------------


def answer(codec: ClientCodec, exchange: int) -> None:
    codec.send(Head(exchange, response()))
    codec.send(End(exchange))


def test_the_next_request_waits_until_the_exchange_is_released() -> None:
    codec = ClientCodec(4096, 20)
    assert render(codec.receive(GET + b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n")) == [
        "head 1 GET / host=a",
        "end 1",
    ]
    assert codec.receive(b"GET /3 HTTP/1.1\r\nHo") == []
    assert codec.held() == 47
    answer(codec, 1)
    codec.release(1)
    assert render(codec.receive(b"")) == ["head 2 GET /2 host=b", "end 2"]
    answer(codec, 2)
    codec.release(2)
    assert codec.receive(b"") == []
    assert render(codec.receive(b"st: c\r\n\r\n")) == ["head 3 GET /3 host=c", "end 3"]


def test_a_connection_is_not_reusable_before_both_messages_ended() -> None:
    codec = after_receiving(GET)
    assert codec.after(1) is After.CLOSE
    codec.send(head(Framing.LENGTH, 2))
    assert codec.after(1) is After.CLOSE
    with pytest.raises(ValueError, match="cannot be released"):
        codec.release(1)
    codec.send(Body(1, b"ok"))
    codec.send(End(1))
    assert codec.after(1) is After.REUSABLE
    assert codec.after(2) is After.CLOSE
    codec.release(1)
    assert codec.after(1) is After.CLOSE


def test_a_response_that_ends_before_its_request_ends_the_connection() -> None:
    codec = after_receiving(PUT_5 + b"hel")
    answer(codec, 1)
    assert codec.after(1) is After.CLOSE
    assert codec.receive(b"lo") == [Body(1, b"lo"), End(1)]
    assert codec.after(1) is After.CLOSE


def test_a_response_that_begins_before_its_request_ends_does_not() -> None:
    codec = after_receiving(PUT_5)
    codec.send(head())
    codec.receive(b"hello")
    codec.send(End(1))
    assert codec.after(1) is After.REUSABLE


def test_a_draining_connection_says_close_at_the_next_head() -> None:
    codec = after_receiving(GET)
    assert codec.drain() == b""
    assert codec.send(head()).endswith(b"\r\nConnection: close\r\n\r\n")
    codec.send(End(1))
    assert codec.after(1) is After.CLOSE


def test_a_head_that_was_sent_before_the_drain_keeps_its_word() -> None:
    codec = after_receiving(GET)
    codec.send(head())
    codec.drain()
    codec.send(End(1))
    assert codec.after(1) is After.REUSABLE
    codec.release(1)
    codec.receive(GET)
    assert b"Connection: close" in codec.send(Head(2, response()))


# --- when the client ends ----------------------------------------------------------------------


def test_a_client_that_ends_between_requests_says_nothing() -> None:
    codec = ClientCodec(4096, 20)
    assert codec.receive_end() == []


def test_a_client_that_ends_behind_its_request_is_answered_and_then_gone() -> None:
    codec = after_receiving(GET)
    assert codec.receive_end() == []
    answer(codec, 1)
    assert codec.after(1) is After.CLOSE


def test_requests_that_wait_are_answered_after_the_client_has_ended() -> None:
    codec = after_receiving(GET + PUT_5 + b"hello" + GET[:10])
    assert codec.receive_end() == []
    answer(codec, 1)
    assert codec.after(1) is After.REUSABLE
    codec.release(1)
    assert render(codec.receive(b"")) == ["head 2 PUT / host=a length=5", "body 2 hello", "end 2"]
    answer(codec, 2)
    codec.release(2)
    assert render(codec.receive(b"")) == ["error 3 400 closed within the head of a request"]


def test_a_waiting_request_that_is_not_whole_breaks_off_when_its_turn_comes() -> None:
    codec = after_receiving(GET + PUT_5 + b"hel")
    codec.receive_end()
    answer(codec, 1)
    codec.release(1)
    assert render(codec.receive(b"")) == [
        "head 2 PUT / host=a length=5",
        "body 2 hel",
        "error 2 400 closed with 2 bytes of the body to come",
    ]


def test_an_end_is_heard_once() -> None:
    codec = after_receiving(PUT_5)
    assert len(codec.receive_end()) == 1
    assert codec.receive_end() == []


# --- errors ------------------------------------------------------------------------------------


def test_a_malformed_request_can_be_answered_and_nothing_after_it() -> None:
    codec = ClientCodec(4096, 20)
    (error,) = codec.receive(MALFORMED + GET)
    assert isinstance(error, Error)
    assert (error.exchange, error.error.status) == (1, 400)
    assert codec.send(Head(1, response(Framing.LENGTH, 2, status=400))).startswith(b"HTTP/1.1 400 ")
    codec.send(Body(1, b"no"))
    codec.send(End(1))
    assert codec.after(1) is After.CLOSE
    assert codec.receive(GET) == []
    assert codec.receive_end() == []


def test_a_malformed_body_ends_the_connection_even_when_it_was_answered() -> None:
    codec = after_receiving(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    codec.send(head())
    assert render(codec.receive(b"x\r\n")) == [
        "error 1 400 chunk size line 'x\\r'; expected hex digits, CRLF",
    ]
    codec.send(End(1))
    assert codec.after(1) is After.CLOSE


SLOW = FramingError("too slow", 408)


@pytest.mark.parametrize(
    ("begun", "exchange"), [(b"", 1), (GET[:9], 1), (PUT_5, 1), (PUT_5 + b"hel", 1), (EXPECT, 1)]
)
def test_a_request_that_is_not_waited_for_can_be_answered(begun: bytes, exchange: int) -> None:
    codec = after_receiving(begun)
    (error,) = codec.refuse(SLOW)
    assert isinstance(error, Error)
    assert (error.exchange, error.error) == (exchange, SLOW)
    assert codec.held() == 0
    assert codec.send(Head(exchange, response(status=408))).endswith(b"\r\nConnection: close\r\n\r\n")
    codec.send(End(exchange))
    assert codec.after(exchange) is After.CLOSE
    assert codec.receive(GET) == []


def test_a_whole_request_is_not_refused_for_its_time() -> None:
    codec = after_receiving(GET)
    assert codec.refuse(SLOW) == []
    answer(codec, 1)
    assert codec.after(1) is After.REUSABLE


def test_a_request_is_refused_once() -> None:
    codec = after_receiving(PUT_5)
    codec.refuse(SLOW)
    assert codec.refuse(SLOW) == []


def test_a_head_in_many_pieces_is_looked_at_once() -> None:
    codec = ClientCodec(4096, 20)
    assert codec.receive(b"\r") == []
    assert codec.receive(b"\n") == []
    assert codec.held() == 0
    assert codec.receive(b"\r\n")[0].exchange == 1


# --- interim responses and upgrades ------------------------------------------------------------


def interim(status: int) -> Interim:
    return Interim(1, Response(status, b"Why", 1, [(b"link", b"Link", b"</a>")]), status == 100)


def test_a_client_sees_continue_once_and_only_when_it_waits_for_it() -> None:
    codec = after_receiving(EXPECT)
    assert codec.send(interim(100)) == b"HTTP/1.1 100 Why\r\nLink: </a>\r\n\r\n"
    assert codec.send(interim(100)) == b""
    assert after_receiving(GET).send(interim(100)) == b""


def test_a_client_sees_early_hints_once() -> None:
    codec = after_receiving(GET)
    assert codec.send(interim(103)) == b"HTTP/1.1 103 Why\r\nLink: </a>\r\n\r\n"
    assert codec.send(interim(103)) == b""
    answer(codec, 1)
    codec.release(1)
    codec.receive(GET)
    assert codec.send(Interim(2, interim(103).message)) != b""


@pytest.mark.parametrize("request_", [GET_10, GET_10_KEEP, MALFORMED])
@pytest.mark.parametrize("status", [100, 103])
def test_an_old_client_sees_no_interim_response(request_: bytes, status: int) -> None:
    assert after_receiving(request_).send(interim(status)) == b""


@pytest.mark.parametrize("status", [101, 102, 110, 199])
def test_other_interim_responses_are_absorbed(status: int) -> None:
    assert after_receiving(EXPECT).send(interim(status)) == b""


def test_no_interim_response_follows_the_final_one() -> None:
    codec = after_receiving(EXPECT)
    codec.send(head(Framing.LENGTH, 2))
    with pytest.raises(ValueError, match="an interim response cannot be sent"):
        codec.send(interim(103))


SWITCH = Response(101, b"Switching Protocols", 1, [(b"x", b"X", b"y")], upgrade=b"websocket")


def test_an_upgrade_makes_the_connection_a_tunnel() -> None:
    codec = after_receiving(UPGRADE + b"early")
    assert codec.held() == 5
    assert codec.send(Upgraded(1, SWITCH)) == (
        b"HTTP/1.1 101 Switching Protocols\r\nX: y\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert codec.receive(b"") == [Body(1, b"early")]
    assert codec.receive(b"") == []
    assert codec.receive(b"\r\n\r\n") == [Body(1, b"\r\n\r\n")]
    assert codec.send(Body(1, b"\x81\x00")) == b"\x81\x00"
    assert codec.receive_end() == [End(1)]
    assert codec.send(End(1)) == b""
    assert codec.after(1) is After.CLOSE


def test_what_waits_behind_an_upgrade_comes_before_what_follows() -> None:
    codec = after_receiving(UPGRADE + b"early ")
    codec.send(Upgraded(1, SWITCH))
    assert codec.receive(b"late") == [Body(1, b"early late")]
    assert codec.held() == 0


def test_an_upgrade_that_was_declined_is_an_exchange_like_any_other() -> None:
    codec = after_receiving(UPGRADE)
    answer(codec, 1)
    assert codec.after(1) is After.REUSABLE


# --- mistakes of the caller --------------------------------------------------------------------


@pytest.mark.parametrize("event", [Upgraded(1, SWITCH), head(status=100), head(status=101), Reply(1, b"x")])
def test_events_that_cannot_be_sent_are_refused(event: Event) -> None:
    with pytest.raises(ValueError, match=r"not asked|as final|cannot be sent"):
        after_receiving(GET).send(event)


@pytest.mark.parametrize(
    "switch", [Response(101, b"", 1, []), Response(200, b"", 1, [], upgrade=b"websocket")]
)
def test_an_upgrade_without_a_name_or_its_status_is_refused(switch: Response) -> None:
    with pytest.raises(ValueError, match="needs status 101"):
        after_receiving(UPGRADE).send(Upgraded(1, switch))


def test_an_upgrade_after_the_answer_is_refused() -> None:
    codec = after_receiving(UPGRADE)
    codec.send(head())
    with pytest.raises(ValueError, match="or not now"):
        codec.send(Upgraded(1, SWITCH))


def test_a_second_final_response_is_refused() -> None:
    codec = after_receiving(GET)
    answer(codec, 1)
    with pytest.raises(ValueError, match="next is nothing"):
        codec.send(head())


def test_an_answer_without_an_open_exchange_is_refused() -> None:
    codec = ClientCodec(4096, 20)
    with pytest.raises(ValueError, match="exchange 0 is not open"):
        codec.send(Head(0, response()))
    codec.receive(GET)
    with pytest.raises(ValueError, match="exchange 2 is not open"):
        codec.send(Head(2, response()))
    answer(codec, 1)
    codec.release(1)
    with pytest.raises(ValueError, match="exchange 1 is not open"):
        codec.send(head())


def test_a_connect_never_succeeds() -> None:
    codec = after_receiving(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
    with pytest.raises(ValueError, match="a CONNECT cannot succeed"):
        codec.send(head())
    assert b"Connection: close" in codec.send(head(status=405))


def test_a_client_codec_opens_no_exchanges() -> None:
    with pytest.raises(ValueError, match="opened by its requests"):
        ClientCodec(4096, 20).open()
