"""What comes of the laws of choice when a pool is played out (`simulation`).

The bounds are wide enough for any seed to stay in, and so narrow that a law without the thing that a test
is about leaves them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest

from sslbroker.core.balancing import BALANCERS
from sslbroker.core.members import Member

from .simulation import Model, law, play

LAWS = sorted(BALANCERS)


def steady(seconds: float) -> Callable[[float], float]:
    return lambda now: seconds


def alike(count: int, seconds: float) -> list[Model]:
    return [Model(steady(seconds)) for _ in range(count)]


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (4, 1, 1, 1)])
def test_in_a_busy_pool_all_have_their_share(name: str, weights: tuple[int, ...]) -> None:
    run = play([Model(steady(0.05), weight) for weight in weights], law(name), rate=1200, seconds=8)
    fair = [weight / sum(weights) for weight in weights]
    # Who does more has an older try without an answer, and looks a little slower to least-time.
    near = 0.3 if name == "least-time" else 0.1
    assert run.shares(1) == pytest.approx(fair, rel=near)
    busy = run.busy(1)
    assert [one / sum(busy) for one in busy] == pytest.approx(fair, rel=near)


def test_least_time_uses_a_heavy_server_among_many_light_ones() -> None:
    run = play(
        [Model(steady(0.05), weight) for weight in (9, *[1] * 9)], law("least-time"), rate=1200, seconds=8
    )
    assert run.shares(1)[0] > 0.35, "2/10 is the most when two are drawn without a look at the weights"


def test_least_time_gives_most_to_who_is_fast() -> None:
    run = play(
        [Model(steady(0.02)), Model(steady(0.02)), Model(steady(0.1))],
        law("least-time"),
        rate=300,
        seconds=10,
    )
    assert run.shares(1)[2] < 0.12


@pytest.mark.parametrize(("name", "most"), [("least-connections", 16), ("least-time", 8)])
def test_a_server_that_stops_answering_gets_little(name: str, most: int) -> None:
    """Between 5 s and 7 s one of five answers nothing: it would have got 400 tries."""
    stops = Model(lambda now: 7.0 - now if 5.0 <= now < 7.0 else 0.02)
    run = play([stops, *alike(4, 0.02)], law(name), rate=1000, seconds=7, steady_times=True)
    assert len([number for when, number in run.chosen if when >= 5.0 and number == 0]) < most


@pytest.mark.parametrize("name", ["least-connections", "least-time"])
def test_a_server_that_gets_fast_is_not_flooded(name: str) -> None:
    """It gets more tries and never has much more under way than its share."""
    fast = Model(lambda now: 0.05 if now < 5.0 else 0.005)
    run = play([fast, *alike(9, 0.05)], law(name), rate=1000, seconds=9)
    assert run.shares(5.5)[0] > 0.15
    assert run.most(0, 5.0) < 0.25


def test_least_time_tries_a_slow_server_again() -> None:
    """It takes 1 s for 20 s, and is well from then on: after 30 s at most it has half its share."""
    slow = Model(lambda now: 1.0 if now < 20.0 else 0.02)
    for others, rate in ((1, 20), (2, 60), (2, 300)):
        run = play([slow, *alike(others, 0.02)], law("least-time"), rate=rate, seconds=65)
        fair = 1 / (others + 1)
        assert run.shares(5.0, 20.0)[0] < 0.2 * fair
        assert run.shares(50.0, 65.0)[0] > 0.5 * fair


@pytest.mark.parametrize("name", LAWS)
def test_a_server_that_is_back_gets_its_share_by_and_by(name: str) -> None:
    def down(pool: Sequence[Member]) -> None:
        pool[0].bar("down")

    def up(pool: Sequence[Member]) -> None:
        pool[0].unbar("down", 3.0)

    run = play(alike(4, 0.05), law(name), rate=800, seconds=18, at=((1.0, down), (3.0, up)))
    assert run.shares(1.0, 3.0)[0] == 0
    assert 0 < run.shares(3.0, 4.0)[0] < 0.08
    assert 0.08 < run.shares(7.0, 9.0)[0] < 0.2
    assert run.shares(14.0, 18.0)[0] == pytest.approx(0.25, rel=0.25)
    assert run.most(0, 3.0, 4.0) < 0.15, "no herd"


@pytest.mark.parametrize("name", LAWS)
def test_a_server_that_drains_is_empty_soon_and_gets_nothing(name: str) -> None:
    def drain(pool: Sequence[Member]) -> None:
        pool[0].draining = True

    run = play(alike(3, 0.02), law(name), rate=500, seconds=4, at=((2.0, drain),))
    assert run.busy(1.0, 2.0)[0] > 1
    assert run.shares(2.0)[0] == 0
    assert run.busy(2.5)[0] == 0


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_server_that_fails_fast_does_not_attract_tries(name: str, share: float) -> None:
    """A fair law gives each of three a third of what arrives; whoever fails goes on to another."""
    chance = Random(9)
    fails = Model(steady(0.02), fails=lambda now: chance.random() < share)
    for rate in (50, 1000):
        run = play([fails, *alike(2, 0.02)], law(name), rate=rate, seconds=10)
        assert run.shares(1)[0] < 0.33
