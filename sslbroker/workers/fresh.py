"""A process that was forked: its reactor made as new, and a name of its own.

Decides what a forked process does with the reactor that it inherited: it is begun again, as the same object,
for everything that was built before the fork refers to it. Invariant: nothing is taken out of the inherited
one's epoll, which both processes have in common, so the process that forked notices nothing; its sockets are
closed here, else clients of the other process would never see their ends. Refuses to run a reactor.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

#: What reactors of before the fork were. Never freed: an event loop that ends takes itself out of its epoll.
_kept: list[dict[str, Any]] = []


def name_process(name: str) -> None:
    """What `top` and `ps -o comm` call this process, in up to 15 letters, where the system lets it say so."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"ssl:{name}")


def renew(reactor: Any) -> None:
    """Begin `reactor` again: no timers, no triggers, nothing to read, and descriptors of its own."""
    for selectable in {*reactor.getReaders(), *reactor.getWriters()}:
        inherited = getattr(selectable, "socket", None)
        if inherited is not None:
            inherited.close()
    state = vars(reactor)
    _kept.append(dict(state))
    state.clear()
    type(reactor).__init__(reactor)
