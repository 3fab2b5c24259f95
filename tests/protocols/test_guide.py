"""The protocol shown in docs/protocols.md is a whole one, and it works."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from sslbroker.errors import ClientTimeout, NoServer
from sslbroker.interfaces import (
    End,
    Error,
    Event,
    Head,
    IBackendProtocol,
    ICodec,
    IExchangeRules,
    IResponseClassifier,
    Origin,
)
from sslbroker.outcome import After, Replay
from sslbroker.settings import Pool
from sslbroker.testkit import Kit

from . import guide

ROOT = Path(__file__).resolve().parents[2]
POOL = Pool("p", ())


@pytest.fixture(scope="module")
def lines() -> Any:
    return guide.names()["lines"]


def told(events: Sequence[Event]) -> list[str]:
    return [
        event.message.text.decode() if isinstance(event, Head) else type(event).__name__ for event in events
    ]


def test_it_provides_every_interface(lines: Any) -> None:
    verifyObject(IBackendProtocol, lines)
    verifyObject(ICodec, lines.client_codec(10, 1))
    verifyObject(ICodec, lines.server_codec(10, 1))
    verifyObject(IExchangeRules, lines.rules(POOL, "edge"))
    verifyObject(IResponseClassifier, lines.classifier(POOL))


def test_it_is_found_as_a_plugin(lines: Any) -> None:
    assert IPlugin.providedBy(lines)


def test_a_transaction_goes_through(lines: Any) -> None:
    client, link, rules = lines.client_codec(10, 1), lines.server_codec(10, 1), lines.rules(POOL, "edge")
    assert told(client.receive(b"ge")) == []
    head, end = client.receive(b"t a\nget b\n")
    assert (told([head]), end) == (["get a"], End(1))
    assert rules.replay(head.message) is Replay.REPLAYABLE
    exchange = link.open()
    on = rules.to_server(head.message, Origin("1.2.3.4"), "a:1", False)
    assert link.send(Head(exchange, on)) + link.send(End(exchange)) == b"get a\n"
    assert told(link.receive(b"1\n")) == ["1", "End"]
    assert client.send(Head(1, on)) + client.send(End(1)) == b"get a\n"
    assert (client.after(1), link.after(1)) == (After.REUSABLE, After.REUSABLE)
    client.release(1)
    link.release(1)
    assert told(client.receive(b"")) == ["get b", "End"]


def test_the_kit_finds_nothing_as_the_guide_uses_it(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lines", SimpleNamespace(lines=lines))
    names: dict[str, Any] = {"__name__": "test_lines"}
    exec(compile(guide.blocks("python")[1], "test_lines", "exec"), names)
    names["test_lines"]()


def test_the_kit_finds_nothing_in_floods_either(lines: Any) -> None:
    kit = Kit(lines, bound=5000)
    kit.check_requests(b"get a\nput b\n\nget c\n")
    kit.check_answers(b"get a\n", b"1\n", after=After.REUSABLE)
    kit.check_hostile([b"get a\n", b"put b\nget c\n"], [(b"get a\n", b"1\n")])


@pytest.mark.parametrize(
    "block", guide.blocks("python")[2:] + [b for b in guide.blocks("toml") if b[0] == "#"]
)
def test_what_is_shown_of_a_file_is_in_it(block: str) -> None:
    first, _, shown = block.partition("\n")
    file = ROOT / first.removeprefix("# ")
    assert shown in file.read_text(encoding="utf-8"), first


@pytest.mark.parametrize("data", [b"a" * 11, b"a" * 11 + b"\n"])
def test_a_long_line_is_refused(lines: Any, data: bytes) -> None:
    [error] = lines.client_codec(10, 1).receive(data)
    assert isinstance(error, Error)
    assert error.exchange == 1


def test_bytes_on_an_idle_link_end_it(lines: Any) -> None:
    link = lines.server_codec(10, 1)
    assert told(link.receive(b"x")) == ["Error"]
    assert told(link.receive(b"x")) == []


def test_an_end_too_early_is_an_error_and_an_idle_one_is_none(lines: Any) -> None:
    client, link = lines.client_codec(10, 1), lines.server_codec(10, 1)
    assert told(client.receive_end()) == told(link.receive_end()) == []
    client.receive(b"ge")
    assert told(client.receive_end()) == ["Error"]
    link.open()
    assert told(link.receive_end()) == ["Error"]


def test_a_client_too_slow_is_refused_with_an_exchange_to_answer(lines: Any) -> None:
    client = lines.client_codec(10, 1)
    client.receive(b"get a\nge")
    client.release(1)
    [error] = client.refuse(ClientTimeout("no line in 10 s"))
    assert error.exchange == 2
    assert client.send(Head(2, lines.rules(POOL, "edge").error_answer(error.error, None, 2)[0].message))


def test_the_broker_can_answer(lines: Any) -> None:
    answer = lines.rules(POOL, "edge").error_answer(NoServer(), None, 1)
    assert told(answer) == ["error no-server", "End"]
    assert lines.classifier(POOL).failing(answer[0].message)
