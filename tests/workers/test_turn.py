"""One of several processes writes at a time."""

from __future__ import annotations

import os

from sslbroker.workers.turn import Turn


def in_a_child(turn: Turn, patience: float = 0.0) -> bool:
    """Whether a forked process gets the turn."""
    pid = os.fork()
    if not pid:
        os._exit(0 if turn.take(patience) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_another_process_has_no_turn_until_it_is_given() -> None:
    turn = Turn()
    assert turn.take()
    assert turn.take()
    assert not in_a_child(turn, 0.01)
    turn.give()
    assert in_a_child(turn)
    assert turn.take()  # the child had it, and is gone
