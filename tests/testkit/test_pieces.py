"""Cuts and damage."""

from __future__ import annotations

import random

from sslbroker.testkit.pieces import cuts, damaged, mutated, some_cuts


def test_all_cuts() -> None:
    assert list(cuts(b"abc")) == [[b"abc"], [b"a", b"b", b"c"], [b"a", b"bc"], [b"ab", b"c"]]


def test_damage_is_the_same_each_time_and_of_every_kind() -> None:
    damaged = [mutated(b"GET abc", random.Random(seed)) for seed in range(60)]
    assert damaged == [mutated(b"GET abc", random.Random(seed)) for seed in range(60)]
    assert min(map(len, damaged)) < 7 < max(map(len, damaged))


def test_samples_are_joined_and_damaged() -> None:
    found = {damaged([b"GET abc"], random.Random(seed)) for seed in range(60)}
    assert max(map(len, found)) > 14
    assert len(found) > 50


def test_some_cuts_are_cuts() -> None:
    for seed in range(20):
        assert all(b"".join(pieces) == b"GET abc" for pieces in some_cuts(b"GET abc", random.Random(seed)))
