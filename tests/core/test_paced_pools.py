"""The law of pacing, played with servers of a known capacity that nobody tells it: it converges, does not
oscillate, wastes nothing, and gives back what it has taken (R17)."""

from __future__ import annotations

from sslbroker.settings import Pacing

from .paced import play, turns


def slow_for_a_while(server: int, now: float) -> float:
    return 0.2 if server == 0 and 4.0 <= now < 8.0 else 0.02


def test_too_much_plain_traffic_makes_no_secure_transaction_slow_and_no_place_idle() -> None:
    played = play([(40.0, 1.5)])
    assert played.quantile(0.99, since=1.0) < 0.06
    assert played.throughput(1.0, 40.0) > 0.98


def test_at_the_edge_of_the_capacity_secure_transactions_are_fast_and_nobody_is_refused() -> None:
    played = play([(40.0, 1.0)])
    assert played.quantile(0.99) < 0.06
    assert played.refused == 0


def test_what_plain_traffic_gets_does_not_oscillate() -> None:
    played = play([(60.0, 1.5)])
    shares = [share for when, share in played.shares if when > 5.0]
    assert turns(shares, 0.05) <= 3
    assert min(shares) > 0.5  # 5/9 of it is what the servers can do
    windows = [sum(sizes) / 3 for when, sizes in played.windows if when > 5.0]
    assert max(windows) - min(windows) <= 4.0


def test_plain_traffic_has_its_full_share_soon_after_the_load_has_ended() -> None:
    played = play([(10.0, 1.5), (20.0, 0.6)])
    assert all(share > 0.99 for when, share in played.shares if when > 17.0)
    assert played.windows[-1][1] == (0, 0, 0)


def test_a_server_that_becomes_slow_costs_few_secure_transactions() -> None:
    played = play([(12.0, 0.6)], service=slow_for_a_while)
    assert played.quantile(0.99) < 0.06
    assert all(share > 0.99 for when, share in played.shares if when > 10.0)


def test_with_limits_secure_ones_do_not_take_the_place_of_a_slow_server_because_it_is_free() -> None:
    played = play([(12.0, 0.6)], limit=4, service=slow_for_a_while)
    assert played.quantile(0.99) < 0.06


def test_with_limits_nothing_is_reduced_that_the_order_of_the_queue_can_mend() -> None:
    played = play([(20.0, 1.5)], limit=4)
    assert played.quantile(0.99) < 0.034
    assert played.throughput(1.0, 20.0) > 0.98
    assert played.states == {"open"}


def test_servers_of_many_places_are_filled_too() -> None:
    played = play([(40.0, 1.5)], places=16, service=lambda server, now: 0.04, usual=0.04, threshold=0.1)
    assert played.quantile(0.99, since=2.0) < 0.11
    assert played.throughput(2.0, 40.0) > 0.98


def test_servers_of_one_place_are_filled_too() -> None:
    played = play([(20.0, 1.5)], places=1, service=lambda server, now: 0.004, usual=0.004, threshold=0.01)
    assert played.quantile(0.5, since=1.0) < 0.01
    assert played.throughput(1.0, 20.0) > 0.98


def test_times_that_vary_by_themselves_starve_nobody() -> None:
    """One in eight takes longer than promised, whatever else the server has to do."""
    played = play([(40.0, 1.5)], exponential=True)
    assert played.throughput(5.0, 40.0) > 0.85


def test_a_promise_that_an_idle_server_breaks_holds_nobody_back() -> None:
    played = play([(40.0, 0.5)], service=lambda server, now: 0.06, usual=0.06)
    assert "ineffective" in played.states
    assert played.windows[-1][1] == (0, 0, 0)
    assert played.refused == 0


def test_plain_traffic_keeps_its_floor_when_secure_traffic_alone_is_too_much() -> None:
    played = play([(30.0, 1.5)], secure_share=0.8)
    plain = sum(when + took > 5.0 for when, took in played.plain)
    assert plain > 0.04 * sum(when > 5.0 for when in played.done)


