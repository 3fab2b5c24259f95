"""What events mean, so that two runs can be compared, and how a difference is told.

Decides when two runs are the same. Invariant: how a body is cut, and what an error says, makes no difference.
Refuses to know messages: their own ``==`` or their attributes are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..interfaces import Body, Error, Event, Head, Interim, Upgraded

_SHOWN: Final = 600  # characters of what was fed or came


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with adjacent bodies of one exchange as one: how a body is cut means nothing."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Body) and isinstance(last, Body) and last.exchange == event.exchange:
            result[-1] = Body(event.exchange, last.data + event.data)
        else:
            result.append(event)
    return result


def plain(events: Sequence[Event]) -> list[object]:
    """The events in a form that can be compared and read.

    Messages are compared by their own ``==``; one that has none, by its class and its attributes. Errors are
    compared by their status: what they say may show how much had come when they were found.
    """
    return [_plain(event) for event in joined(events)]


def _plain(event: Event) -> object:
    if isinstance(event, Error):
        return "Error", event.exchange, event.error.status
    if isinstance(event, Head | Interim | Upgraded):
        message = event.message
        own: Any = type(message)
        if own.__eq__ is object.__eq__:
            names = getattr(message, "__dict__", None) or {
                name: getattr(message, name, None)
                for base in own.__mro__
                for name in getattr(base, "__slots__", ())
            }
            message = (own.__name__, dict(names))
        return type(event).__name__, event.exchange, message
    return event


def same(expected: object, found: object, pieces: Sequence[bytes]) -> None:
    assert found == expected, (
        f"fed {show(pieces)}\ncame     {cut(repr(found))}\nexpected {cut(repr(expected))}"
    )


def show(pieces: Sequence[bytes]) -> str:
    return cut(" | ".join(repr(piece) for piece in pieces))


def cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"
