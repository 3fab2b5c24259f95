"""The vocabulary is one: a word means one thing, is spelled one way, and stands alone."""

from __future__ import annotations

import ast
import re
from enum import Enum
from pathlib import Path

import pytest

from sslbroker import outcome
from sslbroker.outcome import After, Cause, Phase, Replay

VOCABULARIES: list[type[Enum]] = [Phase, Cause, Replay, After]


@pytest.mark.parametrize("words", VOCABULARIES)
def test_a_word_is_written_as_it_is_named(words: type[Enum]) -> None:
    for word in words:
        assert word.value == word.name.lower().replace("_", "-")
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", word.value)


def test_the_phases_are_those_of_the_life_of_a_transaction_in_order() -> None:
    life = "accept tls frame admit store choose link relay watch hedge resume log"
    assert " ".join(phase.value for phase in Phase) == life


def test_four_reasons_allow_another_try_and_come_first() -> None:
    allowing = [Replay.NOTHING_SENT, Replay.NOTHING_DONE, Replay.REPLAYABLE, Replay.RESUME]
    assert list(Replay)[:4] == allowing


def test_the_words_need_nothing_of_the_project() -> None:
    tree = ast.parse(Path(outcome.__file__).read_text())
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported == ["__future__", "enum"]
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_every_word_is_explained_to_operators() -> None:
    document = (Path(__file__).parents[1] / "docs/operations.md").read_text(encoding="utf-8")
    words = {one.value for one in (*Cause, *Replay)} | {"choose", "link", "watch", "relay"}
    assert [word for word in sorted(words) if f"`{word}`" not in document] == []
