"""What both ends share: the bodies, and what is kept of a connection."""

from __future__ import annotations

import sys

import pytest
from zope.interface.verify import verifyObject

from sslbroker.interfaces import Body, End, Head, ICodec
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.message import Framing, Request, Response
from sslbroker.protocols.http.server_codec import ServerCodec

LIMITS = (4096, 20)


@pytest.mark.parametrize("codec", [ClientCodec(*LIMITS), ServerCodec(*LIMITS)])
def test_both_codecs_are_what_the_interface_says(codec: ICodec) -> None:
    assert verifyObject(ICodec, codec)
    assert codec.capacity == 1


@pytest.mark.parametrize("codec", [ClientCodec(*LIMITS), ServerCodec(*LIMITS)])
def test_an_idle_connection_costs_a_few_hundred_bytes(codec: ICodec) -> None:
    assert not hasattr(codec, "__dict__")
    assert sys.getsizeof(codec) < 250
    assert codec.held() == 0


def sending(length: int) -> ServerCodec:
    """A link on which a request with a body of this length was begun."""
    codec = ServerCodec(*LIMITS)
    codec.send(Head(codec.open(), Request(b"PUT", b"/", 1, [], b"a", Framing.LENGTH, length)))
    return codec


def test_a_body_of_the_declared_length_goes_out_as_it_is() -> None:
    codec = sending(5)
    assert codec.send(Body(1, b"hel")) + codec.send(Body(1, b"lo")) == b"hello"
    assert codec.send(End(1)) == b""


def test_a_body_longer_than_declared_is_refused_and_can_no_longer_end() -> None:
    codec = sending(5)
    codec.send(Body(1, b"hello"))
    with pytest.raises(ValueError, match="1 bytes more than"):
        codec.send(Body(1, b"!"))
    with pytest.raises(ValueError, match="cannot be made whole"):
        codec.send(End(1))


def test_a_body_shorter_than_declared_cannot_end() -> None:
    codec = sending(5)
    codec.send(Body(1, b"hel"))
    with pytest.raises(ValueError, match="2 bytes fewer than"):
        codec.send(End(1))
    with pytest.raises(ValueError, match="cannot be made whole"):
        codec.send(Body(1, b"lo"))


def test_a_body_cannot_come_before_its_head_or_after_its_end() -> None:
    codec = ServerCodec(*LIMITS)
    exchange = codec.open()
    with pytest.raises(ValueError, match="next is a head"):
        codec.send(Body(exchange, b"x"))
    with pytest.raises(ValueError, match="next is a head"):
        codec.send(End(exchange))
    codec.send(Head(exchange, Request(b"GET", b"/", 1, [], b"a")))
    codec.send(End(exchange))
    with pytest.raises(ValueError, match="the message is whole"):
        codec.send(Body(exchange, b"x"))
    with pytest.raises(ValueError, match="the message is whole"):
        codec.send(End(exchange))


def test_a_body_in_one_read_of_its_own_is_passed_on_without_a_copy() -> None:
    codec = ClientCodec(*LIMITS)
    codec.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
    first, last = b"x" * 1000, b"y" * 1000
    (body,) = codec.receive(first)
    assert isinstance(body, Body)
    assert body.data is first
    body, end = codec.receive(last)
    assert isinstance(body, Body)
    assert body.data is last
    assert end == End(1)


def test_chunks_of_one_read_are_one_body() -> None:
    codec = ClientCodec(*LIMITS)
    events = codec.receive(
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
    )
    assert events[1:] == [Body(1, b"ab"), End(1)]


def test_held_counts_a_partial_head_a_partial_chunk_line_and_what_waits() -> None:
    codec = ClientCodec(*LIMITS)
    codec.receive(b"PUT / HTTP/1.1\r\nHost: a\r\n")
    assert codec.held() == 25
    codec.receive(b"Transfer-Encoding: chunked\r\n\r\n5;ab")
    assert codec.held() == 4
    codec.receive(b"\r\nhello\r\n0\r\n\r\n")
    assert codec.held() == 0
    assert codec.receive(b"GET /next") == []
    assert codec.receive(b"-one") == []
    assert codec.held() == 13


def test_nothing_is_kept_after_an_error() -> None:
    codec = ClientCodec(*LIMITS)
    codec.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n!\r\n" + b"x" * 1000)
    assert codec.receive(b"y" * 1000) == []
    assert codec.held() == 0


def test_a_released_exchange_leaves_nothing_behind() -> None:
    client, server = ClientCodec(*LIMITS), ServerCodec(*LIMITS)
    (head, _) = client.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert isinstance(head, Head)
    server.send(Head(server.open(), head.message))
    server.send(End(1))
    server.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    client.send(Head(1, Response(200, b"OK", 1, [], Framing.CHUNKED)))
    client.send(End(1))
    client.release(1)
    server.release(1)
    fresh_client, fresh_server = ClientCodec(*LIMITS), ServerCodec(*LIMITS)
    for used, fresh in ((client, fresh_client), (server, fresh_server)):
        for cls in type(used).__mro__[:2]:
            for name in vars(cls).get("__slots__", ()):
                if name not in ("_exchange", "response_begun", "_heads"):  # the last head may be repeated
                    assert getattr(used, name) == getattr(fresh, name), name
