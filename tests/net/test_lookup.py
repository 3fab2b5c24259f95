"""Lookups on a test clock, with DNS played by hand; and once with everything real, on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.names import dns as theirs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sslbroker.net import lookup
from sslbroker.net.dns import AAAA, FINE, NO_SUCH_NAME, A, NotTheAnswer, Reply
from sslbroker.net.lookup import GRACE, Answer, Lookup, LookupFailed, NoSuchName, candidates, server
from sslbroker.net.names import Name, Names
from sslbroker.net.systemfiles import Resolving
from sslbroker.settings import Names as Settings

from ..files import folder
from .nameserver import Nameserver, answer, scripted, zone

ONE, SIX = "10.0.0.1", "2001:db8::1"
FIRST, SECOND = ("192.0.2.1", 53), ("192.0.2.2", 53)


class Servers(SynchronousTestCase):
    def test_addresses_with_and_without_a_port(self) -> None:
        for text, expected in {
            "192.0.2.1": ("192.0.2.1", 53),
            "192.0.2.1:5353": ("192.0.2.1", 5353),
            "2001:db8::1": ("2001:db8::1", 53),
            "[2001:db8::1]": ("2001:db8::1", 53),
            "[2001:db8::1]:5353": ("2001:db8::1", 5353),
        }.items():
            self.assertEqual(server(text), expected)

    def test_names_are_none(self) -> None:
        for text in ("dns.test", "dns.test:53", "192.0.2.1:x", ""):
            self.assertRaises(ValueError, server, text)


class Candidates(SynchronousTestCase):
    def found(self, host: str, ndots: int = 1) -> list[bytes]:
        return list(candidates(host, Resolving((), ("a.test", "b.test"), ndots)))

    def test_a_short_name_is_searched_first(self) -> None:
        self.assertEqual(self.found("shop"), [b"shop.a.test", b"shop.b.test", b"shop"])
        self.assertEqual(self.found("shop.x", 5), [b"shop.x.a.test", b"shop.x.b.test", b"shop.x"])

    def test_a_name_with_enough_dots_is_searched_last(self) -> None:
        self.assertEqual(self.found("shop.x"), [b"shop.x", b"shop.x.a.test", b"shop.x.b.test"])

    def test_a_dot_at_the_end_ends_the_search(self) -> None:
        self.assertEqual(self.found("shop."), [b"shop"])
        self.assertEqual(self.found("shop.x.", 5), [b"shop.x"])

    def test_what_dns_cannot_have(self) -> None:
        for host in (
            "",
            ".",
            "..",
            "a..b",
            "shop..",
            "x" * 64,
            ".".join(["x" * 63] * 4),
            "\N{REPLACEMENT CHARACTER}",
        ):
            self.assertEqual(self.found(host), [], host)

    def test_a_name_that_becomes_too_long_is_left_out(self) -> None:
        long = ".".join(["x" * 50] * 4) + "." + "x" * 44
        self.assertEqual(len(long), 248)
        self.assertEqual(self.found(long), [long.encode()])

    def test_names_that_are_not_ascii(self) -> None:
        self.assertEqual(self.found("bücher.test."), [b"xn--bcher-kva.test"])


class LookupCase(SynchronousTestCase):
    """`asked` are the questions under way: server, name, kind, time limit, and the Deferred of the reply."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[tuple[str, int], bytes, int, float, Deferred[Reply]]] = []
        self.patch(lookup, "ask", self.ask)
        self.hosts = folder(self) / "hosts"
        self.resolv_conf = folder(self) / "resolv.conf"
        self.resolv_conf.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
        self.lookup = self.make()

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.asked, [])

    def make(self, **settings: Any) -> Lookup:
        return Lookup(Settings(**settings), self.clock, hosts=self.hosts, resolv_conf=self.resolv_conf)

    async def ask(self, reactor: Any, server: Any, name: bytes, kind: int, timeout: float) -> Reply:
        reply: Deferred[Reply] = Deferred()
        question = (server, name, kind, timeout, reply)
        self.asked.append(question)
        try:
            return await reply
        finally:
            self.asked.remove(question)

    def answers(self, kind: int, *addresses: str, ttl: int = 60, code: int = FINE) -> None:
        """The question of this kind that is under way is answered."""
        (reply,) = (reply for _, _, asked, _, reply in self.asked if asked == kind)
        reply.callback(Reply(code, False, addresses, ttl))

    def fails(self, error: Exception, kinds: Sequence[int] = (A, AAAA)) -> None:
        for kind in kinds:
            (reply,) = (reply for _, _, asked, _, reply in self.asked if asked == kind)
            reply.errback(Failure(error))

    @property
    def servers(self) -> set[tuple[str, int]]:
        return {asked[0] for asked in self.asked}

    @property
    def name(self) -> bytes:
        (name,) = {asked[1] for asked in self.asked}
        return name


