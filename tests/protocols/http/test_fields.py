"""Names of header fields: what Connection takes away, and what a server could take for a claim."""

from __future__ import annotations

import pytest

from sslbroker.protocols.http.fields import (
    CLAIMS,
    END_TO_END,
    HOP_BY_HOP,
    LOWER_NAMES,
    dashed,
    named,
    suspicious,
    values_of,
    without_forgeries,
)
from sslbroker.protocols.http.grammar import TOKEN

from .written import fields

NOTHING: frozenset[bytes] = frozenset()


def test_connection_takes_away_what_it_names() -> None:
    assert named((b"x-secret", b"keep-alive"), NOTHING) == {b"x-secret"}


def test_connection_options_proper_name_no_field() -> None:
    assert named((b"close", b"upgrade", b"te", b"keep-alive"), NOTHING) == NOTHING


@pytest.mark.parametrize("name", sorted(END_TO_END | {b"x-forwarded-prefix"}))
def test_connection_cannot_take_away_what_is_for_all_recipients(name: bytes) -> None:
    assert named((name,), NOTHING) == NOTHING


def test_connection_cannot_take_away_what_the_caller_keeps() -> None:
    assert named((b"idempotency-key", b"x-other"), frozenset((b"idempotency-key",))) == {b"x-other"}


def test_names_with_the_same_variable_in_a_server_are_spelt_the_same() -> None:
    assert {dashed(name) for name in (b"x_forwarded.for", b"x-forwarded-for", b"x~forwarded_for")} == {
        b"x-forwarded-for"
    }


def test_ordinary_names_are_not_looked_at_twice() -> None:
    assert not suspicious(fields("Accept: x", "X-Request-Id: 5", "DNT: 1"), trusted=False)
    assert not suspicious([], trusted=False)


def test_unusual_signs_and_unlisted_claims_are_suspicious() -> None:
    assert suspicious(fields("X_Request_Id: 5"), trusted=True)
    assert suspicious(fields("X-Forwarded-Prefix: /a"), trusted=False)
    assert not suspicious(fields("X-Forwarded-Prefix: /a"), trusted=True)


def test_names_known_in_advance_are_tokens() -> None:
    for spelling, lower in LOWER_NAMES.items():
        assert TOKEN.fullmatch(spelling)
        assert lower == spelling.lower()


def test_names_known_in_advance_need_no_second_look() -> None:
    known = sorted({name for name in LOWER_NAMES.values() if not name.startswith(b"x-forwarded-")})
    sent = [(name, name, b"1") for name in known]
    assert not suspicious(sent, trusted=False)
    assert without_forgeries(sent, CLAIMS | HOP_BY_HOP, trusted=False) == sent


def test_an_unusual_name_among_known_ones_is_found() -> None:
    assert suspicious(fields("Accept: x", "Cookie: a=b", "X_Real_IP: 6.6.6.6", "Range: x"), trusted=False)
    assert suspicious(fields("Accept: x", "X-Forwarded-Host: evil", "Cookie: a=b"), trusted=False)


def test_disguised_names_go_and_innocent_ones_stay() -> None:
    sent = fields(
        "X_Forwarded-For: 1",
        "X_Forwarded_Prefix: /a",
        "X_Own: 2",
        "Transfer_Encoding: chunked",
        "x.real.ip: 3",
    )
    guarded = CLAIMS | HOP_BY_HOP
    assert without_forgeries(sent, guarded, trusted=True) == fields("X_Own: 2")


def test_a_guarded_name_in_its_own_spelling_is_left_to_others() -> None:
    sent = fields("X-Real-IP: 1")
    assert without_forgeries(sent, CLAIMS, trusted=True) == sent


def test_any_x_forwarded_field_goes_unless_the_peer_is_trusted() -> None:
    sent = fields("X-Forwarded-Prefix: /a")
    assert without_forgeries(sent, NOTHING, trusted=False) == []
    assert without_forgeries(sent, NOTHING, trusted=True) == sent


def test_values_keep_their_order() -> None:
    assert values_of(fields("A: 1", "B: 2", "a: 3"), b"a") == [b"1", b"3"]
