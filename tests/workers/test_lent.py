"""A worker gives places back that others need, never those in use; with the parent's side, as a model."""

from __future__ import annotations

import random
from collections import deque
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from sslbroker.core.members import LINKS, TRANSACTIONS, Member
from sslbroker.core.pool_limit import PoolLimit
from sslbroker.settings import Server
from sslbroker.workers.leases import Grant, Key, Leases, Recall
from sslbroker.workers.lent import ALL_SERVERS, PATIENCE, Lent, limits


class Links:
    """Links to a member, as far as they are counted."""

    def __init__(self, server: Server) -> None:
        self.member = Member(server)

    def trim(self) -> None:
        figures, most = self.member.figures, self.member.most_links
        while figures.links_idle and figures.links > most:
            figures.links_idle -= 1


class Worker:
    """A worker with one server, and what it tells its parent."""

    def __init__(self, server: Server, most: int = 0) -> None:
        self.clock = Clock()
        self.links = Links(server)
        self.member = self.links.member
        self.freed = 0
        places = SimpleNamespace(settle=None, freed=self._freed)
        self.limit = PoolLimit([self.member], most) if most else None
        self.pools = {
            "shop": SimpleNamespace(places=places, links={self.member: self.links}, limit=self.limit)
        }
        self.limits = {limit.key: limit.total for limit in limits(self.pools)}
        self.places = places
        self.needed: list[Key] = []
        self.given: list[tuple[Key, int]] = []
        self.lent = Lent(
            self.pools, self.clock, self.needed.append, lambda key, n: self.given.append((key, n))
        )

    def _freed(self) -> None:
        self.freed += 1


SERVER = Server("a:1", maximum_transactions=10, maximum_links=8)
TRIES: Key = ("shop", "a:1", TRANSACTIONS)
LINKED: Key = ("shop", "a:1", LINKS)
POOLED: Key = ("shop", ALL_SERVERS, TRANSACTIONS)


def test_what_is_limited_is_lent() -> None:
    assert Worker(SERVER, 20).limits == {POOLED: 20, TRIES: 10, LINKED: 8}
    assert Worker(Server("a:1")).limits == {}


def test_no_place_is_there_before_it_is_granted() -> None:
    worker = Worker(SERVER)
    assert not worker.member.has_place()
    worker.lent.granted(TRIES, 2)
    assert not worker.member.has_place()
    worker.lent.granted(LINKED, 1)
    assert worker.member.has_place()
    assert worker.freed == 2


def test_more_are_asked_for_when_a_transaction_finds_none_and_not_again_at_once() -> None:
    worker = Worker(SERVER)
    worker.member.has_place()
    worker.member.has_place()
    assert worker.needed == [TRIES]
    worker.clock.advance(PATIENCE)
    worker.member.has_place()
    assert worker.needed == [TRIES, TRIES]
    worker.lent.granted(TRIES, 1)
    worker.member.has_place()
    assert worker.needed == [TRIES, TRIES, LINKED]


def test_half_of_what_is_not_used_goes_back() -> None:
    worker = Worker(SERVER)
    worker.lent.granted(TRIES, 5)
    worker.member.figures.outstanding = 1
    assert worker.lent.recalled(TRIES, 5) == 2
    assert worker.member.most_transactions == 3
    worker.member.figures.outstanding = 0
    assert worker.lent.recalled(TRIES, 5) == 2
    assert worker.lent.recalled(TRIES, 5) == 0  # the last one stays
    assert worker.member.most_transactions == 1


def test_above_its_share_they_go_back_as_they_come_free() -> None:
    worker = Worker(SERVER)
    worker.lent.granted(TRIES, 9)
    worker.member.figures.outstanding = 8
    assert worker.lent.recalled(TRIES, 5) == 1
    assert worker.member.most_transactions == 5
    worker.member.figures.outstanding = 7
    worker.places.settle()
    worker.places.settle()
    assert worker.given == [(TRIES, 1)]
    worker.member.figures.outstanding = 2
    worker.places.settle()
    assert worker.given == [(TRIES, 1), (TRIES, 2)]
    assert worker.member.most_transactions == 5


