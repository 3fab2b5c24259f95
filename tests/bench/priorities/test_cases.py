"""When troubles begin and end, and what is drawn of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.priorities.cases import CAPACITY, CASES
from bench.priorities.picture import draw, troubles
from bench.programs import CannotRun

BY_NAME = {case.name: case for case in CASES}


def test_three_servers_do_six_hundred_a_second() -> None:
    assert CAPACITY == 600


def test_a_trouble_ends_when_the_server_is_fast_again_or_the_load_falls() -> None:
    assert BY_NAME["slow"].ends == [8.0, 20.0]
    assert BY_NAME["back"].ends == [10.0]
    assert BY_NAME["150"].ends == []
    assert BY_NAME["slow"].lasting(18.0).ends == [8.0]


def test_a_case_can_last_longer() -> None:
    assert BY_NAME["back"].lasting(30.0).seconds == 40.0


def test_a_picture_shows_when_a_server_was_slow_and_when_too_much_came() -> None:
    assert troubles(BY_NAME["slow"]) == [(4.0, 8.0), (16.0, 20.0)]
    assert troubles(BY_NAME["back"]) == [(0.0, 10.0)]
    assert troubles(BY_NAME["150"]) == []


def test_without_a_case_in_which_something_happens_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="none of the cases 150, slow, back"):
        draw({"cases": {"60": {}}}, tmp_path / "no.png")
