"""Who waits for a place at a server and belongs to a group: in which order, how long, and who gives way."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred

from sslbroker.core.balancing import RoundRobin
from sslbroker.core.choosing import Choosing
from sslbroker.core.promises import Promises
from sslbroker.errors import HeldBack, QueueFull
from sslbroker.interfaces import Origin
from sslbroker.net.places import Places
from sslbroker.settings import Group, Pacing, Queue

from ..memory import Peer
from .test_places import GET, Limited


class ByPriority(Limited):
    """Clients of groups, some of which matter more."""

    LOW, MIDDLE, HIGH = (Group(f"{priority}", (), priority) for priority in (1, 3, 5))

    def of(self, group: Group, data: bytes = GET) -> Peer:
        """What a client of this group asks."""
        before = set(self.frontends["plain"].connections)
        client = self.client()
        (connection,) = set(self.frontends["plain"].connections) - before
        connection.origin.group = group
        client.sends(data)
        return client

    def slowly(self) -> list[Deferred[Any]]:
        """The balancer takes its time from now on: what it has been asked for."""
        asked: list[Deferred[Any]] = []

        class Own:
            def choose(self, members: Any, origin: Origin, key: bytes, now: float) -> Any:
                asked.append(Deferred())
                return asked[-1]

        self.pool.places._choosing._balancer = Own()
        return asked

    def lengths(self) -> list[int]:
        return [queue.length for queue in self.pool.figures.queues]

    def test_who_matters_most_is_served_first_and_who_is_in_no_group_is_of_the_lowest(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        nobody, low = self.asks(), self.of(self.LOW)
        middle, high = self.of(self.MIDDLE), self.of(self.HIGH)
        self.assertEqual(self.lengths(), [2, 0, 1, 0, 1])
        self.answer(0)
        for client in (high, middle, nobody, low):
            self.assertEqual(client.takes(), b"")
            self.answer(0)
            self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.lengths(), [0] * 5)
        self.assertEqual([queue.waits.count for queue in self.pool.figures.queues], [2, 0, 1, 0, 1])

    def test_a_wait_is_counted_from_its_beginning(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        self.of(self.HIGH)
        self.wait(0.5)
        self.answer(0)
        self.assertEqual(self.pool.figures.queues[4].waits.sum, 0.5)
        self.answer(0)

    def test_who_leaves_or_waits_too_long_got_no_place(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        self.of(self.HIGH).resets()
        self.of(self.HIGH)
        self.wait(6)
        self.assertEqual(self.pool.figures.queues[4].waits.count, 0)
        self.assertEqual(self.lengths(), [0] * 5)

    def test_where_the_queue_is_full_who_matters_least_and_came_last_gives_way(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=2))
        self.asks()
        first, second = self.of(self.LOW), self.of(self.LOW)
        high = self.of(self.HIGH)
        self.assertTrue(second.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-full")
        self.assertTrue(self.of(self.LOW).takes().startswith(b"HTTP/1.1 503 "))
        middle = self.of(self.MIDDLE)
        self.assertTrue(first.takes().startswith(b"HTTP/1.1 503 "))
        self.assertTrue(self.of(self.MIDDLE).takes().startswith(b"HTTP/1.1 503 "), "only for a higher one")
        self.assertEqual(self.lengths(), [0, 0, 1, 0, 1])
        for _ in range(3):
            self.answer(0)
        self.assertEqual([client.takes()[-2:] for client in (high, middle)], [b"ok", b"ok"])

    def test_who_gives_way_may_ask_again_at_once(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=1))
        self.asks()
        low = self.of(self.LOW, GET + GET)
        high = self.of(self.HIGH)
        self.assertEqual(low.takes().count(b"HTTP/1.1 503 "), 2)
        self.assertEqual(self.lengths(), [0, 0, 0, 0, 1])
        self.answer(0)
        self.answer(0)
        self.assertTrue(high.takes().endswith(b"ok"))

    def test_a_queue_without_room_for_anybody(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=0))
        self.asks()
        self.assertTrue(self.of(self.HIGH).takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-full")

    def test_a_group_may_wait_for_a_shorter_or_a_longer_time(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(timeout=3.0))
        self.asks()
        short = self.of(Group("short", (), 5, queue_timeout=1.0))
        long = self.of(Group("long", (), 1, queue_timeout=4.0))
        usual = self.of(self.MIDDLE)
        for seconds, client in ((1.1, short), (2.0, usual), (1.0, long)):
            self.assertEqual(client.takes(), b"")
            self.wait(seconds)
            self.assertTrue(client.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-timeout")

    def test_and_so_for_a_server_that_can_be_reached(self) -> None:
        self.begin(servers=1, queue=Queue(timeout=3.0))
        self.pool.members[0].bar("unreachable")
        long = self.of(Group("long", (), 1, queue_timeout=4.0))
        self.wait(3.9)
        self.assertEqual(long.takes(), b"")
        self.wait(0.2)
        self.assertTrue(long.takes().startswith(b"HTTP/1.1 503 "))

    def test_who_has_waited_long_has_a_turn(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        low = self.of(self.LOW)
        self.wait(1)
        for _ in range(17):
            self.of(self.HIGH)
        for _ in range(16):
            self.answer(0)
        self.assertEqual(low.takes(), b"")
        self.answer(0)
        self.assertTrue(low.takes().endswith(b"ok"))
        self.assertEqual(self.lengths(), [0, 0, 0, 0, 1])
        self.answer(0)
        self.answer(0)

    def test_of_whom_a_slow_balancer_thinks_keeps_its_priority(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=1))
        asked = self.slowly()
        first, high, low = self.asks(), self.of(self.HIGH), self.of(self.LOW)
        self.assertEqual(len(asked), 3)
        for deferred in (asked[0], asked[2]):  # and so the low one is in the queue
            deferred.callback(self.pool.members[0])
        self.assertEqual(self.lengths(), [1, 0, 0, 0, 0])
        asked[1].callback(self.pool.members[0])
        self.assertEqual(self.lengths(), [0, 0, 0, 0, 1])
        self.assertTrue(low.takes().startswith(b"HTTP/1.1 503 "))
        self.answer(0)
        asked[3].callback(self.pool.members[0])
        self.answer(0)
        self.assertEqual([client.takes()[-2:] for client in (first, high)], [b"ok", b"ok"])

    def test_one_of_these_is_told_when_there_is_no_room_any_more(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=0))
        asked = self.slowly()
        self.asks()
        late = self.of(self.HIGH)
        for deferred in asked:
            deferred.callback(self.pool.members[0])
        self.assertTrue(late.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-full")
        self.answer(0)

    def test_who_is_held_back_gives_way_to_others_who_are_and_to_nobody_else(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=1))
        clock = self.clock
        places = Places(
            self.pool.members,
            Choosing(self.pool.members, RoundRobin()),
            Queue(length=1),
            self.pool.figures,
            clock,
            cast("Promises", Holding()),
            Pacing(queue=2, timeout=2.0),
        )
        member = self.pool.members[0]
        member.began(self, clock.seconds())
        told: list[str] = []

        def comes(name: str, group: Group, secure: bool) -> None:
            origin = Origin("192.0.2.1", secure=secure)
            origin.group = group
            choice = places.choose((), origin, b"", "")
            assert isinstance(choice, Deferred)
            choice.addCallbacks(
                lambda _: told.append(f"{name}: served"),
                lambda failure: told.append(f"{name}: {failure.value.cause.value}"),
            )

        comes("low", self.LOW, False)
        comes("middle", self.MIDDLE, False)
        comes("secure", self.MIDDLE, True)
        with self.assertRaises(HeldBack):
            comes("nobody", self.LOW, False)
        with self.assertRaises(QueueFull):
            comes("nobody", self.MIDDLE, True)
        self.assertEqual((told, self.lengths()), ([], [1, 0, 2, 0, 0]))
        comes("high", self.HIGH, True)
        self.assertEqual(told.pop(), "secure: queue-full")
        comes("plain", self.HIGH, False)
        self.assertEqual(told.pop(), "low: paced")
        self.assertEqual((told, self.lengths()), ([], [0, 0, 1, 0, 2]))
        self.wait(2.1)
        self.assertEqual(sorted(told), ["middle: paced", "plain: paced"])
        member.ended(self)
        places.freed()
        self.assertEqual(told[2:], ["high: served"])
        figures = self.pool.figures
        self.assertEqual((figures.queued, figures.held_back, figures.shed), (0, 3, 4))


class Holding:
    """Plain transactions have to wait for secure ones, always."""

    def arrived(self, now: float) -> None: ...

    def placed(self, now: float) -> None: ...

    def choosy_until(self, origin: Origin, since: float) -> float:
        return since

    def holding(self, now: float) -> bool:
        return True

    def pacing(self, now: float) -> bool:
        return True
