"""What a replacement is told of what an operator has changed."""

from __future__ import annotations

from sslbroker.workers.changes import Changes


def told(changes: Changes) -> list[tuple[str, list[object]]]:
    return [(name, list(values)) for name, values in changes.all()]


def test_the_last_word_about_a_thing_holds_and_stands_last() -> None:
    changes = Changes()
    changes.note("state", ("shop", "a", "down"))
    changes.note("weight", ("shop", "a", 5))
    changes.note("state", ("shop", "b", "drain"))
    changes.note("state", ("shop", "a", "up"))
    assert told(changes) == [
        ("weight", ["shop", "a", 5]),
        ("state", ["shop", "b", "drain"]),
        ("state", ["shop", "a", "up"]),
    ]


def test_a_word_about_all_servers_replaces_those_about_one_before_it_and_not_after_it() -> None:
    changes = Changes()
    changes.note("link_mode", ("shop", "a", True))
    changes.note("link_mode", ("inner", "a", True))
    changes.note("state", ("shop", "a", "down"))
    changes.note("link_mode", ("shop", None, "auto"))
    changes.note("link_mode", ("shop", "b", False))
    assert told(changes) == [
        ("link_mode", ["inner", "a", True]),
        ("state", ["shop", "a", "down"]),
        ("link_mode", ["shop", None, "auto"]),
        ("link_mode", ["shop", "b", False]),
    ]


def test_what_changes_no_state_is_not_kept() -> None:
    changes = Changes()
    changes.note("clear_pin", ("shop", "a"))
    assert told(changes) == []
