"""The test kit passes a whole protocol, and says what is wrong with one that a mistake was built into."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from sslbroker.errors import FramingError
from sslbroker.interfaces import Body, End, Error, Event, Head, Interim, Reply, Upgraded
from sslbroker.outcome import After
from sslbroker.testkit import Kit, joined

from ..protocols.guide import names

GUIDE = names()
Line, LineCodec, LineRules = GUIDE["Line"], GUIDE["LineCodec"], GUIDE["LineRules"]

REQUESTS = [b"get a\n", b"put b\nget c\n"]
ANSWERS = [(b"get a\n", b"1\n")]


def kit(codec: type = LineCodec, rules: type = LineRules, **changes: Any) -> Kit:
    """The guide's protocol with another codec, or other rules."""
    methods = {
        "client_codec": lambda self, head_size, headers: codec(head_size, link=False),
        "server_codec": lambda self, head_size, headers: codec(head_size, link=True),
        "rules": lambda self, pool, name: rules(),
    }
    protocol = type("Spoilt", (GUIDE["Lines"],), methods)()
    return Kit(protocol, **{"bound": 5000, **changes})


def test_a_whole_protocol_passes() -> None:
    whole = kit()
    whole.check_whole()
    whole.check_hostile(REQUESTS, ANSWERS)


def test_the_events_are_given_for_a_look() -> None:
    events = kit().check_requests(b"get a\nput b\n")
    assert [type(event) for event in events] == [Head, End, Head, End]
    assert events[2].message.text == b"put b"  # type: ignore[attr-defined]


def test_what_is_expected_is_compared() -> None:
    kit().check_requests(b"a\n", [Head(1, Line(b"a")), End(1)])
    kit().check_answers(b"a\n", b"b\n", [Head(1, Line(b"b")), End(1)], After.REUSABLE)
    kit().check_answers(b"a\n", b"b", after=After.CLOSE, end=True)
    with pytest.raises(AssertionError, match=r"fed b'a\\n'\ncame .*\nexpected .*b'c'"):
        kit().check_requests(b"a\n", [Head(1, Line(b"c")), End(1)])
    with pytest.raises(AssertionError, match=r"after is After.REUSABLE, expected After.CLOSE"):
        kit().check_answers(b"a\n", b"b\n", after=After.CLOSE)


def test_an_exchange_is_compared_at_both_ends() -> None:
    kit().check_exchange(b"get a\nget b\n", b"get a\n", b"1\n", b"1\n")
    kit().check_exchange(b"get a\n", b"get a\n", b"1", b"", end=True)
    with pytest.raises(AssertionError, match=r"fed b'get a\\n'\ncame +b'get a\\n'\nexpected b'got a\\n'"):
        kit().check_exchange(b"get a\n", b"got a\n", b"1\n", b"1\n")
    with pytest.raises(AssertionError, match=r"fed b'1\\n'\ncame +b'1\\n'\nexpected b'2\\n'"):
        kit().check_exchange(b"get a\n", b"get a\n", b"1\n", b"2\n")
    with pytest.raises(AssertionError, match="expected a request"):
        kit().check_exchange(b"a" * 9000, b"", b"1\n", b"1\n")


def test_a_protocol_that_is_not_whole() -> None:
    spoilt = kit()
    spoilt.protocol.alpn = None  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="alpn is None"):
        spoilt.check_whole()


class Raises(LineCodec):  # type: ignore[misc, valid-type]
    def receive(self, data: bytes) -> Any:
        data.decode("ascii")
        return super().receive(data)


class Forgets(LineCodec):  # type: ignore[misc, valid-type]
    _held: bytes

    def receive(self, data: bytes) -> Any:
        self._held = b"" if data and not data.endswith(b"\n") else self._held
        return super().receive(data)


class Hoards(LineCodec):  # type: ignore[misc, valid-type]
    def __init__(self, size: int, link: bool) -> None:
        super().__init__(1 << 30, link)


class GoesOn(LineCodec):  # type: ignore[misc, valid-type]
    def after(self, exchange: int) -> After:
        return After.REUSABLE


class Deaf(LineCodec):  # type: ignore[misc, valid-type]
    def receive(self, data: bytes) -> Any:
        return super().receive(data) if self._waiting or not self._link else []


class SameNumber(LineCodec):  # type: ignore[misc, valid-type]
    def release(self, exchange: int) -> None:
        super().release(exchange)
        self._exchange = 0


class Mute(LineCodec):  # type: ignore[misc, valid-type]
    def send(self, event: Event) -> Any:
        return None


class Negative(LineCodec):  # type: ignore[misc, valid-type]
    def held(self) -> int:
        return -1


class Secretive(LineCodec):  # type: ignore[misc, valid-type]
    def held(self) -> int:
        return 0


class Talks(LineCodec):  # type: ignore[misc, valid-type]
    def refuse(self, error: FramingError) -> Any:
        return [*super().refuse(error), End(self._exchange)]


