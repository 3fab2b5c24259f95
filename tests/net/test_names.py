"""Names on a test clock: what they tell, when they are looked up again, and what they forget."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.lookup import Answer, LookupFailed, NoSuchName
from sslbroker.net.names import (
    BELIEVED_GONE,
    LONGEST_WAIT,
    MOST_ADDRESSES,
    STALE_TIME,
    Name,
    Names,
    arranged,
    literal,
)
from sslbroker.settings import Names as Settings

ONE = "10.0.0.1"
TWO = "10.0.0.2"
SIX = "2001:db8::1"


class Arranging(SynchronousTestCase):
    def test_families_alternate_and_each_is_sorted(self) -> None:
        found = arranged(["10.0.0.10", "10.0.0.9", "2001:db8::2", "2001:0db8::1", "10.0.0.9", "10.0.0.11"])
        self.assertEqual(found, ("2001:db8::1", "10.0.0.9", "2001:db8::2", "10.0.0.10", "10.0.0.11"))

    def test_what_cannot_be_called_is_left_out(self) -> None:
        self.assertEqual(arranged(["0.0.0.0", "::", "224.0.0.1", "ff02::1", "nonsense", ONE]), (ONE,))

    def test_no_more_than_a_bound(self) -> None:
        many = [f"10.0.{number // 256}.{number % 256}" for number in range(1, 200)]
        self.assertEqual(len(arranged(many)), MOST_ADDRESSES)

    def test_an_address_is_known_as_one(self) -> None:
        self.assertEqual(literal("10.0.0.1"), "10.0.0.1")
        self.assertEqual(literal("2001:DB8:0::1"), "2001:db8::1")
        for name in ("localhost", "10.0.0", "127.1", "1.2.3.4.5", "shop.example", ""):
            self.assertIsNone(literal(name), name)


class NamesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lookups: list[tuple[str, Deferred[Answer]]] = []
        self.told: list[tuple[tuple[str, ...], str]] = []
        self.names = Names(
            Settings(minimum=1, maximum=300), self.clock, lookup=self.look_up, jitter=lambda: 1.0
        )

    def tearDown(self) -> None:
        self.names.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def look_up(self, host: str) -> Deferred[Answer]:
        lookup: Deferred[Answer] = Deferred()
        self.lookups.append((host, lookup))
        return lookup

    def changed(self, name: Name) -> None:
        self.told.append((name.addresses, name.problem))

    def watch(self, host: str = "shop.test") -> Name:
        self.told = []
        return self.names.watch(host, self.changed)

    def found(self, *addresses: str, ttl: float = 60.0, whole: bool = True) -> None:
        self.lookups.pop()[1].callback(Answer(addresses, ttl, whole))

    def failed(self, why: str = "DNS is silent") -> None:
        self.lookups.pop()[1].errback(LookupFailed(why))

    def gone(self) -> None:
        self.lookups.pop()[1].errback(NoSuchName("no such name"))

    def next_lookup(self) -> float:
        """Lets time pass until the next lookup begins; after how many seconds?"""
        self.assertEqual(self.lookups, [])
        (call,) = self.clock.getDelayedCalls()
        seconds = call.getTime() - self.clock.seconds()
        self.clock.advance(seconds)
        self.assertEqual(len(self.lookups), 1)
        return round(seconds, 3)

    # --- what is told ---

    def test_an_address_needs_no_lookup(self) -> None:
        name = self.watch("2001:DB8::1")
        self.assertEqual(name.addresses, ("2001:db8::1",))
        self.assertEqual(self.successResultOf(name.ready()), ("2001:db8::1",))
        self.assertEqual((self.lookups, self.clock.getDelayedCalls()), ([], []))

    def test_ready_waits_for_the_first_lookup(self) -> None:
        name = self.watch()
        first, second = name.ready(), name.ready()
        self.assertNoResult(first)
        self.found(ONE)
        self.assertEqual(self.successResultOf(first), (ONE,))
        self.assertEqual(self.successResultOf(second), (ONE,))
        self.assertEqual(self.successResultOf(name.ready()), (ONE,))
        self.assertEqual(self.told, [((ONE,), "")])

    def test_watchers_are_told_before_who_waits(self) -> None:
        told: list[list[object]] = []
        self.watch().ready().addCallback(lambda _: told.append(list(self.told)))
        self.found(ONE)
        self.assertEqual(told, [[((ONE,), "")]])

    def test_ready_may_be_given_up(self) -> None:
        name = self.watch()
        waiting = name.ready()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.found(ONE)

    def test_a_name_that_does_not_resolve_has_a_problem_at_once(self) -> None:
        name = self.watch()
        waiting = name.ready()
        self.failed()
        self.assertEqual(self.successResultOf(waiting), ())
        self.assertEqual(self.told, [((), "DNS is silent")])
        self.next_lookup()
        self.found(ONE)
        self.assertEqual(self.told[1:], [((ONE,), "")])
        self.assertEqual(name.problem, "")

    def test_an_answer_without_an_address_of_use_is_a_problem(self) -> None:
        self.watch()
        self.found("0.0.0.0")
        self.assertEqual(self.told, [((), "shop.test has no address that can be called")])

    def test_watchers_hear_only_of_changes(self) -> None:
        self.watch()
        self.found(ONE, TWO)
        self.next_lookup()
        self.found(TWO, ONE)
        self.assertEqual(self.told, [((ONE, TWO), "")])
        self.next_lookup()
        self.found(TWO)
        self.assertEqual(self.told[1:], [((TWO,), "")])

    def test_a_lookup_that_is_over_at_once_is_told_by_the_name(self) -> None:
        names = Names(Settings(), self.clock, lookup=lambda host: succeed(Answer((ONE,), 60)))
        name = names.watch("shop.test", self.changed)
        self.assertEqual((name.addresses, self.told), ((ONE,), []))
        names.stop()

    def test_who_watches_the_same_host_shares_it(self) -> None:
        name = self.watch("shop.test")
        self.assertIs(self.names.watch("Shop.Test", self.changed), name)
        self.assertEqual(len(self.lookups), 1)
        self.found(ONE)
        self.assertEqual(self.told, [((ONE,), ""), ((ONE,), "")])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_a_watcher_that_fails_keeps_nothing_from_the_others(self) -> None:
        def breaks(name: Name) -> None:
            raise ZeroDivisionError

        name = self.names.watch("shop.test", breaks)
        self.watch()
        self.found(ONE)
        self.assertEqual(self.told, [((ONE,), "")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(name.addresses, (ONE,))

    def test_a_watcher_may_take_another_one_away(self) -> None:
        def takes_away(name: Name) -> None:
            name.unwatch(self.changed)

        self.names.watch("shop.test", takes_away)
        self.watch()
        self.found(ONE)
        self.assertEqual(self.told, [])

    # --- when it is looked up again ---

    def test_it_is_refreshed_a_little_before_it_expires(self) -> None:
        self.watch()
        self.found(ONE, ttl=100)
        self.assertEqual(self.next_lookup(), 95)

    def test_jitter_spreads_refreshes(self) -> None:
        self.names.jitter = lambda: 0.0
        self.watch()
        self.found(ONE, ttl=100)
        self.assertEqual(self.next_lookup(), 80)

    def test_the_time_to_live_has_bounds(self) -> None:
        self.watch()
        self.found(ONE, ttl=0)
        self.assertEqual(self.next_lookup(), 0.95)
        self.found(ONE, ttl=86400)
        self.assertEqual(self.next_lookup(), 285)

    def test_failures_back_off_to_a_bound_and_begin_anew(self) -> None:
        self.watch()
        waits = []
        for _ in range(8):
            self.failed()
            waits.append(self.next_lookup())
        self.assertEqual(waits, [1, 2, 4, 8, 16, 30, LONGEST_WAIT, LONGEST_WAIT])
        self.found(ONE)
        self.next_lookup()
        self.failed()
        self.assertEqual(self.next_lookup(), 1)

    def test_one_lookup_at_most_is_under_way(self) -> None:
        self.watch()
        self.clock.advance(100_000)
        self.assertEqual(len(self.lookups), 1)

    # --- while DNS is down ---

    def test_old_addresses_are_kept_while_nobody_answers(self) -> None:
        name = self.watch()
        self.found(ONE)
        self.next_lookup()
        for _ in range(20):
            self.failed()
            self.next_lookup()
        self.assertEqual((name.addresses, name.problem, name.stale), ((ONE,), "", "DNS is silent"))
        self.assertEqual(self.told, [((ONE,), "")])
        self.found(ONE)
        self.assertEqual(name.stale, "")

    def test_old_addresses_are_not_kept_for_ever(self) -> None:
        name = self.watch()
        self.found(ONE)
        expires = self.clock.seconds() + 60
        self.next_lookup()
        while self.clock.seconds() < expires + STALE_TIME:
            self.assertEqual(name.addresses, (ONE,))
            self.failed()
            self.next_lookup()
        self.failed()
        self.assertEqual((name.addresses, name.problem, name.stale), ((), "DNS is silent", ""))

    def test_so_are_those_of_a_kind_for_which_nobody_answers(self) -> None:
        name = self.watch()
        self.found(ONE, SIX)
        for one in (ONE, TWO):  # one datagram that is lost is enough
            self.next_lookup()
            self.found(one, whole=False)
            self.assertEqual(set(name.addresses), {one, SIX})
        self.next_lookup()
        self.found(TWO)
        self.assertEqual(name.addresses, (TWO,))

    def test_but_not_for_ever(self) -> None:
        name = self.watch()
        self.found(ONE, SIX)
        expires = self.clock.seconds() + 60
        self.next_lookup()
        while self.clock.seconds() < expires + STALE_TIME:
            self.assertEqual(set(name.addresses), {ONE, SIX})
            self.found(ONE, ttl=300, whole=False)
            self.next_lookup()
        self.found(ONE, whole=False)
        self.assertEqual(name.addresses, (ONE,))

    def test_a_name_that_is_gone_is_believed_after_some_answers(self) -> None:
        name = self.watch()
        self.found(ONE)
        for _ in range(BELIEVED_GONE - 1):
            self.next_lookup()
            self.gone()
            self.assertEqual((name.addresses, name.stale), ((ONE,), "no such name"))
        self.next_lookup()
        self.failed()  # silence says neither yes nor no
        self.assertEqual(name.addresses, (ONE,))
        self.next_lookup()
        self.gone()
        self.assertEqual((name.addresses, name.problem), ((), "no such name"))
        self.assertEqual(self.told[1:], [((), "no such name")])

    def test_an_address_between_begins_the_count_anew(self) -> None:
        name = self.watch()
        for _ in range(BELIEVED_GONE):
            self.found(ONE)
            self.next_lookup()
            self.gone()
            self.next_lookup()
        self.assertEqual(name.addresses, (ONE,))
        self.found(ONE)

    def test_a_lookup_that_breaks_is_logged_and_tried_again(self) -> None:
        name = self.watch()
        self.lookups.pop()[1].errback(ZeroDivisionError("by zero"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(name.problem, "the lookup broke: by zero")
        self.next_lookup()
        self.found(ONE)
        self.assertEqual(name.addresses, (ONE,))

    def test_a_lookup_that_raises_is_a_failing_one(self) -> None:
        def raises(host: str) -> Deferred[Answer]:
            raise LookupFailed("no socket")

        names = Names(Settings(), self.clock, lookup=raises)
        self.assertEqual(names.watch("shop.test", self.changed).problem, "no socket")
        names.stop()

    # --- the end ---

    def test_a_name_that_nobody_watches_is_forgotten(self) -> None:
        name = self.watch()
        other: list[Name] = []
        self.names.watch("shop.test", other.append)
        self.found(ONE)
        name.unwatch(self.changed)
        self.next_lookup()
        name.unwatch(other.append)
        name.unwatch(other.append)
        ((_, lookup),) = self.lookups
        self.assertTrue(lookup.called, "the lookup under way was not cancelled")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNot(self.watch(), name)

    def test_nothing_is_left_after_the_stop(self) -> None:
        waits = self.names.watch("waits.test", self.changed).ready()
        kept = self.watch("kept.test")
        self.found(ONE)
        self.told = []
        self.names.stop()
        self.assertEqual(self.successResultOf(waits), ())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(all(lookup.called for _, lookup in self.lookups))
        self.assertEqual((kept.addresses, self.told), ((ONE,), []))

    def test_an_answer_after_the_stop_changes_nothing(self) -> None:
        late: Deferred[Answer] = Deferred(lambda _: late.callback(Answer((ONE,), 60)))
        names = Names(Settings(), self.clock, lookup=lambda host: late)
        name = names.watch("shop.test", self.changed)
        names.stop()
        self.assertEqual((name.addresses, self.told), ((), []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_forgets_late_forgets_only_its_own(self) -> None:
        old = self.watch()
        self.names.stop()
        new = self.watch()
        old.unwatch(self.changed)
        self.assertIs(self.watch(), new)

    def test_it_looks_up_by_itself_when_nothing_else_is_given(self) -> None:
        names = Names(Settings(), self.clock)
        name = names.watch("anything.localhost", self.changed)
        self.assertEqual(name.addresses, ("::1", "127.0.0.1"))
        names.stop()


class Logging(SynchronousTestCase):
    def test_it_is_logged_when_a_name_begins_and_ends_to_fail(self) -> None:
        clock = Clock()
        results = [
            fail(LookupFailed("silent")),
            fail(LookupFailed("silent still")),
            succeed(Answer((ONE,), 10)),
            fail(LookupFailed("silent again")),
            succeed(Answer((ONE,), 10)),
            succeed(Answer((ONE,), 10)),
        ]
        count = len(results)
        names = Names(Settings(), clock, lookup=lambda host: results.pop(0))
        with capturedLogs() as events:
            names.watch("shop.test", lambda name: None)
            for _ in range(count - 1):
                clock.advance(clock.getDelayedCalls()[0].getTime() - clock.seconds())
            names.stop()
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "shop.test does not resolve: silent",
                "shop.test resolves again",
                "shop.test keeps its old addresses: silent again",
                "shop.test resolves again",
            ],
        )
