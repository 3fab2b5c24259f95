"""The questions one by one: a single no is enough, and what is sent is what the codec makes of each event."""

from __future__ import annotations

from typing import Any

import pytest

from sslbroker.core.steps import Steps
from sslbroker.errors import RequestRefused
from sslbroker.interfaces import Event, Origin
from sslbroker.outcome import Replay


class Rules:
    """Says yes, but for what is asked of it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"replay": Replay.REPLAYABLE, "go_ahead_wait": 0.0, "admit": None, **answers}

    def origin(self, request: Any, origin: Origin) -> Origin:
        return origin

    def to_server(self, *given: Any) -> str:
        return f"to server {given[0]}"

    def to_client(self, *given: Any) -> str:
        return f"to client {given[0]}"

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.answers[name]


class Codec:
    def send(self, event: Event) -> bytes:
        return f"{event!r}|".encode()


@pytest.mark.parametrize(
    "no", [{"replay": Replay.METHOD}, {"go_ahead_wait": 1.0}, {"admit": RequestRefused("no")}]
)
def test_a_single_no_is_enough(no: dict[str, Any]) -> None:
    yes: Any = Rules()
    rules: Any = Rules(**no)
    origin = Origin("192.0.2.1")
    assert Steps(yes).carried("request", origin) is origin
    assert Steps(rules).carried("request", origin) is None
    origin.misdirected = lambda host: False
    assert Steps(yes).carried("request", origin) is None


def test_what_is_sent() -> None:
    rules: Any = Rules()
    codec: Any = Codec()
    origin = Origin("192.0.2.1")
    steps = Steps(rules)
    assert steps.send_request(codec, 3, "r", origin, "a:1", False) == b"Head(3, 'to server r')|End(3, None)|"
    sent = steps.send_response(codec, 4, "a", b"", "r", origin)
    assert sent == b"Head(4, 'to client a')|End(4, None)|"
    sent = steps.send_response(codec, 4, "a", b"x", "r", origin)
    assert sent == b"Head(4, 'to client a')|Body(4, b'x')|End(4, None)|"
