"""Events compare by what they say; the extension surface asks exactly the questions it documents."""

from __future__ import annotations

import inspect

import pytest
from zope.interface.interface import InterfaceClass, Method

from sslbroker import interfaces
from sslbroker.errors import FramingError
from sslbroker.interfaces import (
    CONNECTION,
    Body,
    End,
    Error,
    Event,
    Head,
    Interim,
    Origin,
    Reply,
    Upgraded,
)

WRONG = FramingError("bare CR")
EVENTS: list[Event] = [
    Head(1, "message"),
    Body(1, b"data"),
    End(1),
    Interim(1, "message"),
    Upgraded(1, "message"),
    Error(1, WRONG),
    Reply(1, b"data"),
]
SURFACE = [face for face in vars(interfaces).values() if isinstance(face, InterfaceClass)]


def test_every_kind_of_event_is_in_these_tests() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__subclasses__())


def test_events_are_equal_when_they_say_the_same() -> None:
    assert Body(1, b"data") == Body(1, b"data")
    assert End(1) == End(1, None)
    assert Interim(1, "m", go_ahead=True) == Interim(1, "m", True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Body(1, b"data"), Body(2, b"data")),
        (Body(1, b"data"), Body(1, b"date")),
        (Body(1, b"data"), Reply(1, b"data")),
        (Head(1, "message"), Upgraded(1, "message")),
        (Interim(1, "message"), Interim(1, "message", True)),
        (End(1), End(1, "trailers")),
    ],
)
def test_events_differ_by_kind_exchange_and_content(one: Event, other: Event) -> None:
    assert one != other


def test_an_event_is_no_other_thing() -> None:
    assert Body(1, b"data") != (1, b"data")


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_can_be_changed_so_it_cannot_be_hashed(event: Event) -> None:
    event.exchange = 7
    assert event.exchange == 7
    event.exchange = 1
    with pytest.raises(TypeError):
        hash(event)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_has_no_room_for_anything_else(event: Event) -> None:
    assert not hasattr(event, "__dict__")


def test_an_event_shows_what_it_says() -> None:
    shown = [repr(event) for event in EVENTS]
    assert shown[:5] == [
        "Head(1, 'message')",
        "Body(1, b'data')",
        "End(1, None)",
        "Interim(1, 'message', False)",
        "Upgraded(1, 'message')",
    ]


def test_no_exchange_has_the_number_of_the_connection() -> None:
    assert CONNECTION == 0


def test_an_origin_is_plain_and_untrusted_unless_said_otherwise() -> None:
    origin = Origin("192.0.2.1")
    assert (origin.address, origin.port, origin.listener, origin.listener_port) == ("192.0.2.1", 0, "", 0)
    assert (origin.secure, origin.trusted) == (False, False)


# --- the surface ---


def test_the_surface_is_one_interface_for_one_question() -> None:
    assert {face.__name__ for face in SURFACE if face.__module__ == interfaces.__name__} == {
        "ICodec",
        "IExchangeRules",
        "IAnswerTimes",
        "IHosts",
        "ILengths",
        "IMeasured",
        "IOwnAnswers",
        "IShortCuts",
        "IStickiness",
        "ICascades",
        "IResumable",
        "IResumption",
        "IRests",
        "IHealthChecks",
        "IUndone",
        "IProbe",
        "IMember",
        "IBalancer",
        "IBalancing",
        "IClassification",
        "IResponseClassifier",
        "IGroups",
        "IBackendProtocol",
        "IObserver",
    }


@pytest.mark.parametrize("face", SURFACE)
def test_every_question_is_documented_and_asked_without_self(face: InterfaceClass) -> None:
    for name, question in face.namesAndDescriptions():
        assert question.getDoc(), f"{face.__name__}.{name}"
        if isinstance(question, Method):
            assert "self" not in question.positional


def test_the_module_says_what_it_decides() -> None:
    assert "Nothing here does I/O" in (inspect.getdoc(interfaces) or "")
