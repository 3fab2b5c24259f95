"""Who is asked about: bars, drain, stickiness, limits, and who has been tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.balancing import BALANCERS, RoundRobin
from sslbroker.core.choosing import Choosing
from sslbroker.core.members import EJECTED, Member
from sslbroker.core.pool_limit import PoolLimit
from sslbroker.core.promises import Promises
from sslbroker.errors import NoServer
from sslbroker.interfaces import Origin
from sslbroker.settings import Server

ORIGIN = Origin("203.0.113.7")


class Asked:
    """A balancer that takes the first, and keeps what it was asked."""

    def __init__(self) -> None:
        self.members: Sequence[Member] = ()
        self.about = ""

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        self.members = members
        self.about = names(members)
        assert (origin, key, now) == (ORIGIN, b"key", 1.0)
        return members[0]


def pool(count: int, **settings: int) -> list[Member]:
    return [Member(Server(f"10.0.0.{number}:80", **settings)) for number in range(1, count + 1)]  # type: ignore[arg-type]


def names(members: Sequence[Member]) -> str:
    """``1 2 3`` for the members' last numbers."""
    return " ".join(member.settings.host[-1] for member in members)


class Case:
    """A pool of so many, and what its balancer is asked about."""

    def __init__(self, count: int, limit: int = 0, **settings: int) -> None:
        self.members = pool(count, **settings)
        self.asked = Asked()
        self.limit = PoolLimit(self.members, limit) if limit else None
        self.choosing = Choosing(self.members, self.asked, limit=self.limit)

    def choose(self, used: Sequence[Member] = (), stuck: str = "") -> Member | None:
        self.asked.about = ""
        return self.choosing.choose(used, ORIGIN, b"key", stuck, 1.0)

    def about(self, *used: int, stuck: int = 0) -> str:
        """Whom the balancer is asked about; "" when it is not asked."""
        members = self.members
        self.choose([members[number - 1] for number in used], members[stuck - 1].key if stuck else "")
        return self.asked.about


def test_all_are_asked_about_in_the_order_of_the_configuration() -> None:
    case = Case(3)
    assert case.choose() is case.members[0]
    assert case.asked.about == "1 2 3"


def test_while_nothing_changes_nothing_is_built() -> None:
    case = Case(3)
    case.choose()
    before = case.asked.members
    case.choose()
    assert case.asked.members is before
    case.members[0].weight = 2
    case.choose()
    assert case.asked.members is not before, "a law may remember what it worked out about the weights"


def test_who_is_barred_is_not_asked_about() -> None:
    case = Case(3)
    case.members[1].bar("down")
    assert case.about() == "1 3"
    case.members[1].unbar("down", 1.0)
    assert case.about() == "1 2 3"


def test_when_all_are_barred_the_error_tells_who_bars_them_and_why() -> None:
    case = Case(2)
    case.members[0].bar("down")
    case.members[1].bar("unresolved", "no such name")
    case.members[1].bar("link-unknown")
    with pytest.raises(NoServer) as caught:
        case.choose([case.members[0]], case.members[0].key)
    assert caught.value.detail == (
        "10.0.0.1:80: down; 10.0.0.2:80: unresolved: no such name; 10.0.0.2:80: link-unknown"
    )


def test_a_pool_without_members_has_nobody_to_choose() -> None:
    with pytest.raises(NoServer, match="the pool has no server"):
        Case(0).choose()


# --- who has been tried ---


def test_who_was_tried_is_left_out_while_there_is_another() -> None:
    case = Case(3)
    assert case.about(1) == "2 3"
    assert case.about(1, 3) == "2"
    assert case.about(3, 1, 2) == "1 3"  # but not the one that has just failed


def test_who_was_tried_waits_for_one_that_was_not() -> None:
    case = Case(2, maximum_transactions=1)
    case.members[1].began("other", 0.0)
    assert case.choose([case.members[0]]) is None
    assert case.choose() is case.members[0]


def test_the_only_member_is_tried_again() -> None:
    case = Case(1)
    assert case.about(1) == "1"