def test_without_secure_traffic_nothing_is_held_back() -> None:
    played = play([(10.0, 1.0)], secure_share=0.0)
    assert played.states == {"open"}
    assert played.refused == 0


def test_secure_traffic_alone_is_never_held_back() -> None:
    played = play([(10.0, 0.6)], secure_share=1.0)
    assert played.quantile(0.99) < 0.04


def test_of_many_servers_none_is_flooded_by_those_that_flee_from_others() -> None:
    played = play([(3.0, 1.5)], servers=40)
    assert played.quantile(0.99, since=1.5) < 0.07
    assert played.throughput(1.5, 3.0) > 0.98


def test_what_waits_does_not_flood_a_server_between_two_secure_transactions() -> None:
    """Two of these come in a second."""
    played = play(
        [(200.0, 1.5)],
        servers=1,
        places=1,
        service=lambda server, now: 0.2,
        usual=0.2,
        threshold=0.4,
        patience=20.0,
    )
    assert played.quantile(0.99, since=5.0) < 1.0
    assert played.throughput(5.0, 200.0) > 0.98


def test_a_long_threshold_is_held_too_once_the_first_flood_is_over() -> None:
    played = play(
        [(120.0, 1.5)],
        service=lambda server, now: 1.0,
        usual=1.0,
        threshold=5.0,
        patience=60.0,
    )
    assert played.quantile(0.99, since=30.0) < 1.5 * 5.0
    assert played.throughput(30.0, 120.0) > 0.95


def test_plain_transactions_that_are_much_heavier_are_told_from_slow_servers() -> None:
    """One place that becomes free late is half of what is promised: nobody could keep that."""
    played = play([(60.0, 1.5)], heavier=10.0)
    assert played.quantile(0.99, since=5.0) < 0.13
    assert played.throughput(5.0, 60.0) > 0.9


def test_answers_that_are_seldom_very_slow_by_themselves_waste_little() -> None:
    played = play([(40.0, 1.5)], varies=lambda random: 0.5 if random.random() < 0.9 else 5.5)
    assert played.throughput(5.0, 40.0) > 0.9


def test_pauses_of_a_server_waste_little() -> None:
    """Each does nothing for 100 ms in every 2 s, and can do 95 % of what it could else."""

    def service(server: int, now: float) -> float:
        phase = (now + 0.6 * server) % 2.0
        return 0.12 - phase if phase < 0.1 else 0.12 if phase > 1.98 else 0.02

    played = play([(40.0, 1.5)], service=service)
    assert played.throughput(5.0, 40.0) > 0.87


def test_each_of_several_groups_is_served_as_the_most_demanding_one() -> None:
    played = play([(40.0, 1.5)], threshold=(0.03, 0.1, 0.4))
    for times in played.groups:
        later = sorted(took for when, took in times if when > 2.0)
        assert later[int(0.99 * len(later))] < 0.045
    assert played.throughput(5.0, 40.0) > 0.98


def test_a_promise_that_the_queue_can_hardly_keep_wastes_little() -> None:
    played = play([(40.0, 1.5)], limit=4, threshold=0.025)
    assert played.quantile(0.99, since=5.0) < 0.03
    assert played.throughput(5.0, 40.0) > 0.9


def test_a_floor_above_a_half_is_held_too() -> None:
    played = play([(20.0, 1.5)], secure_share=0.4, settings=Pacing(floor=0.7), patience=60.0, queue=10_000)
    begun = played.begun[len(played.begun) // 4 :]
    assert begun.count(False) / len(begun) > 0.58, "three in five come, and all are below the floor"


def test_without_the_law_secure_transactions_would_wait_for_seconds() -> None:
    assert play([(20.0, 1.5)], paced=False).quantile(0.5) > 1.0


def test_turns_are_counted_as_changes_of_direction_beyond_the_noise() -> None:
    assert turns([0.0, 0.5, 0.49, 0.51, 0.2, 0.3, 0.1], 0.05) == 3
    assert turns([0.5] * 5, 0.05) == 0
