"""WebSocket frames, as transcripts: what came, what is said, what goes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.demo.websocket import MAXIMUM_MESSAGE, Conversation, accept_token, frame

MASK = b"\x11\x22\x33\x44"


def masked(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A client's frame."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    hidden = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))
    return bytes(((0x80 if final else 0) | opcode,)) + length + MASK + hidden


def closing(code: int) -> bytes:
    return frame(0x8, code.to_bytes(2, "big"))


def test_the_token_is_the_one_of_the_standard() -> None:
    assert accept_token("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("key", ["", "short", "AAAA", "dGhlIHNhbXBsZSBub25jZQ==x", "é" * 24])
def test_a_malformed_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (base64 raises its own)
        accept_token(key)


@pytest.mark.parametrize("text", ["", "hello", "x" * 125, "x" * 126, "é" * 2000])
def test_a_text_is_heard(text: str) -> None:
    assert Conversation().receive(masked(1, text.encode())) == [text]


def test_texts_are_heard_whatever_pieces_they_come_in() -> None:
    conversation = Conversation()
    data = masked(1, b"one") + masked(1, b"t" * 300) + masked(9, b"?") + masked(1, b"three")
    heard = [text for byte in data for text in conversation.receive(bytes((byte,)))]
    assert heard == ["one", "t" * 300, "three"]
    assert conversation.outgoing == frame(0xA, b"?")


def test_fragments_make_one_text_and_a_ping_may_come_between() -> None:
    conversation = Conversation()
    data = (
        masked(1, b"on", final=False) + masked(9, b"!") + masked(0, b"e ", final=False) + masked(0, b"text")
    )
    assert conversation.receive(data) == ["one text"]
    assert conversation.outgoing == frame(0xA, b"!")


def test_what_is_said_goes_out_unmasked() -> None:
    conversation = Conversation()
    conversation.text("hé")
    conversation.text("x" * 200)
    conversation.ping()
    assert conversation.outgoing == b"\x81\x03h\xc3\xa9" + b"\x81\x7e\x00\xc8" + b"x" * 200 + b"\x89\x00"


def test_a_pong_says_nothing() -> None:
    conversation = Conversation()
    assert conversation.receive(masked(0xA, b"x")) == []
    assert not conversation.outgoing


def test_a_close_is_answered_and_then_nothing_more_is_heard_or_said() -> None:
    conversation = Conversation()
    assert conversation.receive(masked(8, b"\x03\xe8") + masked(1, b"late")) == []
    assert conversation.closed
    assert conversation.receive(masked(1, b"later")) == []
    conversation.text("x")
    conversation.ping()
    conversation.close()
    assert conversation.outgoing == closing(1000)
    assert not conversation._received


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x00", 1002, id="not masked"),
        pytest.param(b"\xc1\x80", 1002, id="reserved bit"),
        pytest.param(b"\x83\x80", 1002, id="unknown opcode"),
        pytest.param(b"\x89\xfe", 1002, id="long ping"),
        pytest.param(b"\x09\x80", 1002, id="ping in fragments"),
        pytest.param(masked(0, b"x"), 1002, id="continues nothing"),
        pytest.param(masked(1, b"x", final=False) + masked(1, b"y"), 1002, id="text within a text"),
        pytest.param(masked(2, b"x"), 1003, id="binary"),
        pytest.param(masked(1, b"\xff"), 1007, id="not UTF-8"),
        pytest.param(b"\x81\xff" + b"\xff" * 8, 1009, id="a frame of exabytes"),
        pytest.param(b"\x81\xfe\x10\x01", 1009, id="a frame over the limit"),
        pytest.param(
            masked(1, b"x" * 4000, final=False) + masked(0, b"x" * 97), 1009, id="fragments over the limit"
        ),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_told_and_left(data: bytes, code: int) -> None:
    conversation = Conversation()
    assert conversation.receive(data) == []
    assert conversation.closed
    assert conversation.outgoing == closing(code)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=5000), max_size=20))
def test_nothing_that_comes_can_break_it_or_fill_the_memory(pieces: list[bytes]) -> None:
    conversation = Conversation()
    for piece in pieces:
        conversation.receive(piece)
        assert len(conversation._received) < MAXIMUM_MESSAGE + 14
        assert len(conversation._message or b"") <= MAXIMUM_MESSAGE
