"""Times that differ a little."""

from __future__ import annotations

from math import ulp

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sslbroker.core.jitter import jittered


def test_half_are_shorter_and_half_longer() -> None:
    assert [jittered(10.0, 0.1, chance) for chance in (0.0, 0.5, 1.0)] == pytest.approx([9.0, 10.0, 11.0])


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1))
@example(1.0, 2.42e-13, 0.0)
@example(1.0, 2.42e-13, 1.0)
def test_by_the_share_at_most(seconds: float, share: float, chance: float) -> None:
    """Beside what any sum and any product may be rounded by, which a very small share is lost in."""
    most = seconds * share * (1 + 1e-9) + 2 * ulp(seconds)
    assert abs(jittered(seconds, share, chance) - seconds) <= most