def test_who_was_tried_is_taken_again_when_the_others_are_barred() -> None:
    case = Case(2)
    case.members[1].bar("down")
    assert case.about(1) == "1"


# --- drain ---


def test_who_drains_gets_nobody_new() -> None:
    case = Case(3)
    case.members[0].draining = True
    assert case.about() == "2 3"
    case.members[0].draining = False
    assert case.about() == "1 2 3"


def test_who_drains_is_better_than_an_error() -> None:
    case = Case(2)
    case.members[0].draining = True
    case.members[1].bar("unresolved")
    assert case.about() == "1"
    case.members[1].unbar("unresolved", 1.0)
    assert case.about() == "2"


def test_who_drains_is_better_than_who_has_failed() -> None:
    case = Case(3)
    case.members[0].draining = True
    assert case.about(2) == "3"
    assert case.about(2, 3) == "1"
    assert case.about(2, 3, 1) == "2 3"


def test_when_all_drain_there_is_no_server_for_whoever_is_new() -> None:
    case = Case(3)
    case.members[0].bar("down")
    for member in case.members:
        member.draining = True
    with pytest.raises(NoServer) as caught:
        case.choose()
    assert caught.value.detail == "10.0.0.1:80: down; 10.0.0.2:80: drain; 10.0.0.3:80: drain"


def test_a_transaction_that_was_there_before_all_drained_goes_on() -> None:
    case = Case(2)
    for member in case.members:
        member.draining = True
    assert case.about(1) == "2"
    assert case.about(1, 2) == "1 2"


# --- when nobody is open ---


def barred(count: int, *bars: str, **settings: int) -> Case:
    """A pool of so many; the members have these bars, several being joined by +, "" none, "drain" no bar."""
    case = Case(count, **settings)
    for member, words in zip(case.members, bars, strict=True):
        for word in words.split("+"):
            if word == "drain":
                member.draining = True
            elif word:
                member.bar(word, "why")
    return case


@pytest.mark.parametrize("bar", ["ejected", "resting", "unhealthy"])
def test_when_nobody_is_open_those_that_are_only_doubted_are_tried(bar: str) -> None:
    case = barred(4, bar, "down", "ejected+resting+unhealthy", f"{bar}+unreachable")
    assert case.about() == "1 3"
    assert not case.choosing.outage
    assert case.about(1) == "3"
    case.members[3].unbar(bar, 1.0)
    assert case.about() == "1 3"
    case.members[3].unbar("unreachable", 1.0)
    assert case.about() == "4", "one that is open is better"


def test_a_client_is_stuck_to_a_member_that_is_doubted_when_all_are() -> None:
    case = barred(3, "ejected", "ejected", "unreachable")
    assert case.choose(stuck=case.members[1].key) is case.members[1]
    assert case.asked.about == ""
    assert case.about(stuck=3) == "1 2"
    case.members[0].unbar("ejected", 1.0)
    assert case.about(stuck=2) == "1"


def test_who_drains_is_better_than_who_is_doubted() -> None:
    case = barred(2, "ejected", "drain")
    assert case.about() == "2"
    case.members[1].bar("down")
    assert case.about() == "1"


def test_who_is_doubted_and_drains_is_better_than_an_error() -> None:
    assert barred(2, "ejected+drain", "down").about() == "1"
    with pytest.raises(NoServer):
        barred(2, "ejected+drain", "ejected+drain").choose()


def test_the_limits_of_those_that_are_doubted_hold() -> None:
    case = barred(2, "ejected", "down", maximum_transactions=1)
    case.members[0].began("one", 0.0)
    assert case.choose() is None
    assert case.choosing.waits
    assert not case.choosing.worth_asking()
    assert not case.choosing.takes(case.members[0])
    case.members[0].ended("one")
    assert case.choosing.worth_asking()
    assert [case.choosing.takes(member) for member in case.members] == [True, False]


