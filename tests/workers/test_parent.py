"""What a parent does with its workers: in memory, with pipes that end as processes do."""

from __future__ import annotations

import signal
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.members import TRANSACTIONS
from sslbroker.workers.leases import Leases
from sslbroker.workers.parent import GRACE, PATIENCE, Workers
from sslbroker.workers.reports import ProcessCounts, Totals, parts
from sslbroker.workers.slots import FIRST
from sslbroker.workers.watching import LOOKS
from sslbroker.workers.worker import Worker

from .wire import SERVER, Serving

KEY = ("shop", SERVER, TRANSACTIONS)
TIMEOUT = 30.0
KILLED, FAILED = 9, 1 << 8  # as of `os.waitpid`


class Template:
    """Forks nobody: it notes what it is told, and says what a test lets it say."""

    def __init__(self, reactor: Reactor, died: Any, lost: Any) -> None:
        self.reactor, self.died, self.lost = reactor, died, lost
        self.done: list[Any] = []

    def start(self) -> None:
        self.done.append("start")

    def fork(self, slot: int, descriptor: int) -> int:
        return self.reactor.forked(slot)

    def kill(self, child: int, how: signal.Signals = signal.SIGKILL) -> None:
        self.done.append(("kill", child) if how == signal.SIGKILL else ("kill", child, how))
        if not self.reactor.processes[child].ignores(how):
            self.reactor.end(child, how)

    def do(self, name: str) -> None:
        self.done.append(name)

    def finish(self) -> Deferred[None]:
        self.done.append("finish")
        return succeed(None)


class Process:
    """A worker that was forked."""

    def __init__(self, slot: int) -> None:
        self.clock = Clock()
        self.slot = slot
        self.serving = Serving()
        self.stopped = False
        self.worker = Worker(self.clock, slot, self.serving, self._stop)
        self.pump: Any = None
        self.pipe: Any = None
        self.hangs = self.stands = False  # in a loop; because it was told to (SIGSTOP)

    def ignores(self, how: signal.Signals) -> bool:
        return self.stands and how != signal.SIGKILL

    def flush(self) -> None:
        if not self.hangs:
            self.pump.flush()

    def _stop(self) -> None:
        self.stopped = True


class Reactor(Clock):
    """Connects the two ends of each pipe in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: dict[int, Process] = {}
        self.templates: list[Template] = []
        self.fails: Exception | None = None

    def template(self, **heard: Any) -> Any:
        self.templates.append(Template(self, **heard))
        return self.templates[-1]

    def forked(self, slot: int) -> int:
        number = len(self.processes) + 1
        self.processes[number] = Process(slot)
        self.processes[number].serving.fails = self.fails
        return number

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        process = self.processes[len(self.processes)]
        process.pipe = factory.buildProtocol(None)
        process.pump = connect(
            process.pipe,
            FakeTransport(process.pipe, True),
            process.worker,
            FakeTransport(process.worker, False),
            greet=False,  # nobody hears anything before `flush`
        )

    def flush(self) -> None:
        for _ in range(3):  # what one says may be a word for another
            for process in list(self.processes.values()):
                process.flush()

    def end(self, number: int, status: int = 0) -> None:
        """A worker's process is gone."""
        process = self.processes[number]
        if process.pipe.open:
            process.pipe.connectionLost(Failure(ConnectionLost()))
        self.templates[-1].died(number, status)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.sums = Serving().figures
        self.totals = Totals([ProcessCounts(), *parts(self.sums)])
        self.workers = Workers(
            self.reactor,
            2,
            self.reactor.template,
            Leases({KEY: 10}, 2),
            self.totals,
            lambda pool, server: succeed(None),
            TIMEOUT,
        )
        self.template = self.reactor.templates[0]
        self.processes = self.reactor.processes

    def start(self) -> None:
        self.workers.start()
        self.reactor.flush()

    def standing(self) -> list[tuple[int, str, int]]:
        return [(one.number, one.state, one.restarts) for one in self.workers.shown()]

    def lines(self, call: Any) -> list[str]:
        """What the log says of a call."""
        with capturedLogs() as events:
            call()
            self.reactor.flush()
        return [str(formatEvent(event)) for event in events]