class WithoutDNS(LookupCase):
    def test_the_hosts_file_comes_first(self) -> None:
        self.hosts.write_text("10.0.0.1 shop.test localhost")
        for host in ("shop.test", "Shop.Test", "shop.test.", "localhost"):
            self.assertEqual(self.successResultOf(self.lookup(host)), Answer((ONE,), lookup.HOSTS_TTL))

    def test_localhost_is_never_asked_for(self) -> None:
        for host in ("localhost", "LocalHost", "localhost.", "a.b.localhost"):
            self.assertEqual(self.successResultOf(self.lookup(host)).addresses, ("127.0.0.1", "::1"))

    def test_what_is_no_name_is_never_asked_for(self) -> None:
        failure = self.failureResultOf(self.lookup("a..b"), NoSuchName)
        self.assertEqual(failure.getErrorMessage(), "a..b is no name that DNS can know")


class BothKinds(LookupCase):
    def test_they_are_asked_for_at_once_and_put_together(self) -> None:
        asked = self.lookup("shop.test")
        self.assertEqual({kind for _, _, kind, _, _ in self.asked}, {A, AAAA})
        self.answers(A, ONE, ttl=60)
        self.assertNoResult(asked)
        self.answers(AAAA, SIX, ttl=30)
        self.assertEqual(self.successResultOf(asked), Answer((ONE, SIX), 30.0))

    def test_one_kind_is_enough(self) -> None:
        for kind, other in ((A, AAAA), (AAAA, A)):
            asked = self.lookup("shop.test")
            self.answers(other)
            self.answers(kind, ONE)
            self.assertEqual(self.successResultOf(asked), Answer((ONE,), 60.0))

    def test_a_kind_that_fails_or_is_late_is_done_without(self) -> None:
        for kind in (A, AAAA):
            asked = self.lookup("shop.test")
            self.answers(kind, ONE)
            self.clock.advance(GRACE * 0.99)
            self.assertNoResult(asked)
            self.clock.advance(GRACE * 0.01)
            self.assertEqual(self.successResultOf(asked), Answer((ONE,), 60.0, whole=False))

    def test_neither_kind(self) -> None:
        asked = self.lookup("shop.test")
        self.answers(A)
        self.answers(AAAA)
        failure = self.failureResultOf(asked, NoSuchName)
        self.assertEqual(failure.getErrorMessage(), "DNS knows no address of shop.test (asked for shop.test)")

    def test_no_such_name_is_said_of_both_when_the_other_says_nothing_in_time(self) -> None:
        asked = self.lookup("shop.test")
        self.answers(AAAA, code=NO_SUCH_NAME)
        self.clock.advance(GRACE * 0.99)
        self.assertNoResult(asked)
        self.clock.advance(GRACE * 0.01)
        self.failureResultOf(asked, NoSuchName)

    def test_a_server_that_takes_a_missing_kind_for_a_missing_name_hides_no_address(self) -> None:
        for kinds in ((A, AAAA), (AAAA, A)):
            asked = self.lookup("shop.test")
            self.answers(kinds[0], code=NO_SUCH_NAME)
            self.answers(kinds[1], ONE)
            self.assertEqual(self.successResultOf(asked), Answer((ONE,), 60.0))

    def test_none_of_one_kind_says_nothing_of_the_other(self) -> None:
        asked = self.lookup("shop.test")
        self.answers(AAAA)
        for _ in range(4):
            self.fails(TimeoutError(), [A])
        self.failureResultOf(asked, LookupFailed)


