"""What each group of clients is promised at one pool, in seconds.

Decides the threshold of a group: its own, or what follows from its priority. Invariant: there is always one,
for clients in no group, too: that of priority 1. Refuses to say what follows from a breach.
"""

from __future__ import annotations

from ..settings import THRESHOLDS, Group


class Thresholds:
    """The promises of one pool."""

    __slots__ = ()

    def of(self, group: Group | None) -> float:
        """Seconds."""
        if group is None:
            return THRESHOLDS[1]
        threshold = group.threshold
        return threshold if isinstance(threshold, float) else THRESHOLDS[group.priority]
