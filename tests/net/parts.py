"""A protocol for tests whose answers have a length and a version, and can be had from any place on.

``read NAME`` or ``read NAME FROM`` is a request. Its answer is ``VERSION SIZE FROM``, a line, and then the
content from there to its end; a server that knows no places begins at 0. The version ``-`` is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zope.interface import implementer

from sslbroker.errors import BrokerError, FramingError
from sslbroker.interfaces import (
    Body,
    End,
    Error,
    Event,
    Head,
    IBackendProtocol,
    ICodec,
    IResumable,
    IResumption,
)
from sslbroker.outcome import After
from sslbroker.settings import Pool

from . import lines


@dataclass
class Answer:
    version: bytes
    size: int
    first: int = 0


class LinkCodec(lines.Codec):
    """A link's side; the client's is that of lines, which sends what it is given."""

    left = 0

    def receive(self, data: bytes) -> Sequence[Event]:
        events: list[Event] = []
        self.buffer += data
        if self.awaits and b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            self.awaits = False
            version, size, first = line.split()
            answer = Answer(version, int(size), int(first))
            self.left = answer.size - answer.first
            events.append(Head(self.exchange, answer))
        if not self.awaits and self.buffer:
            data, self.buffer = self.buffer[: self.left], self.buffer[self.left :]
            self.left -= len(data)
            events.append(Body(self.exchange, data))
            if not self.left:
                events.append(End(self.exchange))
        return events

    def receive_end(self) -> Sequence[Event]:
        return (Error(self.exchange, FramingError("closed")),) if self.awaits or self.left else ()

    def after(self, exchange: int) -> After:
        return After.CLOSE


@implementer(ICodec)
class ClientCodec(lines.Codec):
    def send(self, event: Event) -> bytes:
        if type(event) is Head:
            answer = event.message
            return b"%b %d %d\n" % (answer.version, answer.size, answer.first)
        return event.data if type(event) is Body else b""


@implementer(IResumption)
class Resumption:
    def __init__(self, request: bytes, answer: Answer) -> None:
        self._request, self._version = request, answer.version
        self.total: int | None = answer.size

    def request(self, passed: int, tail: int) -> bytes:
        return b"%b %d" % (self._request, passed - tail)

    def continued(self, response: Answer, passed: int, tail: int) -> int | str:
        if response.version != self._version or response.size != self.total:
            return "another version"
        before = passed - tail - response.first  # all that it had to leave out, if it begins at 0
        return before if before >= 0 else f"it begins at byte {response.first}"


@implementer(IResumable)
class Rules(lines.Rules):
    def resumption(self, request: bytes, response: Answer) -> Resumption | str:
        if response.version == b"-":
            return "the server names no version"
        if len(request.split()) > 2:
            return "the client itself asked for a part"
        return Resumption(request, response)

    def error_answer(self, error: BrokerError, request: bytes | None, exchange: int) -> Sequence[Event]:
        return Head(exchange, Answer(b"!sorry", 0)), End(exchange)


class Classifier(lines.Classifier):
    def failing(self, response: Any) -> bool:
        return bool(response.version == b"!busy")

    def nothing_done(self, response: Any) -> bool:
        return False


@implementer(IBackendProtocol)
class Parts(lines.Lines):
    name = "parts"

    def client_codec(self, head_size: int, headers: int) -> lines.Codec:
        return ClientCodec(link=False)

    def server_codec(self, head_size: int, headers: int) -> lines.Codec:
        return LinkCodec(link=True)

    def rules(self, pool: Pool, broker_name: str) -> Rules:
        return Rules()

    def classifier(self, pool: Pool) -> Classifier:
        return Classifier()