class Searching(LookupCase):
    def setUp(self) -> None:
        super().setUp()
        self.resolv_conf.write_text("nameserver 192.0.2.1\nsearch a.test b.test\n")

    def test_the_first_name_that_has_addresses(self) -> None:
        asked = self.lookup("shop")
        self.assertEqual(self.name, b"shop.a.test")
        for kind in (A, AAAA):
            self.answers(kind, code=NO_SUCH_NAME)
        self.assertEqual(self.name, b"shop.b.test")
        self.answers(A, ONE)
        self.answers(AAAA)
        self.assertEqual(self.successResultOf(asked).addresses, (ONE,))

    def test_none_has_any(self) -> None:
        asked = self.lookup("shop")
        for kind in (A, AAAA) * 3:
            self.answers(kind, code=NO_SUCH_NAME)
        failure = self.failureResultOf(asked, NoSuchName)
        self.assertIn("asked for shop.a.test, shop.b.test, shop", failure.getErrorMessage())

    def test_after_a_failure_no_other_name_is_asked_for(self) -> None:
        asked = self.lookup("shop")
        self.fails(TimeoutError())
        self.fails(TimeoutError())
        self.failureResultOf(asked, LookupFailed)

    def test_resolv_conf_is_read_anew(self) -> None:
        self.resolv_conf.write_text("nameserver 192.0.2.9\n")
        asked = self.lookup("shop")
        self.assertEqual((self.servers, self.name), ({("192.0.2.9", 53)}, b"shop"))
        asked.cancel()
        self.failureResultOf(asked, CancelledError)


class Asking(LookupCase):
    def test_the_next_server_is_asked_after_each_failure(self) -> None:
        asked = self.lookup("shop.test")
        for error in (
            TimeoutError(),
            ConnectionRefusedError(),
            OSError(111, "refused"),
            NotTheAnswer("nonsense"),
        ):
            self.fails(error)
        self.assertEqual(
            self.failureResultOf(asked, LookupFailed).getErrorMessage(),
            "DNS says nothing of shop.test: 192.0.2.1 cannot be reached (refused), "
            "192.0.2.2 sent what is no answer (nonsense)",
        )

    def test_codes_that_say_nothing_of_the_name_are_failures(self) -> None:
        asked = self.lookup("shop.test")
        for code in (2, 5):
            self.answers(A, code=code)
            self.answers(AAAA, code=code)
        self.assertEqual(self.servers, {FIRST})
        for code in (2, 9):
            self.answers(A, code=code)
            self.answers(AAAA, code=code)
        self.assertEqual(
            self.failureResultOf(asked, LookupFailed).getErrorMessage(),
            "DNS says nothing of shop.test: 192.0.2.1 says SERVFAIL, 192.0.2.2 says code 9",
        )

    def test_servers_share_the_time_limit(self) -> None:
        asked = self.lookup("shop.test")
        limits = []
        for _ in range(4):
            limit = self.asked[0][3]
            limits.append(limit)
            self.clock.advance(limit)
            self.fails(TimeoutError())
        self.assertEqual(limits, [1.25] * 4)
        self.assertIn("did not answer in time", self.failureResultOf(asked, LookupFailed).getErrorMessage())

    def test_what_one_does_not_need_the_others_have(self) -> None:
        asked = self.lookup("shop.test")
        self.fails(ConnectionRefusedError())
        self.assertAlmostEqual(self.asked[0][3], 5 / 3)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)

    def test_after_the_time_limit_nobody_is_asked(self) -> None:
        self.lookup = self.make(timeout=0.0)
        self.assertEqual(
            self.failureResultOf(self.lookup("shop.test"), LookupFailed).getErrorMessage(),
            "DNS says nothing of shop.test: the time limit has passed",
        )

    def test_who_answered_last_is_asked_first(self) -> None:
        asked = self.lookup("shop.test")
        self.assertEqual(self.servers, {FIRST})
        self.fails(TimeoutError())
        self.assertEqual(self.servers, {SECOND})
        self.answers(A, ONE)
        self.answers(AAAA)
        self.successResultOf(asked)
        asked = self.lookup("shop.test")
        self.assertEqual(self.servers, {SECOND})
        self.fails(TimeoutError())
        self.assertEqual(self.servers, {FIRST})
        self.answers(A, ONE)
        self.answers(AAAA)
        self.successResultOf(asked)

    def test_servers_of_the_settings_come_instead(self) -> None:
        self.lookup = self.make(servers=("192.0.2.7:5353",))
        asked = self.lookup("shop.test")
        self.assertEqual(self.servers, {("192.0.2.7", 5353)})
        asked.cancel()
        self.failureResultOf(asked, CancelledError)

    def test_giving_up_leaves_no_question(self) -> None:
        asked = self.lookup("shop.test")
        self.answers(A, ONE)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.asked, [])


