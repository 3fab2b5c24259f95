"""What the tests share: codecs in a given state, and answers by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sslbroker_resp.client_codec import ClientCodec
from sslbroker_resp.commands import Command, Kind
from sslbroker_resp.message import Answer, Request
from sslbroker_resp.server_codec import ServerCodec

from sslbroker.interfaces import Body, End, Error, Event, Head, Upgraded
from sslbroker.outcome import After


def exchanges(codec: ClientCodec, data: bytes, answers: dict[bytes, bytes] | None = None) -> list[str]:
    """Each exchange as its kind and its commands; answered at once, by `answers` or by +OK for each."""
    found: list[str] = []
    events = codec.receive(data)
    while events:
        head = events[0]
        if not isinstance(head, Head):
            found += [f"{event!r}" for event in events]
            break
        request = head.message
        found.append(f"{request.kind.name.lower()} {' | '.join(map(shown, request.commands))}")
        if not isinstance(events[-1], End):
            break
        name = request.commands[0].args[0]
        answer = (answers or {}).get(name, b"+OK\r\n" * len(request.commands))
        reply(codec, head.exchange, answer)
        if codec.after(head.exchange) is not After.REUSABLE:
            break
        codec.release(head.exchange)
        events = codec.receive(b"")
    return found


def shown(command: Command) -> str:
    return b" ".join(command.args).decode("latin-1")


def reply(codec: ClientCodec, exchange: int, data: bytes) -> None:
    codec.send(Head(exchange, Answer()))
    codec.send(Body(exchange, data))
    codec.send(End(exchange))


def request(lines: str, **how: Any) -> Request:
    """The request that a client's codec makes of these commands, parted by `;`."""
    data = b"".join(line.encode() + b"\r\n" for line in lines.split(";"))
    [head, *_] = ClientCodec(1 << 16).receive(data)
    assert isinstance(head, Head)
    made: Request = head.message
    for name, value in how.items():
        setattr(made, name, value)
    return made


def asked(codec: ServerCodec, lines: str, **how: Any) -> tuple[int, bytes]:
    """Open an exchange and send these commands; its number, and what went out."""
    exchange = codec.open()
    out = codec.send(Head(exchange, request(lines, **how))) + codec.send(End(exchange))
    return exchange, out


def done(codec: ServerCodec, lines: str, answer: bytes = b"+OK\r\n", **how: Any) -> After:
    """A whole exchange; what the link is good for then. It is released when it may be."""
    exchange, _ = asked(codec, lines, **how)
    codec.receive(answer)
    after = codec.after(exchange)
    if after is not After.CLOSE:
        codec.release(exchange)
    return after


def commands_of(events: Sequence[Event]) -> list[object]:
    """What a client's events mean: the commands, in whichever exchanges they came."""
    meaning: list[object] = []
    for event in events:
        if isinstance(event, Head):
            meaning += event.message.commands
        elif isinstance(event, Error):
            meaning.append(event.error.status)
        elif isinstance(event, Body):
            if meaning and isinstance(meaning[-1], bytes):
                meaning[-1] += event.data
            else:
                meaning.append(event.data)
    return meaning


def agreeable(request: Request, exchange: int) -> list[Event]:
    """An answer that leaves a client in the best of moods."""
    if request.kind is Kind.STREAM:
        return [Upgraded(exchange, Answer())]
    return [Head(exchange, Answer()), Body(exchange, b"+OK\r\n" * len(request.commands)), End(exchange)]
