"""The words of a transaction's life: none is idle, and each says what it means."""

from __future__ import annotations

from enum import Enum

import pytest

from sslbroker.core.states import Action, Input, State
from sslbroker.core.transitions import TRANSITIONS
from sslbroker.outcome import Phase


def test_the_time_of_each_state_is_counted_for_a_phase_of_its_own() -> None:
    phases = [state.value for state in State]
    assert all(isinstance(phase, Phase) for phase in phases)
    assert len(set(phases)) == len(phases)


@pytest.mark.parametrize("words", [Input, Action])
def test_no_two_words_mean_the_same(words: type[Enum]) -> None:
    meanings = [word.value for word in words]
    assert all(meanings)
    assert len(words.__members__) == len(words), "the same meaning twice is one word with two names"


def test_each_word_is_in_the_table() -> None:
    following = [after for _, after in TRANSITIONS.values()]
    assert {event for _, event in TRANSITIONS} == set(Input)
    assert {action for after in following for actions in after.values() for action in actions} == set(Action)
    assert {state for after in following for state in after} | {state for state, _ in TRANSITIONS} == set(
        State
    )
