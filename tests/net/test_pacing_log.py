"""An operator is told when plain traffic gives way, when that is over, and when it did not help."""

from __future__ import annotations

from ipaddress import ip_network
from math import inf
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.account import Breach
from sslbroker.core.attempt import Attempt
from sslbroker.core.figures import INEFFECTIVE, OPEN, PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.promises import Promises
from sslbroker.core.thresholds import Thresholds
from sslbroker.net.pacing_log import QUIET, PacingLog
from sslbroker.settings import Group, Pacing, Server

from ..memory import BrokerCase
from .test_relay import GET, OK

GOLD = Group("gold", (ip_network("192.0.2.0/25"),), 5)


def said(logs: Any) -> list[str]:
    return [formatEvent(event) for event in logs if event["log_namespace"] == "sslbroker.pacing"]


class Lines(SynchronousTestCase):
    def setUp(self) -> None:
        members = [Member(Server(f"10.0.0.{number}:80")) for number in range(1, 8)]
        self.servers = [member.figures for member in members]
        self.figures = PoolFigures("shop", "http", self.servers)
        self.promises = Promises(
            members, Pacing(), Thresholds((GOLD,), members), self.figures, lambda since, now: 0.0
        )
        self.waiting = 0
        self.now = 100.0
        self.log = PacingLog(self.figures, self.promises, lambda: self.waiting)

    def look(self, seconds: float = 0.25) -> list[str]:
        """What the log says after so many seconds."""
        self.now += seconds
        with capturedLogs() as logs:
            self.log.look(self.now)
        return said(logs)

    def hold(self, window: int = 6, number: int = 3) -> None:
        """Plain transactions are held back by the first server."""
        self.servers[0].window = window
        self.figures.held_back += number

    def open(self) -> None:
        for server in self.servers:
            server.window, server.pacing = 0, OPEN

    def test_nothing_is_said_of_windows_that_hold_nobody_back_nor_of_others_who_are_held_back(self) -> None:
        self.servers[0].window = 6
        self.assertEqual(self.look(), [])
        self.open()
        self.figures.held_back += 1
        self.assertEqual(self.look(), [])
        self.servers[0].window = 6
        self.assertEqual(self.look(), [])

    def test_begin_and_end_are_a_line_each(self) -> None:
        self.hold()
        self.servers[2].window = 5
        self.waiting = 2
        self.promises.reduced_for = Breach("gold", 0.01, 0.0234, "10.0.0.1:80")
        self.assertEqual(
            self.look(),
            [
                "pool shop: plain traffic is held back (group gold is promised 10 ms, and a transaction took "
                "23.4 ms or more at 10.0.0.1:80): it begins while no more transactions are under way than "
                "6 at 10.0.0.1:80, 5 at 10.0.0.3:80; 2 plain ones wait"
            ],
        )
        self.figures.held_back += 4
        self.figures.shed += 1
        self.servers[0].window = 4
        self.assertEqual(self.look(), [])
        self.servers[0].window = 9
        self.assertEqual(self.look(1.75), [])
        self.open()
        self.assertEqual(
            self.look(3.0),
            [
                "pool shop: plain traffic is held back no longer, after 2.0 s: 7 plain transactions waited, "
                "1 got no place in time; the narrowest window was 4"
            ],
        )
        self.assertEqual(self.look(), [])

    def test_who_is_refused_at_once_is_held_back_too(self) -> None:
        self.servers[0].window = 6
        self.figures.shed += 1
        self.assertEqual(len(self.look()), 1)

    def test_where_the_queue_is_the_cause_the_window_is_that_of_all_servers(self) -> None:
        self.promises.whole.window = 20.5
        self.figures.held_back += 1
        self.promises.reduced_for = Breach("gold", 0.01, 0.02, "")
        (line,) = self.look()
        self.assertIn("took 20 ms or more with the time that it waited for a place)", line)
        self.assertIn("than 20 at all servers together; 0 plain ones wait", line)
        self.promises.whole.window = inf
        self.assertIn("the narrowest window was 20", self.look()[0])

    def test_a_long_list_of_servers_is_cut(self) -> None:
        for server in self.servers:
            server.window = 2
        self.figures.held_back += 1
        (line,) = self.look()
        self.assertIn("2 at 10.0.0.5:80, 2 more; ", line)

    def test_of_what_comes_and_goes_each_is_told_once_a_minute(self) -> None:
        lines = []
        for _ in range(40):
            self.hold()
            lines += self.look(5.0)
            self.open()
            lines += self.look(5.0)
        self.assertEqual(lines[0::2], [line for line in lines if "is held back:" in line])
        self.assertEqual(lines[1::2], [line for line in lines if "is held back no longer" in line])
        self.assertTrue(400 / QUIET <= len(lines) / 2 <= 400 / QUIET + 1, lines)

    def test_what_began_too_soon_is_told_when_the_minute_is_over_if_it_is_still_so(self) -> None:
        self.hold()
        self.look()
        self.open()
        self.look(10.0)
        self.hold()
        self.assertEqual(self.look(10.0), [])
        self.assertEqual(self.look(QUIET - 20.1), [])
        self.assertEqual(len(self.look(0.2)), 1)
        self.open()
        (line,) = self.look(20.0)
        self.assertIn(", after 40.1 s: 3 plain transactions waited", line)

    def test_that_it_does_not_help_is_told_once_for_each_server(self) -> None:
        self.hold()
        self.promises.reduced_for = Breach("gold", 0.01, 0.5, "10.0.0.1:80")
        self.look()
        self.servers[0].pacing = INEFFECTIVE
        self.waiting = 7
        self.assertEqual(
            self.look(),
            [
                "pool shop: holding plain traffic back does not help at 10.0.0.1:80 (group gold is promised "
                "10 ms, and a transaction took 500 ms or more at 10.0.0.1:80): secure transactions became no "
                "faster, so something else makes them slow, and plain traffic comes back; 7 plain ones wait"
            ],
        )
        self.assertEqual(self.look(2 * QUIET), [])
        self.servers[1].pacing = INEFFECTIVE
        self.assertIn("does not help at 10.0.0.1:80, 10.0.0.2:80 (", self.look()[0])
        self.servers[1].pacing = OPEN
        self.assertEqual(self.look(), [])
        self.servers[1].pacing = INEFFECTIVE
        self.assertEqual(self.look(), [], "that was a moment ago")
        self.assertEqual(len(self.look(QUIET)), 1)

    def test_it_may_be_all_servers_together_where_it_does_not_help(self) -> None:
        self.promises.whole._give_up(self.now)
        self.assertIn("does not help at all servers together: secure ", self.look()[0])


class OfAPool(BrokerCase):
    def test_the_pool_looks_every_quarter_of_a_second(self) -> None:
        self.start(1, groups=[GOLD])
        promises, member, now = self.pool.promises, self.pool.members[0], self.clock.seconds()
        assert promises is not None
        self.pool.pace()
        secure = self.client(secure=True, peer="192.0.2.1")
        secure.sends(GET)
        server = self.servers[0].link()
        late = Attempt(member, now)
        late.load = 2
        promises._breached(promises._servers[member], late, GOLD, 0.02, now)
        plain = self.client()
        with capturedLogs() as logs:
            plain.sends(GET)
            self.wait(0.5)
        (line,) = said(logs)
        self.assertIn("is promised 10 ms, and a transaction took 20 ms or more at 10.0.0.1:80)", line)
        self.assertTrue(line.endswith("than 1 at 10.0.0.1:80; 1 plain ones wait"), line)
        server.sends(OK)
        self.assertTrue(secure.takes().endswith(b"ok"))
        self.wait(0.5)
        self.assertEqual(self.pool.places.held, 0)
        self.pool.close()
