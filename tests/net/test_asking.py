"""One question to a server of DNS on loopback: what it makes of good, bad, cut and missing answers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import deferLater
from twisted.names import dns as theirs
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sslbroker.net import asking, dns
from sslbroker.net.asking import ask

from .nameserver import Nameserver, Script, answer, scripted, zone

ONE = "10.0.0.1"


class AskingCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.reactor: Any = real_reactor
        self.server: Nameserver | None = None

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()
            self.server = None

    def tearDown(self) -> Any:
        self.assertEqual(self.asking(), [], "sockets are left")
        return Deferred.fromCoroutine(self.stop())

    def asking(self) -> list[Any]:
        """The sockets of questions that are open."""
        return [each for each in self.reactor.getReaders() if isinstance(each, asking._Datagrams)]

    def ask(
        self, timeout: float = 10.0, kind: int = dns.A, name: bytes = b"shop.test"
    ) -> Deferred[dns.Reply]:
        assert self.server is not None
        return Deferred.fromCoroutine(ask(self.reactor, self.server.address, name, kind, timeout))

    def says(self, udp: Script, tcp: Script | None = None) -> None:
        self.server = scripted(udp, tcp)


class Twisteds(AskingCase):
    """A server that somebody else has written."""

    async def test_both_kinds_and_an_alias(self) -> None:
        self.server = zone(
            {
                b"www.test": [theirs.Record_CNAME(b"shop.test", ttl=20)],
                b"shop.test": [theirs.Record_A(ONE, ttl=40), theirs.Record_AAAA("2001:db8::1", ttl=10)],
            }
        )
        self.assertEqual(await self.ask(name=b"www.test"), dns.Reply(0, False, (ONE,), 20))
        self.assertEqual(await self.ask(kind=dns.AAAA), dns.Reply(0, False, ("2001:db8::1",), 10))
        self.assertEqual((await self.ask(name=b"nosuch.test")).code, dns.NO_SUCH_NAME)

    async def test_an_answer_that_is_too_long_for_a_datagram_comes_over_tcp(self) -> None:
        many = [f"10.0.1.{number}" for number in range(100)]
        self.server = zone({b"shop.test": [theirs.Record_A(address, ttl=40) for address in many]})
        self.assertEqual(sorted((await self.ask()).addresses), sorted(many))


class Datagrams(AskingCase):
    async def test_only_the_answer_to_this_question_is_heard(self) -> None:
        self.says(
            lambda question: [
                b"",
                answer(question, "10.6.6.6", change=1),
                answer(question.replace(b"shop", b"evil"), "10.6.6.6"),
                answer(question, ONE),
            ]
        )
        self.assertEqual((await self.ask()).addresses, (ONE,))

    async def test_only_the_asked_server_is_heard(self) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.bind(("127.0.0.1", 0))

            def says(question: bytes) -> Sequence[bytes]:
                (asker,) = self.asking()
                stranger.sendto(answer(question, "10.6.6.6"), asker._socket.getsockname())
                return [answer(question, ONE)]

            self.says(says)
            self.assertEqual((await self.ask()).addresses, (ONE,))

    async def test_numbers_and_ports_are_not_to_be_guessed(self) -> None:
        seen = set()

        def says(question: bytes) -> Sequence[bytes]:
            (asker,) = self.asking()
            seen.add((question[:2], asker._socket.getsockname()[1]))
            return [answer(question, ONE)]

        self.says(says)
        for _ in range(10):
            await self.ask()
        self.assertGreater(len({number for number, _ in seen}), 7)
        self.assertGreater(len({port for _, port in seen}), 7)

    async def test_after_many_strange_datagrams_only_tcp_is_believed(self) -> None:
        strange = asking.MOST_STRANGE + 1
        self.says(
            lambda question: [answer(question, "10.6.6.6", change=n + 1) for n in range(strange)],
            lambda question: [answer(question, ONE)],
        )
        self.assertEqual((await self.ask()).addresses, (ONE,))

    async def test_silence_ends(self) -> None:
        self.says(lambda question: [])
        with self.assertRaises(TimeoutError):
            await self.ask(timeout=0.05)

    async def test_nobody_is_there(self) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        with self.assertRaises(OSError) as caught:
            await ask(self.reactor, ("127.0.0.1", port), b"shop.test", dns.A, 10)
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)

    async def test_nobody_is_there_under_a_reactor_that_only_says_read(self) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        asker = asking._Datagrams(self.reactor, ("127.0.0.1", port), 7, b"shop.test", dns.A)
        asker.doRead()
        with self.assertRaises(ConnectionRefusedError):
            await asker.answer

    async def test_nothing_to_read_after_all(self) -> None:
        self.says(lambda question: [answer(question, ONE)])
        asked = self.ask()
        (asker,) = self.asking()
        asker.doRead()
        self.assertEqual((await asked).addresses, (ONE,))

    async def test_a_socket_that_cannot_be_had(self) -> None:
        with self.assertRaises(OSError):
            await ask(self.reactor, ("255.255.255.255", 53), b"shop.test", dns.A, 10)

    async def test_it_may_be_given_up(self) -> None:
        self.says(lambda question: [])
        asked = self.ask()
        asked.cancel()
        self.assertEqual(self.asking(), [])
        with self.assertRaises(CancelledError):
            await asked

    async def test_when_the_reactor_takes_the_socket_away_it_is_a_failure(self) -> None:
        self.says(lambda question: [])
        asked = self.ask()
        (asker,) = self.asking()
        asker.connectionLost(Failure(CONNECTION_LOST))
        asker.connectionLost(Failure(CONNECTION_LOST))
        with self.assertRaises(OSError):
            await asked


class Streams(AskingCase):
    def cut(self, question: bytes) -> Sequence[bytes]:
        return [answer(question, cut=True)]

    async def test_an_answer_in_two_parts(self) -> None:
        self.says(self.cut, lambda question: [answer(question, ONE), answer(question, "10.6.6.6")])
        self.assertEqual((await self.ask()).addresses, (ONE,))

    async def test_what_is_no_answer(self) -> None:
        for wrong in (
            lambda question: [b"nonsense"],
            lambda question: [answer(question, ONE, change=1)],
            lambda question: [answer(question, cut=True)],
        ):
            self.says(self.cut, wrong)
            with self.assertRaises(dns.NotTheAnswer):
                await self.ask()
            await self.stop()

    async def test_a_connection_that_ends(self) -> None:
        self.says(self.cut, lambda question: [b""])
        with self.assertRaises(OSError):
            await self.ask()

    async def test_an_answer_that_is_too_long(self) -> None:
        self.says(self.cut, lambda question: [b"x" * (asking.LONGEST_ANSWER + 1)])
        with self.assertRaises(OSError):
            await self.ask()

    async def test_no_tcp_at_all(self) -> None:
        self.says(self.cut)
        with self.assertRaises(ConnectError):
            await self.ask()

    async def test_silence_ends(self) -> None:
        self.says(self.cut, lambda question: [])
        with self.assertRaises(TimeoutError):
            await self.ask(timeout=0.2)

    async def test_it_may_be_given_up(self) -> None:
        given_up: list[Deferred[dns.Reply]] = []

        def silent(question: bytes) -> Sequence[bytes]:
            given_up[0].cancel()
            return []

        self.says(self.cut, silent)
        given_up.append(self.ask())
        with self.assertRaises(CancelledError):
            await given_up[0]
        await deferLater(self.reactor, 0.01)

    async def test_it_may_be_given_up_before_it_is_connected(self) -> None:
        self.says(self.cut, lambda question: [])
        asked = self.ask()
        connect = self.reactor.connectTCP

        def connects(*arguments: Any) -> Any:
            self.reactor.callLater(0, asked.cancel)
            return connect("192.0.2.1", *arguments[1:])

        self.patch(self.reactor, "connectTCP", connects)
        with self.assertRaises((CancelledError, ConnectError, TimeoutError)):
            await asked
