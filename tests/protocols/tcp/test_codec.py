"""A stream's framing: its bytes, its beginning and its ends."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from sslbroker.errors import FramingError
from sslbroker.interfaces import Body, End, Error, Event, Head, ICodec, Upgraded
from sslbroker.outcome import After
from sslbroker.protocols.tcp.codec import STREAM, StreamCodec


def test_it_is_a_codec() -> None:
    assert verifyObject(ICodec, StreamCodec(client=True))


def test_a_clients_exchange_begins_with_its_connection() -> None:
    codec = StreamCodec(client=True)
    assert list(codec.receive(b"")) == [Upgraded(1, STREAM)]
    assert list(codec.receive(b"")) == []
    assert list(codec.receive(b"a")) == [Body(1, b"a")]
    assert list(codec.receive_end()) == [End(1)]
    assert list(codec.receive_end()) == []
    assert list(codec.receive(b"more")) == []


def test_or_with_its_first_bytes() -> None:
    assert list(StreamCodec(client=True).receive(b"a")) == [Upgraded(1, STREAM), Body(1, b"a")]


def test_a_server_has_answered_with_its_first_byte() -> None:
    codec = StreamCodec(client=False)
    assert codec.open() == 1
    assert list(codec.receive(b"")) == []
    assert list(codec.receive(b"a")) == [Upgraded(1, STREAM), Body(1, b"a")]
    assert list(codec.receive(b"b")) == [Body(1, b"b")]
    assert list(codec.receive_end()) == [End(1)]


def test_a_server_that_ends_before_has_not() -> None:
    codec = StreamCodec(client=False)
    codec.open()
    (event,) = codec.receive_end()
    assert isinstance(event, Error)
    assert event.exchange == 1


@pytest.mark.parametrize("event", [Upgraded(1, STREAM), End(1)])
def test_beginnings_and_ends_have_no_bytes(event: Event) -> None:
    assert StreamCodec(client=True).send(event) == b""


def test_bytes_are_as_they_are() -> None:
    assert StreamCodec(client=True).send(Body(1, b"\0any")) == b"\0any"


@pytest.mark.parametrize("event", [Head(1, STREAM), Body(2, b"a")])
def test_what_is_no_part_of_the_stream_is_refused(event: Event) -> None:
    with pytest.raises(ValueError, match=r"cannot be sent|is not open"):
        StreamCodec(client=True).send(event)


def test_nothing_follows_a_stream() -> None:
    codec = StreamCodec(client=False)
    codec.open()
    assert codec.after(1) is After.CLOSE
    with pytest.raises(ValueError, match="one exchange"):
        codec.open()
    with pytest.raises(ValueError, match="nothing follows"):
        codec.release(1)
    assert (codec.held(), codec.drain(), list(codec.refuse(FramingError("late")))) == (0, b"", [])
