"""The same bytes to h11: what we accept it accepts, with the same meaning, or we know why not.

Decides nothing about strictness the other way: much that h11 accepts is refused here on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import h11
import pytest
from hypothesis import given, settings

from sslbroker.interfaces import Body, End, Error, Event, Head, Interim, Upgraded
from sslbroker.protocols.http.grammar import may_be_trailer
from sslbroker.protocols.http.message import Request, Response

from .mutation import mutated
from .transcript import Vector, play_requests, play_responses, vectors

REQUESTS = [vector for vector in vectors("requests") if vector.name.startswith("ok-")]
RESPONSES = [vector for vector in vectors("responses") if vector.name.startswith("ok-")]

Pairs = list[tuple[bytes, bytes]]


@dataclass
class Meaning:
    """One message as either side understands it."""

    start: tuple[object, ...]
    fields: Pairs
    body: bytes = b""
    ended: bool = False
    trailers: Pairs | None = None


def our_request(vector: Vector) -> Meaning | None:
    """The first request as our codec understands it; None when it finds an error in it."""
    return _ours([event for event in play_requests(vector, [vector.data]) if event.exchange == 1])


def our_response(vector: Vector) -> Meaning | None:
    return _ours(play_responses(vector, [vector.data])[0])


def _ours(events: Iterable[Event]) -> Meaning | None:
    meaning: Meaning | None = None
    for event in events:
        if isinstance(event, Error):
            return None
        if isinstance(event, Head | Upgraded):
            meaning = Meaning(_start(event.message), _pairs(event.message))
            if isinstance(event, Upgraded):
                return meaning
        elif isinstance(event, Body) and meaning is not None:
            meaning.body += event.data
        elif isinstance(event, End) and meaning is not None:
            meaning.ended = True
            fields = event.trailers.fields if event.trailers is not None else []
            meaning.trailers = [(lower, value) for lower, _, value in fields]
        else:
            assert isinstance(event, Interim)
    return meaning


def _start(message: Request | Response) -> tuple[object, ...]:
    if isinstance(message, Request):
        return message.method, message.target
    return message.status, message.reason


def _pairs(message: Request | Response) -> Pairs:
    """The fields, with the one value in lower case that h11 gives so."""
    return [
        (lower, value.lower() if lower == b"transfer-encoding" else value)
        for lower, _, value in message.fields
    ]


def h11_request(vector: Vector) -> Meaning | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=vector.limits[0])
    return _h11(connection, vector.data, closes=vector.option("then") == "close")


def h11_response(vector: Vector) -> Meaning | None:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "a")]
    if vector.option("upgrade"):
        headers += [("Connection", "upgrade"), ("Upgrade", vector.option("upgrade"))]
    connection.send(h11.Request(method=vector.option("method", "GET"), target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    return _h11(connection, vector.data, closes=vector.option("then") == "close")


def _h11(connection: h11.Connection, data: bytes, *, closes: bool) -> Meaning | None:
    meaning: Meaning | None = None
    connection.receive_data(data)
    if closes:
        connection.receive_data(b"")
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        if isinstance(event, h11.Request):
            meaning = Meaning((event.method, event.target), list(event.headers))
        elif isinstance(event, h11.Response) or (
            isinstance(event, h11.InformationalResponse) and event.status_code == 101
        ):
            meaning = Meaning((event.status_code, bytes(event.reason)), list(event.headers))
        elif isinstance(event, h11.Data) and meaning is not None:
            meaning.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and meaning is not None:
            meaning.ended = True
            meaning.trailers = [(name, value) for name, value in event.headers if may_be_trailer(name)]
            return meaning
        elif not isinstance(event, h11.InformationalResponse):
            return meaning


# --- where the two differ ----------------------------------------------------------------------


BLANK_BEFORE_EXTENSION = re.compile(rb"\n[0-9A-Fa-f]+[ \t]+;")
FRAMING_TRAILER = re.compile(
    rb"\n0+(?:;[^\n]*)?\r\n(?:.*\n)?(?:content-length|transfer-encoding):", re.I | re.S
)


def difference(vector: Vector, ours: Meaning | None, theirs: Meaning | None) -> str:
    """Why the two may differ about a message that we accept, or nothing."""
    if ours is None or ours == theirs:
        return ""
    if theirs is None and FRAMING_TRAILER.search(vector.data):
        return "h11 judges the values of framing fields among trailers, which are dropped here"
    target = vector.data.split(b" ")[1]
    if vector.data.startswith(b"\r\n") and theirs is None:
        return "h11 does not skip an empty line before a request, as RFC 9112 §2.2 asks"
    if ours.start[0] == b"CONNECT":
        return "h11 reads a body of CONNECT, which has none (RFC 9110 §9.3.6)"
    if theirs is None and BLANK_BEFORE_EXTENSION.search(vector.data):
        return "h11 knows no blanks before a chunk extension, as RFC 9112 §7.1.1 does"
    absolute = target.lower().startswith(b"http")
    if absolute and theirs is not None and ours == replace(theirs, start=ours.start):
        return "h11 leaves the absolute form to its caller"
    return ""


REQUEST_DIFFERENCES = {
    "ok-absolute-form",
    "ok-absolute-form-1-0",
    "ok-absolute-form-https",
    "ok-absolute-form-options",
    "ok-absolute-form-query",
    "ok-blank-line-before",
    "ok-chunked-extension-blanks",
    "ok-connect",
}


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.name)
def test_a_sound_request_means_the_same_to_h11(vector: Vector) -> None:
    ours, theirs = our_request(vector), h11_request(vector)
    assert ours is not None
    if vector.name in REQUEST_DIFFERENCES:
        assert difference(vector, ours, theirs)
    else:
        assert ours == theirs


@pytest.mark.parametrize("vector", RESPONSES, ids=lambda vector: vector.name)
def test_a_sound_response_means_the_same_to_h11(vector: Vector) -> None:
    assert our_response(vector) == h11_response(vector)


# --- and what becomes of them ------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(mutated(REQUESTS))
def test_what_we_accept_of_a_mutated_request_h11_accepts_with_the_same_meaning(vector: Vector) -> None:
    ours = our_request(vector)
    if ours is not None:
        theirs = h11_request(vector)
        assert ours == theirs or difference(vector, ours, theirs)


@settings(max_examples=200, deadline=None)
@given(mutated(RESPONSES))
def test_what_we_accept_of_a_mutated_response_h11_accepts_with_the_same_meaning(vector: Vector) -> None:
    ours = our_response(vector)
    if ours is not None:
        theirs = h11_response(vector)
        assert ours == theirs or difference(vector, ours, theirs)
