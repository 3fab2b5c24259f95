"""A broker whose servers have names: one that changes its addresses, one that does not resolve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred, fail, succeed

from sslbroker.core.figures import ServerFigures
from sslbroker.net.lookup import Answer, LookupFailed, NoSuchName
from sslbroker.net.names import arranged
from sslbroker.service import BrokerService
from sslbroker.settings import Server

from ..memory import BrokerCase, transports

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
KEPT = OK.replace(b"Connection: close\r\n", b"")


class NamedServers(BrokerCase):
    """`says` is what DNS says of a host: its addresses, or a failure; None: nothing yet."""

    def start_named(self, *hosts: str) -> None:
        self.start(servers=4)  # 10.0.0.1:80 to 10.0.0.4:80
        self.says: dict[str, tuple[str, ...] | Exception | None] = {}
        self.pending: list[Callable[[], object]] = []
        (pool,) = self.configuration.pools
        named = replace(pool, servers=tuple(Server(f"{host}:80") for host in hosts))
        self.configuration = replace(self.configuration, pools=(named,))
        self.broker = BrokerService(self.configuration, self.clock, transports=transports(self.clock))
        self.broker.names.lookup = self.look_up
        self.pool = self.broker.pools["shop"]
        self.frontends = {frontend.settings.name: frontend for frontend in self.broker.frontends}
        for frontend in self.broker.frontends:
            frontend._observers = [self.records]

    def look_up(self, host: str) -> Deferred[Answer]:
        says = self.says[host]
        if says is None:
            answer: Deferred[Answer] = Deferred()
            self.pending.append(lambda: self.look_up(host).chainDeferred(answer))
            return answer
        return fail(says) if isinstance(says, Exception) else succeed(Answer(says, 10))

    def transaction(self, server: int) -> None:
        """One goes well, on this server."""
        client = self.client()
        client.sends(GET)
        link = self.servers[server - 1].link()
        link.takes()
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    @property
    def server(self) -> dict[str, object]:
        """What /state says of the first server."""
        return dict(self.pool.describe()[self.configuration.pools[0].servers[0].address])

    @property
    def figures(self) -> ServerFigures:
        return self.pool.members[0].figures

    def test_addresses_share_the_links(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1", "10.0.0.2")
        self.pool.start()
        for server in (2, 1, 2, 1):
            self.transaction(server)
        self.assertEqual(self.server["addresses"], ["10.0.0.1", "10.0.0.2"])

    def test_an_address_that_refuses_costs_no_try(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1", "10.0.0.2")
        self.servers[1].behaviour = "refuse"
        self.pool.start()
        self.transaction(1)
        self.transaction(1)
        self.assertEqual([tried["outcome"] for tried in self.records.all[0]["tries"]], ["ok"])

    def test_an_address_that_is_silent_costs_a_moment(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1", "10.0.0.2")
        self.servers[1].behaviour = "silent"
        self.pool.start()
        client = self.client()
        client.sends(GET)
        self.assertEqual(len(self.servers[0].links), 0)
        self.wait(0.26)
        link = self.servers[0].link()
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_all_addresses_refuse(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1", "10.0.0.2")
        self.servers[0].behaviour = self.servers[1].behaviour = "refuse"
        self.pool.start()
        client = self.client()
        client.sends(GET)
        self.wait(5.1)  # for it to come back
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(self.end, "link:refused")
        self.assertEqual(len(self.records.all[-1]["tries"]), 1)

    def test_a_server_whose_name_does_not_resolve_is_down_until_it_does(self) -> None:
        self.start_named("app.test", "10.0.0.3")
        self.says["app.test"] = None
        self.pool.start()
        self.assertEqual(self.server["bars"], {})
        self.says["app.test"] = LookupFailed("nobody answers")
        (answer,) = self.pending
        answer()
        self.assertEqual(self.server["bars"], {"unresolved": "nobody answers"})
        for _ in range(3):
            self.transaction(3)
        self.says["app.test"] = ("10.0.0.1",)
        self.wait(1)
        self.assertEqual(self.server["bars"], {})
        self.pool.members[1].bar("down")
        self.transaction(1)

    def test_a_name_that_is_gone_takes_its_server_out_and_brings_it_back(self) -> None:
        self.start_named("app.test", "10.0.0.3")
        self.says["app.test"] = ("10.0.0.1",)
        self.pool.start()
        self.transaction(1)
        self.says["app.test"] = NoSuchName("DNS knows no address of app.test")
        self.wait(20)
        self.assertEqual(self.server["bars"], {"unresolved": "DNS knows no address of app.test"})
        for _ in range(3):
            self.transaction(3)
        self.says["app.test"] = ("10.0.0.2",)
        self.wait(31)
        self.assertEqual((self.server["bars"], self.server["addresses"]), ({}, ["10.0.0.2"]))
        self.pool.members[1].bar("down")
        self.transaction(2)

    def test_a_dns_that_is_down_changes_nothing(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1",)
        self.pool.start()
        self.says["app.test"] = LookupFailed("nobody answers")
        self.wait(600)
        self.transaction(1)

    def test_addresses_that_change_are_followed(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1",)
        self.pool.start()
        self.transaction(1)
        self.says["app.test"] = ("10.0.0.2",)
        self.wait(10)
        self.transaction(2)

    def test_no_link_is_kept_to_an_address_that_is_gone(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1", "10.0.0.2")
        self.pool.start()
        clients = [self.client() for _ in range(4)]
        for client in clients:
            client.sends(GET)
        for server in self.servers[:2]:
            server.links[0].sends(KEPT)
        self.assertEqual(self.figures.links_idle, 2)
        self.says["app.test"] = ("10.0.0.2", "10.0.0.3")
        self.wait(10)
        self.assertEqual([link.closed for link in self.servers[0].links], [True, False])
        self.assertEqual((self.figures.links_idle, self.figures.links_busy), (1, 2))
        for server in self.servers[:2]:
            server.links[1].sends(KEPT)  # under way when the address went
        for client in clients:
            self.assertTrue(client.takes().endswith(b"ok"))
        self.assertTrue(self.servers[0].links[1].closed)
        self.assertEqual([link.closed for link in self.servers[1].links], [False, False])
        self.assertEqual(self.figures.links, 2)

    def test_an_address_is_the_same_in_every_spelling(self) -> None:
        """Python and the kernel do not spell all of them alike."""
        for spelling in ("::ffff:10.0.0.1", "::10.0.0.1", "FD00:0::1"):
            self.start_named("app.test")
            (address,) = arranged([spelling])
            self.servers[0].address = f"{address}:80"
            self.says["app.test"] = (spelling,)
            self.pool.start()
            client = self.client()
            client.sends(GET.replace(b"Connection: close\r\n", b""))
            link = self.servers[0].link()
            link.sends(KEPT)
            self.wait(10)  # what DNS says is looked at again
            client.sends(GET)
            link.sends(KEPT)
            self.assertTrue(client.takes().endswith(b"ok"))
            self.assertEqual((self.figures.links_opened, self.figures.links_reused), (1, 1))
            self.tearDown()

    def start_with_an_idle_link(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = ("10.0.0.1",)
        self.pool.start()
        self.client().sends(GET)
        self.servers[0].link().sends(KEPT)
        self.assertEqual(self.figures.links_idle, 1)

    def test_no_link_is_kept_to_a_server_whose_name_is_gone(self) -> None:
        self.start_with_an_idle_link()
        self.says["app.test"] = NoSuchName("DNS knows no address of app.test")
        self.wait(20)
        self.assertEqual(self.figures.links, 0)

    def test_links_stay_while_dns_is_down(self) -> None:
        self.start_with_an_idle_link()
        self.says["app.test"] = LookupFailed("nobody answers")
        self.wait(20)
        self.assertEqual(self.figures.links_idle, 1)

    def test_who_comes_before_the_first_answer_waits_for_it(self) -> None:
        self.start_named("app.test")
        self.says["app.test"] = None
        self.pool.start()
        client = self.client()
        client.sends(GET)
        self.says["app.test"] = ("10.0.0.1",)
        (answer,) = self.pending
        answer()
        link = self.servers[0].link()
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_who_comes_before_the_first_answer_waits_no_longer_than_for_a_connection(self) -> None:
        self.start_named("app.test", "10.0.0.3")
        self.says["app.test"] = None
        self.pool.start()
        client = self.client()
        client.sends(GET)
        self.wait(1.9)
        self.assertEqual(len(self.servers[2].links), 0)
        self.wait(0.2)
        self.servers[2].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(
            [tried["outcome"] for tried in self.records.all[0]["tries"]], ["connect-timeout", "ok"]
        )
        self.assertEqual(self.figures.links, 0)

    def test_a_name_that_is_unknown_at_once_is_down_at_once(self) -> None:
        self.start_named("app.test", "10.0.0.3")
        self.says["app.test"] = NoSuchName("app.test is no name that DNS can know")
        self.pool.start()
        self.assertEqual(self.server["bars"], {"unresolved": "app.test is no name that DNS can know"})
        self.transaction(3)