class Living(Case):
    def test_each_slot_gets_a_worker_which_serves(self) -> None:
        lines = self.lines(self.start)
        self.assertEqual(
            [line.partition(" (pid")[0] for line in lines], ["worker 1 serves", "worker 2 serves"]
        )
        self.assertEqual(self.template.done, ["start"])
        self.assertEqual(
            [one.serving.done for one in self.processes.values()], [[("serve", 0)], [("serve", 1)]]
        )
        self.assertEqual(self.standing(), [(1, "serving", 0), (2, "serving", 0)])

    def test_one_that_dies_is_replaced_at_once_and_the_log_says_how_it_died(self) -> None:
        self.start()
        lines = self.lines(lambda: self.reactor.end(1, KILLED))
        self.assertEqual(len(lines), 1)
        self.assertIn("was killed by SIGKILL", lines[0])
        self.assertEqual(self.standing(), [(2, "serving", 0), (1, "starting", 1)])
        self.reactor.advance(0)
        self.reactor.flush()
        self.assertEqual(self.processes[3].serving.done, [("serve", 0)])
        self.assertEqual(self.standing(), [(1, "serving", 1), (2, "serving", 0)])

    def test_its_status_may_be_known_before_its_pipe_ends(self) -> None:
        self.start()
        lines = self.lines(lambda: self.template.died(1, FAILED))
        self.assertIn("ended with status 1", lines[0])
        self.reactor.end(1)

    def test_one_that_ends_without_being_told_is_an_error(self) -> None:
        self.start()
        self.assertIn("ended with status 0", self.lines(lambda: self.reactor.end(2))[0])

    def test_one_that_dies_again_at_once_is_replaced_later(self) -> None:
        self.start()
        self.reactor.end(1, KILLED)
        self.reactor.advance(0)
        self.reactor.flush()
        lines = self.lines(lambda: self.reactor.end(3, KILLED))
        self.assertIn("worker 1 is started again in 0.25 s", lines)
        self.reactor.advance(FIRST / 2)
        self.assertEqual(len(self.processes), 3)
        self.reactor.advance(FIRST / 2)
        self.assertEqual(len(self.processes), 4)

    def test_one_that_cannot_serve_says_why_once(self) -> None:
        self.reactor.fails = OSError("no more")
        lines = self.lines(self.start)
        self.flushLoggedErrors(OSError)
        told = [line for line in lines if "cannot serve" in line]
        self.assertEqual(told, ["worker 1 cannot serve: OSError: no more"])
        self.assertEqual(self.template.done, ["start", ("kill", 1), ("kill", 2)])

    def test_one_that_leaves_is_replaced_while_it_drains(self) -> None:
        self.start()
        lines = self.lines(self.processes[1].worker.leave)
        self.assertEqual(len(lines), 1)
        self.assertIn("leaves, as it was told", lines[0])
        self.reactor.advance(0)
        self.reactor.flush()
        self.assertEqual(self.standing(), [(1, "serving", 1), (2, "serving", 0), (1, "leaving", 1)])
        self.assertEqual(self.lines(lambda: self.reactor.end(1)), [])
        self.assertEqual(self.standing(), [(1, "serving", 1), (2, "serving", 0)])

    def test_places_of_one_that_dies_are_there_for_the_next(self) -> None:
        self.start()
        self.assertEqual(self.processes[1].serving.member.most_transactions, 5)
        self.reactor.end(1, KILLED)
        self.reactor.advance(0)
        self.reactor.flush()
        self.assertEqual(self.processes[3].serving.member.most_transactions, 5)

    def test_places_go_to_who_needs_them(self) -> None:
        self.start()
        one, two = self.processes[1].serving.member, self.processes[2].serving.member
        one.figures.outstanding = 5
        self.assertFalse(one.has_place())
        self.reactor.flush()
        self.assertEqual((one.most_transactions, two.most_transactions), (7, 2))

    def test_when_the_template_dies_another_one_takes_its_place(self) -> None:
        self.start()
        self.assertIn("another one takes its place", self.lines(self.template.lost)[0])
        self.assertEqual([one.done for one in self.reactor.templates], [["start"], ["start"]])
        self.reactor.end(2, KILLED)
        self.reactor.advance(0)
        self.assertEqual(len(self.processes), 3)

    def test_who_was_to_be_forked_just_then_is_forked_again(self) -> None:
        self.workers.start()
        self.template.lost()
        self.reactor.flush()
        self.reactor.advance(0)
        self.reactor.flush()
        self.assertEqual(len(self.processes), 4)

    def test_while_no_more_files_may_be_open_it_is_tried_again(self) -> None:
        with mock.patch("socket.socketpair", side_effect=OSError(24, "Too many open files")):
            lines = self.lines(self.start)
            self.reactor.advance(0)
        self.assertEqual(lines[0], "worker 1 cannot be forked: Too many open files")
        self.assertEqual(self.standing(), [(1, "starting", 2), (2, "starting", 2)])
        self.reactor.advance(FIRST)
        self.reactor.flush()
        self.assertEqual(self.standing(), [(1, "serving", 2), (2, "serving", 2)])

    def test_its_lines_are_in_the_log(self) -> None:
        self.start()
        worker = self.processes[2].worker
        self.assertEqual(self.lines(lambda: worker.say("info", "shop", "hello")), ["worker 2: hello"])


