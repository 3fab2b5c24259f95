"""Every vector in ``tests/vectors/http1``: whole, byte by byte, and cut in two at every place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.outcome import After
from sslbroker.testkit import cuts

from .mutation import mutated
from .transcript import Vector, matches, plain, play_requests, play_responses, render, vectors

REQUESTS = vectors("requests")
RESPONSES = vectors("responses")


def check(vector: Vector, lines: list[str]) -> None:
    assert len(lines) == len(vector.expected), lines
    for expected, line in zip(vector.expected, lines, strict=True):
        assert matches(expected, line), f"expected: {expected}\nfound:    {line}"


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.name)
def test_a_request_is_taken_for_what_its_vector_says(vector: Vector) -> None:
    check(vector, render(play_requests(vector, [vector.data])))


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.name)
def test_a_request_means_the_same_however_it_is_cut(vector: Vector) -> None:
    whole = plain(play_requests(vector, [vector.data]))
    for pieces in cuts(vector.data):
        assert plain(play_requests(vector, pieces)) == whole, pieces


@pytest.mark.parametrize("vector", RESPONSES, ids=lambda vector: vector.name)
def test_a_response_is_taken_for_what_its_vector_says(vector: Vector) -> None:
    events, after = play_responses(vector, [vector.data])
    check(vector, [*render(events), after.value])


@pytest.mark.parametrize("vector", RESPONSES, ids=lambda vector: vector.name)
def test_a_response_means_the_same_however_it_is_cut(vector: Vector) -> None:
    events, after = play_responses(vector, [vector.data])
    whole = plain(events)
    for pieces in cuts(vector.data):
        again, after_again = play_responses(vector, pieces)
        assert (plain(again), after_again) == (whole, after), pieces


@pytest.mark.parametrize("vector", REQUESTS + RESPONSES, ids=lambda vector: vector.name)
def test_nothing_follows_an_error(vector: Vector) -> None:
    errors = [at for at, line in enumerate(vector.expected) if line.startswith("error ")]
    after = After.CLOSE.value
    assert all(vector.expected[at + 1 :] in ([], [after]) for at in errors)


@settings(max_examples=150, deadline=None)
@given(mutated(REQUESTS), st.integers(1, 7))
def test_a_mutated_request_means_the_same_however_it_is_cut(vector: Vector, size: int) -> None:
    pieces = [vector.data[at : at + size] for at in range(0, len(vector.data), size)]
    assert plain(play_requests(vector, pieces)) == plain(play_requests(vector, [vector.data]))


@settings(max_examples=150, deadline=None)
@given(mutated(RESPONSES), st.integers(1, 7))
def test_a_mutated_response_means_the_same_however_it_is_cut(vector: Vector, size: int) -> None:
    pieces = [vector.data[at : at + size] for at in range(0, len(vector.data), size)]
    whole, after = play_responses(vector, [vector.data])
    again, after_again = play_responses(vector, pieces)
    assert (plain(again), after_again) == (plain(whole), after)
