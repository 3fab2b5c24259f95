"""``python -m tools.diagram``: draw the transaction's states into ARCHITECTURE.md, from its table.

Decides how `sslbroker.core.transitions.TRANSITIONS` looks as a Mermaid diagram with a legend. Invariant:
each way out of each row is in the drawing once, and nothing outside the two markers is touched. With
``--check`` it changes nothing and exits 1 when the drawing is not what the table says. Refuses to guess
where the section goes: the markers are the document's own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from sslbroker.core.states import CHOOSE, DONE, Action, Input, State
from sslbroker.core.transitions import TRANSITIONS

DOCUMENT = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"
BEGIN = "<!-- generated: transaction -->"
END = "<!-- end -->"
HOW = "python -m tools.diagram"


def diagram() -> str:
    """The states and what leads from one to another: ``INPUT / ACTION, ACTION``."""
    ways: dict[tuple[State, State], list[str]] = {}
    for (state, event), (_, following) in TRANSITIONS.items():
        for after, actions in following.items():
            done = ", ".join(action.name for action in actions)
            ways.setdefault((state, after), []).append(f"{event.name} / {done}")
    lines = ["stateDiagram-v2", f"    [*] --> {CHOOSE.name}"]
    for (state, after), labels in ways.items():
        lines.append(f"    {state.name} --> {after.name}: {'<br/>'.join(labels)}")
    lines.append(f"    {DONE.name} --> [*]")
    return "\n".join(lines)


def legend(heading: str, words: Iterable[Enum]) -> str:
    """What the words mean, as a table."""
    rows = [f"| `{word.name}` | {word.value} |" for word in words]
    return "\n".join([f"| {heading} | |", "|---|---|", *rows])


def section() -> str:
    """Everything between the markers, the markers included."""
    parts = [
        BEGIN,
        f"<!-- Made from sslbroker/core/transitions.py by `{HOW}`: do not edit. -->",
        f"```mermaid\n{diagram()}\n```",
        legend("what happens", Input),
        legend("what is done", Action),
        END,
    ]
    return "\n\n".join(parts)


def renewed(text: str) -> str:
    """`text` with its section as the table has it now. `ValueError` when it has not one pair of markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest:
        raise ValueError(f"expected one {BEGIN} and an {END} after it")
    return before + section() + after


def main(arguments: list[str] | None = None, document: Path = DOCUMENT) -> int:
    parser = argparse.ArgumentParser(prog=HOW, description="Draw the transaction's states.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when it is stale")
    options = parser.parse_args(arguments)
    try:
        text = document.read_text(encoding="utf-8")
        new = renewed(text)
    except (OSError, ValueError) as error:
        print(f"{document.name}: {error}", file=sys.stderr)
        return 1
    if new == text:
        print(f"{document.name}: the diagram says what the table says")
        return 0
    if options.check:
        print(f"{document.name}: the diagram is stale; run `{HOW}`", file=sys.stderr)
        return 1
    document.write_text(new, encoding="utf-8")
    print(f"{document.name}: the diagram is drawn anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
