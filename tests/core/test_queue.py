"""Whose turn it is: by hand, and beside a model that looks through a list."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.figures import PoolFigures
from sslbroker.core.queue import OUT_OF_TURN, PATIENCE, PoolQueue, Queued


class Case:
    """A queue, and what comes of places in it."""

    def __init__(self) -> None:
        self.figures = PoolFigures("shop", "http", [])
        self.queue: PoolQueue[Queued] = PoolQueue(self.figures)

    def comes(self, priority: int = 1, kind: Hashable = "any", now: float = 0.0) -> Queued:
        one = Queued(priority, kind)
        self.queue.push(one, now)
        return one

    def serve(self, places: set[Hashable] | None = None, now: float = 0.0) -> Queued | None:
        """A place is free for those of these kinds, or for all; who gets it."""
        hopeless: set[Hashable] = set()
        for one in self.queue.turns(hopeless, now):
            assert one.kind not in hopeless
            if places is None or one.kind in places:
                self.queue.served(one, now)
                return one
            hopeless.add(one.kind)
        return None

    def lengths(self) -> list[int]:
        return [queue.length for queue in self.figures.queues]


def test_the_higher_priority_first_and_of_one_who_came_first() -> None:
    case = Case()
    low, high, low_too, high_too = (case.comes(priority) for priority in (1, 5, 1, 5))
    assert [case.serve() for _ in range(5)] == [high, high_too, low, low_too, None]


def test_of_several_kinds_too_who_came_first() -> None:
    case = Case()
    came = [case.comes(2, kind) for kind in "abcabc"]
    assert [case.serve() for _ in came] == came


def test_who_has_no_place_holds_up_nobody_and_is_asked_for_once_for_all_of_its_kind() -> None:
    case = Case()
    stuck = [case.comes(priority, "stuck") for priority in (5, 1, 5)]
    free = case.comes(1, "free")
    hopeless: set[Hashable] = set()
    asked = []
    for one in case.queue.turns(hopeless, 0.0):
        asked.append(one)
        hopeless.add(one.kind)
    assert asked == [stuck[0], free]
    assert [*case.queue.turns({"stuck", "free"}, 0.0)] == []
    assert case.serve({"free"}) is free
    assert case.serve({"free"}) is None


def test_who_leaves_is_gone_at_once_and_may_leave_twice() -> None:
    case = Case()
    first, second, third = (case.comes() for _ in range(3))
    case.queue.remove(second)
    case.queue.remove(second)
    case.queue.remove(Queued(1, "never there"))
    assert len(case.queue) == 2
    assert [case.serve(), case.serve(), case.serve()] == [first, third, None]


def test_who_comes_again_is_the_last_and_has_waited_all_the_time() -> None:
    case = Case()
    first, second = case.comes(now=1.0), case.comes(now=2.0)
    case.queue.remove(first)
    case.queue.push(first, 3.0)
    assert case.serve(now=3.0) is second
    assert case.serve(now=5.0) is first
    assert case.figures.queues[0].waits.sum == 1.0 + 4.0


def test_what_is_counted() -> None:
    case = Case()
    one, two = case.comes(2, now=10.0), case.comes(4, now=10.0)
    assert (case.figures.queued, case.lengths()) == (2, [0, 1, 0, 1, 0])
    case.queue.served(one, 10.5)
    case.queue.remove(two)  # it got no place
    assert (case.figures.queued, case.lengths()) == (0, [0] * 5)
    assert [queue.waits.count for queue in case.figures.queues] == [0, 1, 0, 0, 0]
    assert case.figures.queues[1].waits.sum == 0.5


def test_who_never_had_to_wait_for_a_place_is_not_counted() -> None:
    case = Case()
    case.queue.served(Queued(3, "any"), 1.0)
    assert case.figures.queues[2].waits.count == 0


def test_who_came_last_of_the_lowest_priority() -> None:
    case = Case()
    assert case.queue.last_below(5) is None
    case.comes(3)
    case.comes(2, "a")
    last = case.comes(2, "b")
    case.comes(5)
    assert case.queue.last_below(5) is last
    assert case.queue.last_below(3) is last
    assert case.queue.last_below(2) is None
    assert case.queue.last_below(1) is None


def test_who_is_held_is_counted_apart_and_gives_way_only_to_others_who_are() -> None:
    case = Case()
    held = [Queued(priority, "held", held=True) for priority in (1, 1, 4)]
    for one in held:
        case.queue.push(one, 0.0)
    last = case.comes(2)
    assert (len(case.queue), case.queue.held) == (4, 3)
    assert case.queue.last_below(5) is last
    assert case.queue.last_below(2) is None
    assert case.queue.last_below(5, held=True) is held[1]
    case.queue.remove(held[0])
    case.queue.remove(held[1])
    assert (len(case.queue), case.queue.held) == (2, 1)
    assert case.queue.last_below(5, held=True) is held[2]
    assert case.queue.last_below(4, held=True) is None
    assert [case.serve() for _ in range(3)] == [held[2], last, None]


def crowd(case: Case, now: float) -> None:
    """Always enough of the highest priority."""
    while case.figures.queues[4].length < 2:
        case.comes(5, now=now)


def given_out(case: Case, places: int, now: float) -> list[int]:
    """The priorities of those who get so many places, while ever more of the highest come."""
    priorities = []
    for _ in range(places):
        crowd(case, now)
        one = case.serve(now=now)
        assert one is not None
        priorities.append(one.priority)
    return priorities


def test_of_the_places_given_past_who_waits_long_every_sixteenth_is_its() -> None:
    case = Case()
    for _ in range(3):
        case.comes(1)
        case.comes(2)
    got = given_out(case, 5 * OUT_OF_TURN, PATIENCE)
    assert [index + 1 for index, priority in enumerate(got) if priority < 5] == [16, 32, 48, 64, 80]
    assert [priority for priority in got if priority < 5] == [1, 2, 1, 2, 1]  # as they came


def test_but_not_of_who_has_not_waited_for_long() -> None:
    case = Case()
    case.comes(1)
    assert given_out(case, 3 * OUT_OF_TURN, PATIENCE - 0.01) == [5] * 3 * OUT_OF_TURN
    assert given_out(case, 2, PATIENCE) == [1, 5]


def test_a_place_that_does_not_suit_who_has_waited_long_is_given_in_turn() -> None:
    case = Case()
    stuck = case.comes(1, "stuck")
    given_out(case, OUT_OF_TURN - 1, PATIENCE)
    assert case.serve({"any"}, PATIENCE) not in (None, stuck)
    assert case.serve({"any", "stuck"}, PATIENCE) is stuck


def test_who_has_waited_long_is_none_when_the_kind_is_known_to_have_no_place() -> None:
    case = Case()
    case.comes(1, "stuck")
    given_out(case, OUT_OF_TURN - 1, PATIENCE)
    assert [one.priority for one in case.queue.turns({"stuck"}, PATIENCE)] == [5]


def test_who_gets_a_place_anyway_needs_no_turn_of_its_own() -> None:
    case = Case()
    for _ in range(4 * OUT_OF_TURN):
        case.comes(1)
    high = []
    for _ in range(3 * OUT_OF_TURN):  # every second place is given in turn to one of the lowest
        case.serve(now=PATIENCE)
        high.append(case.comes(5, now=PATIENCE))
        assert case.serve(now=PATIENCE) is high[-1]


class Model:
    """The same by looking through a list of all who wait, in the order of their coming."""

    def __init__(self) -> None:
        self.waiting: list[Queued] = []
        self.passed = 0

    def serve(self, places: set[Hashable], now: float) -> Queued | None:
        suits = [one for one in self.waiting if one.kind in places]
        if not suits:
            return None
        highest = max(one.priority for one in self.waiting)
        best = max(one.priority for one in suits)
        chosen = next(one for one in suits if one.priority == best)
        long = [one for one in suits if one.priority < highest and self.waited(one, now) >= PATIENCE]
        due = self.passed >= OUT_OF_TURN - 1
        if due and long:
            chosen = long[0]
        self.waiting.remove(chosen)
        if (due and chosen in long) or not any(one.priority < chosen.priority for one in self.waiting):
            self.passed = 0
        else:
            self.passed += 1
        return chosen

    @staticmethod
    def waited(one: Queued, now: float) -> float:
        assert one.came is not None
        return now - one.came


KINDS = ("any", "a", "b")

steps = st.one_of(
    st.tuples(st.just("comes"), st.integers(1, 5), st.sampled_from(KINDS)),
    st.tuples(st.just("leaves"), st.integers(0, 200), st.booleans()),
    st.tuples(st.just("place"), st.integers(1, 40), st.sets(st.sampled_from(KINDS))),
    st.tuples(st.just("time"), st.integers(0, 3), st.none()),
)


@given(st.lists(steps, max_size=150))
def test_it_is_a_list_that_is_looked_through(played: list[tuple[str, int, object]]) -> None:
    case, model, now = Case(), Model(), 0.0
    for what, number, more in played:
        if what == "comes":
            for _ in range(3):
                model.waiting.append(case.comes(number, more, now))
        elif what == "leaves" and model.waiting:
            one = model.waiting.pop(number % len(model.waiting))
            case.queue.remove(one)
            if more:
                case.queue.push(one, now)
                model.waiting.append(one)
        elif what == "place":
            assert isinstance(more, set)
            for _ in range(number):
                expected = model.serve(more, now)
                assert case.serve(more, now) is expected
        elif what == "time":
            now += number * PATIENCE / 2
        expected_lengths = [sum(one.priority == p for one in model.waiting) for p in range(1, 6)]
        assert case.lengths() == expected_lengths
        assert len(case.queue) == case.figures.queued == len(model.waiting)
        for priority in range(1, 6):
            below = [one for one in model.waiting if one.priority < priority]
            lowest = min((one.priority for one in below), default=0)
            last = [one for one in below if one.priority == lowest]
            assert case.queue.last_below(priority) is (last[-1] if last else None)