class Whole(TestCase):
    """Names, lookups and questions together, with a server of DNS on loopback."""

    timeout = 20

    def setUp(self) -> None:
        self.resolv_conf = folder(self) / "resolv.conf"
        self.resolv_conf.write_text("search svc.test\noptions ndots:5\n")

    def watch(self, nameserver: Nameserver, host: str, **settings: Any) -> tuple[Names, Name]:
        reactor: Any = real_reactor
        chosen = Settings(servers=(f"127.0.0.1:{nameserver.port}",), **settings)
        look_up = Lookup(chosen, reactor, hosts=Path("/nonexistent"), resolv_conf=self.resolv_conf)
        names = Names(chosen, reactor, lookup=look_up)
        self.changes: list[tuple[str, ...]] = []
        self.next: Deferred[None] = Deferred()

        def changed(name: Name) -> None:
            self.changes.append(name.addresses)
            done, self.next = self.next, Deferred()
            done.callback(None)

        return names, names.watch(host, changed)

    async def test_a_name_of_a_zone(self) -> None:
        nameserver = zone(
            {
                b"shop.svc.test": [theirs.Record_CNAME(b"real.test", ttl=60)],
                b"real.test": [theirs.Record_A(ONE, ttl=60), theirs.Record_AAAA(SIX, ttl=60)],
            }
        )
        names, name = self.watch(nameserver, "shop")
        self.assertEqual(await name.ready(), (SIX, ONE))
        gone = names.watch("nosuch", lambda name: None)
        self.assertEqual(await gone.ready(), ())
        self.assertEqual(gone.problem, "DNS knows no address of nosuch (asked for nosuch.svc.test, nosuch)")
        names.stop()
        await nameserver.stop()

    async def test_addresses_that_change(self) -> None:
        now = [ONE]
        nameserver = scripted(lambda question: [answer(question, *now)])
        names, _ = self.watch(nameserver, "shop.test.", minimum=0.02, maximum=0.02)
        await self.next
        now[:] = ["10.0.0.3", SIX]
        await self.next
        self.assertEqual(self.changes, [(ONE,), (SIX, "10.0.0.3")])
        names.stop()
        await nameserver.stop()

    async def test_a_server_that_is_silent(self) -> None:
        nameserver = scripted(lambda question: [])
        names, name = self.watch(nameserver, "shop.test.", timeout=0.1)
        self.assertEqual(await name.ready(), ())
        self.assertEqual(name.problem, "DNS says nothing of shop.test: 127.0.0.1 did not answer in time")
        names.stop()
        await nameserver.stop()
