"""The fast path: what everybody sees is what it would be if each transaction was a relay."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from sslbroker.core.balancing import RoundRobin
from sslbroker.core.promises import Promises
from sslbroker.interfaces import Body, Event, Reply
from sslbroker.net.fast_path import FastTransaction
from sslbroker.net.frontend import Frontend
from sslbroker.outcome import After
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.rules import HTTPRules, StatusClassifier
from sslbroker.protocols.http.server_codec import ServerCodec
from sslbroker.settings import Failover, Group, Limits, Pacing

from ..memory import BrokerCase, Peer
from .test_fuzz import MOVES as ALL_MOVES
from .test_fuzz import Fuzzed, World, examples

_DATE = re.compile(rb"\r\nDate: [^\r]++")  # by the wall's clock

GET = b"GET /one HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BAD = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
MISTAKE = "a mistake of a plugin"


class Mistake(Exception):
    pass


def wrong(*_: Any, **__: Any) -> Any:
    raise Mistake(MISTAKE)


def seen(case: BrokerCase, links: list[Peer]) -> dict[str, Any]:
    """What clients, servers, observers and figures saw."""
    return {
        "clients": [(_DATE.sub(b"", c.received), c.ended, type(c.lost)) for c in case.clients],
        "servers": [(link.received, link.ended, type(link.lost)) for link in links],
        "records": [{**record, "id": None, "time": None} for record in case.records.all],
        "listeners": [figures(frontend.figures) for frontend in case.frontends.values()],
        "members": [figures(member.figures) for member in case.pool.members],
        "pool": figures(case.pool.figures),
        "times": [member.response_time(case.clock.seconds()) for member in case.pool.members],
        "storage": figures(case.broker.storage.figures),
        "promises": promised(case.pool.promises),
    }


def promised(promises: Promises | None) -> Any:
    """What is known of how promises are kept, and what follows from it."""
    if promises is None:
        return None
    servers = [
        (
            server.pace.window,
            {name: (one.late, one._mean, one._until) for name, one in server.standings.items()},
        )
        for server in promises._servers.values()
    ]
    whole = promises.whole
    return (
        promises.plain,
        whole.window,
        whole._mean,
        whole._heard_of,
        whole._fine_at,
        promises._queued,
        servers,
    )


def figures(of: Any) -> Any:
    """All that these figures say, but for the wall's clock; the servers' are compared apart."""
    if isinstance(of, list):
        return [figures(each) for each in of]
    if not hasattr(type(of), "__slots__"):
        return of
    names = [name for name in type(of).__slots__ if name not in ("last_failure_at", "servers")]
    return {name: figures(getattr(of, name)) for name in names}


class Both(BrokerCase):
    """Plays a script twice: with the fast path, and without it."""

    way = True

    def both(self, script: Callable[[], Any], fast: int, **start: Any) -> dict[str, Any]:
        """Everybody saw the same, and so many transactions were fast to their end."""
        done: list[int] = []
        fast_ended = Frontend.fast_ended

        def counted(*given: Any) -> None:
            done.append(1)
            fast_ended(*given)

        self.patch(Frontend, "fast_ended", counted)
        saw = []
        for self.way in (True, False):
            self.setUp()
            self.start(**{"servers": 1, **start})
            self.pool.takes_fast_path &= self.way
            self.links: list[Peer] = []
            script()
            self.settle()
            self.link()
            saw.append(seen(self, self.links))
            self.tearDown()
        self.assertEqual(*saw)
        self.assertEqual(len(done), fast)
        del self.broker
        return saw[0]

    def begin(self) -> None:
        """A broker of one server, with the fast path."""
        self.setUp()
        self.start(servers=1)
        self.links = []

    def link(self) -> Peer:
        """The link that the broker made last."""
        self.settle()
        for server in self.servers:
            self.links += server.links
            server.links.clear()
        return self.links[-1]

    def transaction(self, client: Peer, request: bytes = GET, answer: bytes = OK) -> None:
        client.sends(request)
        self.link().sends(answer)

    def warm(self, secure: bool = False) -> Peer:
        """A client that has been answered, on a link that is idle now."""
        client = self.client(secure)
        self.transaction(client)
        self.assertTrue(client.received.endswith(b"hello"))
        return client

    def under_way(self, secure: bool = False) -> Peer:
        """A client whose request has come to its server."""
        client = self.warm(secure)
        client.sends(GET)
        self.assertEqual(self.pool.members[0].outstanding, 1)
        (connection,) = self.frontends["secure" if secure else "plain"].connections
        self.assertIs(type(connection.fast), FastTransaction if self.way else type(None))
        return client


class OfGroups(Both):
    """Clients of whom a time is promised."""

    group = Group("gold", (ip_network("192.0.2.0/24"),), 5, 0.025)
    events = OK.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream\r\n\r\n")

    def test_what_groups_got_is_the_same(self) -> None:
        def script() -> None:
            for secure in (False, True):
                client = self.client(secure)
                for number in range(13):
                    client.sends(GET)
                    link = self.link()
                    self.clock.advance(0.01 * (number % 4))
                    link.sends(self.events if number == 12 else OK)
                    self.clock.advance(0.02)
            self.broker.monitor.gauges.start()
            self.broker.monitor.gauges.stop()

        saw = self.both(script, 25, groups=(self.group,))
        told = [(record["group"], record["threshold"], record["breach"]) for record in saw["records"]]
        late = [*(number % 4 == 3 for number in range(12)), False]
        self.assertEqual(told, [("gold", 25.0, breach) for breach in [False] * 13 + late])
        golden, others = saw["pool"]["groups"]
        self.assertEqual((golden["transactions"], golden["breaches"], others["transactions"]), (12, 3, 0))
        self.assertEqual(golden["client_times"]["count"], 12)
        ((watch, _),) = [member["watches"] for member in saw["members"]]
        self.assertEqual(watch["count"], 12)
        self.assertLess(abs(watch["p99"] - 0.03), 0.0015)

    def test_what_is_not_measured_is_the_same(self) -> None:
        def script() -> None:
            client = self.client(True)
            for path in (b"/one", b"/two") * 7:
                client.sends(GET.replace(b"/one", path))
                link = self.link()
                self.clock.advance(0.03)
                link.sends(OK)

        saw = self.both(script, 13, groups=(self.group,), pacing=Pacing(exclude=("/two",)))
        golden, _ = saw["pool"]["groups"]
        self.assertEqual((golden["transactions"], golden["breaches"]), (7, 7))
        _, _, _, heard_of, _, _, _ = saw["promises"]
        self.assertEqual(heard_of, 7)

    def test_each_client_of_a_proxy_has_its_own_group_on_one_connection(self) -> None:
        fields = [
            (b"X-Forwarded-For: 192.0.2.1", "gold"),
            (b"X-Forwarded-For: 198.51.100.1", None),
            (b"X-Client-Group: gold", "gold"),
            (b"X-Forwarded-For: 192.0.2.1\r\nX-Client-Group: iron", "iron"),
            (b"Accept: a", None),
        ]
        said = [*(one for one in fields for _ in range(3)), *fields]  # what repeats is remembered
        proxy = ip_network("10.9.9.9")

        def script() -> None:
            client = self.client(peer="10.9.9.9")
            for field, _ in said:
                self.transaction(client, GET.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n"))

        saw = self.both(
            script,
            len(said) - 1,
            groups=(self.group, Group("iron")),
            listeners={"trusted": (proxy,), "group_header": "X-Client-Group"},
        )
        self.assertEqual([record["group"] for record in saw["records"]], [group for _, group in said])


class Whole(Both):
    """Scripts on which transactions are fast from their beginning to their end."""

    def test_one_after_the_other(self) -> None:
        def script() -> None:
            for secure in (False, True):
                client = self.client(secure)
                for number in range(4):
                    client.sends(GET.replace(b"one", b"%d" % number))
                    link = self.link()
                    self.clock.advance(0.03 * number)
                    link.sends(OK)
                    self.clock.advance(0.02)

        saw = self.both(script, 7)
        self.assertEqual([record["end"] for record in saw["records"]], ["ok"] * 8)
        self.assertEqual(saw["records"][5]["timings"], {"choose": 0, "link": 0, "watch": 30, "relay": 0})

    def test_all_kinds_of_answers(self) -> None:
        answers = (
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
            b"HTTP/1.1 426 No\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
            OK.replace(b"hello", b"x" * 50_000).replace(b": 5", b": 50000"),
        )

        def script() -> None:
            client = self.warm()
            for answer in answers:
                for request in (
                    GET,
                    GET.replace(b"1.1", b"1.0").replace(b"shop", b"shop\r\nConnection: keep-alive"),
                ):
                    for method in (b"HEAD", b"OPTIONS", b"GET"):
                        if client.closed:  # an answer to HTTP/1.0 that only the end delimits
                            client = self.warm()
                        head = answer[: answer.index(b"\r\n\r\n") + 4]
                        given = head if method == b"HEAD" else answer
                        self.transaction(client, request.replace(b"GET", method), given)

        saw = self.both(script, 2 + len(answers) * 6)  # and two of a warm client that comes again
        self.assertEqual({record["end"] for record in saw["records"]}, {"ok"})

    def test_either_side_may_end_with_it(self) -> None:
        close = b"\r\nConnection: close\r\n\r\n"

        def script() -> None:
            self.transaction(self.warm(), GET.replace(b"\r\n\r\n", close))
            self.transaction(self.warm(), GET, OK.replace(b"\r\n\r\n", close))
            self.transaction(self.warm(), GET, OK + b"stray")

        self.both(script, 4)  # the second client is warmed on the link that the first one left

    def test_max_forwards_counts_down_where_it_counts(self) -> None:
        request = b"GET / HTTP/1.1\r\nHost: shop\r\nMax-Forwards: 5\r\n\r\n"

        def script() -> None:
            client = self.client()
            for method in (b"GET", b"GET", b"GET", b"GET", b"OPTIONS", b"TRACE", b"GET"):
                self.transaction(client, request.replace(b"GET", method))
            said = re.findall(rb"([A-Z]+) /.*?Max-Forwards: ([0-9])", self.links[0].received, re.S)
            self.assertEqual([digit for _, digit in said], [b"5", b"5", b"5", b"5", b"4", b"4", b"5"])

        self.both(script, 6)

    def test_who_waits_for_a_place_gets_it_whatever_becomes_of_the_link(self) -> None:
        after = ServerCodec.after

        def kept_for_its_client(codec: ServerCodec, exchange: int) -> After:
            word = after(codec, exchange)
            return After.PINNED if word is After.REUSABLE else word

        def script() -> None:
            first, second = self.warm(), self.client()
            first.sends(GET)
            second.sends(GET)
            self.assertEqual(self.pool.figures.queued, 1)
            self.patch(ServerCodec, "after", kept_for_its_client)
            self.link().sends(OK)
            self.assertEqual(self.pool.figures.queued, 0)
            self.link().sends(OK)
            self.patch(ServerCodec, "after", after)
            self.assertTrue(second.received.endswith(b"hello"))

        self.both(script, 1, limits_of_servers={"maximum_transactions": 1})

    def test_a_slow_client_is_waited_for(self) -> None:
        large = OK.replace(b"hello", b"x" * 60_000).replace(b": 5", b": 60000")

        def script() -> None:
            client = self.warm()
            (connection,) = self.frontends["plain"].connections
            client.stops_reading()
            while not connection.full:
                self.transaction(client, GET, large)
            client.sends(GET)
            self.assertEqual(self.pool.members[0].outstanding, 0)  # it must take its answers first
            self.clock.advance(5)
            client.reads_on()
            self.link().sends(OK)
            self.assertTrue(client.received.endswith(b"hello"))

        saw = self.both(script, 2)
        self.assertEqual({record["end"] for record in saw["records"]}, {"ok"})


class Parted(Both):
    """Scripts on which something else happens: the transaction becomes a relay in the middle."""

    def test_at_the_answer(self) -> None:
        others = (
            (OK[:10], OK[10:]),
            (OK[:-2], OK[-2:]),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + OK,),
            (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", OK),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n",),
            (b"HTTP/1.1 200 OK\r\n\r\nhello",),
            (b"nonsense\r\n\r\n",),
            (b"HTTP/1.1 101 No\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",),
        )
        for pieces in others:

            def script(pieces: tuple[bytes, ...] = pieces) -> None:
                client = self.under_way()
                for piece in pieces:
                    self.link().sends(piece)
                    self.clock.advance(0.1)
                self.link().closes()
                if not client.closed:
                    self.transaction(client)

            self.both(script, 0)

    def test_what_a_codec_owes_the_server_is_no_content(self) -> None:
        receive = ServerCodec.receive

        def owing(codec: ServerCodec, data: bytes) -> list[Event]:
            events = receive(codec, data)
            return [Reply(e.exchange, e.data) if type(e) is Body else e for e in events]

        def script() -> None:
            client = self.under_way()
            self.patch(ServerCodec, "receive", owing)
            content = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            self.link().sends(b"HTTP/1.1 200 OK\r\n" + content)
            self.patch(ServerCodec, "receive", receive)
            self.assertEqual(client.received.count(b"hello"), 1)  # of the answer before
            self.assertTrue(self.links[0].received.endswith(b"hello"))

        self.both(script, 0)

    def test_a_failing_answer_goes_on_at_another_server(self) -> None:
        def script() -> None:
            client = self.client()
            self.transaction(client)
            self.transaction(client)
            client.sends(GET)  # it is the first server's turn again
            self.links[0].sends(BAD)
            self.links[1].sends(OK)

        saw = self.both(script, 0, servers=2)
        self.assertEqual([t["outcome"] for t in saw["records"][-1]["tries"]], ["status", "ok"])

    def test_by_what_the_client_does(self) -> None:
        def pipelines(client: Peer) -> None:
            client.sends(GET + GET)

        def ends(client: Peer) -> None:
            client.half_closes()

        def goes(client: Peer) -> None:
            client.resets()

        def closes(client: Peer) -> None:
            client.stays = True
            client.closes()

        for does in (pipelines, ends, goes, closes):
            for secure in (False, True):

                def script(does: Callable[[Peer], None] = does, secure: bool = secure) -> None:
                    client = self.under_way(secure)
                    does(client)
                    for _ in range(3):
                        if self.link().lost is None:
                            self.link().sends(OK)
                    if not client.closed:
                        self.transaction(client)

                self.both(script, 1 if does is pipelines else 0)

    def test_by_what_the_server_does(self) -> None:
        def closes(link: Peer) -> None:
            link.closes()

        def resets(link: Peer) -> None:
            link.resets()

        def hangs(link: Peer) -> None:
            self.wait(3)

        def hangs_within_the_answer(link: Peer) -> None:
            link.sends(OK[:-1])
            self.wait(3)

        def breaks_off(link: Peer) -> None:
            link.sends(OK[:-1])
            link.resets()

        for does in (closes, resets, hangs, hangs_within_the_answer, breaks_off):

            def script(does: Callable[[Peer], None] = does) -> None:
                client = self.under_way()
                does(self.link())
                if not client.closed:
                    self.link().sends(OK)

            self.both(script, 0, failover=Failover(response_timeout=2.0, tries=2))

    def test_by_the_broker(self) -> None:
        def drains() -> None:
            for frontend in self.broker.frontends:
                frontend.drain()

        def shuts() -> None:
            for frontend in self.broker.frontends:
                frontend.shut()

        def bars() -> None:
            self.pool.set_server(self.servers[0].address, "down")

        def changes_links() -> None:
            self.pool.links[self.pool.members[0]].mode_changed()

        for does, fast in ((drains, 1), (shuts, 0), (bars, 1), (changes_links, 1)):

            def script(does: Callable[[], None] = does) -> None:
                client = self.under_way()
                does()
                if not client.closed:
                    self.link().sends(OK)
                if not client.closed:
                    client.sends(GET)

            self.both(script, fast)


class Begun(Both):
    """What keeps a transaction from being a fast one at all."""

    def test_requests_that_are_no_short_ones(self) -> None:
        requests = (
            b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi",
            b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: shop\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\nx",
            b"GET / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\n\r\n",
            b"OPTIONS / HTTP/1.1\r\nHost: shop\r\nMax-Forwards: 0\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            b"nonsense\r\n\r\n",
            GET[:-2],
        )
        for request in requests:

            def script(request: bytes = request) -> None:
                client = self.warm()
                client.sends(request)
                if self.pool.members[0].outstanding:
                    self.link().sends(OK)

            self.both(script, b"Upgrade" in request or b"Expect" in request)  # which mean nothing here

    def test_for_a_name_with_other_rules(self) -> None:
        def script() -> None:
            client = self.warm()
            (connection,) = self.frontends["plain"].connections
            connection.origin.misdirected = lambda host: True
            client.sends(GET)
            self.assertIn(b"HTTP/1.1 421 ", client.received)

        self.both(script, 0)

    def test_where_a_request_waits_for_the_servers_go_ahead(self) -> None:
        self.patch(HTTPRules, "go_ahead_wait", lambda rules, request: 1.0)

        def script() -> None:
            client = self.client()
            for _ in range(2):
                client.sends(GET)
                self.clock.advance(1.5)
                self.link().sends(OK)

        self.both(script, 0)

    def test_while_the_client_does_not_take_what_was_written(self) -> None:
        def script() -> None:
            client = self.warm()
            (connection,) = self.frontends["plain"].connections
            connection.pauseProducing()
            client.sends(GET)
            connection.resumeProducing()
            self.link().sends(OK)

        self.both(script, 0)

    def test_without_an_idle_link(self) -> None:
        def script() -> None:
            first, second = self.under_way(), self.client()
            self.transaction(second)
            self.links[0].sends(OK)
            self.assertTrue(first.received.endswith(b"hello"))

        self.both(script, 1)

    def test_without_a_server(self) -> None:
        def script() -> None:
            client = self.warm()
            self.pool.set_server(self.servers[0].address, "down")
            client.sends(GET)

        saw = self.both(script, 0)
        self.assertEqual(saw["records"][1]["end"], "choose:no-server")

    def test_who_waits_for_a_place(self) -> None:
        def script() -> None:
            clients = [self.warm(), self.client(), self.client()]
            for client in clients:
                client.sends(GET)
            for _ in clients:
                self.link().sends(OK)
            self.assertTrue(all(client.received.endswith(b"hello") for client in clients))

        self.both(script, 1, limits_of_servers={"maximum_transactions": 1})

    def test_a_balancer_that_takes_its_time(self) -> None:
        asked: list[Deferred[Any]] = []

        def later(law: RoundRobin, members: Any, *_: Any) -> Any:
            asked.append(Deferred())
            return asked[-1]

        def script() -> None:
            client = self.warm()
            self.patch(RoundRobin, "choose", later)
            client.sends(GET)
            asked.pop().callback(self.pool.members[0])
            self.link().sends(OK)
            self.assertTrue(client.received.endswith(b"hello"))
            client.sends(GET)
            asked.pop().callback(None)
            self.patch(RoundRobin, "choose", choose)

        choose = RoundRobin.choose
        self.both(script, 0)
        self.assertTrue(self.flushLoggedErrors())


class Mistakes(Both):
    """What a plugin raises ends the transaction that met it, and is told; others go on."""

    def meets(self, owner: Any, name: str, **settings: Any) -> Peer:
        self.setUp()
        self.start(servers=1, **settings)
        self.links = []
        client = self.warm()
        right = getattr(owner or self.pool.judge, name)
        self.patch(owner or type(self.pool.judge), name, wrong)
        client.sends(GET)
        self.link().sends(OK)
        self.patch(owner or type(self.pool.judge), name, right)
        self.assertTrue(self.flushLoggedErrors(Mistake), name)
        self.transaction(self.client())
        self.assertTrue(self.clients[-1].received.endswith(b"hello"))
        self.assertEqual(len(self.records.all), 3)
        self.tearDown()
        del self.broker
        return client

    def test_before_the_answer(self) -> None:
        for owner, name in (
            (ServerCodec, "open"),
            (ServerCodec, "_send_head"),
            (ServerCodec, "receive"),
            (HTTPRules, "to_server"),
            (HTTPRules, "to_client"),
            (StatusClassifier, "status"),
            (StatusClassifier, "failing"),
        ):
            received = self.meets(owner, name).received
            self.assertIn(b"HTTP/1.1 502 ", received, name)

    def test_about_what_is_measured(self) -> None:
        for name in ("measured", "measured_answer"):
            received = self.meets(HTTPRules, name, groups=(OfGroups.group,)).received
            self.assertIn(b"HTTP/1.1 502 ", received, name)

    def test_what_was_asked_before_is_not_asked_again(self) -> None:
        for name in ("origin", "replay", "admit", "go_ahead_wait", "measured"):
            right = getattr(HTTPRules, name)

            def script(name: str = name, right: Any = right) -> None:
                client = self.under_way()
                self.patch(HTTPRules, name, wrong)
                client.resets()
                self.settle()
                self.patch(HTTPRules, name, right)
                self.assertEqual(self.pool.members[0].outstanding, 0)

            self.both(script, 0, groups=(OfGroups.group,))

    def test_in_the_answer_the_client_is_cut(self) -> None:
        client = self.meets(ClientCodec, "_send_head")
        self.assertEqual((client.received.count(b"HTTP/1.1 "), client.closed), (1, True))

    def test_after_the_answer(self) -> None:
        client = self.meets(ServerCodec, "release")
        self.assertEqual(client.received.count(b"hello"), 2)
        self.assertTrue(self.meets(ClientCodec, "release").closed)


class Later(Both):
    """Where the reactor tells of the ends of its turns, what ended in one is counted and told there."""

    def start(self, *given: Any, **settings: Any) -> None:
        self.later: list[Any] = []
        self.clock.later = self.later  # type: ignore[attr-defined]
        super().start(*given, **settings)

    def test_all_at_once_when_everything_has_been_sent(self) -> None:
        self.begin()
        clients = [self.warm(), self.warm(secure=True)]
        for client in clients:
            client.sends(GET)
            self.link().sends(OK)
            client.sends(GET)
            self.link().sends(OK)
            self.assertEqual(client.received.count(b"hello"), 3)
        frontends = [self.frontends["plain"], self.frontends["secure"]]
        self.assertEqual(self.later, frontends[::-1])  # each once
        self.assertEqual([len(self.records.all), *(f.figures.ends for f in frontends)], [1, {"ok": 1}, {}])
        for frontend in self.later:
            frontend.end_turn()
        self.later.clear()
        self.assertEqual([f.figures.ends["ok"] for f in frontends], [3, 3])
        self.assertEqual([f.figures.bytes_out for f in frontends], [15, 15])
        self.assertEqual([record["end"] for record in self.records.all], ["ok"] * 6)
        self.assertEqual(len({record["id"] for record in self.records.all}), 6)

    def test_in_a_process_that_is_forked_the_reactor_is_made_anew(self) -> None:
        self.begin()
        self.clock.later = []  # type: ignore[attr-defined]
        self.transaction(self.warm())
        frontend = self.frontends["plain"]
        self.assertEqual((self.later, self.clock.later), ([], [frontend]))  # type: ignore[attr-defined]
        frontend.end_turn()
        self.assertEqual(len(self.records.all), 2)

    def test_who_is_told_ends_another_one(self) -> None:
        self.begin()
        client = self.warm()
        self.transaction(client)
        ended = self.records.transaction_ended

        def asks_again(record: Any) -> None:
            ended(record)
            self.records.transaction_ended = ended  # type: ignore[method-assign]
            self.transaction(client)

        self.records.transaction_ended = asks_again  # type: ignore[method-assign]
        self.later.pop().end_turn()
        self.assertEqual((len(self.records.all), len(self.later)), (2, 1))
        self.later.pop().end_turn()
        self.assertEqual(len(self.records.all), 3)

    def test_nothing_is_lost_when_the_last_client_goes(self) -> None:
        self.begin()
        client = self.warm()
        frontend = self.frontends["plain"]
        drained: list[Any] = []
        client.sends(GET)
        frontend.drain().addCallback(lambda _: drained.append(len(self.records.all)))
        self.link().sends(OK)
        self.assertTrue(client.closed)
        self.assertEqual(drained, [2])
        self.later.pop().end_turn()
        self.assertEqual(len(self.records.all), 2)


class Fuzz(Fuzzed):
    """Whatever happens, with the fast path and without it the same comes of it."""

    groups: Sequence[Group] = ()
    servers_of_pool, places = 2, 0
    moves: Sequence[Callable[[World, int, int], None]] = ()

    def sees(self, way: bool, secure: bool, moves: list[tuple[int, int, int, bool]]) -> dict[str, Any]:
        self.setUp()
        self.clock.advance(1000.0)
        self.begin(
            self.servers_of_pool,
            False,
            secure,
            self.places,
            limits=Limits(connections=50),
            failover=Failover(response_timeout=2.0),
            groups=self.groups,
        )
        self.pool.takes_fast_path &= way
        self.is_ready()
        world = World(self)
        for who in range(2):
            world.connect(who, 1)
        known = (*self.moves, *MOVES)
        for move, who, what, settle in moves:
            known[move % len(known)](world, who, what)
            if settle:
                self.settle()
        self.settle()
        world.a_link(0)
        saw = seen(self, world.links)
        self.tearDown()
        self.flushLoggedErrors()
        return saw

    def is_ready(self) -> None:
        """What more there is to do before clients come."""

    @given(
        secure=st.booleans(),
        moves=st.lists(
            st.tuples(st.integers(0, 28), st.integers(0, 12), st.integers(0, 255), st.booleans()),
            max_size=40,
        ),
    )
    @examples(150)
    def test_same_as_relays(self, secure: bool, moves: list[tuple[int, int, int, bool]]) -> None:
        self.assertEqual(self.sees(True, secure, moves), self.sees(False, secure, moves))


class FuzzOfGroups(Fuzz):
    """Also where some are promised a time that others keep from them: they come by both listeners."""

    groups = (Group("gold", (ip_network("192.0.2.0/24"),), 5, 0.025),)
    servers_of_pool = 1

    def is_ready(self) -> None:
        self.moves = (time_is_short,) * 8
        for member in self.pool.members:
            self.pool.thresholds._idle[member].warming._warm = True


def time_is_short(world: World, who: int, what: int) -> None:
    """For some it is over the time that they are promised."""
    world.case.wait((0.005, 0.02, 0.03, 0.3)[what % 4])


def asks_shortly(world: World, who: int, what: int) -> None:
    """A request that may be a fast one, whole."""
    world.ask(who, (1, 3, 4)[what % 3] if what % 5 else what)
    client = world.a_client(who)
    if client is not None and world.asked[client]:
        world.say(client, world.asked[client][-1], 1_000_000)
    world.case.settle()


def answers_shortly(world: World, who: int, what: int) -> None:
    world.answer_whole(0, 2 + 5 * (who % 3) if what % 4 else what)
    world.case.settle()


#: Mostly what is fast, so that what is not meets it.
MOVES = (*(asks_shortly,) * 6, *(answers_shortly,) * 6, *ALL_MOVES)
