"""Reads the vectors in ``tests/vectors/http1`` and plays them to a codec, giving a transcript.

Decides the form of a vector: comment lines (``#``), options (``name: value``), the bytes (a line is
text with ``\\r``, ``\\n``, ``\\x00`` and ``{x*300}`` for repetition; its own line end does not count)
and the expected transcript, parted by ``---``. Invariant: what is rendered does not depend on how the
bytes were cut. Refuses to know what is right: the vector says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sslbroker.interfaces import Body, End, Error, Event, Head, Interim, Upgraded
from sslbroker.outcome import After
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.message import Framing, Request, Response
from sslbroker.protocols.http.server_codec import ServerCodec
from sslbroker.testkit import joined

VECTORS = Path(__file__).parents[2] / "vectors" / "http1"

HEAD_SIZE = 4096
HEADERS = 20


@dataclass
class Vector:
    """One vector: the bytes of a peer, and what they must be taken for."""

    name: str
    data: bytes
    expected: list[str]
    options: dict[str, str] = field(default_factory=dict)

    def option(self, name: str, default: str = "") -> str:
        return self.options.get(name, default)

    @property
    def limits(self) -> tuple[int, int]:
        """Bytes and fields of a head."""
        return int(self.option("head_size", str(HEAD_SIZE))), int(self.option("headers", str(HEADERS)))


def vectors(folder: str) -> list[Vector]:
    """All vectors of a folder, in the order of their names."""
    return [read_vector(path) for path in sorted((VECTORS / folder).glob("*.txt"))]


def read_vector(path: Path) -> Vector:
    preamble, data, expected = path.read_text("ascii").split("---\n")
    options: dict[str, str] = {}
    for line in preamble.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(":")
            options[name] = value.strip()
    text = re.sub(r"\{(.)\*(\d+)\}", lambda match: match[1] * int(match[2]), data.replace("\n", ""))
    return Vector(
        path.stem,
        text.encode("ascii").decode("unicode_escape").encode("latin-1"),
        expected.splitlines(),
        options,
    )


def play_requests(vector: Vector, pieces: Iterable[bytes]) -> list[Event]:
    """The events of a client's bytes; every whole request is answered at once, with a 404."""
    codec = ClientCodec(*vector.limits)
    events: list[Event] = []

    def take(new: Iterable[Event]) -> None:
        for event in new:
            events.append(event)
            if isinstance(event, End):
                codec.send(Head(event.exchange, Response(404, b"Not Found", 1, [])))
                codec.send(End(event.exchange))
                if codec.after(event.exchange) is After.REUSABLE:
                    codec.release(event.exchange)
                    take(codec.receive(b""))

    for piece in pieces:
        take(codec.receive(piece))
    if vector.option("then") == "close":
        take(codec.receive_end())
    return joined(events)


def play_responses(vector: Vector, pieces: Iterable[bytes]) -> tuple[list[Event], After]:
    """The events of a server's bytes after one whole request, and what the link is good for then."""
    codec = ServerCodec(*vector.limits)
    exchange = codec.open()
    upgrade = vector.option("upgrade").encode("ascii")
    codec.send(
        Head(exchange, Request(vector.option("method", "GET").encode(), b"/", 1, [], b"a", upgrade=upgrade))
    )
    codec.send(End(exchange))
    events: list[Event] = []
    for piece in pieces:
        events += codec.receive(piece)
    if vector.option("then") == "close":
        events += codec.receive_end()
    return joined(events), codec.after(exchange)


def plain(events: Iterable[Event]) -> list[object]:
    """The events in a form that compares errors by what they say, but for the bytes that they show.

    How many first bytes a codec can show depends on how many had come.
    """
    return [
        ("error", event.exchange, event.error.status, re.sub(r"begins with b.*;", "", event.error.detail))
        if isinstance(event, Error)
        else event
        for event in events
    ]


def render(events: Iterable[Event]) -> list[str]:
    """The events as lines of a transcript."""
    return [f"{type(event).__name__.lower()} {event.exchange} {_words(event)}".rstrip() for event in events]


def _words(event: Event) -> str:
    if isinstance(event, Body):
        return ascii(event.data)[2:-1]
    if isinstance(event, End):
        fields = event.trailers.fields if event.trailers is not None else []
        return " ".join(f"{lower.decode()}={value.decode('latin-1')}" for lower, _, value in fields)
    if isinstance(event, Error):
        return f"{event.error.status} {event.error.detail}"
    if isinstance(event, Head | Interim | Upgraded):
        message = event.message
        words = _request(message) if isinstance(message, Request) else _response(message)
        if isinstance(event, Interim) and event.go_ahead:
            words.append("go-ahead")
        return " ".join(words)
    raise AssertionError(f"no words for {event!r}")


def _request(request: Request) -> list[str]:
    words = [request.method.decode(), request.target.decode()]
    words.append("no-host" if request.host is None else f"host={request.host.decode()}")
    words += _framing(request)
    if request.expects_continue:
        words.append("expects-continue")
    if request.accepts_trailers:
        words.append("accepts-trailers")
    return words


def _response(response: Response) -> list[str]:
    return [
        str(response.status),
        *ascii(response.reason.decode("latin-1"))[1:-1].split(),
        *_framing(response),
    ]


def _framing(message: Request | Response) -> list[str]:
    words = [] if message.minor else ["1.0"]
    if message.framing is Framing.LENGTH:
        words.append(f"length={message.length}")
    elif message.framing is not Framing.NONE:
        words.append(message.framing.value)
    if message.close:
        words.append("close")
    if message.upgrade:
        words.append(f"upgrade={message.upgrade.decode()}")
    return words


def matches(expected: str, line: str) -> bool:
    """Whether a line of a transcript is as expected; of an error's detail a part is enough."""
    if not expected.startswith("error "):
        return expected == line
    _, exchange, status, *detail = expected.split(" ")
    return line.startswith(f"error {exchange} {status} ") and " ".join(detail) in line