class Hanging(Case):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def wait(self, seconds: float) -> None:
        """Time goes by, second for second."""
        for _ in range(int(seconds)):
            self.reactor.advance(1)
            self.reactor.flush()

    def test_one_that_hangs_is_ended_and_replaced_and_its_places_are_there_for_the_next(self) -> None:
        self.processes[1].hangs = True
        lines = self.lines(lambda: self.wait(TIMEOUT + TIMEOUT / LOOKS))
        self.assertIn("hangs: it has not answered for 30 s, and is ended", lines[0])
        self.assertIn("was killed by SIGABRT", lines[1])
        self.assertEqual(self.template.done, ["start", ("kill", 1, signal.SIGABRT)])
        self.assertEqual(self.standing(), [(1, "serving", 1), (2, "serving", 0)])
        self.assertEqual(self.processes[3].serving.member.most_transactions, 5)

    def test_one_that_stands_still_is_killed(self) -> None:
        self.processes[2].hangs = self.processes[2].stands = True
        self.wait(TIMEOUT + 2 * TIMEOUT / LOOKS)
        self.assertEqual(self.template.done, ["start", ("kill", 2, signal.SIGABRT), ("kill", 2)])
        self.assertEqual(self.standing(), [(1, "serving", 0), (2, "serving", 1)])

    def test_one_that_answers_late_goes_on(self) -> None:
        for _ in range(3):
            self.processes[1].hangs = True
            self.wait(TIMEOUT - 1)
            self.processes[1].hangs = False
            self.wait(TIMEOUT / LOOKS)
        self.assertEqual(self.template.done, ["start"])

    def test_one_that_hangs_before_it_serves_is_ended_too(self) -> None:
        self.reactor.end(1, KILLED)
        self.reactor.advance(0)
        self.processes[3].hangs = True
        self.wait(TIMEOUT + 2 * TIMEOUT / LOOKS)
        self.assertIn(("kill", 3, signal.SIGABRT), self.template.done)

    def test_nobody_is_asked_any_more_when_all_end(self) -> None:
        gone = self.workers.drain(600.0)
        self.processes[1].hangs = self.processes[2].hangs = True
        self.wait(2 * TIMEOUT)
        self.assertEqual(self.template.done, ["start", "close"])
        for number in (1, 2):
            self.reactor.end(number)
        self.successResultOf(gone)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class Telling(Case):
    def test_every_worker_and_every_later_one_hears_of_a_change(self) -> None:
        self.start()
        self.workers.change("weight", ("shop", SERVER, 3))
        self.reactor.flush()
        self.reactor.end(1, KILLED)
        self.reactor.advance(0)
        self.reactor.flush()
        change = ("weight", ["shop", SERVER, 3])
        self.assertEqual(
            [one.serving.done for one in self.processes.values()],
            [[("serve", 0), change], [("serve", 1), change], [change, ("serve", 0)]],
        )

    def test_reloads_reach_workers_and_the_template(self) -> None:
        self.start()
        self.workers.reload(quiet=True)
        self.workers.regroup()
        self.workers.reopen()
        self.workers.look("shop", SERVER)
        self.reactor.flush()
        self.assertEqual(self.processes[2].serving.done[1:], ["read", "regroup", "reopen", "look"])
        self.assertEqual(self.template.done, ["start", "reload", "regroup", "reopen"])

    def test_figures_are_those_of_now(self) -> None:
        self.start()
        for process in self.processes.values():
            process.serving.figures.listeners[0].transactions = 4
        told = self.workers.report()
        self.reactor.flush()
        for process in self.processes.values():
            process.clock.pump([0, 0])
        self.reactor.flush()
        self.successResultOf(told)
        self.totals.add_up()
        self.assertEqual(self.sums.listeners[0].transactions, 8)
        self.assertEqual([one.transactions for one in self.workers.shown()], [4, 4])

    def test_one_that_does_not_answer_is_not_waited_for_long(self) -> None:
        self.start()
        told = self.workers.report()
        self.assertNoResult(told)
        self.reactor.advance(PATIENCE)
        self.successResultOf(told)


