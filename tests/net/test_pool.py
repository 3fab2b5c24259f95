"""A pool chooses among its members, in the order of the configuration."""

from __future__ import annotations

from typing import Any

from sslbroker.core.transaction import Attempt
from sslbroker.errors import NoServer
from sslbroker.interfaces import Origin
from sslbroker.protocols.http.message import NONE, Request

from ..memory import BrokerCase

REQUEST = Request(b"GET", b"/", 1, [], b"a", NONE, 0)


class Choosing(BrokerCase):
    def choose(self, attempts: list[Attempt]) -> Any:
        return self.pool.choose(attempts, REQUEST, Origin("192.0.2.1"), "")

    def test_a_try_goes_to_a_server_not_used_yet_while_there_is_one(self) -> None:
        self.start(servers=3)
        attempts: list[Attempt] = []
        for _ in range(4):
            member = self.choose(attempts)
            assert member is not None
            attempts.append(Attempt(member, 0.0))
        used = [attempt.member for attempt in attempts]
        self.assertEqual(used[:3], self.pool.members)
        self.assertIn(used[3], self.pool.members)

    def test_least_connections_is_another_law(self) -> None:
        self.start(servers=2, balance="least-connections")
        self.pool.members[0].figures.outstanding = 1
        self.assertIs(self.choose([]), self.pool.members[1])
        self.pool.members[0].figures.outstanding = 0

    def test_a_pool_without_servers_has_no_choice(self) -> None:
        self.start(servers=0)
        self.assertRaises(NoServer, self.choose, [])
        client = self.client()
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:no-server")
