"""Real clients and the servers with faults, without a proxy between: each fault shows as what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults import arriving, running
from bench.faults.asking import Order, getting, run, sending
from bench.faults.overload import asked_of
from bench.faults.seen import Seen
from bench.faults.servers import Trio, started


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def trio(stack: ExitStack, kind: str, directory: Path, places: int = 0) -> Trio:
    return stack.enter_context(started([kind], directory, (), places=places, service=0.02))


def order(trio: Trio, requests: int, *, files: bool = True) -> Order:
    hashes = dict(trio.hashes) if files else {}
    return Order(trio.ports[0], hashes, requests, connections=5, secure=False, patience=10)


def test_every_proxy_is_asked_the_same() -> None:
    said = Order(1, {"00": "a", "01": "b"}, 100, connections=3)
    assert Order(**json.loads(said.words())) == said
    asked = [request for lane in range(3) for request in getting(said, lane)]
    assert asked == [request for lane in range(3) for request in getting(said, lane)]
    assert len({request.target for request in asked}) == 100
    posts = [request for lane in range(3) for request in sending(replace(said, keyed=True), lane)]
    assert len({request.target for request in posts}) == 100
    assert all(b"\r\nIdempotency-Key: 1-" in request.data for request in posts)


def test_a_body_that_is_cut_is_seen_and_a_whole_one_has_the_right_hash(
    stack: ExitStack, tmp_path: Path
) -> None:
    seen = run(order(trio(stack, "cut", tmp_path), 60))
    assert seen.requests == 60
    assert seen.wrong == []
    assert {each.kind for each in seen.failed} <= {"cut", "reset"}
    assert len(seen.failed) >= 58


def test_wrong_bytes_have_a_wrong_hash(stack: ExitStack, tmp_path: Path) -> None:
    made = trio(stack, "once", tmp_path)
    seen = run(order(made, 10))
    assert len(seen.wrong) == 10  # this one says something else to every GET


def test_garbage_and_failing_answers_are_kinds_of_their_own(stack: ExitStack, tmp_path: Path) -> None:
    seen = run(order(trio(stack, "garbage", tmp_path), 60))
    assert (seen.good, seen.wrong) == (0, [])
    assert {each.kind for each in seen.failed} <= {"malformed", "cut"}
    failing = run(order(trio(stack, "status", tmp_path / "status"), 10))
    assert {(each.kind, each.detail) for each in failing.failed} == {("status", "500")}


def test_what_has_a_key_is_executed_once_and_what_has_none_as_often_as_it_comes(
    stack: ExitStack, tmp_path: Path
) -> None:
    made = trio(stack, "once", tmp_path)
    plain = order(made, 20, files=False)
    seen = run(plain)
    assert seen.good == 20
    assert running.executed(tmp_path, seen) == {"executed": 20, "twice": 0, "lost": 0}
    run(plain)
    assert running.executed(tmp_path, seen)["twice"] == 20
    keyed = replace(plain, seed=2, keyed=True)
    run(keyed)
    run(keyed)
    assert len(list(tmp_path.glob("key-*"))) == 20
    assert running.executed(tmp_path, seen)["executed"] == 40


def test_a_forgetful_server_executes_and_the_client_cannot_know(stack: ExitStack, tmp_path: Path) -> None:
    seen = run(order(trio(stack, "forgetful", tmp_path), 40, files=False))
    assert (seen.good, seen.wrong) == (0, [])
    assert {each.kind for each in seen.failed} >= {"status", "reset"}
    assert running.executed(tmp_path, seen) == {"executed": 40, "twice": 0, "lost": 0}


def test_who_is_not_answered_gives_up(stack: ExitStack, tmp_path: Path) -> None:
    made = trio(stack, "status", tmp_path)
    made.servers[0].stop()
    seen = run(replace(order(made, 4), connections=2, patience=0.2))
    made.servers[0].go_on()
    assert {each.kind for each in seen.failed} == {"timeout"}
    made.servers[0].kill()
    seen = run(order(made, 4))
    assert {each.kind for each in seen.failed} == {"refused"}


def test_a_server_that_is_killed_and_started_again_is_the_same(stack: ExitStack, tmp_path: Path) -> None:
    made = trio(stack, "once", tmp_path)
    made.servers[0].kill()
    made.servers[0].start()
    assert run(order(made, 5, files=False)).good == 5


def test_more_than_there_are_places_for_is_refused_and_counted(stack: ExitStack, tmp_path: Path) -> None:
    made = trio(stack, "places", tmp_path, places=1)
    said = arriving.Order(
        made.ports[0], few=10, many=100, before=0.3, during=0.5, after=0.6, settled=0.3, secure=False
    )
    phases: list[Seen] = arriving.run(said)
    assert [seen.requests for seen in phases] == [3, 50, 3, 3]
    assert phases[arriving.SETTLED].good == 3
    assert 0 < phases[arriving.DURING].good < 50
    assert asked_of(made.ports) == 59
