"""An operator's changes to a running broker: carried out, logged, or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.errors import StartError
from sslbroker.interfaces import Origin
from sslbroker.net import certificates
from sslbroker.net.pins import Finding
from sslbroker.service import BrokerService
from sslbroker.settings import Broker, Configuration, Group, LinkTLS, Listener, ListenerTLS, Pool, Server

from .files import folder

ONE, TWO = "127.0.0.1:9", "127.0.0.1:10"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = folder(self)
        self.clock = MemoryReactorClock()

    def build(
        self, *, state: bool = False, listener: ListenerTLS | None = None, **pool: Any
    ) -> BrokerService:
        """A broker that is not started."""
        servers = pool.pop("servers", (Server(ONE), Server(TWO)))
        self.broker = BrokerService(
            Configuration(
                listeners=(Listener("web", "tcp:0", "shop", tls=listener),),
                pools=(Pool("shop", servers, **pool),),
                broker=Broker(state_directory=self.folder / "state" if state else None),
            ),
            self.clock,
        )
        self.addCleanup(self.broker.pools["shop"].close)
        return self.broker

    def stands(self, address: str = ONE) -> dict[str, Any]:
        return dict(self.broker.servers()["shop"][address])

    def said(self, call: Callable[[], object]) -> list[str]:
        """The lines that this logs."""
        with capturedLogs() as events:
            call()
        return [str(formatEvent(event)) for event in events]

    def refused(self, kind: type[Exception], call: Callable[[], object]) -> str:
        """In which words; nothing is changed."""
        before = self.broker.servers()
        with capturedLogs() as events:
            error = self.assertRaises(kind, call)
        self.assertEqual((list(events), self.broker.servers()), ([], before))
        return str(error.args[0])


class Servers(Case):
    def test_a_server_is_drained_taken_out_and_brought_back(self) -> None:
        broker = self.build()
        for state, may_be_chosen in (("drain", True), ("down", False), ("up", True)):
            lines = self.said(partial(broker.set_server, "shop", ONE, state))
            self.assertEqual(lines, [f"pools.shop server {ONE}: {state}"])
            self.assertEqual((self.stands()["state"], self.stands()["open"]), (state, may_be_chosen))
            self.assertEqual(self.stands(TWO)["state"], "up")

    def test_a_weight_is_changed_alone(self) -> None:
        broker = self.build()
        broker.set_server("shop", ONE, "drain")
        lines = self.said(lambda: broker.set_server("shop", ONE, weight=7))
        self.assertEqual(lines, [f"pools.shop server {ONE}: weight 7"])
        self.assertEqual((self.stands()["weight"], self.stands()["state"]), (7, "drain"))
        self.assertEqual(broker.figures.pools[0].servers[0].weight, 7)

    def test_what_cannot_be_is_refused(self) -> None:
        broker = self.build()
        for call in (
            lambda: broker.set_server("shop", ONE, "gone"),
            lambda: broker.set_server("shop", ONE, "down", weight=0),
            lambda: broker.set_server("shop", ONE, weight=True),
        ):
            self.assertIn("expected", self.refused(ValueError, call))

    def test_an_unknown_pool_or_server_is_told_in_words(self) -> None:
        broker = self.build()
        pool = "found 'shpo', expected a pool (did you mean 'shop'?)"
        server = "found 'x:1', expected a server of pool shop (there are ['127.0.0.1:9', '127.0.0.1:10'])"
        calls: list[Callable[[str, str], object]] = [
            lambda pool, server: broker.set_server(pool, server, "down"),
            lambda pool, server: broker.set_link_mode(pool, True, server),
            broker.clear_pin,
        ]
        for call in calls:
            self.assertEqual(self.refused(KeyError, partial(call, "shpo", ONE)), pool)
            self.assertEqual(self.refused(KeyError, partial(call, "shop", "x:1")), server)


class Links(Case):
    def test_links_become_secure_and_plain_again(self) -> None:
        broker = self.build()
        lines = self.said(lambda: broker.set_link_mode("shop", True))
        self.assertEqual(lines, ["pools.shop: links are secure from now on"])
        self.assertEqual({self.stands(server)["link"] for server in (ONE, TWO)}, {"secure"})
        lines = self.said(lambda: broker.set_link_mode("shop", False, TWO))
        self.assertEqual(lines, [f"pools.shop server {TWO}: links are plain from now on"])
        self.assertEqual((self.stands()["link"], self.stands(TWO)["link"]), ("secure", "plain"))

    def test_auto_needs_a_place_for_what_is_found_out(self) -> None:
        broker = self.build()
        words = self.refused(ValueError, lambda: broker.set_link_mode("shop", "auto"))
        self.assertIn("expected a broker.state_directory", words)
        broker = self.build(state=True)
        broker.set_link_mode("shop", "auto", ONE)
        self.assertEqual(self.stands()["link_mode"], "auto")

    def test_another_mode_is_refused(self) -> None:
        broker = self.build()
        for mode in ("yes", "plain", None, 1, 0.0):
            call = partial(broker.set_link_mode, "shop", cast(str, mode))
            self.assertIn("expected False, True or 'auto'", self.refused(ValueError, call))

    def test_links_that_nobody_verifies_are_warned_of_when_they_begin(self) -> None:
        trusting = LinkTLS(verify=False)
        broker = self.build(servers=(Server(ONE, tls=trusting), Server(TWO, tls=trusting)))
        lines = self.said(lambda: broker.set_link_mode("shop", True))
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[1].startswith("pools.shop: tls.verify: "), lines)

    def test_a_pin_is_cleared(self) -> None:
        broker = self.build(state=True)
        broker.prepared.pins.set("shop", ONE, Finding.TLS)
        lines = self.said(lambda: broker.clear_pin("shop", ONE))
        self.assertEqual(lines, [f"pools.shop server {ONE}: what it speaks is found out anew"])
        self.assertIs(broker.prepared.pins.get("shop", ONE), None)


class Certificates(Case):
    def written(self, name: str, *names: str) -> Path:
        path = self.folder / name
        path.write_bytes(certificates.throwaway(names or ("a.test",)))
        return path

    def build_with_files(self) -> BrokerService:
        self.mine, self.ca = self.written("mine.pem"), self.written("ca.pem")
        return self.build(
            listener=ListenerTLS((self.mine,)), continue_secure_link=True, tls=LinkTLS(ca=self.ca)
        )

    def used(self) -> tuple[object, object]:
        """What new connections of clients, and new links, get."""
        contexts = self.broker.pools["shop"].links[self.broker.pools["shop"].members[0]].contexts
        assert contexts is not None
        return self.broker.contexts["web"]._contexts, contexts.trust.context

    def test_all_files_are_read_anew(self) -> None:
        broker = self.build_with_files()
        listener, link = self.used()
        self.assertEqual(self.said(broker.reload_certificates), ["certificates are read anew"])
        self.assertIsNot(self.used()[0], listener)
        self.assertIsNot(self.used()[1], link)

    def test_what_has_a_problem_stays_and_the_rest_is_reloaded(self) -> None:
        broker = self.build_with_files()
        listener, link = self.used()
        self.mine.write_text("")
        error = self.assertRaises(StartError, broker.reload_certificates)
        self.assertTrue(str(error).startswith(f"listeners.web.tls: {self.mine}: "), error)
        self.assertIs(self.used()[0], listener)
        self.assertIsNot(self.used()[1], link)
        self.written("mine.pem")
        self.ca.write_text("")
        error = self.assertRaises(StartError, broker.reload_certificates)
        self.assertRegex(str(error), rf"^pools\.shop: .*{self.ca}")
        self.assertIsNot(self.used()[0], listener)

    def test_every_problem_at_once(self) -> None:
        broker = self.build_with_files()
        self.mine.write_text("")
        self.ca.write_text("")
        self.assertEqual(len(str(self.assertRaises(StartError, broker.reload_certificates)).splitlines()), 2)

    def test_a_signal_tells_the_problems_in_the_log_and_nothing_stops(self) -> None:
        broker = self.build_with_files()
        self.mine.write_text("")
        lines = self.said(broker.reload)
        self.assertTrue(lines[0].startswith(f"kept as it was: listeners.web.tls: {self.mine}: "), lines)
        self.written("mine.pem")
        self.assertEqual(self.said(broker.reload), ["certificates are read anew"])


class Groups(Case):
    def build_with_file(self) -> BrokerService:
        self.file = self.folder / "gold.txt"
        self.file.write_text("192.0.2.0/24")
        self.broker = BrokerService(
            Configuration(
                listeners=(Listener("web", "tcp:0", "shop"),),
                pools=(Pool("shop", (Server(ONE),)),),
                groups=(Group("gold", (), 5, files=(self.file,)),),
            ),
            self.clock,
        )
        self.addCleanup(self.broker.pools["shop"].close)
        return self.broker

    def reload(self) -> None:
        self.broker.reload()
        while self.clock.getDelayedCalls():
            self.clock.advance(0)

    def group(self, address: str) -> str | None:
        assert self.broker.grouping is not None
        found = self.broker.grouping(Origin(address), "")
        return None if found is None else found.name

    def test_a_signal_reads_the_files_anew(self) -> None:
        self.build_with_file()
        self.file.write_text("198.51.100.0/24")
        lines = self.said(self.reload)
        self.assertEqual(lines, ["certificates are read anew", "networks of groups are read anew"])
        self.assertEqual([self.group("192.0.2.1"), self.group("198.51.100.1")], [None, "gold"])

    def test_a_mistake_is_told_and_all_stays_as_it_was(self) -> None:
        self.build_with_file()
        self.file.write_text("198.51.100.0/24\n1.2.3\n")
        lines = self.said(self.reload)
        self.assertEqual(len(lines), 2)
        self.assertTrue(
            lines[1].startswith(f"kept as it was: groups.gold.files[0]: {self.file}:2: found '1.2.3'")
        )
        self.assertEqual([self.group("192.0.2.1"), self.group("198.51.100.1")], ["gold", None])

    def test_without_groups_a_signal_says_nothing_of_them(self) -> None:
        broker = self.build()
        self.assertEqual(self.said(broker.reload), ["certificates are read anew"])
        self.assertIs(self.successResultOf(broker.reload_groups()), None)
