"""When a server is asked what it speaks, and what that changes."""

from __future__ import annotations

import errno
from typing import cast
from unittest import mock

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.members import Member
from sslbroker.net.link_modes import BAR, LOOK, LinkMode
from sslbroker.net.pins import Finding, Pins
from sslbroker.net.probing import Found
from sslbroker.settings import Server
from tests.files import folder
from tests.memory import BrokerCase, Peer

ADDRESS = "10.0.0.1:443"
TLS, PLAIN, UNKNOWN = Finding.TLS, Finding.PLAIN, Finding.UNKNOWN


class LinkModeCase(SynchronousTestCase):
    mode: bool | str = "auto"

    def setUp(self) -> None:
        self.clock = Clock()
        self.member = Member(Server(ADDRESS))
        self.pins = Pins(None)
        self.asked: list[float] = []  # when
        self.probing: Deferred[Found] = Deferred()
        self.answer: Finding | None = None  # of each probe, at once; None: the test answers
        self.changes: list[bool | None] = []
        self.jitter = 0.5
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def tearDown(self) -> None:
        if hasattr(self, "links"):
            self.links.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def probe(self) -> Deferred[Found]:
        self.asked.append(self.clock.seconds())
        if self.answer is not None:
            return succeed(Found(self.answer, "said so"))
        self.probing = Deferred()
        return self.probing

    def begin(self, mode: bool | str = "auto") -> None:
        self.links = LinkMode(
            "shop",
            self.member,
            mode,
            self.pins,
            self.probe,
            self.clock,
            self.changed,
            jitter=lambda: self.jitter,
        )
        self.links.start()

    def changed(self) -> None:
        self.changes.append(self.links.secure)

    def found(self, finding: Finding, detail: str = "said so") -> None:
        self.probing.callback(Found(finding, detail))

    def called(self) -> None:
        """A link is about to be made."""
        self.links.called()
        self.clock.advance(0)

    def wait(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            due = min([call.getTime() for call in self.clock.getDelayedCalls()] + [end])
            self.clock.advance(due - self.clock.seconds())

    def holds(self, secure: bool | None, finding: Finding) -> None:
        self.assertIs(self.links.secure, secure)
        self.assertIs(self.links.finding, finding)
        self.assertEqual(BAR in self.member.bars, secure is None)
        self.assertEqual(self.member.open, secure is not None)

    def told(self) -> list[str]:
        lines = [formatEvent(event) for event in self.events]
        self.events.clear()
        return lines


class TheOperatorSays(LinkModeCase):
    def test_nothing_is_asked_when_the_operator_knows(self) -> None:
        for mode in (False, True):
            self.begin(mode)
            self.holds(mode, UNKNOWN)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.asked, self.told()), ([], []))

    def test_plain_though_it_speaks_tls_is_told(self) -> None:
        self.pins.set("shop", ADDRESS, TLS)
        self.begin(False)
        self.holds(False, TLS)
        (line,) = self.told()
        self.assertIn("10.0.0.1:443 are plain, though it speaks TLS", line)
        self.begin(True)
        self.assertEqual(self.told(), [])

    def test_a_running_pool_follows_at_once(self) -> None:
        self.begin(False)
        self.links.set_mode(True)
        self.holds(True, UNKNOWN)
        self.links.set_mode("auto")
        self.holds(True, UNKNOWN)
        self.found(PLAIN)
        self.holds(False, PLAIN)
        self.links.set_mode(False)
        self.holds(False, PLAIN)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.links.set_mode(True)
        self.assertEqual(self.changes, [True, False, True])

    def test_a_server_in_use_is_used_on_as_it_was_until_the_answer(self) -> None:
        for mode in (False, True):
            self.begin(mode)
            self.links.set_mode("auto")
            self.holds(mode, UNKNOWN)
            self.assertEqual((self.told(), self.changes), ([], []))
            self.links.set_mode("auto")  # says nothing new
            self.holds(mode, UNKNOWN)
            self.found(UNKNOWN, "refused")
            self.holds(None, UNKNOWN)
            self.assertIn("refused", self.told()[0])
            self.links.set_mode("auto")
            self.holds(None, UNKNOWN)  # it was not used
            self.links.stop()
            self.changes.clear()

    def test_what_a_server_was_before_auto_is_forgotten_with_the_first_answer(self) -> None:
        self.begin(False)
        self.links.set_mode("auto")
        self.found(TLS)
        self.links.clear_pin()
        self.holds(True, UNKNOWN)
        self.found(UNKNOWN)
        self.holds(None, UNKNOWN)

    def test_a_server_that_has_proved_itself_on_a_link_is_never_plain_in_auto(self) -> None:
        self.pins.set("shop", ADDRESS, PLAIN)  # from before
        self.begin(True)
        self.links.spoke_tls()
        self.holds(True, TLS)
        self.assertEqual((self.told(), self.changes), ([], []))
        self.links.set_mode("auto")
        self.holds(True, TLS)
        self.assertEqual((self.asked, self.changes), ([], []))
        self.links.set_mode(False)
        self.assertIn("plain, though it speaks TLS", self.told()[-1])

    def test_nor_is_one_whose_link_is_made_when_the_mode_has_changed(self) -> None:
        self.begin(True)
        self.links.set_mode("auto")
        self.found(PLAIN)
        self.links.spoke_tls()
        self.holds(True, TLS)
        self.assertEqual(self.changes, [False, True])
        self.assertIn("speaks TLS", self.told()[-1])

    def test_a_probe_under_way_is_given_up(self) -> None:
        self.begin()
        self.links.set_mode(True)
        self.assertTrue(self.probing.called)
        self.holds(True, UNKNOWN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_mode_may_change_before_the_start_and_after_the_stop(self) -> None:
        self.begin()
        self.links.stop()
        self.links.set_mode(True)
        self.links.set_mode("auto")
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FindingOut(LinkModeCase):
    def test_a_server_is_barred_until_it_is_known(self) -> None:
        self.begin()
        self.holds(None, UNKNOWN)
        self.assertEqual(self.member.bars[BAR], "not found out yet")
        self.assertEqual(self.asked, [0.0])
        self.found(TLS)
        self.holds(True, TLS)
        self.assertEqual(self.changes, [True])
        self.assertIs(self.pins.get("shop", ADDRESS), TLS)
        (line,) = self.told()
        self.assertIn("pool shop: server 10.0.0.1:443 speaks TLS: links to it are secure from now on", line)

    def test_it_is_barred_before_the_start(self) -> None:
        LinkMode("shop", self.member, "auto", self.pins, self.probe, self.clock, self.changed)
        self.assertIn(BAR, self.member.bars)

    def test_what_is_pinned_needs_no_time(self) -> None:
        self.pins.set("shop", ADDRESS, TLS)
        self.begin()
        self.holds(True, TLS)
        self.wait(1000)
        self.assertEqual((self.asked, self.changes, self.told()), ([], [], []))

    def test_what_is_pinned_plain_is_used_and_asked_at_once(self) -> None:
        self.pins.set("shop", ADDRESS, PLAIN)
        self.begin()
        self.holds(False, PLAIN)
        self.assertEqual(self.asked, [0.0])
        self.found(TLS)
        self.holds(True, TLS)
        self.assertIn("speaks TLS", self.told()[0])

    def test_an_unknown_server_is_asked_again_less_and_less_often(self) -> None:
        self.answer = UNKNOWN
        self.begin()
        self.wait(91.5)
        self.assertEqual(self.asked, [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0])
        self.holds(None, UNKNOWN)
        self.assertEqual(self.member.bars[BAR], "said so")
        (line,) = self.told()
        self.assertIn("10.0.0.1:443 is not used until it is known what it speaks: said so", line)

    def test_jitter_moves_a_probe_by_a_quarter_at_most(self) -> None:
        self.answer = UNKNOWN
        for self.jitter, next_one in ((0.0, 0.75), (1.0, 1.25)):
            self.asked.clear()
            began = self.clock.seconds()
            self.begin()
            self.wait(1.5)
            self.assertEqual(self.asked[1] - began, next_one)
            self.links.stop()

    def test_a_plain_server_that_learns_tls_is_upgraded(self) -> None:
        self.answer = PLAIN
        self.begin()
        self.holds(False, PLAIN)
        self.assertIn("speaks no TLS: links to it are plain, until it does (said so)", self.told()[0])
        self.wait(300)
        self.assertEqual(self.asked[:8], [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0])
        self.assertEqual(self.told(), [])
        self.answer = TLS
        self.wait(61)
        self.holds(True, TLS)
        self.assertIn("speaks TLS", self.told()[0])
        asked = len(self.asked)
        self.wait(1000)
        self.assertEqual(len(self.asked), asked)
        self.assertEqual(self.changes, [False, True])

    def test_a_plain_server_that_is_called_is_asked_when_the_answer_is_not_fresh(self) -> None:
        self.answer = PLAIN
        self.begin()
        self.wait(300)
        self.asked.clear()
        self.called()  # at 300; asked at 243
        self.called()
        self.wait(4)
        self.called()
        self.assertEqual(self.asked, [300.0])
        self.wait(1)
        self.answer = TLS
        self.called()
        self.holds(True, TLS)
        self.wait(100)
        self.called()
        self.assertEqual(self.asked, [300.0, 305.0])

    def test_one_that_could_not_tell_is_asked_sooner(self) -> None:
        self.answer = PLAIN
        self.begin()
        self.wait(300)
        self.asked.clear()
        self.answer = UNKNOWN  # it is made anew, say
        self.called()
        self.answer = TLS
        self.wait(0.5)
        self.called()
        self.holds(False, PLAIN)
        self.wait(0.5)
        self.called()
        self.holds(True, TLS)
        self.assertEqual(self.asked, [300.0, 301.0])

    def test_nobody_else_is_asked_for_being_called(self) -> None:
        self.begin()
        self.wait(100)
        self.called()  # a probe is under way
        self.found(PLAIN)
        self.links.set_mode(False)
        self.wait(100)
        self.called()
        self.links.set_mode("auto")
        self.found(PLAIN)
        self.links.stop()
        self.wait(100)
        self.called()
        self.assertEqual(self.asked, [0.0, 200.0])

    def test_a_plain_server_that_is_down_for_a_while_stays_plain(self) -> None:
        self.begin()
        self.found(PLAIN)
        self.wait(1)
        self.found(UNKNOWN, "refused")
        self.holds(False, PLAIN)
        self.assertEqual(self.links.detail, "said so")
        self.assertEqual(self.changes, [False])

    def test_a_new_finding_is_soon_asked_about_again(self) -> None:
        self.answer = UNKNOWN
        self.begin()
        self.wait(30)
        self.answer = PLAIN
        self.wait(5)
        self.assertEqual(self.asked[-3:], [31.0, 32.0, 34.0])

    def test_one_probe_at_a_time(self) -> None:
        self.begin()
        self.wait(100)
        self.assertEqual(len(self.asked), 1)

    def test_a_failing_probe_is_logged_and_asked_again(self) -> None:
        self.begin()
        self.probing.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.holds(None, UNKNOWN)
        with mock.patch.object(self.links, "probe", return_value=fail(ZeroDivisionError())):
            self.wait(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.wait(2)
        self.found(TLS)
        self.holds(True, TLS)

    def test_a_probe_that_does_not_even_begin_is_logged(self) -> None:
        self.begin()
        self.found(UNKNOWN)
        with mock.patch.object(self.links, "probe", side_effect=ZeroDivisionError):
            self.wait(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("see the log", self.member.bars[BAR])

    def test_a_new_reason_to_be_unknown_is_shown_and_not_logged(self) -> None:
        self.begin()
        self.found(UNKNOWN, "refused")
        self.wait(1)
        self.found(UNKNOWN, "silent")
        self.assertEqual(self.member.bars[BAR], "silent")
        self.assertEqual(len(self.told()), 1)

    def test_nothing_changes_after_the_stop(self) -> None:
        self.begin()
        self.links.stop()
        self.holds(None, UNKNOWN)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.changes, self.told()), ([], []))

    def test_who_hears_of_a_change_may_stop_it_or_change_it_again(self) -> None:
        self.begin()
        with mock.patch.object(self.links, "_changed", self.links.stop):
            self.found(PLAIN)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.links.start()

        def says_otherwise() -> None:
            self.links.set_mode(False)

        with mock.patch.object(self.links, "_changed", side_effect=says_otherwise):
            self.found(TLS)
        self.holds(False, TLS)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Clearing(LinkModeCase):
    def test_a_cleared_server_is_found_out_anew(self) -> None:
        self.pins.set("shop", ADDRESS, TLS)
        self.begin()
        self.links.clear_pin()
        self.holds(True, UNKNOWN)
        self.assertEqual(self.told(), [])
        self.found(PLAIN)
        self.holds(False, PLAIN)
        self.assertIs(self.pins.get("shop", ADDRESS), PLAIN)
        self.assertEqual(self.changes, [False])

    def test_the_reason_for_a_cleared_server_to_stay_unknown_is_told(self) -> None:
        self.pins.set("shop", ADDRESS, TLS)
        self.begin()
        for _ in range(2):
            self.links.clear_pin()
            self.told()
            self.found(UNKNOWN, "refused")
            self.assertIn("refused", self.told()[0])
            self.wait(1)
            self.found(TLS)

    def test_a_probe_from_before_does_not_count(self) -> None:
        self.begin()
        before = self.probing
        self.links.clear_pin()
        self.assertIsNot(self.probing, before)
        self.assertTrue(before.called)
        self.holds(None, UNKNOWN)

    def test_clearing_under_another_mode_changes_no_link(self) -> None:
        self.pins.set("shop", ADDRESS, TLS)
        self.begin(True)
        self.links.clear_pin()
        self.holds(True, UNKNOWN)
        self.assertEqual((self.changes, self.asked, self.told()), ([], [], []))
        self.assertIsNone(self.pins.get("shop", ADDRESS))


class Workers(LinkModeCase):
    """Several workers share the pins."""

    def setUp(self) -> None:
        super().setUp()
        directory = folder(self)
        self.pins, self.theirs = Pins(directory), Pins(directory)

    def test_what_another_has_found_is_taken_over(self) -> None:
        self.begin()
        self.theirs.set("shop", ADDRESS, TLS)
        self.wait(LOOK)
        self.holds(True, TLS)
        self.assertTrue(self.probing.called)  # given up
        self.assertIn(
            "speaks TLS: links to it are secure from now on, and never plain again (as it is pinned)",
            self.told()[0],
        )

    def test_tls_found_by_another_ends_plain_links_soon(self) -> None:
        self.answer = PLAIN
        self.begin()
        self.wait(100)
        self.theirs.set("shop", ADDRESS, TLS)
        self.wait(LOOK)
        self.holds(True, TLS)

    def test_plain_found_here_yields_to_tls_found_there(self) -> None:
        self.begin()
        self.theirs.set("shop", ADDRESS, TLS)
        self.found(PLAIN)
        self.holds(True, TLS)
        self.assertIn("(as it is pinned)", self.told()[0])

    def test_a_pin_cleared_by_another_is_found_out_anew(self) -> None:
        self.pins.set("shop", ADDRESS, TLS)
        self.begin()
        self.theirs.clear("shop", ADDRESS)
        self.wait(LOOK)
        self.holds(True, UNKNOWN)  # it is used on until the answer
        self.assertEqual(self.asked, [LOOK])
        self.answer = PLAIN
        self.found(TLS)
        self.holds(True, TLS)

    def test_a_pin_that_cannot_be_written_still_holds(self) -> None:
        with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left")):
            self.begin()
            self.found(TLS)
            self.wait(3 * LOOK)
            self.holds(True, TLS)
        self.assertEqual(len(self.asked), 1)
        self.wait(LOOK)
        self.assertIs(self.theirs.get("shop", ADDRESS), TLS)

    def test_stopping_on_news_of_another_leaves_nothing(self) -> None:
        self.begin()
        self.theirs.set("shop", ADDRESS, TLS)
        with mock.patch.object(self.links, "_changed", self.links.stop):
            self.wait(LOOK)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ThroughTheBroker(BrokerCase):
    """What transactions meet; the first bytes of TLS stand for the whole of it."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ALERT = bytes.fromhex("15030300020228")

    def setUp(self) -> None:
        super().setUp()
        self.start(1, continue_secure_link="auto")
        self.server = self.servers[0]
        self.pool.start()

    def asked(self) -> Peer:
        """The next connection, which begins TLS."""
        link = self.server.link()
        self.assertTrue(link.takes().startswith(b"\x16\x03"))
        return link

    def plain(self) -> None:
        for _ in range(2):
            self.asked().sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def test_no_transaction_goes_to_a_server_that_is_unknown(self) -> None:
        client = self.client()
        client.sends(self.REQUEST)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 503 "))
        self.plain()
        self.assertEqual(self.server.accepted, 2)
        client.sends(self.REQUEST)
        link = self.server.link()
        self.assertTrue(link.takes().startswith(b"GET / HTTP/1.1\r\n"))
        link.sends(self.ANSWER)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 200 "))

    def test_a_plain_server_that_learns_tls_is_asked_with_the_next_link(self) -> None:
        self.plain()
        for _ in range(3):
            while not self.server.links:
                self.wait(0.1)
            self.plain()
        self.wait(5.5)  # of six at least
        client = self.client()
        client.sends(self.REQUEST)
        link = self.server.link()
        self.asked().sends(self.ALERT)
        link.sends(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(link.closed)
        client.sends(self.REQUEST)
        for _ in range(3):
            self.asked().sends(self.ALERT)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))

    def test_a_server_that_has_spoken_tls_gets_no_plain_byte(self) -> None:
        self.plain()
        client = self.client()
        client.sends(self.REQUEST)
        link = self.server.link()
        link.sends(self.ANSWER)
        self.wait(1.5)
        self.asked().sends(self.ALERT)
        self.assertTrue(link.closed)
        client.takes()
        client.sends(self.REQUEST)
        for _ in range(3):
            self.asked().sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(self.tries(), [("1", "tls-failed")] * 3)
        self.wait(300)
        self.assertEqual(self.server.accepted, 2 + 1 + 1 + 3)
