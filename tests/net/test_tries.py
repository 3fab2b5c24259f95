"""What those who watch are told of the tries of a transaction: once each, by whatever way it ends."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from sslbroker.core.attempt import Attempt
from sslbroker.settings import Failover, Group

from ..memory import BrokerCase, Peer
from .test_relay import CIRCLE, ERROR, GET, OK, POST

GROUPS: Sequence[Group] = (Group("gold", (ip_network("192.0.2.0/24"),), 5, threshold=0.2),)


class Told(BrokerCase):
    """Who hears that a try is over writes it down here, in the order of hearing."""

    def begin(self, servers: int = 2, **more: Any) -> Peer:
        self.start(servers, groups=GROUPS, **more)
        self.told: list[str] = []
        pool, promises = self.pool, self.pool.promises
        assert promises is not None
        for member in pool.members:
            self.listens(member, "ended", "server")
        self.listens(promises, "ended", "promises")
        self.listens(pool.monitor, "heard", "monitor")
        self.listens(pool.places, "freed", "places", many=True)
        return self.client(secure=True)

    def listens(self, listener: Any, name: str, word: str, *, many: bool = False) -> None:
        kind = type(listener)
        original = getattr(kind, name)
        told, case = self.told, self

        def hears(this: Any, *arguments: Any) -> Any:
            if this is listener:
                number = case.number(arguments[0]) if not many else ""
                told.append(f"{word} {number}".strip())
            return original(this, *arguments)

        self.patch(kind, name, hears)

    def number(self, attempt: Attempt) -> str:
        return attempt.member.settings.host[-1]

    def all_hear(self, *numbers: str) -> None:
        expected = []
        for number in numbers:
            expected += [f"server {number}", f"promises {number}", f"monitor {number}", "places"]
        self.assertEqual([word for word in self.told if word in expected], expected)
        self.assertEqual([member.outstanding for member in self.pool.members], [0] * len(self.servers))

    def test_of_one_that_has_the_answer(self) -> None:
        client = self.begin()
        client.sends(POST)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.all_hear("1")

    def test_of_one_that_failed_and_of_the_next(self) -> None:
        client = self.begin()
        client.sends(GET)
        self.servers[0].link().resets()
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.all_hear("1", "2")

    def test_of_one_whose_failing_answer_is_kept(self) -> None:
        client = self.begin()
        client.sends(GET)
        self.servers[0].link().sends(ERROR)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.all_hear("1", "2")

    def test_of_one_that_is_outrun(self) -> None:
        client = self.begin(failover=Failover(hedge=True))
        client.sends(GET)
        self.wait(0.2)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.all_hear("1", "2")

    def test_of_one_whose_client_leaves(self) -> None:
        client = self.begin()
        client.sends(GET)
        self.servers[0].link().takes()
        client.resets()
        self.settle()
        self.all_hear("1")

    def test_of_one_that_a_mistake_ends(self) -> None:
        client = self.begin()
        client.sends(GET)
        self.patch(self.pool.judge, "classifier", None)
        self.servers[0].link().sends(OK[:-1])
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.all_hear("1")


class Together(BrokerCase):
    """What several tries tell together is told when the client has an answer, and at the end."""

    def begin(self, **more: Any) -> Peer:
        self.start(3, **more)
        self.told: list[str] = []
        judged = self.pool.monitor.judged

        def hears(attempts: Sequence[Attempt]) -> None:
            self.told.append(" ".join(attempt.member.settings.host[-1] for attempt in attempts))
            judged(attempts)

        self.patch(self.pool.monitor, "judged", hears)
        return self.client()

    def test_one_alone_tells_nothing(self) -> None:
        client = self.begin()
        client.sends(POST)
        self.servers[0].link().sends(OK)
        self.assertEqual(self.told, [])

    def test_the_tries_until_the_answer(self) -> None:
        client = self.begin()
        client.sends(GET)
        self.servers[0].link().sends(ERROR)
        self.assertEqual(self.told, [])
        second = self.servers[1].link()
        second.sends(OK[:-1])
        self.assertEqual(self.told, ["1 2"])
        second.sends(OK[-1:])
        self.assertEqual(self.told, ["1 2"])

    def test_those_that_brought_none(self) -> None:
        client = self.begin()
        client.sends(GET)
        for server in self.servers:
            server.link().resets()
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(self.told, ["1 2 3"])


class Counted(BrokerCase):
    def test_no_server_is_blamed_for_a_circle(self) -> None:
        """A client can make one up, by the name of a broker behind this one in its Via."""
        self.start(servers=1, failover=Failover(tries=1))
        [member] = self.pool.members
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        for answer, load in ((CIRCLE, 0.0), (ERROR, 1.0)):
            link.sends(answer)
            self.assertIn(answer[8:13], client.takes())
            self.assertEqual(member.load(self.clock.seconds()), load)
            client.sends(GET)

    def test_a_first_try_gives_the_budget_and_no_other_does(self) -> None:
        self.start(failover=Failover(tries=2))
        before = self.pool.budget.first_tries
        client = self.client()
        client.sends(GET)
        self.servers[0].link().resets()
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.pool.budget.first_tries - before, 1)

    def test_a_servers_time_begins_when_it_has_the_request(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(POST[:-1])
        link = self.servers[0].link()
        self.wait(0.5)
        client.sends(POST[-1:])
        self.wait(0.25)
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertAlmostEqual(self.pool.members[0].figures.server_times.sum, 0.25)
