"""A link to a server: transcripts of what it is asked, of what it says, and of what the link is then."""

from __future__ import annotations

import pytest

from sslbroker.interfaces import CONNECTION, Body, End, Error, Head, Interim, Upgraded
from sslbroker.outcome import After
from sslbroker.protocols.http.message import Framing, Request, Trailers
from sslbroker.protocols.http.server_codec import INTERIM_RESPONSES, ServerCodec

from .transcript import render

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(framing: Framing = Framing.NONE, length: int = 0, **attributes: bool) -> Request:
    return Request(b"PUT", b"/", 1, [], b"a", framing, length, **attributes)  # type: ignore[arg-type]


def asked(message: Request | None = None) -> ServerCodec:
    """A link on which the first exchange's request was sent whole."""
    codec = ServerCodec(4096, 20)
    exchange = codec.open()
    codec.send(Head(exchange, message or request()))
    codec.send(End(exchange))
    return codec


def test_a_request_with_chunks_and_trailers() -> None:
    codec = ServerCodec(4096, 20)
    assert codec.open() == 1
    assert codec.send(Head(1, request(Framing.CHUNKED))) == (
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert codec.send(Body(1, b"hello")) == b"5\r\nhello\r\n"
    assert codec.send(End(1, Trailers([(b"x", b"X", b"y")]))) == b"0\r\nX: y\r\n\r\n"


def test_a_request_without_a_body_takes_none() -> None:
    codec = ServerCodec(4096, 20)
    codec.send(Head(codec.open(), request()))
    with pytest.raises(ValueError, match="1 bytes more"):
        codec.send(Body(1, b"x"))


def test_a_link_carries_one_exchange_after_another() -> None:
    codec = asked()
    assert render(codec.receive(ANSWER)) == ["head 1 200 OK length=2", "body 1 ok", "end 1"]
    assert codec.after(1) is After.REUSABLE
    codec.release(1)
    assert codec.open() == 2
    codec.send(Head(2, request()))
    codec.send(End(2))
    assert codec.receive(b"") == []
    assert render(codec.receive(ANSWER)) == ["head 2 200 OK length=2", "body 2 ok", "end 2"]
    assert codec.after(1) is After.CLOSE
    assert codec.after(2) is After.REUSABLE


def test_a_link_is_busy_until_its_exchange_is_released() -> None:
    codec = asked()
    with pytest.raises(ValueError, match="busy"):
        codec.open()
    with pytest.raises(ValueError, match="must be closed"):
        codec.release(1)


# --- what ends a link --------------------------------------------------------------------------


def test_an_answer_that_ends_before_its_request_ends_the_link() -> None:
    codec = ServerCodec(4096, 20)
    codec.send(Head(codec.open(), request(Framing.LENGTH, 5)))
    codec.send(Body(1, b"hel"))
    assert render(codec.receive(ANSWER)) == ["head 1 200 OK length=2", "body 1 ok", "end 1"]
    codec.send(Body(1, b"lo"))
    codec.send(End(1))
    assert codec.after(1) is After.CLOSE


def test_an_answer_that_begins_before_its_request_ends_does_not() -> None:
    codec = ServerCodec(4096, 20)
    codec.send(Head(codec.open(), request(Framing.LENGTH, 5)))
    codec.receive(ANSWER[:-1])
    codec.send(Body(1, b"hello"))
    codec.send(End(1))
    codec.receive(ANSWER[-1:])
    assert codec.after(1) is After.REUSABLE


def test_bytes_behind_an_answer_end_the_link() -> None:
    codec = asked()
    codec.receive(ANSWER)
    assert codec.receive(b"!") == []
    assert codec.after(1) is After.CLOSE
    assert codec.held() == 0


def test_bytes_on_an_idle_link_end_it() -> None:
    codec = asked()
    codec.receive(ANSWER)
    codec.release(1)
    (error,) = codec.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert isinstance(error, Error)
    assert (error.exchange, str(error.error)) == (CONNECTION, "frame:bad-request (bytes on an idle link)")
    with pytest.raises(ValueError, match="has ended"):
        codec.open()
    assert codec.receive(b"x") == []


def test_bytes_on_a_fresh_link_end_it_too() -> None:
    codec = ServerCodec(4096, 20)
    assert codec.receive(b"") == []
    assert render(codec.receive(b"220 ready\r\n")) == ["error 0 502 bytes on an idle link"]


def test_an_answer_before_its_request_is_none() -> None:
    codec = ServerCodec(4096, 20)
    codec.open()
    assert render(codec.receive(ANSWER)) == ["error 1 502 a response before its request"]


def test_an_idle_link_that_the_server_closes_says_nothing_and_cannot_be_used() -> None:
    codec = asked()
    codec.receive(ANSWER)
    codec.release(1)
    assert codec.receive_end() == []
    with pytest.raises(ValueError, match="has ended"):
        codec.open()


@pytest.mark.parametrize("close", [request(close=True), None])
def test_a_link_that_was_told_to_close_is_not_reused(close: Request | None) -> None:
    codec = ServerCodec(4096, 20)
    if close is None:
        assert codec.drain() == b""
    head = codec.send(Head(codec.open(), close or request()))
    assert head == b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    codec.send(End(1))
    codec.receive(ANSWER)
    assert codec.after(1) is After.CLOSE


# --- where a link ended ------------------------------------------------------------------------


def test_whether_any_byte_of_the_answer_came_is_known() -> None:
    codec = asked()
    assert codec.response_begun is False
    codec.receive(b"H")
    assert codec.response_begun is True
    codec.receive(ANSWER[1:])
    codec.release(1)
    codec.open()
    assert codec.response_begun is False


def test_an_answer_in_pieces_leaves_nothing_held() -> None:
    codec = asked()
    codec.receive(ANSWER[:20])
    assert codec.held() == 20
    codec.receive(ANSWER[20:-1])
    assert codec.held() == 0


def test_a_chunked_answer_that_broke_off_leaves_nothing_held() -> None:
    codec = asked()
    codec.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;abc")
    assert codec.held() == 5
    assert render(codec.receive_end()) == ["error 1 502 closed before the last chunk of the body"]
    assert codec.held() == 0


def test_a_part_that_ends_with_its_connection_must_be_whole() -> None:
    head = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-9/20\r\n\r\n"
    for content, end in (
        (b"fives", "end 1"),
        (b"four", "error 1 502 closed with 1 bytes of the body to come"),
    ):
        codec = ServerCodec(1000, 10)
        codec.open()
        codec.send(Head(1, Request(b"GET", b"/", 1, [], b"a")))
        codec.send(End(1))
        codec.receive(head + content)
        assert render(codec.receive_end()) == [end]


def test_an_interim_response_is_a_beginning() -> None:
    codec = asked()
    codec.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert codec.response_begun is True
    assert codec.held() == 0


def test_an_empty_answer_is_told_from_a_broken_one() -> None:
    codec = asked()
    assert render(codec.receive_end()) == ["error 1 502 closed before a response"]
    assert codec.response_begun is False
    assert codec.receive_end() == []


# --- interim responses and upgrades ------------------------------------------------------------


def test_continue_lets_the_body_go() -> None:
    codec = ServerCodec(4096, 20)
    head = codec.send(Head(codec.open(), request(Framing.LENGTH, 5, expects_continue=True)))
    assert head.endswith(b"\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    (interim,) = codec.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert isinstance(interim, Interim)
    assert interim.go_ahead is True
    (hints,) = codec.receive(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    assert isinstance(hints, Interim)
    assert hints.go_ahead is False


def test_interim_responses_are_counted_for_each_exchange() -> None:
    codec = asked()
    for exchange in (1, 2):
        events = codec.receive(b"HTTP/1.1 102 Processing\r\n\r\n" * INTERIM_RESPONSES + ANSWER)
        assert events[-1] == End(exchange)
        codec.release(exchange)
        codec.send(Head(codec.open(), request()))
        codec.send(End(exchange + 1))


def test_an_upgrade_makes_the_link_a_tunnel() -> None:
    codec = asked(Request(b"GET", b"/", 1, [], b"a", upgrade=b"websocket"))
    upgraded, body = codec.receive(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    )
    assert isinstance(upgraded, Upgraded)
    assert body == Body(1, b"\x81\x00")
    assert codec.send(Body(1, b"\r\n")) == b"\r\n"
    assert codec.receive(b"HTTP/1.1") == [Body(1, b"HTTP/1.1")]
    assert codec.receive_end() == [End(1)]
    assert codec.send(End(1)) == b""
    assert codec.after(1) is After.CLOSE


# --- mistakes of the caller --------------------------------------------------------------------


def test_only_requests_are_sent_to_a_server_and_one_at_a_time() -> None:
    codec = ServerCodec(4096, 20)
    with pytest.raises(ValueError, match="exchange 0 is not open"):
        codec.send(Head(0, request()))
    codec.send(Head(codec.open(), request()))
    with pytest.raises(ValueError, match="exchange 2 is not open"):
        codec.send(End(2))
    with pytest.raises(ValueError, match="a request cannot be sent"):
        codec.send(Head(1, request()))
    with pytest.raises(ValueError, match="Interim cannot be sent to a server"):
        codec.send(Interim(1, request()))


def test_a_connect_is_never_sent() -> None:
    codec = ServerCodec(4096, 20)
    with pytest.raises(ValueError, match="a CONNECT cannot be sent"):
        codec.send(Head(codec.open(), Request(b"CONNECT", b"a:443", 1, [], b"a:443")))
