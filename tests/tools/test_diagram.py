"""The drawing has every way of the table, is renewed in its place only, and a stale one is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sslbroker.core.states import DONE, Action, Input, State
from sslbroker.core.transitions import TRANSITIONS
from tools.diagram import BEGIN, DOCUMENT, END, diagram, main, renewed, section

EDGE = re.compile(r"^    (\w+) --> (\w+): (.+)$", re.MULTILINE)


def test_the_diagram_in_the_document_is_that_of_the_table() -> None:
    assert main(["--check"]) == 0


def test_every_way_out_of_every_row_is_drawn_once_with_its_actions() -> None:
    drawn = sorted(
        (before, after, label)
        for before, after, labels in EDGE.findall(diagram())
        for label in labels.split("<br/>")
    )
    table = sorted(
        (state.name, after.name, f"{event.name} / {', '.join(action.name for action in actions)}")
        for (state, event), (_, following) in TRANSITIONS.items()
        for after, actions in following.items()
    )
    assert drawn == table


def test_two_states_are_joined_by_one_arrow_and_the_ends_are_marked() -> None:
    pairs = [(before, after) for before, after, _ in EDGE.findall(diagram())]
    assert len(pairs) == len(set(pairs))
    assert "    [*] --> CHOOSE" in diagram()
    assert diagram().endswith(f"    {DONE.name} --> [*]")


def test_no_label_holds_what_mermaid_would_take_for_its_own() -> None:
    for _, _, label in EDGE.findall(diagram()):
        assert not set(label) & set(":;#%{}")


@pytest.mark.parametrize("word", [*Input, *Action])
def test_every_word_of_the_diagram_is_explained(word: Input | Action) -> None:
    assert f"| `{word.name}` | {word.value} |" in section()


def test_only_the_section_changes() -> None:
    text = f"# Title\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter {END}\n"
    new = renewed(text)
    assert new == f"# Title\n\nbefore\n\n{section()}\n\nafter {END}\n"
    assert renewed(new) == new


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_a_document_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected one <!-- generated"):
        renewed(text)


# --- the command ---


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    document = tmp_path / "ARCHITECTURE.md"
    document.write_text(f"{BEGIN}\nold\n{END}\n")
    return document


def test_a_stale_diagram_is_found_and_left_alone(stale: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], stale) == 1
    assert "old" in stale.read_text()
    assert capsys.readouterr().err == "ARCHITECTURE.md: the diagram is stale; run `python -m tools.diagram`\n"


def test_a_changed_table_makes_the_diagram_stale(stale: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main([], stale)
    assert main(["--check"], stale) == 0
    change, following = TRANSITIONS[State.RELAY, Input.ENDED]
    monkeypatch.setitem(TRANSITIONS, (State.RELAY, Input.ENDED), (change, {DONE: (Action.CUT,)}))
    assert following != {DONE: (Action.CUT,)}
    assert main(["--check"], stale) == 1


def test_drawing_twice_changes_nothing_the_second_time(
    stale: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], stale) == 0
    drawn = stale.read_text()
    assert main([], stale) == 0
    assert stale.read_text() == drawn
    assert "drawn anew" in capsys.readouterr().out


def test_a_document_that_is_not_there_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], tmp_path / "ARCHITECTURE.md") == 1
    assert "No such file" in capsys.readouterr().err


def test_the_document_is_in_the_checkout() -> None:
    assert DOCUMENT.name == "ARCHITECTURE.md"
    assert (DOCUMENT.parent / "pyproject.toml").exists()