@pytest.mark.parametrize(
    "bars",
    [
        ("unreachable", "unreachable"),
        ("unreachable", "down"),
        ("unresolved", "unreachable+ejected"),
        ("link-unknown", "unreachable+unhealthy"),
        ("unreachable", "unreachable+drain"),
        ("down", "unreachable+drain"),
    ],
)
def test_waiting_helps_while_one_that_cannot_be_reached_may_return(bars: tuple[str, ...]) -> None:
    case = barred(2, *bars)
    assert case.choosing.waits
    assert case.choosing.outage
    assert case.choose() is None
    assert case.choose([case.members[1]], case.members[1].key) is None
    assert not case.choosing.worth_asking(), "the answer would be the same"
    returned = next(member for member in case.members if "unreachable" in member.bars)
    for bar in list(returned.bars):
        returned.unbar(bar, 1.0)
    assert not case.choosing.outage
    assert case.choosing.worth_asking()
    assert case.choose() is returned
    assert case.choose([returned]) is returned


@pytest.mark.parametrize(
    "bars",
    [
        ("down", "unresolved"),
        ("unreachable+down", "unreachable+unresolved"),
        ("unreachable+link-unknown", "down"),
        ("unreachable+drain", "unreachable+drain"),
    ],
)
def test_else_it_does_not(bars: tuple[str, ...]) -> None:
    case = barred(2, *bars)
    assert not case.choosing.outage
    assert not case.choosing.waits
    assert case.choosing.worth_asking(), "who waits must be told"
    with pytest.raises(NoServer):
        case.choose()


def test_a_change_of_bars_of_one_that_is_barred_is_seen() -> None:
    case = barred(1, "unreachable")
    assert case.choose() is None
    case.members[0].bar("down")
    with pytest.raises(NoServer):
        case.choose()
    case.members[0].unbar("down", 1.0)
    assert case.choose() is None
    case.members[0].bar("ejected")
    case.members[0].unbar("unreachable", 1.0)
    assert case.choose() is case.members[0]
    case.members[0].unbar("ejected", 1.0)
    assert case.choosing.takes(case.members[0])


# --- stickiness ---


def test_a_client_goes_to_the_member_that_it_is_stuck_to() -> None:
    case = Case(3)
    assert case.choose(stuck=case.members[2].key) is case.members[2]
    assert case.asked.about == "", "no law is asked"


def test_a_client_may_come_with_an_invention() -> None:
    case = Case(2)
    assert case.choose(stuck="nobody's") is case.members[0]


def test_a_client_is_stuck_to_a_member_that_drains() -> None:
    case = Case(2)
    for member in case.members:
        member.draining = True
    assert case.choose(stuck=case.members[1].key) is case.members[1]


def test_a_client_waits_for_the_place_of_its_member() -> None:
    case = Case(2, maximum_transactions=1)
    case.members[1].began("other", 0.0)
    assert case.choose(stuck=case.members[1].key) is None
    case.members[1].ended("other")
    assert case.choose(stuck=case.members[1].key) is case.members[1]


def test_a_client_whose_member_is_barred_or_has_failed_goes_to_another() -> None:
    case = Case(3)
    assert case.about(2, stuck=2) == "1 3"
    case.members[1].bar("down")
    assert case.about(stuck=2) == "1 3"


# --- limits ---


def test_who_has_no_place_is_left_out() -> None:
    case = Case(3, maximum_transactions=1)
    case.members[0].began("one", 0.0)
    assert case.about() == "2 3"
    case.members[2].began("two", 0.0)
    assert case.about() == "2"
    case.members[1].began("three", 0.0)
    assert case.choose() is None
    case.members[0].ended("one")
    assert case.about() == "1"


def test_waiting_does_not_help_when_who_has_places_is_barred() -> None:
    case = Case(2, maximum_transactions=1)
    case.members[0].bar("down")
    case.members[1].bar("down")
    with pytest.raises(NoServer):
        case.choose()


def test_a_pool_at_its_limit_has_no_place_whatever_its_members_have() -> None:
    case = Case(2, limit=2)
    first, second = case.members
    assert case.about() == "1 2"
    assert case.choosing.waits
    first.began("one", 0.0)
    second.began("two", 0.0)
    for stuck in ("", second.key):
        assert case.choose(stuck=stuck) is None
    assert case.choose([first]) is None
    assert case.choosing.full
    assert not case.choosing.takes(first)
    assert not case.choosing.worth_asking()
    first.ended("one")
    assert not case.choosing.full
    assert case.choosing.takes(second)
    assert case.choosing.worth_asking()
    assert case.choose(stuck=second.key) is second


