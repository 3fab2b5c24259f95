"""The protocol as the broker finds it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from sslbroker_resp import RESP
from twisted.plugin import IPlugin

from sslbroker.interfaces import IBackendProtocol, IProbe
from sslbroker.protocols.examine import examine
from sslbroker.settings import Pool

PLUGIN = Path(__file__).parents[1] / "plugins" / "sslbroker_resp_plugin.py"


def test_the_plugin_file_offers_both_protocols() -> None:
    found: list[Any] = [thing for thing in runpy.run_path(str(PLUGIN)).values() if IPlugin.providedBy(thing)]
    assert {protocol.name: protocol.by_key for protocol in found} == {"resp": False, "resp-sharded": True}
    for protocol in found:
        assert IBackendProtocol.providedBy(protocol)
        assert IProbe.providedBy(protocol)
        assert examine(protocol, Pool("p", (), balance="hash")) == []


def test_the_two_differ_in_what_goes_together() -> None:
    data = b"GET a\r\nGET b\r\n"
    together = RESP().client_codec(4096, 1).receive(data)
    apart = RESP("resp-sharded", by_key=True).client_codec(4096, 1).receive(data)
    assert len(together[0].message.commands) == 2  # type: ignore[attr-defined]
    assert len(apart[0].message.commands) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("received", "answer"),
    [(b"", None), (b"+PONG\r\n", True), (b"-NOAUTH x\r\n", True), (b"\x15\x03", False), (b"HTTP/1.1", False)],
)
def test_the_probe(received: bytes, answer: bool | None) -> None:
    assert RESP().probe("a") == b"*1\r\n$4\r\nPING\r\n"
    assert RESP().answers(received) is answer
