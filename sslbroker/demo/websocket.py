"""WebSocket frames (RFC 6455), as far as a chat needs them: small text messages.

Decides what received bytes mean and what bytes an answer is. Invariant: at most one message of
`MAXIMUM_MESSAGE` bytes and one frame are held, whatever the peer sends; after a close frame went out
nothing else does. Refuses binary messages, extensions and compression; it does no I/O.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha1
from typing import Final

MAXIMUM_MESSAGE: Final = 4096  # bytes
VERSION: Final = "13"

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NOT_ACCEPTED, NOT_TEXT, TOO_BIG = 1000, 1001, 1002, 1003, 1007, 1009


def accept_token(key: str) -> str:
    """The value of Sec-WebSocket-Accept (RFC 6455 §4.2.2); `ValueError` when the key is malformed."""
    if len(b64decode(key, validate=True)) != 16:
        raise ValueError("Sec-WebSocket-Key: expected 16 bytes in base64")
    return b64encode(sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A server's frame: final, unmasked; a payload of at most 65535 bytes."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload


class Broken(Exception):
    """The peer broke the protocol; `code` is the close code that tells it (RFC 6455 §7.4.1)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Conversation:
    """A server's side of one WebSocket: bytes in, texts out; what is owed to the peer is in `outgoing`."""

    def __init__(self) -> None:
        self.outgoing = bytearray()  # to be taken and sent by the owner
        self.closed = False  # a close frame went out: send `outgoing`, then end the connection
        self._received = bytearray()
        self._message: bytearray | None = None  # the fragments so far

    def text(self, text: str) -> None:
        """Send a text message."""
        if not self.closed:
            self.outgoing += frame(_TEXT, text.encode())

    def ping(self) -> None:
        """Ask for a sign of life; any byte received is one."""
        if not self.closed:
            self.outgoing += frame(_PING, b"")

    def close(self, code: int = NORMAL) -> None:
        """Say that this is the end."""
        if not self.closed:
            self.outgoing += frame(_CLOSE, code.to_bytes(2, "big"))
            self.closed = True

    def receive(self, data: bytes) -> list[str]:
        """The text messages that these bytes complete."""
        self._received += data
        texts: list[str] = []
        try:
            while not self.closed and (found := self._next_frame()) is not None:
                text = self._take(*found)
                if text is not None:
                    texts.append(text)
        except Broken as broken:
            self.close(broken.code)
        if self.closed:
            self._received.clear()
        return texts

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        """(final, opcode, payload) of the next whole frame (RFC 6455 §5.2)."""
        received = self._received
        if len(received) < 2:
            return None
        final, reserved, opcode = received[0] & 0x80, received[0] & 0x70, received[0] & 0x0F
        masked, size, start = received[1] & 0x80, received[1] & 0x7F, 2
        if reserved or not masked or opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise Broken(PROTOCOL_ERROR)
        if opcode >= _CLOSE and (size > 125 or not final):
            raise Broken(PROTOCOL_ERROR)
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(received) < start:
                return None
            size = int.from_bytes(received[2:start], "big")
        if size > MAXIMUM_MESSAGE:
            raise Broken(TOO_BIG)
        if len(received) < start + 4 + size:
            return None
        mask = received[start : start + 4]
        payload = bytes(byte ^ mask[i & 3] for i, byte in enumerate(received[start + 4 : start + 4 + size]))
        del received[: start + 4 + size]
        return bool(final), opcode, payload

    def _take(self, final: bool, opcode: int, payload: bytes) -> str | None:
        if opcode == _PING:
            self.outgoing += frame(_PONG, payload)
        elif opcode == _CLOSE:
            self.close(NORMAL)
        elif opcode == _BINARY:
            raise Broken(NOT_ACCEPTED)
        elif opcode != _PONG:
            return self._gather(final, opcode, payload)
        return None

    def _gather(self, final: bool, opcode: int, payload: bytes) -> str | None:
        if (opcode == _CONTINUATION) is (self._message is None):
            raise Broken(PROTOCOL_ERROR)
        message = self._message if self._message is not None else bytearray()
        message += payload
        if len(message) > MAXIMUM_MESSAGE:
            raise Broken(TOO_BIG)
        self._message = None if final else message
        if not final:
            return None
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise Broken(NOT_TEXT) from None
