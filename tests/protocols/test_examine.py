"""What a plugin's author reads who forgot something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from zope.interface import implementer

from sslbroker.errors import ConfigurationError, Problem
from sslbroker.interfaces import IBackendProtocol, IResponseClassifier, IUndone
from sslbroker.protocols.examine import examine
from sslbroker.protocols.http.backend import HTTPProtocol
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.settings import LinkLimits, Pool

POOL = Pool("p", (), links=LinkLimits(head_size=4096, headers=7))
HTTP = HTTPProtocol()


@implementer(IBackendProtocol)
class Whole:
    """HTTP under another name, to be spoilt."""

    name = "whole"
    alpn: Any = ()
    server_first = False

    def client_codec(self, head_size: int, headers: int) -> Any:
        return HTTP.client_codec(head_size, headers)

    def server_codec(self, head_size: int, headers: int) -> Any:
        assert (head_size, headers) == (4096, 7)
        return HTTP.server_codec(head_size, headers)

    def rules(self, pool: Pool, broker_name: str) -> Any:
        return HTTP.rules(pool, broker_name)

    def classifier(self, pool: Pool) -> Any:
        return HTTP.classifier(pool)


def spoilt(**changes: Any) -> list[str]:
    return examine(type("Spoilt", (Whole,), changes)(), POOL)


def test_a_whole_protocol_has_no_faults() -> None:
    assert examine(HTTP, POOL) == []
    assert examine(Whole(), POOL) == []


def test_an_object_that_is_no_protocol() -> None:
    faults = examine(object(), POOL)  # type: ignore[arg-type]
    assert faults[0] == "the protocol does not say @implementer(IBackendProtocol)"
    assert "the protocol has no alpn, which IBackendProtocol asks for" in faults
    assert "the protocol has no rules(pool, broker_name), which IBackendProtocol asks for" in faults


def test_a_method_that_takes_too_little() -> None:
    expected = (
        "the protocol has a rules(pool, broker_name) of another form: "
        "implementation doesn't allow enough arguments"
    )
    assert spoilt(rules=lambda self, pool: None) == [expected]


def test_what_a_protocol_makes_is_looked_at_too() -> None:
    @implementer(IBackendProtocol)
    class Forgetful(Whole):
        def classifier(self, pool: Pool) -> Any:
            return 3

    assert examine(Forgetful(), POOL) == [
        "what classifier(…) gives does not say @implementer(IResponseClassifier)",
        "what classifier(…) gives has no failing(response), which IResponseClassifier asks for",
        "what classifier(…) gives has no status(response), which IResponseClassifier asks for",
    ]


def test_what_raises_is_told_and_the_rest_is_looked_at() -> None:
    def raising(self: object, *_: object) -> None:
        raise ValueError("no such table")

    assert spoilt(rules=raising, client_codec=raising) == [
        "rules(…) raised ValueError: no such table",
        "client_codec(…) raised ValueError: no such table",
    ]


def test_rules_that_refuse_a_setting_are_heard() -> None:
    def refusing(self: object, *_: object) -> None:
        raise ConfigurationError("plugin", [Problem("pools.p", "a", "b")])

    with pytest.raises(ConfigurationError):
        spoilt(rules=refusing)


@pytest.mark.parametrize("alpn", [b"http/1.1", "http/1.1", ["http/1.1"], [b""], None, 3])
def test_alpn_that_is_no_list_of_bytes(alpn: object) -> None:
    expected = f"alpn is {alpn!r}, expected a list of bytes such as (b'http/1.1',), or ()"
    assert spoilt(alpn=alpn) == [expected]


def test_alpn_may_be_any_sequence() -> None:
    alpn: Sequence[bytes] = [b"lines/1", b"lines/2"]
    assert spoilt(alpn=alpn) == []


def test_what_the_broker_does_not_do_yet_is_not_accepted_in_silence() -> None:
    class Many(ClientCodec):
        capacity = 100

    def many(self: Whole, head_size: int, headers: int) -> Any:
        return Many(head_size, headers)

    assert spoilt(client_codec=many) == ["what client_codec(…) gives has capacity 100: only 1 is built yet"]


@implementer(IResponseClassifier, IUndone)
class Certain:  # type: ignore[misc]
    """A classifier that promises to know what was not done, and does not."""

    def failing(self, response: Any) -> bool:
        return False

    def status(self, response: Any) -> int:
        return 0


def test_an_optional_interface_that_is_provided_is_looked_at() -> None:
    expected = "what classifier(…) gives has no nothing_done(response), which IUndone asks for"
    assert spoilt(classifier=lambda self, pool: Certain()) == [expected]


def test_an_optional_interface_that_was_meant_and_not_declared() -> None:
    def probe(self: object, host: str) -> bytes:
        return b""

    def answers(self: object, received: bytes) -> bool | None:
        return None

    expected = "the protocol has probe and answers, and is never asked: it does not say @implementer(IProbe)"
    assert spoilt(probe=probe, answers=answers) == [expected]
    assert spoilt(probe=probe) == []


def test_who_speaks_first_is_a_yes_or_a_no() -> None:
    assert spoilt(server_first=True) == []
    assert spoilt(server_first="no") == ["server_first is 'no', expected True or False"]