class Ending(Case):
    def drain(self) -> Deferred[None]:
        gone = self.workers.drain(30.0)
        self.reactor.flush()
        return gone

    def test_all_drain_and_then_the_template_ends(self) -> None:
        self.start()
        gone = self.drain()
        self.assertEqual([one.serving.done[1:] for one in self.processes.values()], [["drain"], ["drain"]])
        for process in self.processes.values():
            self.assertNoResult(gone)
            process.serving.drained.callback(None)
            self.reactor.flush()
        self.successResultOf(gone)
        self.assertEqual(self.template.done, ["start", "close", "finish"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nobody_is_replaced_any_more(self) -> None:
        self.start()
        self.reactor.end(1, KILLED)
        gone = self.drain()
        self.assertEqual(self.lines(lambda: self.reactor.end(2)), [])
        self.successResultOf(gone)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.standing(), [(1, "starting", 1), (2, "starting", 0)])

    def test_one_that_is_only_beginning_drains_too(self) -> None:
        self.workers.start()
        gone = self.drain()
        for process in self.processes.values():
            process.serving.drained.callback(None)
        self.reactor.flush()
        self.successResultOf(gone)

    def test_asked_twice_it_ends_now(self) -> None:
        self.start()
        gone = self.drain()
        self.workers.end()
        self.reactor.flush()
        self.successResultOf(gone)

    def test_one_that_does_not_end_is_killed(self) -> None:
        self.start()
        gone = self.drain()
        self.processes[1].serving.drained.callback(None)
        self.reactor.flush()
        lines = self.lines(lambda: self.reactor.advance(30.0 + GRACE))
        self.successResultOf(gone)
        self.assertIn("worker 2 does not end, and is killed", lines)
        self.assertEqual(self.template.done[-2:], [("kill", 2), "finish"])

    def test_one_that_leaves_when_all_do_is_not_replaced(self) -> None:
        self.start()
        gone = self.drain()
        self.processes[1].worker.leave()
        self.reactor.flush()
        self.processes[2].serving.drained.callback(None)
        self.reactor.flush()
        self.successResultOf(gone)
        self.assertEqual(len(self.processes), 2)

    def test_the_sums_stay_when_all_are_gone(self) -> None:
        self.start()
        self.processes[1].serving.figures.listeners[0].transactions = 4
        gone = self.drain()
        for process in self.processes.values():
            process.serving.drained.callback(None)
        self.reactor.flush()
        self.successResultOf(gone)
        self.totals.add_up()
        self.assertEqual(self.sums.listeners[0].transactions, 4)
