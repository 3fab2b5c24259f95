"""A reactor that was forked with its process, made as new.

Decides what a forked process does with the reactor that it inherited: it is begun again, as the same object,
for everything that was built before the fork refers to it. Invariant: nothing is taken out of the inherited
one's epoll, which both processes have in common, so the process that forked notices nothing; its sockets are
closed here, else clients of the other process would never see their ends. Refuses to run a reactor.
"""

from __future__ import annotations

from typing import Any

#: What reactors of before the fork were. Never freed: an event loop that ends takes itself out of its epoll.
_kept: list[dict[str, Any]] = []


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
