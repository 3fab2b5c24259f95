"""Checks of all servers of a broker: when they are, and what follows from them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.internet.error import ConnectError
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from sslbroker.net.checks import Checks
from sslbroker.settings import Failover, Health, LinkTLS

from ..memory import BrokerCase, Peer
from .test_checking import OK, CheckedLines
from .test_secure_links import FOLDER, speaks

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class ChecksCase(BrokerCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.told: list[tuple[str, str, str]] = []

    def begin(self, servers: int = 1, health: Health | None = None, **settings: Any) -> None:
        """A broker whose servers are checked each second, at even times."""
        self.start(servers, health=health or Health("/up", interval=1.0, timeout=0.5), **settings)
        self.pool.start()
        self.checks = Checks(self.broker.pools, self.clock, self.tell, random=lambda: 0.5)
        self.checks.start()
        self.settle()

    def tell(self, pool: str, server: str, why: str) -> None:
        self.told.append((pool, server, why))

    def tearDown(self) -> None:
        self.checks.stop()
        super().tearDown()

    def answer(self, *answers: bytes, server: int = 0) -> None:
        """The next checks of a server are answered so; `b""`: the link is closed."""
        for answer in answers:
            self.until_asked(server)
            link = self.servers[server].link()
            self.assertIn(b"GET /up ", link.takes())
            if answer:
                link.sends(answer)
            else:
                link.closes()

    def until_asked(self, server: int = 0) -> None:
        for _ in range(100):
            self.settle()
            if self.servers[server].links:
                return
            self.wait(0.05)
        self.fail("it is not checked")

    def bars(self, server: int = 0) -> dict[str, str]:
        return self.pool.members[server].bars

    def lines(self) -> list[tuple[LogLevel, str]]:
        told = [
            (e["log_level"], formatEvent(e)) for e in self.events if e["log_namespace"] == "sslbroker.checks"
        ]
        self.events.clear()
        return told


class Verdicts(ChecksCase):
    def test_a_server_is_barred_after_so_many_failures_and_back_after_so_many_good_answers(self) -> None:
        self.begin()
        self.answer(BUSY, BUSY)
        self.assertEqual((self.bars(), self.lines()), ({}, []))
        self.answer(BUSY)
        self.assertEqual(self.bars(), {"unhealthy": "/up: status 503"})
        line = "pool shop: server 10.0.0.1:80 is unhealthy: /up: status 503 (checks failed in a row: 3)"
        self.assertEqual(self.lines(), [(LogLevel.warn, line)])
        self.answer(BUSY, OK)
        self.assertEqual(self.bars(), {"unhealthy": "/up: status 503"})
        self.answer(OK)
        self.assertEqual(self.bars(), {})
        line = "pool shop: server 10.0.0.1:80 is healthy again: /up: status 200 (checks passed in a row: 2)"
        self.assertEqual(self.lines(), [(LogLevel.info, line)])
        self.assertEqual(self.told, [("shop", "10.0.0.1:80", "/up: status 503"), ("shop", "10.0.0.1:80", "")])

    def test_it_comes_back_with_a_slow_start(self) -> None:
        self.begin(health=Health("/up", interval=1.0, rise=1, fall=1))
        self.answer(BUSY, OK)
        self.assertLess(self.pool.members[0].weight_at(self.clock.seconds()), 1.0)

    def test_a_server_that_refuses_is_unhealthy_and_its_reason_is_told(self) -> None:
        self.begin(health=Health(interval=1.0))
        self.servers[0].behaviour = "refuse"
        self.wait(2.6)
        self.assertIn("refused: ", self.bars()["unhealthy"])

    def test_what_others_say_of_the_server_stays(self) -> None:
        self.begin(health=Health("/up", interval=1.0, rise=1, fall=1))
        self.pool.set_server("10.0.0.1:80", "down")
        self.answer(BUSY)
        self.assertEqual(set(self.bars()), {"down", "unhealthy"})
        self.pool.set_server("10.0.0.1:80", "up")
        self.assertEqual(set(self.bars()), {"unhealthy"})

    def test_clients_go_to_the_healthy_ones_and_who_is_there_stays(self) -> None:
        self.begin(2, Health("/up", interval=1.0, rise=1, fall=1))
        before = self.client()
        before.sends(GET)
        first = self.servers[0].link()
        self.answer(BUSY)
        first.sends(OK)
        self.assertTrue(before.takes().endswith(b"ok"))
        link = None
        for _ in range(3):
            client = self.client()
            client.sends(GET)
            link = link or self.servers[1].link()  # it is used again
            link.sends(OK)
            self.assertTrue(client.takes().endswith(b"ok"))
            self.assertEqual(self.tries(), [("2", "ok")])

    def test_who_waits_for_a_place_is_told_when_nobody_is_left(self) -> None:
        self.begin(
            2, Health("/up", interval=1.0, rise=1, fall=1), limits_of_servers={"maximum_transactions": 1}
        )
        self.pool.members[1].bar("down")
        first, second = self.client(), self.client()
        first.sends(GET)
        working = self.servers[0].link()
        second.sends(GET)
        self.assertEqual(self.pool.figures.queued, 1)
        with mock.patch.object(self.pool.places, "freed", wraps=self.pool.places.freed) as freed:
            self.answer(BUSY)
        freed.assert_called()
        working.sends(OK)

    def test_when_all_are_unhealthy_all_are_tried(self) -> None:
        self.begin(2, Health("/up", interval=1.0, rise=1, fall=1))
        self.answer(BUSY)
        self.answer(BUSY, server=1)
        self.assertEqual([set(self.bars(number)) for number in range(2)], [{"unhealthy"}] * 2)
        client = self.client()
        client.sends(GET)
        (asked,) = (server for server in self.servers if server.links)
        asked.link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_server_that_was_killed_and_is_back_is_used_before_its_checks_say_so(self) -> None:
        self.begin(health=Health(interval=1.0, fall=1))
        self.servers[0].behaviour = "refuse"
        client = self.client()
        client.sends(GET)
        self.wait(0.6)
        self.assertEqual(set(self.bars()), {"unhealthy", "unreachable"})
        self.servers[0].behaviour = "accept"
        self.wait(0.3)
        self.assertEqual(set(self.bars()), {"unhealthy"})
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_reading_logs_and_certificates_anew_changes_no_verdict(self) -> None:
        self.begin(health=Health("/up", interval=1.0))
        self.answer(BUSY, BUSY, BUSY)
        self.broker.reload()  # as SIGHUP does
        self.assertEqual(self.bars(), {"unhealthy": "/up: status 503"})
        self.answer(OK)
        self.broker.reload()
        self.answer(OK)
        self.assertEqual(self.bars(), {})

    def test_figures_tell_of_each_check(self) -> None:
        self.begin()
        figures = self.pool.members[0].figures
        self.assertEqual((figures.checks, figures.last_check, figures.last_check_at), ({}, "", 0.0))
        with mock.patch("time.time", return_value=1_700_000_000.0):
            self.answer(BUSY, OK, b"", OK)
        self.assertEqual(figures.checks, {"status": 1, "ok": 2, "empty": 1})
        self.assertEqual(figures.last_check, "/up: status 200")
        self.assertEqual(figures.last_check_at, 1_700_000_000.0)
        self.assertEqual((figures.outcomes, figures.links_opened), ({}, 0))

    def test_a_mistake_of_a_plugin_bars_nobody(self) -> None:
        health = Health("/unasked", interval=1.0, fall=1)
        self.begin(health=health, protocols=[CheckedLines()], protocol="lines")
        self.wait(2.0)
        self.assertEqual(self.bars(), {})
        self.assertEqual(self.pool.members[0].figures.checks, {"internal": 2})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_want_of_the_brokers_own_bars_nobody(self) -> None:
        def out_of_files(factory: Any, network: object) -> bool:
            factory.clientConnectionFailed(None, Failure(ConnectError(errno.EMFILE, "no files")))
            return True

        self.begin(health=Health(interval=1.0, fall=1))
        with mock.patch.object(self.servers[0], "called", out_of_files):
            self.wait(2.0)
        self.assertEqual(self.bars(), {})
        self.assertEqual(self.pool.members[0].figures.checks, {"internal": 2})

    def test_a_mistake_of_who_is_told_is_logged_and_checks_go_on(self) -> None:
        def fails(*told: str) -> None:
            raise ZeroDivisionError

        self.tell = fails  # type: ignore[assignment, method-assign]
        self.begin(health=Health("/up", interval=1.0, rise=1, fall=1))
        self.answer(BUSY, OK)
        self.assertEqual(self.bars(), {})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_pools_without_health_are_not_checked(self) -> None:
        self.start(2)
        self.checks = Checks(self.broker.pools, self.clock)
        self.checks.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Times(ChecksCase):
    def asked(self, server: int, answers: Callable[[Peer], None], seconds: float) -> list[float]:
        """When the server is asked from now on."""
        times = []
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.wait(0.125)
            while self.servers[server].links:
                times.append(self.clock.seconds())
                answers(self.servers[server].link())
        return times

    def test_the_first_checks_are_spread_over_the_interval(self) -> None:
        self.begin(4)
        for asked in ([1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]):
            self.wait(0.25)
            self.assertEqual([server.accepted for server in self.servers], asked)

    def test_a_server_is_checked_each_interval(self) -> None:
        self.begin()
        self.assertEqual(self.asked(0, lambda link: link.sends(OK), 4.0), [0.5, 1.5, 2.5, 3.5])

    def test_one_check_at_a_time_be_it_slow(self) -> None:
        self.begin(health=Health("/up", interval=1.0, timeout=2.5))
        times = self.asked(0, lambda link: None, 6.0)
        self.assertEqual(times, [0.5, 3.0, 5.5])
        self.assertEqual(self.pool.members[0].figures.checks, {"silent": 2})

    def test_after_a_stop_nothing_is_asked_and_verdicts_stay(self) -> None:
        self.begin(2, Health("/up", interval=1.0, rise=1, fall=1))
        self.answer(BUSY)
        self.until_asked(1)
        self.checks.stop()  # one waits for its next check, one is asked now
        self.settle()
        accepted = [server.accepted for server in self.servers]
        self.assertTrue(self.servers[1].link().closed)
        self.wait(5.0)
        self.assertEqual([server.accepted for server in self.servers], accepted)
        self.assertEqual(set(self.bars()), {"unhealthy"})
        self.assertEqual(self.lines()[1:], [])


class Links(ChecksCase):
    """Checks go by the mode of links that holds now."""

    def test_checks_follow_the_mode(self) -> None:
        self.begin(health=Health("/up", interval=1.0, fall=1, rise=1), tls=LinkTLS(ca=FOLDER / "ca.pem"))
        self.answer(OK)
        self.servers[0].contexts = speaks("10.0.0.1")
        self.pool.set_link_mode(True)
        self.answer(OK)
        self.assertEqual(self.pool.members[0].figures.checks, {"ok": 2})
        self.pool.set_link_mode(False)
        self.wait(1.1)
        self.assertEqual(set(self.bars()), {"unhealthy"})  # it takes no plain request

    def test_a_server_of_which_nobody_knows_what_it_speaks_is_not_asked(self) -> None:
        self.begin(health=Health("/up", interval=1.0, fall=1))
        self.answer(OK)
        mode = self.pool.links[self.pool.members[0]].mode
        mode.secure = None
        self.wait(3.0)
        self.assertEqual(self.servers[0].accepted, 1)
        self.assertEqual(self.pool.members[0].figures.checks, {"ok": 1})
        mode.secure = False
        self.answer(OK)

    def test_a_check_waits_no_longer_for_a_connection_than_it_may_take(self) -> None:
        self.begin(health=Health(interval=1.0, timeout=0.2), failover=Failover(connect_timeout=60.0))
        self.servers[0].behaviour = "silent"
        self.wait(3.0)
        self.assertEqual(self.pool.members[0].figures.checks, {"connect-timeout": 3})
        self.assertLessEqual(len(self.calls), 1)