def test_a_pool_at_its_limit_still_says_when_there_is_no_server() -> None:
    case = Case(1, limit=1)
    case.members[0].began("one", 0.0)
    case.members[0].draining = True
    assert case.choosing.worth_asking()
    case.members[0].bar("down")
    with pytest.raises(NoServer):
        case.choose()


def test_a_pool_without_a_limit_is_never_full() -> None:
    case = Case(1)
    assert not case.choosing.full
    assert not case.choosing.waits


# --- what a balancer gives ---


@pytest.mark.parametrize("result", [None, "garbage", object()])
def test_what_a_balancer_gives_is_handed_on_as_it_is(result: Any) -> None:
    class Odd:
        def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
            return result  # type: ignore[no-any-return]

    assert Choosing(pool(2), Odd()).choose((), ORIGIN, b"", "", 0.0) is result


STATES = st.tuples(st.booleans(), st.booleans(), st.booleans())


@given(
    law=st.sampled_from(sorted(BALANCERS)),
    states=st.lists(STATES, min_size=1, max_size=5),
    tried=st.sets(st.integers(0, 4)),
    stuck=st.integers(0, 9),
)
def test_the_invariants_hold_whatever_the_members_are(
    law: str, states: list[tuple[bool, bool, bool]], tried: set[int], stuck: int
) -> None:
    members = pool(len(states), maximum_transactions=1)
    choosing = Choosing(members, BALANCERS[law]())
    for member, (barred, draining, full) in zip(members, states, strict=True):
        if barred:
            member.bar("down")
        member.draining = draining
        if full:
            member.began("other", 0.0)
    used = [member for number, member in enumerate(members) if number in tried]
    own = members[stuck] if stuck < len(members) else None
    reachable = [member for member in members if member.open]
    fresh = [member for member in reachable if member not in used]
    try:
        chosen = choosing.choose(used, ORIGIN, b"key", own.key if own else "", 1.0)
    except NoServer:
        assert not reachable or (not used and all(member.draining for member in members))
        return
    if own is not None and own in fresh:
        assert chosen is (own if own.has_place() else None)
    elif chosen is None:
        assert not any(member.has_place() for member in fresh if not member.draining)
        assert any(not member.has_place() for member in reachable)
    else:
        assert chosen.open
        assert chosen.has_place()
        assert chosen not in used or not fresh
        others = [member for member in fresh or reachable if not member.draining]
        assert not chosen.draining or not others


def test_round_robin_through_it_goes_round_all_members_before_it_comes_back_to_one() -> None:
    members = pool(3)
    choosing = Choosing(members, RoundRobin())
    used: list[Member] = []
    for _ in range(3):
        member = choosing.choose(used, ORIGIN, b"", "", 0.0)
        assert member is not None
        used.append(member)
    assert set(used) == set(members)
    assert choosing.choose(used, ORIGIN, b"", "", 0.0) in members


def test_who_has_tried_all_open_ones_gets_a_doubted_one_before_any_of_them_again() -> None:
    case = Case(3)
    case.members[0].bar(EJECTED)
    assert case.about() == "2 3"
    assert case.about(2) == "3"
    assert case.about(2, 3) == "1"
    assert case.about(2, 3, 1) == "2 3"
    assert not case.choosing.outage
    case.members[0].bar("down")
    assert case.about(2, 3) == "2"


def test_a_balancer_of_ones_own_may_take_a_doubted_one_then() -> None:
    case = Case(2)
    case.members[0].bar(EJECTED)
    assert case.choosing.takes(case.members[0])
    case.members[0].bar("down")
    assert not case.choosing.takes(case.members[0])


