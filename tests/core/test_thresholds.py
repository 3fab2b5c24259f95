"""What each group is promised."""

from __future__ import annotations

import pytest

from sslbroker.core.thresholds import Thresholds
from sslbroker.settings import Group


@pytest.mark.parametrize(
    ("priority", "seconds"), [(5, 0.010), (4, 0.020), (3, 0.030), (2, 0.040), (1, 0.050)]
)
def test_a_threshold_follows_from_the_priority(priority: int, seconds: float) -> None:
    assert Thresholds().of(Group("some", (), priority)) == seconds


def test_a_group_may_have_a_threshold_of_its_own() -> None:
    assert Thresholds().of(Group("some", (), 5, 0.2)) == 0.2


def test_clients_in_no_group_are_promised_what_priority_1_is() -> None:
    assert Thresholds().of(None) == 0.050
