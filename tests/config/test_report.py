"""How a mistake is told."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sslbroker.config.report import (
    FOUND_LENGTH,
    Extensions,
    Form,
    Place,
    Reading,
    did_you_mean,
    shown,
    steps,
)


def reading() -> Reading:
    return Reading(Form.TOML, Path(), Extensions(), {})


def test_a_path_has_keys_and_indexes_as_in_the_file() -> None:
    place = Place(reading()).key("pools").named("shop").key("servers").item(1).key("weight")
    assert place.path == "pools.shop.servers[1].weight"
    assert place.pattern == "pools.*.servers[*].weight"


def test_a_key_that_is_not_bare_is_quoted_and_bounded() -> None:
    assert Place(reading()).key("a.b").path == "'a.b'"
    assert steps("pools", "my shop", 3) == "pools.'my shop'.3"
    assert len(Place(reading()).key("x" * 10_000).path) <= FOUND_LENGTH


def test_a_place_is_sound_until_something_at_above_or_inside_it_is_not() -> None:
    some = reading()
    some.tell("pools.shop.servers[1]", "3", "an address")
    assert not some.sound("pools.shop.servers[1]")
    assert not some.sound("pools.shop.servers[1].address")
    assert not some.sound("pools.shop")
    assert some.sound("pools.shop.servers[10]", "pools.sho")
    assert not some.sound("pools.other", "pools.shop.servers")


def test_a_place_is_doubted_for_what_is_above_not_for_what_is_inside() -> None:
    some = reading()
    some.doubt("pools.shop")
    assert some.doubted("pools.shop.servers")
    assert not some.doubted("pools")


def test_what_was_found_is_told_in_a_line() -> None:
    assert shown("10") == "'10'"
    assert shown({"a": [1, 2]}) == "{'a': [1, 2]}"
    assert shown(Path("/etc")) == "Path('/etc')"
    assert shown("a\nb\x1b") == r"'a\nb\x1b'"
    assert len(shown("x" * 10_000)) <= FOUND_LENGTH
    assert len(shown({str(n): list(range(99)) for n in range(99)})) <= FOUND_LENGTH


def test_an_integer_too_long_to_write_is_told_by_its_length() -> None:
    assert shown(1 << 20_000) == "an integer of 20001 bits"


@given(st.recursive(st.text() | st.integers() | st.floats() | st.dates() | st.binary(), st.lists))
def test_whatever_was_found_can_be_told(found: object) -> None:
    assert 0 < len(shown(found)) <= FOUND_LENGTH


def test_a_mistyped_word_is_guessed_whatever_its_case() -> None:
    words = ("certificates", "minimum")
    assert did_you_mean("certificate", words) == "did you mean 'certificates'?"
    assert did_you_mean("MINIMUM", words) == "did you mean 'minimum'?"
    assert did_you_mean("pool", words) == ""
    assert did_you_mean(3, words) == ""
    assert did_you_mean("certificates" * 1000, words) == ""
