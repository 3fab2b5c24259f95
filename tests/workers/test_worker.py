"""A worker's life, led by its parent's words; in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionLost
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.members import TRANSACTIONS
from sslbroker.errors import StartError
from sslbroker.net.pins import Finding
from sslbroker.net.probing import Found
from sslbroker.workers.leases import Grant, Recall
from sslbroker.workers.messages import (
    Begin,
    Change,
    Drain,
    End,
    Look,
    NotStarted,
    Regroup,
    Reload,
    Reopen,
    Report,
)
from sslbroker.workers.reporting import INTERVAL
from sslbroker.workers.worker import LAST

from .wire import SERVER, Wire

KEY = ("shop", SERVER, TRANSACTIONS)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.wire = Wire(slot=3)
        self.worker, self.pipe = self.wire.worker, self.wire.pipe
        self.serving, self.heard = self.wire.serving, self.wire.parent.heard

    def tell(self, command: Any, **values: Any) -> None:
        self.pipe.tell(command, **values)
        self.wire.flush()

    def ask(self, command: Any, **values: Any) -> Any:
        asked = self.pipe.ask(command, **values)
        self.wire.flush()
        return asked

    def begin(self) -> None:
        self.assertGreater(self.successResultOf(self.ask(Begin))["pid"], 1)

    def lose_parent(self) -> None:
        self.worker.connectionLost(Failure(ConnectionLost()))


class Serving(Case):
    def refused(self) -> str:
        """Why it does not begin."""
        failures: list[Failure] = []
        self.pipe.ask(Begin).addErrback(failures.append)
        self.wire.flush()
        (failure,) = failures
        failure.trap(NotStarted)
        return str(failure.value)

    def test_it_serves_in_its_slot_when_it_is_told(self) -> None:
        self.assertEqual(self.serving.done, [])
        self.begin()
        self.assertEqual(self.serving.done, [("serve", 3)])

    def test_why_it_cannot(self) -> None:
        self.wire.refail("it is taken")
        self.assertEqual(self.refused(), "it is taken")

    def test_a_mistake_is_told_too_with_its_traceback_in_the_log(self) -> None:
        self.serving.fails = ZeroDivisionError("nothing")
        self.assertEqual(self.refused(), "ZeroDivisionError: nothing")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_an_operator_changes(self) -> None:
        self.tell(Change, name="state", values='["shop", "a:1", "down"]')
        self.tell(Reopen)
        self.tell(Look, pool="shop", server=SERVER)
        self.assertEqual(self.serving.done, [("state", ["shop", SERVER, "down"]), "reopen", "look"])

    def test_files_of_groups_are_read_and_what_is_wrong_with_them_is_told(self) -> None:
        self.tell(Regroup)
        self.assertEqual(self.serving.done, ["regroup"])
        with capturedLogs() as events:
            self.serving.regrouped.errback(StartError("one\ntwo"))
        self.assertEqual(
            [formatEvent(event) for event in events], ["kept as it was: one", "kept as it was: two"]
        )

    def test_a_change_that_cannot_be_carried_out_ends_nobody(self) -> None:
        self.serving.change = lambda name, values: 1 / 0  # type: ignore[assignment, method-assign]
        self.tell(Change, name="state", values="[]")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.worker.open)

    def test_problems_of_certificates_are_told_once(self) -> None:
        self.serving.problems = ["listeners.https.tls: no such file"]
        with capturedLogs() as events:
            self.tell(Reload, quiet=True)
            self.assertEqual(events, [])
            self.tell(Reload, quiet=False)
        self.assertEqual(
            [formatEvent(event) for event in events], ["kept as it was: listeners.https.tls: no such file"]
        )

    def test_places_are_granted_and_given_back(self) -> None:
        self.assertFalse(self.serving.member.has_place())
        self.pipe.lend(Grant(1, KEY, 5))
        self.wire.flush()
        self.serving.member.figures.outstanding = 5
        self.assertFalse(self.serving.member.has_place())
        self.pipe.lend(Recall(1, KEY, 3))
        self.wire.flush()
        self.serving.member.figures.outstanding = 4
        self.serving.places.settle()
        self.wire.flush()
        self.assertEqual(
            self.heard[1:],
            [("needs", KEY), ("needs", KEY), ("gave back", KEY, 0, True), ("gave back", KEY, 1, False)],
        )

    def test_so_are_those_of_a_whole_pool(self) -> None:
        key = ("shop", "", TRANSACTIONS)
        limit = self.serving.limit
        self.assertFalse(limit.has_place())
        self.pipe.lend(Grant(1, key, 5))
        self.wire.flush()
        self.assertEqual((limit.has_place(), limit.most), (True, 5))
        self.pipe.lend(Recall(1, key, 3))
        self.wire.flush()
        self.assertEqual(limit.most, 1)
        self.assertEqual(self.heard[1:], [("needs", key), ("gave back", key, 4, True)])

    def test_the_parent_finds_out_what_a_server_speaks(self) -> None:
        self.wire.parent.found = succeed(Found(Finding.TLS, "it shook hands"))
        asked = self.serving.mode.probe()
        self.wire.flush()
        self.assertEqual(self.successResultOf(asked), Found(Finding.TLS, "it shook hands"))
        self.assertEqual(self.heard[-1], ("find", "shop", SERVER))
        self.lose_parent()
        self.assertEqual(self.successResultOf(self.serving.mode.probe()).finding, Finding.UNKNOWN)

    def test_its_lines_go_to_the_parent(self) -> None:
        self.worker.say("warn", "shop", "it is late")
        self.wire.flush()
        self.assertEqual(self.heard[-1], ("warn", "shop", "it is late"))


class Reporting(Case):
    def rows(self) -> dict[int, Any]:
        self.wire.flush()
        return self.pipe.account.rows

    def test_figures_are_told_each_second_and_when_they_are_asked_for(self) -> None:
        self.begin()
        self.assertEqual(self.rows()[1][1][0], 2)  # storage.maximum
        self.serving.figures.listeners[0].accepted = 5
        self.wire.clock.advance(INTERVAL)
        self.assertEqual(self.rows()[2][0][0], 5)
        self.serving.figures.listeners[0].accepted = 6
        told = self.ask(Report)
        self.wire.clock.pump([0, 0])
        self.wire.flush()
        self.assertEqual(self.successResultOf(told), {})
        self.assertEqual(self.pipe.account.rows[2][0][0], 6)  # before the answer


class Ending(Case):
    def test_it_drains_and_tells_its_last_figures(self) -> None:
        self.begin()
        self.tell(Drain)
        self.assertEqual(self.serving.done[1:], ["drain"])
        self.serving.figures.listeners[0].accepted = 9
        self.tell(Drain)
        self.tell(End)
        self.wire.flush()
        self.assertEqual(self.serving.done[1:], ["drain", "end"])
        self.assertEqual(self.pipe.account.rows[2][0][0], 9)
        self.assertEqual((self.wire.stopped, self.heard[-1]), (1, "gone"))
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_before_it_serves_there_is_nothing_to_drain(self) -> None:
        self.tell(Drain)
        self.wire.flush()
        self.assertEqual((self.serving.done, self.wire.stopped), ([], 1))

    def test_when_the_parent_dies_it_drains_and_ends(self) -> None:
        self.begin()
        self.lose_parent()
        self.assertEqual((self.serving.done[1:], self.wire.stopped), (["drain"], 0))
        self.serving.drained.callback(None)
        self.assertEqual(self.wire.stopped, 1)
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_when_the_parent_dies_while_it_drains(self) -> None:
        self.begin()
        self.tell(Drain)
        self.lose_parent()
        self.assertEqual(self.wire.stopped, 0)
        self.serving.drained.callback(None)
        self.assertEqual((self.serving.done[1:], self.wire.stopped), (["drain"], 1))

    def test_a_signal_to_itself_lets_it_leave_and_a_second_one_ends_it(self) -> None:
        self.begin()
        self.worker.leave()
        self.wire.flush()
        self.assertEqual((self.serving.done[1:], self.heard[-1]), (["drain"], "leaves"))
        self.worker.leave()
        self.wire.flush()
        self.assertEqual((self.serving.done[1:], self.wire.stopped), (["drain", "end"], 1))

    def test_a_parent_that_reads_nothing_holds_nobody_up(self) -> None:
        self.begin()
        self.worker.drain()
        self.serving.drained.callback(None)  # nobody pumps
        self.assertEqual(self.wire.stopped, 0)
        self.wire.clock.advance(LAST)
        self.wire.flush()
        self.assertEqual(self.wire.stopped, 1)

    def test_a_mistake_in_draining_ends_it_all_the_same(self) -> None:
        self.begin()
        self.worker.drain()
        self.serving.drained.errback(ZeroDivisionError())
        self.wire.flush()
        self.assertEqual(self.wire.stopped, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