@pytest.mark.parametrize("limit", [0, 3])
@pytest.mark.parametrize("places", [0, 1])
def test_who_has_limits_may_have_waiters_as_long_as_somebody_with_one_is_open(
    limit: int, places: int
) -> None:
    case = Case(2, limit, maximum_transactions=places)
    case.choose()
    assert case.choosing.limited is bool(limit or places)
    for member in case.members:
        member.bar("down")
    assert case.choosing.limited is bool(limit or places), "as of the last choice"
    with pytest.raises(NoServer):
        case.choose()
    assert case.choosing.limited is bool(limit)


# --- a try beside one that takes long ---


def beside(case: Case, *used: int) -> str:
    """Whom the balancer is asked about."""
    case.asked.about = ""
    chosen = case.choosing.beside([case.members[number - 1] for number in used], ORIGIN, b"key", 1.0)
    assert (chosen is None) is (case.asked.about == "")
    return case.asked.about


def test_it_goes_to_an_open_one_that_was_not_used() -> None:
    case = Case(4)
    assert beside(case, 1) == "2 3 4"
    case.members[1].bar("down")
    assert beside(case, 1) == "3 4"
    assert beside(case, 1, 3, 4) == ""


def test_it_goes_to_none_that_drains_or_is_doubted_even_where_nobody_else_is_left() -> None:
    case = Case(3)
    case.members[1].draining = True
    assert beside(case, 1) == "3"
    case.members[2].bar(EJECTED)
    assert beside(case, 1) == ""
    case.members[0].bar(EJECTED)
    case.members[1].bar(EJECTED)
    assert case.about() == "1 3"
    assert beside(case, 1) == ""


def test_it_waits_for_no_place() -> None:
    case = Case(3, maximum_transactions=1)
    case.members[1].began(object(), 0.0)
    assert beside(case, 1) == "3"
    case.members[2].began(object(), 0.0)
    assert beside(case, 1) == ""


def test_nor_for_one_of_the_pools() -> None:
    case = Case(3, limit=1)
    assert beside(case, 1) == "2 3"
    case.members[0].began(object(), 0.0)
    assert beside(case, 1) == ""


# --- what is promised to groups ---


class Promised(Promises):
    """Promises by which only some are suitable; it keeps what it was asked."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.suits: Sequence[Member] = members
        self.heard: list[tuple[str, float, float]] = []

    def suitable(
        self, members: Sequence[Member], origin: Origin, now: float, since: float
    ) -> Sequence[Member]:
        self.heard.append((names(members), now, since))
        return [member for member in members if member in self.suits]


class PromisedCase(Case):
    def __init__(self, count: int, **settings: int) -> None:
        super().__init__(count, **settings)
        self.promised = Promised(self.members)
        self.choosing = Choosing(self.members, self.asked, self.promised)


def test_the_law_is_asked_about_those_that_are_suitable() -> None:
    case = PromisedCase(3)
    case.promised.suits = case.members[1:]
    assert case.about() == "2 3"
    assert case.about(2) == "3"
    assert [asked[0] for asked in case.promised.heard] == ["1 2 3", "1 3"]


def test_it_is_known_since_when_a_transaction_waits() -> None:
    case = PromisedCase(1)
    case.choose()
    case.choosing.choose((), ORIGIN, b"key", "", 1.0, 0.25)
    assert case.promised.heard == [("1", 1.0, 1.0), ("1", 1.0, 0.25)]


def test_where_nobody_is_suitable_or_has_a_place_waiting_helps() -> None:
    case = PromisedCase(2, maximum_transactions=1)
    assert case.choosing.waits
    case.promised.suits = ()
    assert case.choose() is None
    case.promised.suits = case.members[:1]
    assert case.choose() is case.members[0]
    case.members[0].began("other", 0.0)
    assert case.choose() is None
    assert PromisedCase(2).choosing.waits, "also without limits"


def test_a_plain_client_waits_for_room_at_the_member_that_it_is_stuck_to_and_a_secure_one_does_not() -> None:
    case = PromisedCase(2)
    own = case.members[1]
    case.promised.suits = ()
    assert case.choose(stuck=own.key) is None
    assert case.asked.about == ""
    secure = Origin("203.0.113.7", secure=True)
    assert case.choosing.choose((), secure, b"key", own.key, 1.0) is own
    case.promised.suits = [own]
    assert case.choose(stuck=own.key) is own
