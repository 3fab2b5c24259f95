"""Times that differ a little, so that several who began together do not go on together.

Decides by how much. Invariant: half of all times are shorter and half longer, by a share at most. Refuses to
draw: `chance`, a number from 0 to 1, is passed in.
"""

from __future__ import annotations


def jittered(seconds: float, share: float, chance: float) -> float:
    """`seconds`, shorter or longer by up to this share of it."""
    return seconds * (1.0 + share * (2.0 * chance - 1.0))