def test_a_grant_ends_the_recall() -> None:
    worker = Worker(SERVER)
    worker.lent.granted(TRIES, 9)
    worker.member.figures.outstanding = 9
    worker.lent.recalled(TRIES, 5)
    worker.lent.granted(TRIES, 1)
    worker.member.figures.outstanding = 3
    worker.places.settle()
    assert (worker.given, worker.member.most_transactions) == ([], 10)


def test_idle_links_are_closed_for_others() -> None:
    worker = Worker(SERVER)
    worker.lent.granted(LINKED, 4)
    worker.member.figures.links_idle = 4
    assert worker.lent.recalled(LINKED, 2) == 2
    assert worker.member.figures.links_idle == 2


def test_a_pool_has_places_as_its_servers_have() -> None:
    worker = Worker(Server("a:1"), 20)
    assert worker.limit is not None
    assert not worker.limit.has_place()
    assert worker.needed == [POOLED]
    worker.lent.granted(POOLED, 2)
    assert (worker.limit.has_place(), worker.limit.most, worker.limit.total) == (True, 2, 20)
    worker.member.figures.outstanding = 2
    assert worker.lent.recalled(POOLED, 1) == 0
    assert worker.limit.most == 1
    worker.member.figures.outstanding = 1
    worker.places.settle()
    assert worker.given == [(POOLED, 1)]


WORKERS = 3


class Model:
    """Three workers and their parent, with messages that are on their way."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.leases = Leases({TRIES: total}, WORKERS)
        self.workers = [Worker(Server("a:1", maximum_transactions=total)) for _ in range(WORKERS)]
        self.down: list[deque[Any]] = [deque() for _ in range(WORKERS)]
        self.up: list[deque[Any]] = [deque() for _ in range(WORKERS)]
        for number in range(WORKERS):
            self.say(self.leases.joined(number))

    def say(self, words: Any) -> None:
        for word in words:
            self.down[word.worker].append(word)

    def hear(self, number: int) -> None:
        """The worker hears one message."""
        worker = self.workers[number]
        if self.down[number]:
            word = self.down[number].popleft()
            if isinstance(word, Grant):
                worker.lent.granted(TRIES, word.places)
            else:
                assert isinstance(word, Recall)
                self.up[number].append(("answer", worker.lent.recalled(TRIES, word.most)))
        self.collect(number)

    def collect(self, number: int) -> None:
        worker = self.workers[number]
        self.up[number].extend(("need", 0) for _ in worker.needed)
        self.up[number].extend(("gave", places) for _, places in worker.given)
        worker.needed.clear()
        worker.given.clear()

    def parent(self, number: int) -> None:
        """The parent hears one message of a worker."""
        if self.up[number]:
            kind, places = self.up[number].popleft()
            if kind == "need":
                self.say(self.leases.need(number, TRIES))
            else:
                self.say(self.leases.gave_back(number, TRIES, places, asked=kind == "answer"))

    def begin(self, number: int) -> None:
        worker = self.workers[number]
        worker.clock.advance(PATIENCE)
        if worker.member.has_place():
            worker.member.figures.outstanding += 1
        self.collect(number)

    def end(self, number: int) -> None:
        worker = self.workers[number]
        if worker.member.figures.outstanding:
            worker.member.figures.outstanding -= 1
            worker.places.settle()
        self.collect(number)

    def check(self) -> None:
        used = sum(worker.member.figures.outstanding for worker in self.workers)
        assert used <= self.total
        assert sum(self.leases.lent(TRIES).values()) <= self.total


@given(
    st.integers(WORKERS, 12),
    st.lists(st.tuples(st.sampled_from(["hear", "parent", "begin", "end"]), st.integers(0, WORKERS - 1))),
)
def test_there_are_never_more_transactions_than_places(total: int, steps: list[tuple[str, int]]) -> None:
    model = Model(total)
    for step, number in steps:
        getattr(model, step)(number)
        model.check()


def test_one_busy_worker_gets_nearly_all_and_the_others_get_theirs_back() -> None:
    model, chance = Model(12), random.Random(1)

    def turn(busy: list[int], times: int) -> None:
        for _ in range(times):
            for number in range(WORKERS):
                model.hear(number)
                model.parent(number)
            for number in busy:
                model.begin(number)
                if chance.random() < 0.3:
                    model.end(number)
            model.check()

    turn([0], 200)
    assert model.leases.lent(TRIES)[0] >= 9
    turn([0, 1, 2], 400)
    assert min(model.leases.lent(TRIES).values()) >= 3
