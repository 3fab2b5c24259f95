"""Who matters most is served first: the whole broker, with clients, servers and a clock that tests play.

``gold`` is promised 40 ms. A server of these tests has so many places, and takes so many seconds for each
request; one without a place answers nothing until a test says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from sslbroker.core.figures import OPEN, PACED
from sslbroker.core.pacing import STEP
from sslbroker.core.promises import Promises
from sslbroker.core.warming import FIRST
from sslbroker.settings import Group, Pacing, Queue, Sticky

from ..memory import BrokerCase, Peer, ScriptedServer

GROUPS: Sequence[Group] = (
    Group("gold", (ip_network("192.0.2.0/24"),), 5, threshold=0.04),
    Group("silver", (ip_network("203.0.113.0/24"),), 3, threshold=0.2, queue_timeout=0.3),
)
GOLD, SILVER, NOBODY = "192.0.2.1", "203.0.113.1", "198.51.100.1"
GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
UPLOAD = b"PUT /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"
EVENTS = OK.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream\r\n\r\n")
GREETING = b"GET /a HTTP/1.1\r\nHost: shop\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Now\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"


class Shop:
    """A server: `places` requests at a time, each for `seconds`, the others in the order of their coming."""

    def __init__(self, case: Prioritized, server: ScriptedServer) -> None:
        self.case = case
        self.server = server
        self.places = 1_000_000
        self.seconds = 0.0
        self.answers = OK
        self.came = 0
        self.busy = 0
        self.waiting: deque[ShopLink] = deque()
        server.peers = lambda case: ShopLink(case, self)

    def comes(self, link: ShopLink) -> None:
        self.came += 1
        self.waiting.append(link)
        self.go_on()

    def go_on(self) -> None:
        while self.waiting and self.busy < self.places:
            self.busy += 1
            self.case.clock.callLater(self.seconds, self._served, self.waiting.popleft())

    def _served(self, link: ShopLink) -> None:
        self.busy -= 1
        self.say(link, self.answers)
        self.go_on()

    def say(self, link: ShopLink, answer: bytes) -> None:
        if link.lost is None:
            link.transport.write(answer)  # type: ignore[union-attr]

    def answer(self, count: int = 1, answer: bytes = OK) -> None:
        """Those who have waited longest have their answer."""
        for _ in range(count):
            self.say(self.waiting.popleft(), answer)
            self.case.settle()

    def stalls(self) -> None:
        self.places = 0

    def is_well(self, seconds: float = 0.0, places: int = 1_000_000) -> None:
        """Also for those who wait."""
        self.places, self.seconds = places, seconds
        self.go_on()
        self.case.settle()


class ShopLink(Peer):
    """A link, as the shop has it."""

    def __init__(self, case: BrokerCase, shop: Shop) -> None:
        super().__init__(case)
        self.shop = shop

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        while b"\r\n\r\n" in self.received:
            _, _, self.received = self.received.partition(b"\r\n\r\n")
            self.shop.comes(self)


class Prioritized(BrokerCase):
    """A broker with groups, and servers that are past their beginning."""

    shops: Sequence[Shop]

    def begin(self, servers: int = 2, *, warm: bool = True, seconds: float = 0.0, **settings: Any) -> None:
        self.setUp()
        self.clock.advance(1000.0)  # a try that was sent at 0.0 would be one that was not
        self.start(servers, **{"groups": GROUPS, **settings})
        self.shops = [Shop(self, server) for server in self.servers]
        for shop in self.shops:
            shop.seconds = seconds
        self.pool.pace()
        assert self.pool.promises is not None
        self.promises: Promises = self.pool.promises
        if warm:
            client = self.client(peer=NOBODY)
            for _ in range((FIRST + 1) * servers):
                client.sends(GET)
                self.wait(1.1 * seconds)
            self.assertEqual(client.takes().count(b"\r\n\r\nok"), (FIRST + 1) * servers)
            self.assertTrue(all(self.promises.thresholds.warm(member) for member in self.pool.members))
            self.records.all.clear()

    def plain(self, count: int = 1, peer: str = NOBODY) -> list[Peer]:
        clients = []
        for _ in range(count):
            clients.append(self.client(peer=peer))
            clients[-1].sends(GET)
        return clients

    def secure(self, peer: str = GOLD, data: bytes = GET) -> Peer:
        client = self.client(secure=True, peer=peer)
        client.sends(data)
        return client

    def outstanding(self) -> list[int]:
        return [member.outstanding for member in self.pool.members]

    def windows(self) -> list[float]:
        return [self.promises._servers[member].pace.window for member in self.pool.members]

    @property
    def held(self) -> int:
        """How many plain transactions wait for the sake of secure ones."""
        return self.pool.places._queue.held

    def answered(self, clients: Sequence[Peer]) -> int:
        return sum(client.received.endswith(b"ok") for client in clients)

    def too_slow(self, number: int = 0, others: int = 7) -> list[Peer]:
        """A secure transaction waits for too long at this server, where so many plain ones wait, too: the
        plain clients."""
        shop, members = self.shops[number], self.pool.members
        barred = [member for member in members if member is not members[number]]
        for member in barred:
            member.bar("test")
        shop.stalls()
        clients = self.plain(others)
        self.slow = self.secure()
        for member in barred:
            member.unbar("test", self.clock.seconds(), slowly=False)
            self.promises.thresholds._idle[member].warming._warm = True
        self.assertEqual(self.outstanding()[number], others + 1)
        self.wait(0.041)
        self.promises.look(self.clock.seconds())
        return clients


class Story(Prioritized):
    """What happens to plain traffic when a secure transaction takes longer than promised."""

    def test_plain_ones_go_elsewhere_then_wait_and_only_then_are_refused(self) -> None:
        self.begin(pacing=Pacing(timeout=0.5, queue=3, floor=0.0))
        slow, _ = self.shops
        self.too_slow()
        self.assertEqual((self.windows()[0], self.pool.members[0].figures.reductions), (6.0, 1))

        came = slow.came
        clients = self.plain(6)
        self.assertEqual((slow.came, self.answered(clients)), (came, 6), "the other server has room")

        self.too_slow(1)  # now none has
        clients = self.plain(3)
        self.assertEqual((self.held, self.pool.figures.queued, self.pool.figures.held_back), (3, 3, 3))
        (refused,) = self.plain()
        self.assertTrue(refused.received.startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:paced")
        self.assertEqual(self.records.all[-1]["tries"], [])

        self.wait(0.499)
        self.assertEqual([client.received for client in clients], [b""] * 3)
        self.wait(0.002)
        for client in clients:
            head, _, _ = client.received.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 503 "))
            self.assertIn(b"\r\nRetry-After: 1", head)
        self.assertEqual([record["end"] for record in self.records.all[-3:]], ["choose:paced"] * 3)
        self.assertEqual((self.pool.figures.shed, self.held), (4, 0))
        for shop in self.shops:
            shop.is_well()

    def test_one_that_waits_has_its_place_as_soon_as_there_is_room(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        (shop,) = self.shops
        under_way = self.too_slow()
        clients = self.plain(2)
        shop.answer(2)
        self.assertEqual((self.outstanding(), self.held), ([6], 2))
        shop.answer(1)
        self.assertEqual((self.outstanding(), self.held), ([6], 1), "one place for one of them")
        shop.is_well()
        self.wait(0)
        self.assertEqual((self.answered([*under_way, *clients, self.slow]), self.held), (10, 0))

    def test_secure_transactions_are_never_held_back(self) -> None:
        self.begin(2, pacing=Pacing(floor=0.0))
        self.too_slow(0)
        self.too_slow(1)
        held = self.plain(2)
        before = sum(self.outstanding())
        for peer in (GOLD, SILVER, NOBODY):
            for _ in range(4):
                self.secure(peer)
        self.assertEqual((sum(self.outstanding()), self.held), (before + 12, 2))
        self.assertEqual([client.received for client in held], [b""] * 2)
        for shop in self.shops:
            shop.is_well()
        self.wait(1)
        self.assertNotIn("choose:paced", [record["end"] for record in self.records.all])

    def test_the_figures_say_so_and_say_when_it_is_over(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        (shop,) = self.shops
        self.too_slow()
        self.plain()
        self.wait(STEP)
        figures = self.pool.members[0].figures
        self.assertEqual((figures.pacing, figures.window), (PACED, 6))
        self.assertLess(self.pool.figures.plain_share, 1.0)
        shop.is_well()
        self.wait(10)
        self.assertEqual((figures.pacing, figures.window, self.windows()), (OPEN, 0, [float("inf")]))
        self.assertEqual(self.pool.figures.plain_share, 1.0)

    def test_whoever_is_not_measured_is_not_held_back_either(self) -> None:
        self.begin(1, warm=False, pacing=Pacing(exclude=("/a",)))
        self.assertEqual(self.answered(self.plain(3)), 3)
        self.wait(2 * STEP)
        self.assertEqual(self.pool.figures.plain_share, 1.0)

    def test_a_window_grows_while_somebody_is_held_back_and_secure_ones_are_fast(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0, timeout=60.0), queue=Queue(timeout=60.0))
        (shop,) = self.shops
        self.too_slow()
        shop.is_well(0.02)
        self.wait(0.1)
        seen = []
        for _ in range(40):
            self.plain(12)  # more than may begin
            self.wait(0.001)
            self.assertGreaterEqual(self.windows()[0], self.outstanding()[0])
            self.secure()
            self.wait(0.1)
            seen.append(self.windows()[0])
            shop.seconds = 0.02
        self.assertEqual(seen, sorted(seen))
        self.assertEqual(seen[15], 6.0, "not within two seconds of the breach")
        self.assertGreater(seen[-1], 8.0)
        self.wait(6)
        self.plain()
        self.assertEqual((self.windows(), self.held), ([float("inf")], 0))
        self.wait(1)

    def test_secure_traffic_stops_and_nobody_is_held_back_any_more(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        (shop,) = self.shops
        self.too_slow()
        for _ in range(60):  # there are many secure ones, so that their end is noticed soon
            self.wait(0.01)
            self.secure()
        came = shop.came
        held = self.plain(3)
        self.wait(0.7)
        self.assertEqual((self.held, shop.came), (3, came))
        self.wait(0.6)
        self.assertEqual((self.held, shop.came), (0, came + 3), "served by the look at what time does")
        shop.is_well()
        self.wait(0)
        self.assertEqual(self.answered(held), 3)

    def test_with_rare_secure_transactions_their_end_is_noticed_later(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0, timeout=20.0), queue=Queue(timeout=20.0))
        self.too_slow()
        (held,) = self.plain()
        self.wait(8.3)
        self.assertEqual((self.held, held.received), (0, b""))
        self.shops[0].is_well()
        self.wait(0)
        self.assertEqual(held.received[-2:], b"ok")


class Breaches(Prioritized):
    """What counts as one."""

    def test_a_try_without_an_answer_counts_as_soon_as_it_takes_longer(self) -> None:
        self.begin(1)
        (shop,) = self.shops
        shop.stalls()
        self.plain(7)
        self.secure()
        self.wait(0.0399)
        self.promises.look(self.clock.seconds())
        self.assertEqual(self.windows(), [float("inf")])
        self.wait(0.0002)
        self.promises.look(self.clock.seconds())
        self.assertEqual(self.windows(), [6.0])
        self.assertEqual(self.records.all, [], "nobody has an answer")
        self.wait(0.02)
        shop.is_well()
        self.wait(0)
        record = next(record for record in self.records.all if record["secure"])
        self.assertEqual((record["group"], record["threshold"], record["breach"]), ("gold", 40.0, True))
        self.assertEqual(self.pool.members[0].figures.reductions, 1, "its answer is no second one")

    def test_an_answer_before_the_request_is_whole_is_none(self) -> None:
        """Its client may have taken as long as it liked: it must not hold plain traffic back by that."""
        self.begin(1)
        (shop,) = self.shops
        shop.stalls()
        self.plain(7)
        client = self.secure(data=UPLOAD)
        self.wait(1.0)
        client.sends(b"1")
        self.wait(0.1)
        shop.is_well()
        self.wait(0)
        self.assertTrue(client.received.endswith(b"ok"))
        self.assertEqual(self.windows(), [float("inf")])
        self.assertEqual(self.promises._slow, {})

    def test_one_after_it_is_whole_is_measured_from_then_on(self) -> None:
        self.begin(1)
        (shop,) = self.shops
        shop.stalls()
        self.plain(7)
        client = self.secure(data=UPLOAD)
        self.wait(1.0)
        client.sends(b"12")
        self.wait(0.039)
        self.promises.look(self.clock.seconds())
        self.assertEqual(self.windows(), [float("inf")])
        self.wait(0.002)
        self.promises.look(self.clock.seconds())
        self.assertEqual(self.windows(), [6.0])
        shop.is_well()
        self.wait(0)

    def test_nobody_else_can_breach(self) -> None:
        for secure, peer in ((True, NOBODY), (False, NOBODY), (False, GOLD)):
            self.begin(1)
            (shop,) = self.shops
            shop.stalls()
            self.plain(7)
            clients = [self.secure(peer)] if secure else self.plain(peer=peer)
            self.wait(2)
            clients += self.plain(7)
            self.assertEqual((self.windows(), self.held, self.outstanding()), ([float("inf")], 0, [15]))
            shop.is_well()
            self.wait(0)
            self.assertEqual(self.answered(clients), 8)
            self.assertFalse(any(record["breach"] for record in self.records.all))
            self.tearDown()
        del self.broker

    def test_not_in_the_beginning_of_a_server(self) -> None:
        self.begin(1, warm=False)
        self.too_slow()
        self.wait(1)
        self.assertEqual(self.windows(), [float("inf")])
        self.shops[0].is_well()
        self.wait(0)

    def test_not_while_our_own_loop_was_busy(self) -> None:
        self.begin(1)
        assert self.broker.lag is not None
        busy = [0.02]
        self.promises._lag = lambda since, now: busy[0]
        self.too_slow()
        self.assertEqual(self.windows(), [float("inf")])
        busy[0] = 0.0
        self.wait(0.041)
        self.promises.look(self.clock.seconds())
        self.assertEqual(self.windows(), [6.0], "it is not forgotten")
        self.shops[0].is_well()

    def test_what_is_not_measured_does_not_count(self) -> None:
        exclude = GET.replace(b"/a", b"/reports/year?all")
        for data, answer in ((exclude, OK), (GREETING, SWITCHED)):
            self.begin(1, pacing=Pacing(exclude=("/reports",)))
            (shop,) = self.shops
            shop.stalls()
            self.plain(7)
            client = self.secure(data=data)
            self.wait(1)
            shop.answer(7)
            shop.answer(1, answer)
            self.assertEqual(client.takes()[:12], answer[:12])
            self.plain(9)
            self.assertEqual((self.windows(), self.held), ([float("inf")], 0))
            shop.is_well()
            client.closes()
            self.wait(0)
            figures = {group.name: group for group in self.pool.figures.groups}
            self.assertEqual((figures["gold"].transactions, figures["gold"].breaches), (0, 0))
            self.tearDown()
        del self.broker

    def test_a_stream_of_events_does_not_say_how_fast_a_server_is(self) -> None:
        self.begin(1, limits_of_servers={"maximum_transactions": 4})
        (shop,) = self.shops
        for _ in range(40):  # each has to wait, for longer than promised, and then has a stream of events
            shop.stalls()
            self.plain(4)
            self.secure()
            self.wait(0.06)
            shop.answer(4)
            shop.answer(1, EVENTS)
        self.assertEqual((self.windows(), self.promises._pool.window), ([float("inf")], float("inf")))
        shop.is_well()
        self.wait(0)
        figures = {group.name: group for group in self.pool.figures.groups}
        self.assertEqual((figures["gold"].transactions, figures["gold"].breaches), (0, 0))

    def test_the_queue_is_to_blame_where_the_server_is_fast(self) -> None:
        """The same with answers that are no events."""
        self.begin(1, limits_of_servers={"maximum_transactions": 4})
        (shop,) = self.shops
        for _ in range(40):
            shop.stalls()
            self.plain(4)
            self.secure()
            self.wait(0.06)
            shop.answer(5)
        self.assertLess(self.promises._pool.window, 5)
        shop.is_well()
        self.wait(0)

    def test_answers_that_fail_do_not_say_how_fast_a_server_is(self) -> None:
        self.begin(1)
        self.shops[0].answers = NO
        self.secure()
        standing = self.promises._servers[self.pool.members[0]].standings["gold", False]
        assert standing.times is not None
        self.assertEqual((self.tries()[-1], standing.times.count(self.clock.seconds())), (("1", "status"), 0))

    def test_what_is_not_measured_is_not_known_of_either(self) -> None:
        self.begin(1, pacing=Pacing(exclude=("/reports",)))
        standings = self.promises._servers[self.pool.members[0]].standings
        for data, known in ((GET.replace(b"/a", b"/reports"), False), (GET, True)):
            client = self.secure(data=data)  # on a link that is idle
            self.assertEqual((client.received[-2:], ("gold", False) in standings), (b"ok", known))

    def test_streams_of_tcp_pools_are_not_measured(self) -> None:
        self.begin(1, warm=False, protocol="tcp")
        (shop,) = self.shops
        shop.stalls()
        clients = [*self.plain(7), self.secure()]
        self.wait(5)
        self.assertEqual((self.promises.plain, self.windows()), (0, [float("inf")]))
        self.assertEqual(self.outstanding(), [8])
        for client in clients:
            client.resets()

    def test_who_is_slow_alone_is_not_slow_because_of_plain_traffic(self) -> None:
        self.begin(1)
        self.too_slow(others=0)
        self.assertEqual((self.windows(), self.plain()[0].received), ([float("inf")], b""))
        self.assertEqual((self.held, self.outstanding()), (0, [2]))
        self.shops[0].is_well()

    def test_a_server_that_is_slow_whatever_it_has_to_do_gets_its_plain_traffic_back(self) -> None:
        self.begin(1, seconds=0.1, pacing=Pacing(floor=0.0, timeout=20.0), queue=Queue(timeout=20.0))
        windows = []
        for _ in range(110):
            self.plain(6)
            for _ in range(2):
                self.secure()
            self.wait(0.15)
            windows.append(self.windows()[0])
        self.assertEqual((min(windows), self.held), (1.0, 0))
        self.assertGreaterEqual(windows[-1], 8.0, "all may begin")
        self.assertEqual({record["end"] for record in self.records.all}, {"ok"})
        self.wait(1)


class Steering(Prioritized):
    """Secure transactions of a group go rather where the group is served in time."""

    def test_away_from_a_slow_server_and_back(self) -> None:
        self.begin(3)
        slow, *_ = self.shops
        self.too_slow(others=0)
        came = slow.came
        clients = [self.secure() for _ in range(6)]
        self.wait(0)
        self.assertEqual((self.answered(clients), slow.came), (6, came))
        slow.is_well()
        self.wait(0.3)
        clients = [self.secure() for _ in range(6)]
        self.wait(0)
        self.assertEqual((self.answered(clients), slow.came), (6, came + 2))

    def test_a_group_that_is_promised_less_is_not_steered(self) -> None:
        self.begin(2)
        self.too_slow(others=0)
        came = self.shops[0].came
        for _ in range(4):
            self.secure(SILVER)
        self.assertEqual(self.shops[0].came, came + 2)
        self.shops[0].is_well()
        self.wait(0)

    def test_while_all_are_slow_none_is_avoided(self) -> None:
        self.begin(2)
        self.too_slow(0, others=0)
        self.too_slow(1, others=0)
        before = self.outstanding()
        for _ in range(4):
            self.secure()
        self.assertEqual([now - was for now, was in zip(self.outstanding(), before, strict=True)], [2, 2])
        for shop in self.shops:
            shop.is_well()
        self.wait(0)

    def test_who_has_waited_for_longer_than_promised_goes_where_there_is_a_place(self) -> None:
        self.begin(2, limits_of_servers={"maximum_transactions": 2})
        self.too_slow(0, others=0)
        self.shops[1].stalls()
        self.pool.members[0].bar("test")
        self.plain(2)
        self.pool.members[0].unbar("test", self.clock.seconds(), slowly=False)
        self.secure()
        self.assertEqual((self.outstanding(), self.pool.figures.queued), ([1, 2], 1))
        self.wait(2 * STEP)
        self.assertEqual((self.outstanding(), self.pool.figures.queued), ([2, 2], 0))
        for shop in self.shops:
            shop.is_well()
        self.wait(0)

    def test_who_waits_longer_than_promised_goes_to_a_slow_server_at_once(self) -> None:
        self.begin(2, limits_of_servers={"maximum_transactions": 1})
        self.too_slow(others=0)
        slow, other = self.shops
        slow.is_well()
        self.wait(0)
        other.stalls()
        self.secure()
        self.assertEqual(self.outstanding(), [0, 1])
        self.wait(0.001)
        slow.stalls()
        waits = [self.secure(), self.secure(SILVER)]
        self.assertEqual(self.outstanding(), [1, 1], "one who does not care for its slowness takes it")
        slow.answer()
        self.assertEqual((waits[1].received[-2:], self.pool.figures.queued), (b"ok", 1))
        self.wait(0.038)
        self.assertEqual((self.outstanding(), self.pool.figures.queued), ([0, 1], 1))
        self.wait(0.0021)
        self.assertEqual((self.outstanding(), self.pool.figures.queued), ([1, 1], 0))
        for shop in self.shops:
            shop.is_well()
        self.wait(0)


class Floor(Prioritized):
    """Plain traffic never dies altogether, where the operator says so."""

    def begins(self, floor: float) -> int:
        """How many plain transactions begin beside 100 secure ones that are all too slow."""
        self.begin(1, pacing=Pacing(floor=floor, queue=10_000, timeout=60.0), queue=Queue(timeout=60.0))
        (shop,) = self.shops
        self.too_slow()
        self.plain(20)
        before = shop.came
        for _ in range(100):
            self.secure()
            self.plain()
            self.wait(0.01)
            shop.answer()
        begun = shop.came - before - 100
        shop.is_well()
        self.wait(1)
        return begun

    def test_none_with_a_floor_of_0(self) -> None:
        self.assertEqual(self.begins(0.0), 0)

    def test_and_their_share_with_a_floor(self) -> None:
        self.assertIn(self.begins(0.05), (4, 5, 6))
        self.tearDown()
        self.assertIn(self.begins(0.1), (10, 11, 12))


class Waiting(Prioritized):
    """Who waits for the sake of others is a waiter like any."""

    def test_a_client_that_goes_leaves_the_queue_at_once(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        self.too_slow()
        (client,) = self.plain()
        self.assertEqual((self.held, self.pool.figures.queued), (1, 1))
        client.resets()
        self.assertEqual((self.held, self.pool.figures.queued), (0, 0))
        self.assertEqual(self.end, "choose:client-gone")
        self.shops[0].is_well()

    def test_a_server_that_is_drained_or_down_holds_nobody_back(self) -> None:
        for state in ("drain", "down"):
            self.begin(2, pacing=Pacing(floor=0.0))
            self.too_slow(0)
            self.too_slow(1)
            held = self.plain(2)
            self.pool.set_server(self.servers[0].address, state)
            self.assertEqual(self.held, 2)
            self.shops[1].is_well()
            self.wait(0)
            self.assertEqual(self.answered(held), 2)
            self.shops[0].is_well()
            self.wait(0)
            self.tearDown()
        del self.broker

    def test_when_nobody_is_left_who_waits_is_told(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        self.too_slow()
        (held,) = self.plain()
        self.pool.set_server(self.servers[0].address, "down")
        self.settle()
        self.assertEqual(held.received[:12], b"HTTP/1.1 503")
        self.assertEqual(self.end, "choose:no-server")
        self.shops[0].is_well()
        self.wait(0)

    def test_a_broker_that_drains_serves_who_waits(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        self.too_slow()
        held = self.plain(2)
        self.frontends["plain"].drain()
        self.assertEqual(self.held, 2)
        self.shops[0].is_well()
        self.wait(0)
        self.assertEqual(self.answered(held), 2)
        self.assertTrue(all(client.closed for client in held))

    def test_a_broker_that_ends_tells_who_waits(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        self.too_slow()
        held = self.plain(2)
        self.frontends["plain"].shut()
        self.settle()
        self.assertEqual(self.held, 0)
        self.assertTrue(all(client.closed for client in held))
        self.shops[0].is_well()

    def test_a_second_try_of_a_plain_one_waits_as_the_first(self) -> None:
        self.begin(2, pacing=Pacing(floor=0.0))
        slow, fails = self.shops
        fails.stalls()
        clients = [client for client in self.plain(2) if client]
        self.too_slow(0)
        came = slow.came
        fails.answer(1, NO)
        self.assertEqual((self.held, slow.came), (1, came), "the other server has no room")
        slow.is_well()
        self.wait(0)
        self.assertEqual((self.held, self.answered(clients)), (0, 2))
        outcomes = [record["tries"] for record in self.records.all if len(record["tries"]) > 1]
        self.assertEqual([[one["outcome"] for one in tries] for tries in outcomes], [["status", "ok"]])

    def test_or_has_the_answer_of_the_first(self) -> None:
        self.begin(2, pacing=Pacing(floor=0.0, timeout=0.5))
        fails = self.shops[1]
        fails.stalls()
        self.plain(2)
        self.too_slow(0)
        fails.answer(1, NO)
        self.wait(0.6)
        record = self.records.all[-1]
        self.assertEqual((record["status"], [one["outcome"] for one in record["tries"]]), (503, ["status"]))
        self.assertEqual(sum(client.received.endswith(b"no") for client in self.clients), 1)
        self.shops[0].is_well()

    def test_the_first_free_place_is_for_who_matters_most(self) -> None:
        self.begin(1, limits_of_servers={"maximum_transactions": 4}, pacing=Pacing(floor=0.0))
        (shop,) = self.shops
        shop.stalls()
        self.plain(4)
        waiting = {"plain": self.plain()[0], "other": self.plain()[0]}
        waiting |= {"silver": self.secure(SILVER), "gold": self.secure(GOLD)}
        self.assertEqual(self.pool.figures.queued, 4)
        shop.answer(4)
        for name in ("gold", "silver", "plain", "other"):
            self.assertEqual(waiting[name].received, b"")
            shop.answer(1)
            self.assertEqual(waiting[name].received[-2:], b"ok", name)

    def test_a_plain_one_that_came_before_keeps_no_secure_one_waiting(self) -> None:
        self.begin(1, limits_of_servers={"maximum_transactions": 8}, pacing=Pacing(floor=0.0))
        (shop,) = self.shops
        shop.stalls()
        self.plain(7)
        self.secure()
        (plain,) = self.plain(peer=GOLD)
        secure = self.secure()
        self.assertEqual((self.outstanding(), self.pool.figures.queued), ([8], 2))
        self.wait(0.041)
        self.promises.look(self.clock.seconds())
        shop.answer(1)
        self.assertEqual((self.outstanding(), self.pool.figures.queued), ([8], 1))
        shop.is_well()
        self.wait(0)
        self.assertEqual(self.answered([plain, secure]), 2)

    def test_a_group_waits_as_long_as_it_may(self) -> None:
        self.begin(1, limits_of_servers={"maximum_transactions": 1}, queue=Queue(timeout=2.0))
        self.shops[0].stalls()
        self.plain()
        silver, gold = self.secure(SILVER), self.secure(GOLD)
        self.wait(0.31)
        self.assertEqual((silver.received[:12], gold.received), (b"HTTP/1.1 503", b""))
        self.assertEqual(self.end, "choose:queue-timeout")
        self.wait(1.7)
        self.assertEqual((gold.received[:12], self.end), (b"HTTP/1.1 503", "choose:queue-timeout"))
        self.shops[0].is_well()

    def test_a_plain_client_that_is_stuck_to_a_server_waits_for_it(self) -> None:
        self.begin(2, sticky=Sticky("server"), pacing=Pacing(floor=0.0))
        (client,) = self.plain()
        self.wait(0)
        cookie = client.takes().partition(b"Set-Cookie: ")[2].partition(b";")[0]
        number = next(at for at, member in enumerate(self.pool.members) if member.key.encode() in cookie)
        self.too_slow(number)
        came = self.shops[number].came
        client.sends(GET.replace(b"\r\n\r\n", b"\r\nCookie: " + cookie + b"\r\n\r\n"))
        self.assertEqual((self.held, self.shops[number].came), (1, came))
        self.shops[number].is_well()
        self.wait(0)
        self.assertEqual((client.takes()[-2:], self.shops[number].came), (b"ok", came + 1))

    def test_who_waits_for_its_own_server_keeps_nobody_from_others(self) -> None:
        self.begin(2, sticky=Sticky("server"), pacing=Pacing(floor=0.0))
        (client,) = self.plain()
        cookie = client.takes().partition(b"Set-Cookie: ")[2].partition(b";")[0]
        number = next(at for at, member in enumerate(self.pool.members) if member.key.encode() in cookie)
        self.too_slow(number)
        client.sends(GET.replace(b"\r\n\r\n", b"\r\nCookie: " + cookie + b"\r\n\r\n"))
        others = self.plain(3)
        self.assertEqual((self.held, self.answered(others)), (1, 3))
        self.shops[number].is_well()
        self.wait(0)

    def test_who_comes_does_not_overtake_who_waits(self) -> None:
        self.begin(1, pacing=Pacing(floor=0.0))
        (shop,) = self.shops
        self.too_slow()
        held = self.plain(2)
        came = shop.came
        self.promises._secure_until = self.clock.seconds()  # there is room, and nobody has looked yet
        (last,) = self.plain()
        self.assertEqual((self.held, shop.came, len(shop.waiting)), (0, came + 3, 11))
        shop.answer(10)
        self.assertEqual((self.answered(held), last.received), (2, b""))
        shop.answer(1)


class Proxied(Prioritized):
    """A trusted proxy says who its client is, and how it came."""

    TRUSTED = {"trusted": (ip_network("198.51.100.9/32"),), "group_header": "X-Client-Group"}

    def asks(self, *fields: str, peer: str = "198.51.100.9") -> Peer:
        client = self.client(secure=True, peer=peer)
        said = "".join(f"{field}\r\n" for field in fields).encode()
        client.sends(GET[:-2] + said + b"\r\n")
        return client

    def test_its_word_decides(self) -> None:
        self.begin(1, listeners=self.TRUSTED, pacing=Pacing(floor=0.0))
        self.too_slow()
        self.asks("X-Client-Group: gold", "X-Forwarded-Proto: http")
        self.assertEqual(self.held, 1, "plain where it came in")
        self.asks("X-Client-Group: gold", "X-Forwarded-Proto: https")
        self.asks("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
        self.asks("X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https")
        self.asks("X-Forwarded-Proto: http", peer=SILVER)  # who is nobody's proxy is not believed
        self.assertEqual((self.held, self.outstanding()), (1, [12]))
        self.shops[0].is_well()
        self.wait(0)
        told = [(record["group"], record["secure"]) for record in self.records.all[-5:]]
        expected = [("gold", True), ("gold", True), (None, True), ("silver", True), ("gold", False)]
        self.assertCountEqual(told, expected)

    def test_those_of_its_group_can_breach(self) -> None:
        self.begin(1, listeners=self.TRUSTED)
        self.shops[0].stalls()
        self.plain(7)
        self.asks("X-Client-Group: gold", "X-Forwarded-Proto: https")
        self.wait(0.041)
        self.promises.look(self.clock.seconds())
        self.assertEqual(self.windows(), [6.0])
        self.shops[0].is_well()
