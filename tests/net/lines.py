"""A protocol for tests, a line a message, whose requests can ask for every unusual thing.

``pin`` makes the link stay with its client, ``unpin`` ends that, ``own`` needs no server, ``slow N`` may take
N seconds, ``read`` may be repeated; more words may follow. An answer ``!busy`` is a failing one,
``!untouched`` one that proves that nothing was done; ``!bye`` ends the link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zope.interface import implementer

from sslbroker.errors import BrokerError, FramingError
from sslbroker.interfaces import (
    End,
    Error,
    Event,
    Head,
    IAnswerTimes,
    IBackendProtocol,
    ICodec,
    IExchangeRules,
    IOwnAnswers,
    IResponseClassifier,
    IUndone,
    Origin,
)
from sslbroker.outcome import After, Replay
from sslbroker.settings import Pool


@implementer(ICodec)
class Codec:
    capacity = 1

    def __init__(self, link: bool) -> None:
        self.link = link
        self.exchange = 0
        self.buffer = b""
        self.awaits = not link
        self.pinned = self.closing = False
        self.line = b""

    def receive(self, data: bytes) -> Sequence[Event]:
        self.buffer += data
        if not self.awaits or b"\n" not in self.buffer:
            return ()
        line, self.buffer = self.buffer.split(b"\n", 1)
        self.awaits = False
        if not self.link:
            self.exchange += 1
        elif self.line.startswith(b"unpin"):
            self.pinned = False
        elif self.line.startswith(b"pin"):
            self.pinned = True
        self.closing |= line.startswith(b"!bye")
        return Head(self.exchange, line), End(self.exchange)

    def receive_end(self) -> Sequence[Event]:
        return (Error(self.exchange, FramingError("closed")),) if self.awaits and self.link else ()

    def refuse(self, error: FramingError) -> Sequence[Event]:
        return ()

    def open(self) -> int:
        self.exchange += 1
        self.awaits = True
        return self.exchange

    def send(self, event: Event) -> bytes:
        if type(event) is Head:
            self.line = event.message
            return bytes(event.message) + b"\n"
        return b""

    def after(self, exchange: int) -> After:
        if self.closing:
            return After.CLOSE
        return After.PINNED if self.pinned else After.REUSABLE

    def release(self, exchange: int) -> None:
        self.awaits = not self.link

    def held(self) -> int:
        return len(self.buffer)

    def drain(self) -> bytes:
        return b""


@implementer(IExchangeRules, IAnswerTimes, IOwnAnswers)
class Rules:
    def admit(self, request: bytes, origin: Origin) -> BrokerError | None:
        return None

    def origin(self, request: bytes, origin: Origin) -> Origin:
        return origin

    def replay(self, request: bytes) -> Replay:
        return Replay.REPLAYABLE if request.startswith(b"read") else Replay.METHOD

    def hedgeable(self, request: bytes) -> bool:
        return False

    def affinity(self, request: bytes) -> bytes | None:
        return None

    def go_ahead_wait(self, request: bytes) -> float:
        return 0.0

    def answer_within(self, request: bytes) -> float | None:
        return float(request.split()[1]) if request.startswith(b"slow ") else None

    def own_answer(self, request: bytes, origin: Origin, exchange: int) -> Sequence[Event]:
        return (Head(exchange, b"myself"), End(exchange)) if request.startswith(b"own") else ()

    def to_server(self, request: bytes, origin: Origin, address: str, secure_link: bool) -> bytes:
        return request

    def to_client(self, response: bytes, request: bytes, origin: Origin) -> bytes:
        return response

    def error_answer(self, error: BrokerError, request: bytes | None, exchange: int) -> Sequence[Event]:
        return Head(exchange, b"!sorry"), End(exchange)

    def log_fields(self, request: bytes | None, response: bytes | None) -> Mapping[str, Any]:
        return {}


@implementer(IResponseClassifier, IUndone)
class Classifier:
    def failing(self, response: bytes) -> bool:
        return response.startswith((b"!busy", b"!untouched"))

    def nothing_done(self, response: bytes) -> bool:
        return response.startswith(b"!untouched")

    def status(self, response: bytes) -> int:
        return 0


@implementer(IBackendProtocol)
class Lines:
    name = "lines"
    alpn = ()
    server_first = False

    def client_codec(self, head_size: int, headers: int) -> Codec:
        return Codec(link=False)

    def server_codec(self, head_size: int, headers: int) -> Codec:
        return Codec(link=True)

    def rules(self, pool: Pool, broker_name: str) -> Rules:
        return Rules()

    def classifier(self, pool: Pool) -> Classifier:
        return Classifier()
