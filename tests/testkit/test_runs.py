"""What one run of a codec is watched for: tried through the kit, in test_kit.py, mistake by mistake."""

from __future__ import annotations

import pytest

from sslbroker.errors import FramingError
from sslbroker.interfaces import CONNECTION, End, Error, Head
from sslbroker.outcome import After
from sslbroker.testkit import Kit
from sslbroker.testkit.runs import ClientRun, LinkRun

from ..protocols.guide import names

GUIDE = names()


@pytest.fixture
def kit() -> Kit:
    return Kit(GUIDE["lines"])


def test_a_client_is_answered_and_goes_on(kit: Kit) -> None:
    events = ClientRun(kit, [b"get a\nget", b" b\n"]).play()
    assert [(type(event), event.exchange) for event in events] == [(Head, 1), (End, 1), (Head, 2), (End, 2)]


def test_a_client_that_is_refused_is_over(kit: Kit) -> None:
    run = ClientRun(kit, [b"a" * 5000, b"get a\n"])
    events = run.play(end=True, refuse=FramingError("late"))
    assert [type(event) for event in events] == [Error]


def test_what_is_held_before_a_head_is_measured(kit: Kit) -> None:
    run = ClientRun(kit, [b"get", b" a\nput"])
    run.play()
    assert run.most == 3


def test_a_link_is_asked_one_thing(kit: Kit) -> None:
    run = LinkRun(kit, b"get a\nget b\n", [b"1", b"\n"])
    assert run.sent == b"get a\n"
    events, after = run.play()
    assert ([type(event) for event in events], after) == ([Head, End], After.REUSABLE)


def test_an_error_of_a_connection_is_an_event_too(kit: Kit) -> None:
    run = LinkRun(kit, b"a\n", [])
    run.take([Error(CONNECTION, FramingError("x"))])
    assert len(run.events) == 1


def test_a_request_that_is_none(kit: Kit) -> None:
    with pytest.raises(AssertionError, match="makes no request"):
        LinkRun(kit, b"a", [])
