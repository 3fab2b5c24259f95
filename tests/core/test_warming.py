"""The first answers of a server, and those after a bar went, count for nothing."""

from __future__ import annotations

from sslbroker.core.members import EJECTED, Member
from sslbroker.core.warming import AFTER_BAR, FIRST, Warming
from sslbroker.settings import Server


def made() -> tuple[Member, Warming]:
    member = Member(Server("a:1"))
    return member, Warming(member)


def test_the_first_answers_after_the_start_do_not_count() -> None:
    _, warming = made()
    assert [warming.counts(0.0) for _ in range(FIRST + 2)] == [False] * FIRST + [True] * 2
    assert warming.warm


def test_nor_do_those_of_the_first_moments_after_a_bar_went() -> None:
    member, warming = made()
    for _ in range(FIRST + 1):
        warming.counts(0.0)
    member.bar(EJECTED)
    assert warming.warm  # what is still under way there
    member.unbar(EJECTED, 50.0)
    assert not warming.warm
    assert not warming.counts(60.0)  # the first one comes late: from there
    assert not warming.counts(60.0 + AFTER_BAR - 0.1)
    assert warming.counts(60.0 + AFTER_BAR)


def test_a_bar_beside_another_one_and_a_drain_change_nothing() -> None:
    member, warming = made()
    for _ in range(FIRST + 1):
        warming.counts(0.0)
    member.bar("down")
    member.bar(EJECTED)
    member.unbar(EJECTED, 1.0)
    member.draining = True
    assert warming.warm
    member.unbar("down", 2.0)
    assert not warming.warm


def test_who_is_barred_at_the_start_has_both() -> None:
    member = Member(Server("a:1"))
    member.bar("unresolved")
    warming = Warming(member)
    member.unbar("unresolved", 1.0)
    assert [warming.counts(2.0 + tenth) for tenth in range(FIRST)] == [False] * FIRST
    assert warming.counts(20.0)
