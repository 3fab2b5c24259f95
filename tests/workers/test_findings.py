"""One process finds out what servers speak, and all go by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.pins import Finding, Pins
from sslbroker.net.probing import Found
from sslbroker.workers.findings import FRESH, Findings

PLAIN, TLS = Found(Finding.PLAIN, "it said hello"), Found(Finding.TLS, "it shook hands")


class Finding_(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.pins = Clock(), Pins(None)
        self.probes: list[Deferred[Found]] = []
        self.told: list[tuple[str, str]] = []
        self.mode = SimpleNamespace(probe=self.probe)
        links = SimpleNamespace(member=SimpleNamespace(address="a:1"), mode=self.mode)
        pools: dict[str, Any] = {"shop": SimpleNamespace(links={1: links})}
        self.findings = Findings(pools, self.pins, self.clock, self.tell)

    def probe(self) -> Deferred[Found]:
        self.probes.append(Deferred())
        return self.probes[-1]

    def tell(self, pool: str, server: str) -> None:
        self.assertIsNotNone(self.pins.get(pool, server))
        self.told.append((pool, server))

    def find(self) -> Deferred[Found]:
        return self.findings.find("shop", "a:1")

    def test_however_many_ask_it_is_asked_once_and_all_hear_it(self) -> None:
        asked = [self.find(), self.find(), self.mode.probe()]
        self.assertEqual(len(self.probes), 1)
        self.probes[0].callback(TLS)
        self.assertEqual([self.successResultOf(one) for one in asked], [TLS] * 3)
        self.assertEqual((self.pins.get("shop", "a:1"), self.told), (Finding.TLS, [("shop", "a:1")]))

    def test_for_a_moment_the_answer_is_given_again(self) -> None:
        self.find()
        self.probes[0].callback(PLAIN)
        self.assertEqual(self.successResultOf(self.find()), PLAIN)
        self.clock.advance(FRESH)
        self.assertNoResult(self.find())
        self.probes[1].callback(PLAIN)
        self.assertEqual(len(self.told), 1)  # nothing new

    def test_what_is_unknown_is_pinned_nowhere(self) -> None:
        asked = self.find()
        self.probes[0].errback(ZeroDivisionError("a mistake"))
        found = self.successResultOf(asked)
        self.assertEqual((found.finding, found.detail), (Finding.UNKNOWN, "it could not be asked: a mistake"))
        self.assertEqual((self.pins.get("shop", "a:1"), self.told), (None, []))

    def test_from_tls_nothing_leads_to_plain_but_the_operator(self) -> None:
        self.pins.set("shop", "a:1", Finding.TLS)
        self.find()
        self.probes[0].callback(PLAIN)
        self.assertEqual((self.pins.get("shop", "a:1"), self.told), (Finding.TLS, []))

    def test_what_was_found_before_the_operators_word_does_not_count(self) -> None:
        self.find()
        self.probes[0].callback(TLS)
        self.findings.forget("shop", "a:1")
        self.assertNoResult(self.find())
        self.assertEqual(len(self.probes), 2)

    def test_nor_does_what_is_being_found_then(self) -> None:
        asked = self.find()
        self.findings.forget("shop", "a:1")
        self.assertEqual(self.successResultOf(asked).finding, Finding.UNKNOWN)
        again = self.find()
        self.probes[1].callback(PLAIN)
        self.assertEqual(self.successResultOf(again), PLAIN)

    def test_who_does_not_want_to_know_any_more_disturbs_nobody(self) -> None:
        one, two = self.find(), self.find()
        one.addErrback(lambda _: None)
        one.cancel()
        self.probes[0].callback(TLS)
        self.assertEqual(self.successResultOf(two), TLS)

    def test_at_the_end_nothing_is_asked(self) -> None:
        asked = self.find()
        self.findings.stop()
        self.assertEqual(self.successResultOf(asked).finding, Finding.UNKNOWN)
