"""What an operator has changed since the start, and checks have found, as a replacement must be told.

Decides which changes still count: a later one about the same thing takes an earlier one's place. Invariant:
carried out in their order by a worker that begins as the configuration says, they make it what the others
are; there are never more than things that can be changed. Refuses to know how a change is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_Subject = tuple[str, str, str]  # the change's name, pool, server ("": all of the pool)


class Changes:
    """Each is a name and values: the pool, the server, and what is said of it."""

    def __init__(self) -> None:
        self._made: dict[_Subject, Sequence[Any]] = {}

    def note(self, name: str, values: Sequence[Any]) -> None:
        """Something is another now. What is said of no state ("clear_pin") is not kept."""
        if len(values) < 3:
            return
        pool, server = values[0], values[1] or ""
        subject = (name, pool, server)
        self._made.pop(subject, None)
        if not server:  # said of all, it holds for those of which something was said before
            for other in [other for other in self._made if other[:2] == subject[:2]]:
                del self._made[other]
        self._made[subject] = values

    def all(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """In the order in which they are to be carried out."""
        return ((name, values) for (name, _, _), values in self._made.items())
