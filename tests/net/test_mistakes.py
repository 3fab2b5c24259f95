"""A mistake in a plugin: it is logged, its transaction ends by 502 or a cut, and nothing else is lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sslbroker.core.steps import Steps
from sslbroker.errors import BrokerError
from sslbroker.interfaces import IObserver

from ..memory import BrokerCase, Peer

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
PUT = b"PUT /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD_GATEWAY = b"HTTP/1.1 502 "


class Mistake(Exception):
    """What a plugin raises."""


def wrong(*arguments: Any) -> Any:
    raise Mistake


class Wrong:
    """Another object with one method that raises."""

    def __init__(self, right: Any, name: str) -> None:
        self._right = right
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return wrong if name == self._name else getattr(self._right, name)


class Mute(Wrong):
    """A codec that gives no error when it is asked for one."""

    def __init__(self, right: Any) -> None:
        super().__init__(right, "")

    def refuse(self, error: BrokerError) -> list[Any]:
        return []


class InAPlugin(BrokerCase):
    def logged(self, times: int = 1) -> None:
        self.settle()
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), times)

    def others_go_on(self) -> None:
        """A client that came before is served by a link and a pool that work."""
        self.other.sends(GET)
        for server in self.servers:
            if server.links:
                server.link().sends(OK)
        answer = self.other.takes()
        self.assertTrue(answer.endswith(b"ok"), answer)

    def begin(self, secure: bool = False) -> Peer:
        self.start()
        self.other = self.client(secure)
        return self.client(secure)

    def broken(self, part: Any, name: str) -> Any:
        return Wrong(part, name)

    def obeys(self, rules: Any) -> Any:
        """The pool has these rules; what it had before."""
        before, self.pool.rules = self.pool.rules, rules
        self.pool.short_cuts = Steps(rules)
        return before

    def test_in_the_rules_before_a_server_is_chosen(self) -> None:
        for name in ("origin", "replay", "admit"):
            client = self.begin()
            rules = self.obeys(self.broken(self.pool.rules, name))
            client.sends(GET)
            self.obeys(rules)
            self.assertTrue(client.takes().startswith(BAD_GATEWAY), name)
            self.logged()
            self.assertEqual(
                self.end, {"origin": "relay", "replay": "relay", "admit": "choose"}[name] + ":internal"
            )
            self.others_go_on()
            self.tearDown()
            self.setUp()

    def test_in_the_rules_when_the_request_is_sent(self) -> None:
        for name in ("to_server", "go_ahead_wait"):
            client = self.begin(secure=True)
            rules = self.obeys(self.broken(self.pool.rules, name))
            client.sends(PUT)
            self.assertTrue(client.takes().startswith(BAD_GATEWAY), name)
            self.obeys(rules)
            self.logged()
            self.assertEqual(self.tries(), [("1", "internal")])
            self.others_go_on()
            self.tearDown()
            self.setUp()

    def test_in_the_classifier(self) -> None:
        for name in ("status", "failing"):
            client = self.begin()
            classifier = self.pool.judge.classifier
            self.pool.judge.classifier = self.broken(classifier, name)
            client.sends(GET)
            self.servers[0].link().sends(OK)
            self.assertTrue(client.takes().startswith(BAD_GATEWAY), name)
            self.pool.judge.classifier = classifier
            self.logged()
            self.assertEqual(self.end, "watch:internal")
            self.others_go_on()
            self.tearDown()
            self.setUp()

    def test_in_the_rules_for_the_answer_it_is_a_cut(self) -> None:
        client = self.begin()
        client.sends(GET)
        rules = self.obeys(self.broken(self.pool.rules, "to_client"))
        self.servers[0].link().sends(OK)
        self.assertEqual(client.takes(), b"")
        self.assertTrue(client.closed)
        self.obeys(rules)
        self.logged()
        self.others_go_on()

    def test_in_the_words_for_a_failure_it_is_a_cut(self) -> None:
        client = self.begin()
        for server in self.servers:
            server.behaviour = "refuse"
        rules = self.obeys(self.broken(self.pool.rules, "error_answer"))
        client.sends(GET)
        self.wait(5.1)  # for a server that comes back
        self.assertTrue(client.closed)
        unframed = self.client()
        unframed.sends(b"nonsense\r\n\r\n")
        self.assertTrue(unframed.closed)
        self.obeys(rules)
        self.logged(2)  # the answer to the failure, and that to nonsense
        for server in self.servers:
            server.behaviour = "accept"
        self.wait(1.2)  # for a knock
        self.others_go_on()

    def test_in_the_codec_of_the_client(self) -> None:
        for name in ("receive", "after", "release"):
            client = self.begin()
            (connection,) = self.frontends["plain"].connections - {self.other.transport.other.protocol}  # type: ignore[union-attr]
            connection.codec = self.broken(connection.codec, name)
            client.sends(GET)
            if name != "receive":
                self.servers[0].link().sends(OK)
            self.assertTrue(client.closed, name)
            self.logged()
            self.others_go_on()
            self.tearDown()
            self.setUp()

    def test_in_the_codec_of_the_client_when_it_answers(self) -> None:
        client = self.begin()
        (connection,) = self.frontends["plain"].connections - {self.other.transport.other.protocol}  # type: ignore[union-attr]
        client.sends(GET)
        connection.codec = self.broken(connection.codec, "send")
        self.servers[0].link().sends(OK)
        self.assertEqual(client.takes(), b"")
        self.assertTrue(client.closed)
        self.logged(1)
        self.others_go_on()

    def test_in_the_codec_of_a_link(self) -> None:
        for name in ("open", "send", "receive", "after", "release"):
            client = self.begin()
            links = self.pool.links[self.pool.members[0]]
            make = links._make_codec
            links._make_codec = lambda *limits, name=name, make=make: self.broken(make(*limits), name)
            client.sends(GET)
            links._make_codec = make
            if name in ("receive", "after", "release"):
                self.servers[0].link().sends(OK)
            answer = client.takes()
            self.assertTrue(answer.startswith(BAD_GATEWAY) or client.closed, name)
            self.logged()
            self.others_go_on()
            self.tearDown()
            self.setUp()

    def test_in_the_making_of_a_codec(self) -> None:
        for secure in (False, True):
            self.begin()
            protocol = self.pool.protocol
            self.pool.protocol = self.broken(protocol, "client_codec")
            self.assertTrue(self.client(secure).closed)
            self.pool.protocol = protocol
            self.logged()
            self.tearDown()
            self.setUp()

    def test_in_the_making_of_a_links_codec_the_next_server_is_tried(self) -> None:
        client = self.begin()
        links = self.pool.links[self.pool.members[0]]
        links._make_codec = wrong
        client.sends(GET)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.logged()

    def test_in_a_balancer(self) -> None:
        client = self.begin()
        balancer = self.pool.places._choosing._balancer
        self.pool.places._choosing._balancer = self.broken(balancer, "choose")
        client.sends(GET)
        self.assertTrue(client.takes().startswith(BAD_GATEWAY))
        self.pool.places._choosing._balancer = balancer
        self.logged()
        self.others_go_on()

    def test_in_an_observer_the_next_one_still_hears(self) -> None:
        client = self.begin()
        frontend = self.frontends["plain"]
        frontend._observers = [self.broken(self.records, "transaction_ended"), self.records]
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.logged()
        self.assertEqual(self.end, "ok")
        self.others_go_on()
        self.logged()

    def test_in_an_observer_that_goes_on_by_itself(self) -> None:
        client = self.begin()
        waiting: Deferred[None] = Deferred()

        @implementer(IObserver)
        class Slow:
            def transaction_ended(self, record: Any) -> Any:
                return self.write() if record["target"] == "/a" else waiting

            async def write(self) -> None:
                await waiting
                raise Mistake

        self.frontends["plain"]._observers = [Slow(), self.records]
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.end, "ok")
        self.logged(0)
        waiting.callback(None)
        self.logged()
        self.others_go_on()
        self.logged()

    def test_in_the_fields_for_the_log_the_rest_is_logged(self) -> None:
        client = self.begin()
        self.obeys(self.broken(self.pool.rules, "log_fields"))
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        client.sends(b"nonsense\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 400 "))
        self.assertEqual([record["end"] for record in self.records.all], ["ok", "frame:bad-request"])
        self.logged(2)

    def test_while_a_body_waits_for_the_go_ahead_or_for_room_at_the_server(self) -> None:
        for waits in (b"Expect: 100-continue\r\n", b""):
            client = self.begin()
            self.servers[0].starts_deaf = not waits
            client.sends(
                PUT[: -len(b"\r\nhello")].replace(b": 5", b": 99999") + waits + b"\r\n" + b"x" * 80_000
            )
            link = self.servers[0].link()
            (busy,) = self.pool.links[self.pool.members[0]].busy
            busy.codec = self.broken(busy.codec, "send")
            if waits:
                self.wait(1.1)
            else:
                client.sends(b"x" * 19_999)
                link.reads_on()
            self.assertTrue(client.takes().startswith(BAD_GATEWAY))
            self.logged()
            self.others_go_on()
            self.tearDown()
            self.setUp()

    def test_in_a_drain_or_at_a_limit_the_connection_ends(self) -> None:
        client = self.begin()
        for connection in self.frontends["plain"].connections:
            connection.codec = self.broken(connection.codec, "drain")
        self.frontends["plain"].drain()
        self.assertTrue(client.closed)
        self.assertTrue(self.other.closed)
        self.logged(2)
        for what in ("refuse", "receive_end"):
            client = self.client()
            client.sends(b"GET / HT")
            for connection in self.frontends["plain"].connections:
                connection.codec = self.broken(connection.codec, what)
            if what == "refuse":
                self.wait(11)
            else:
                client.half_closes()
            self.assertTrue(client.closed)
            self.logged()

    def test_a_codec_that_refuses_without_an_error_does_not_keep_the_client(self) -> None:
        client = self.begin()
        client.sends(b"GET / HT")
        for connection in self.frontends["plain"].connections:
            connection.codec = Mute(connection.codec)  # type: ignore[assignment]
        self.wait(11)
        self.assertTrue(client.closed)