def try_all(spoilt: Kit) -> None:
    for data in REQUESTS:
        spoilt.check_requests(data)
    spoilt.check_hostile(REQUESTS, ANSWERS)


def gives(*events: Event) -> type:
    """A codec that gives just these."""

    class Gives(LineCodec):  # type: ignore[misc, valid-type]
        def receive(self, data: bytes) -> Sequence[Event]:
            return events if data else []

    return Gives


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        (Raises, r"receive\(b'.*\) raised UnicodeDecodeError"),
        (Forgets, r"fed b'g' \| b'e'.*\ncame .*b'a'.*\nexpected .*b'get a'"),
        (Hoards, r"again and again\nheld\(\) came to \d+, expected 5000 at most"),
        (GoesOn, r"is After.REUSABLE"),
        (Deaf, r"an idle link .*\ncame \[\], expected an Error"),
        (SameNumber, r"its exchange is not a new one"),
        (Mute, r"send\(.*\) gave None, expected bytes"),
        (Negative, r"held\(\) gave -1, expected a number of bytes"),
        (Secretive, r"held\(\) gave 0, and one byte more completed something"),
        (Talks, r"an event after an Error"),
        (gives(End(1)), r"End\(1, None\) of an exchange that has no head, or is over"),
        (gives(Head(0, Line(b""))), r"its exchange is not a new one"),
        (gives(Head(1, Line(b"")), Body(1, b"")), r"expected bytes, and not none"),
        (gives(Head(1, Line(b"")), Interim(1, Line(b""))), r"behind the head"),
    ],
)
def test_a_mistake_is_found_and_told(codec: type, words: str) -> None:
    with pytest.raises(AssertionError) as told:
        try_all(kit(codec))
    assert re.search(words, str(told.value)), told.value
    assert str(told.value).startswith("fed ")


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Head(2, Line(b"")), End(2)], "the open exchange is 1"),
        ([Head(1, Line(b"")), End(1), End(1)], "of an exchange that has no head, or is over"),
    ],
)
def test_a_mistake_on_a_link(events: Sequence[Event], words: str) -> None:
    class Link(LineCodec):  # type: ignore[misc, valid-type]
        def receive(self, data: bytes) -> Any:
            return events if self._link else super().receive(data)

    with pytest.raises(AssertionError, match=words):
        kit(Link).check_answers(b"get a\n", b"1\n")


def test_what_follows_an_answer_can_only_be_an_error() -> None:
    class Link(LineCodec):  # type: ignore[misc, valid-type]
        def receive(self, data: bytes) -> Any:
            return [Head(1, Line(data)), End(1)] if self._link else super().receive(data)

    with pytest.raises(AssertionError, match="behind the answer, expected an Error or nothing"):
        kit(Link).answers(b"get a\n", [b"1", b"2"])


def test_an_error_answer_that_raises() -> None:
    class Rules(LineRules):  # type: ignore[misc, valid-type]
        def error_answer(self, error: Any, request: Any, exchange: int) -> Any:
            raise KeyError("words")

    with pytest.raises(AssertionError, match=r"error_answer\(NoServer.*\) raised KeyError"):
        kit(rules=Rules).check_requests(b"a\n")


def test_an_answer_of_the_authors_own() -> None:
    asked: list[bytes] = []

    def answer(request: Any, exchange: int) -> Sequence[Event]:
        asked.append(request.text)
        return [Head(exchange, Line(b"yes")), End(exchange)]

    kit(answer=answer).requests([b"a\nb\n"])
    assert asked == [b"a", b"b"]


class Tunnel(LineCodec):  # type: ignore[misc, valid-type]
    """Its first line is answered by a stream."""

    raw = False
    _held: bytes

    def receive(self, data: bytes) -> Any:
        if not self.raw:
            return super().receive(data)
        data, self._held = self._held + data, b""
        return [Body(1, data)] if data else []

    def receive_end(self) -> Any:
        return [End(1)] if self.raw else super().receive_end()

    def refuse(self, error: FramingError) -> Any:
        return [Error(1, error)] if self.raw else super().refuse(error)

    def send(self, event: Event) -> bytes:
        self.raw = True
        return b""

    def after(self, exchange: int) -> After:
        return After.CLOSE


def test_an_answer_may_make_a_stream() -> None:
    streaming = kit(Tunnel, answer=lambda request, exchange: [Upgraded(exchange, Line(b""))])
    events = joined(streaming.check_requests(b"go\nany\nthing", end=True))
    assert events[1:] == [End(1), Body(1, b"any\nthing"), End(1)]
    streaming.check_hostile([b"go\nany"])


def test_a_server_that_speaks_first_is_begun_at_the_connection() -> None:
    first = kit(gives_at_once())
    first.protocol.server_first = True
    assert isinstance(first.requests([])[0], Reply)


def gives_at_once() -> type:
    class Greets(LineCodec):  # type: ignore[misc, valid-type]
        def receive(self, data: bytes) -> Sequence[Event]:
            return [Reply(0, b"hello")]

    return Greets
