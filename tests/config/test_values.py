"""Single values that need no look at the world: what is plausible, in both forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslbroker.config.report import Extensions, Form, Place, Reading
from sslbroker.config.values import (
    Choice,
    Count,
    Duration,
    DurationOr,
    Flag,
    Kind,
    Number,
    Size,
    Word,
    either,
)


def read(kind: Kind, found: object, form: Form = Form.TOML) -> object:
    """The value that is read, or what is told."""
    reading = Reading(form, Path(), Extensions(), {})
    value = kind.read(found, Place(reading).key("it"))
    if not reading.problems:
        return value
    assert value == kind.hole
    (problem,) = reading.problems
    return str(problem)


def test_a_duration_is_text_in_toml_and_seconds_in_python() -> None:
    kind = Duration("10ms", "1h")
    assert read(kind, "10s") == 10.0
    assert read(kind, 10, Form.PYTHON) == 10
    assert read(kind, 0.01, Form.PYTHON) == 0.01
    assert read(kind, 10) == (
        'it: found 10, expected a duration such as "10s", from 10ms to 1h (write "10s")'
    )
    assert read(kind, "10s", Form.PYTHON) == (
        "it: found '10s', expected seconds as a number, from 0.01 to 3600 (write 10.0)"
    )


def test_a_duration_has_to_be_plausible() -> None:
    kind = Duration("10ms", "1h")
    assert read(kind, "9ms") == "it: found '9ms', expected a duration such as \"10s\", from 10ms to 1h"
    assert "found '2h'" in str(read(kind, "2h"))
    for value in (0, 3601, float("nan"), float("inf"), True, None, "2h"):
        assert "expected seconds" in str(read(kind, value, Form.PYTHON))


def test_a_word_may_stand_in_place_of_a_duration() -> None:
    kind = DurationOr("auto", "10ms", "1h")
    assert read(kind, "auto") == read(kind, "auto", Form.PYTHON) == "auto"
    assert read(kind, "20ms") == read(kind, 0.02, Form.PYTHON) == 0.02
    assert read(kind, "Auto") == (
        'it: found \'Auto\', expected a duration such as "10s", from 10ms to 1h, or "auto"'
    )
    assert 'from 0.01 to 3600, or "auto"' in str(read(kind, "20ms", Form.PYTHON))


def test_a_size_is_text_in_toml_and_bytes_in_python() -> None:
    kind = Size("1KiB", "1MiB")
    assert read(kind, "32KiB") == 32768
    assert read(kind, 32768, Form.PYTHON) == 32768
    assert read(kind, "1B") == "it: found '1B', expected a size such as \"64KiB\", from 1KiB to 1MiB"
    assert read(kind, "32KiB", Form.PYTHON) == (
        "it: found '32KiB', expected bytes as an integer, from 1024 to 1048576 (write 32768)"
    )
    assert "expected bytes" in str(read(kind, 2000.0, Form.PYTHON))


@pytest.mark.parametrize("form", Form)
def test_a_count_is_an_integer_within_bounds(form: Form) -> None:
    kind = Count(1, 5)
    assert read(kind, 1, form) == 1
    assert read(kind, 5, form) == 5
    assert read(kind, 0, form) == "it: found 0, expected an integer from 1 to 5"
    assert read(kind, 6, form) == "it: found 6, expected an integer from 1 to 5"
    assert read(kind, True, form) == "it: found True, expected an integer from 1 to 5"
    assert read(kind, 1.0, form) == "it: found 1.0, expected an integer from 1 to 5"
    assert read(kind, "3", form) == "it: found '3', expected an integer from 1 to 5 (write 3, without quotes)"
    assert "an integer of 4000 bits" in str(read(kind, (1 << 4000) - 1, form))


def test_a_number_takes_its_ends_only_when_closed() -> None:
    assert read(Number(0, 1), 0) == 0.0
    assert read(Number(0, 1), 1) == 1.0
    assert read(Number(0, 1, closed=False), 0.5) == 0.5
    assert (
        read(Number(0, 1, closed=False), 1) == "it: found 1, expected a number from 0 to 1, neither of them"
    )
    assert read(Number(0, 1), "0.5") == (
        "it: found '0.5', expected a number from 0 to 1 (write 0.5, without quotes)"
    )
    for value in (2, 10**400, float("nan"), False, None):
        assert "expected a number" in str(read(Number(0, 1), value))


def test_a_number_is_a_float_however_it_is_written() -> None:
    assert type(read(Number(0, 5), 3)) is float


def test_a_choice_tells_what_there_is_and_what_was_meant() -> None:
    kind = Choice("keep", "server")
    assert read(kind, "keep") == "keep"
    assert (
        read(kind, "sever") == "it: found 'sever', expected \"keep\" or \"server\" (did you mean 'server'?)"
    )
    assert read(kind, 1) == 'it: found 1, expected "keep" or "server"'


def test_a_choice_can_say_something_better_than_a_guess() -> None:
    kind = Choice("TLSv1.2", "TLSv1.3", advice="older ones are deprecated")
    assert "(older ones are deprecated)" in str(read(kind, "TLSv1.1"))


def test_a_choice_has_truth_values_without_quotes() -> None:
    kind = Choice(False, True, "auto")
    assert read(kind, True) is True
    assert read(kind, 1) == 'it: found 1, expected false, true or "auto"'
    assert read(kind, 1, Form.PYTHON) == 'it: found 1, expected False, True or "auto"'
    assert "(write true, without quotes)" in str(read(kind, "True"))
    assert "(write True, without quotes)" in str(read(kind, "yes", Form.PYTHON))


def test_a_choice_between_a_word_and_a_number() -> None:
    kind = Choice("auto", other=Count(1, 8))
    assert read(kind, "auto") == "auto"
    assert read(kind, 3) == 3
    assert read(kind, 9) == 'it: found 9, expected "auto" or an integer from 1 to 8'
    assert read(kind, "atuo") == (
        "it: found 'atuo', expected \"auto\" or an integer from 1 to 8 (did you mean 'auto'?)"
    )


def test_a_flag_is_true_or_false() -> None:
    assert read(Flag(), False) is False
    assert read(Flag(), 0) == "it: found 0, expected true or false"
    assert read(Flag(), "no") == "it: found 'no', expected true or false (write false, without quotes)"


def test_a_word_matches_as_a_whole() -> None:
    kind = Word("[a-z]+", "letters")
    assert read(kind, "abc") == "abc"
    for value in ("", "abc\n", "a b", 3, None):
        assert "expected letters" in str(read(kind, value))


def test_a_word_may_be_empty_where_that_has_a_meaning() -> None:
    kind = Word("[a-z]+", "letters", empty=True)
    assert read(kind, "") == ""
    assert read(kind, 0) == 'it: found 0, expected letters, or ""'


def test_a_kind_has_to_say_what_it_holds() -> None:
    with pytest.raises(NotImplementedError):
        read(Kind(), 1)


def test_words_are_joined_as_in_a_sentence() -> None:
    assert either([]) == ""
    assert either(["a"]) == "a"
    assert either(["a", "b", "c"]) == "a, b or c"
