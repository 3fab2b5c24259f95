"""What the state machine asks for is done, all of it, and what a transaction held goes back at its end."""

from __future__ import annotations

import gc
import weakref

from sslbroker.core.states import Action
from sslbroker.core.storage import Stored
from sslbroker.core.transaction import Transaction
from sslbroker.net.actions import DO
from sslbroker.net.relay import Relay
from sslbroker.net.upload import Upload
from sslbroker.settings import Failover

from ..memory import BrokerCase
from .test_relay import ERROR, GET, OK, POST


def test_each_action_is_done_by_one_of_its_own() -> None:
    assert set(DO) == set(Action)
    assert len(set(DO.values())) == len(Action)


class GivenBack(BrokerCase):
    """A link, a place in storage, a kept answer: by whatever way the transaction ends."""

    def nothing_is_held(self) -> None:
        self.settle()
        self.assertEqual(self.pool.storage.used, 0)
        for member in self.pool.members:
            self.assertEqual((len(self.pool.links[member].busy), member.outstanding), (0, 0))

    def test_the_link_of_a_good_answer_serves_again(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(OK[:-1])  # in two pieces: what comes whole needs no relay
        link.sends(OK[-1:])
        self.assertTrue(client.takes().endswith(b"ok"))
        self.nothing_is_held()
        self.assertEqual(len(self.pool.links[self.pool.members[0]].idle), 1)

    def test_a_kept_answer_is_given_where_no_better_one_comes_and_is_held_no_longer(self) -> None:
        self.start(failover=Failover(tries=2))
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(ERROR)
        self.servers[1].link().resets()
        self.assertTrue(client.takes().endswith(b"oops"))
        self.nothing_is_held()

    def test_who_has_gone_waits_for_no_link(self) -> None:
        self.start(servers=1)
        self.servers[0].behaviour = "silent"
        client = self.client()
        client.sends(POST)
        self.settle()
        self.assertEqual(self.pool.members[0].outstanding, 1)
        client.resets()
        self.settle()
        self.assertEqual(self.end, "link:client-gone")
        self.nothing_is_held()


class Forgotten(BrokerCase):
    def test_a_transaction_that_is_over_leaves_nothing_for_the_garbage_collector(self) -> None:
        self.addCleanup(gc.enable)
        gc.collect()
        gc.disable()
        before = self.alive()
        self.start()
        client = self.client()
        client.sends(GET)
        self.servers[0].link().resets()
        self.servers[1].link().sends(ERROR)
        self.servers[2].link().sends(OK)
        client.sends(POST)
        next(server for server in self.servers if server.links).link().sends(OK)
        client.sends(GET)
        client.resets()
        self.assertEqual(len(self.records.all), 3)
        self.assertEqual(self.alive() - before, set())

    def test_neither_does_a_connection_or_a_link_that_is_closed(self) -> None:
        self.addCleanup(gc.enable)
        gc.disable()
        self.start(servers=1)
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(OK)
        (connection,) = self.frontends["plain"].connections
        (used,) = self.pool.links[self.pool.members[0]].idle
        kept: list[weakref.ref[object]] = [weakref.ref(connection), weakref.ref(used)]
        del connection, used
        client.closes()
        link.closes()
        for end in self.network.ends:
            end.protocol = None
        self.assertEqual([one() for one in kept], [None, None])

    def test_nor_one_that_was_answered_by_an_error(self) -> None:
        self.addCleanup(gc.enable)
        gc.disable()
        for request in (GET, POST, b"GET / HTTP/1.1\r\nA b\r\n\r\n"):
            self.start(servers=1)
            client = self.client()
            client.sends(GET)
            self.servers[0].link().sends(OK)
            self.pool.set_server(self.servers[0].address, "down")
            (connection,) = self.frontends["plain"].connections
            kept = weakref.ref(connection)
            del connection
            client.sends(request)
            client.resets()
            for end in self.network.ends:
                if not end.connected:
                    end.protocol = None
            self.assertIs(kept(), None)
            self.tearDown()

    def alive(self) -> set[int]:
        """The parts of transactions that there are; those of another test may go at any time."""
        parts = (Relay, Upload, Transaction, Stored)
        return {id(kept) for kept in gc.get_objects() if type(kept) in parts}
