"""Our reactor: whatever one selectable does, the others of the same turn are served."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from twisted.internet.error import ReactorAlreadyInstalledError
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IReactorFDSet,
    IReadWriteDescriptor,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

if sys.platform == "linux":
    from sslbroker.sockets import reactor as reactors


@implementer(IReadWriteDescriptor)
class Selectable:
    """One end of a pair of sockets; does at a call what `at` says, and else reads and takes nothing more."""

    def __init__(self, **at: Callable[[], object]) -> None:
        self.socket, self.peer = socket.socketpair()
        self.socket.setblocking(False)
        self.events: list[str] = []
        self.at = at

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "selectable"

    def doRead(self) -> Any:
        return self._note("read") or (None if self.socket.recv(99) else CONNECTION_DONE)

    def doWrite(self) -> Any:
        return self._note("write")

    def connectionLost(self, reason: Failure) -> None:
        self._note("lost", f"lost {type(reason.value).__name__}")

    def _note(self, name: str, text: str = "") -> Any:
        self.events.append(text or name)
        action = self.at.get(name)
        return None if action is None else action()


@implementer(IHalfCloseableDescriptor)
class Halves(Selectable):
    def readConnectionLost(self, reason: Failure) -> None:
        self._note("half", f"read lost {type(reason.value).__name__}")

    def writeConnectionLost(self, reason: Failure) -> None:
        raise AssertionError("no reactor calls it")


class Interrupted:
    """A poller whose next poll raises."""

    def __init__(self, poller: Any, code: int) -> None:
        self._poller, self._code = poller, code

    def poll(self, *how: Any) -> Any:
        raise OSError(self._code, os.strerror(self._code))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


class OfAReactor(SynchronousTestCase):
    if sys.platform != "linux":
        skip = "epoll is Linux's"

    def setUp(self) -> None:
        self.reactor = reactors.DirectEPollReactor()
        self.ends: list[Selectable] = []
        self.addCleanup(self.end)

    def end(self) -> None:
        self.reactor.removeAll()
        for end in self.ends:
            end.socket.close()
            end.peer.close()
        self.reactor.waker.connectionLost(Failure(CONNECTION_DONE))
        self.reactor._poller.close()

    def reads(self, kind: type[Selectable] = Selectable, **at: Callable[[], object]) -> Any:
        """One that reads, and for which something has come."""
        one = kind(**at)
        self.ends.append(one)
        one.peer.sendall(b"x")
        self.reactor.addReader(one)
        return one

    def turn(self) -> None:
        self.reactor.doIteration(0)


class Turns(OfAReactor):
    def watched(self, one: Selectable) -> bool:
        return one in self.reactor.getReaders() + self.reactor.getWriters()

    def test_it_provides_what_it_claims(self) -> None:
        verifyObject(IReactorFDSet, self.reactor)

    def test_who_is_ready_is_called_and_nobody_else(self) -> None:
        one, other = self.reads(), self.reads()
        other.socket.recv(9)
        self.turn()
        self.assertEqual((one.events, other.events), (["read"], []))
        self.reactor.addWriter(one)
        one.peer.sendall(b"x")
        self.turn()
        self.assertEqual(one.events, ["read", "read", "write"])
        self.reactor.removeWriter(one)
        self.turn()
        self.assertEqual(one.events, ["read", "read", "write"])

    def test_what_one_raises_is_logged_and_ends_it_and_the_others_are_served(self) -> None:
        for call in ("read", "write"):
            ends = [self.reads(), self.reads(Selectable, **{call: lambda: 1 // 0}), self.reads()]
            for end in ends if call == "write" else ():
                self.reactor.addWriter(end)
            self.turn()
            expected = ["read", "write"][: 1 + (call == "write")]
            self.assertEqual(ends[1].events, [*expected, "lost ZeroDivisionError"])
            self.assertEqual([ends[0].events, ends[2].events], [expected, expected])
            self.assertEqual([self.watched(end) for end in ends], [True, False, True])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.reactor.removeAll()

    def test_one_that_raises_at_its_end_is_logged_and_the_others_are_served(self) -> None:
        def lost() -> Any:
            return CONNECTION_LOST

        ends = [self.reads(), self.reads(read=lost, lost=lambda: 1 // 0), self.reads()]
        self.reactor.addWriter(ends[1])
        ends[1].at["write"] = lost
        self.turn()
        self.assertEqual([end.events for end in ends], [["read"], ["read", "lost ConnectionLost"], ["read"]])
        self.assertFalse(self.watched(ends[1]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_even_what_is_no_exception_of_a_program_ends_only_its_own(self) -> None:
        ends = [self.reads(), self.reads(read=sys.exit), self.reads()]
        self.turn()
        self.assertEqual([end.events[-1] for end in ends], ["read", "lost SystemExit", "read"])
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_an_end_that_reading_finds(self) -> None:
        for kind, told in ((Selectable, "lost ConnectionDone"), (Halves, "read lost ConnectionDone")):
            one = self.reads(kind)
            self.turn()
            one.peer.shutdown(socket.SHUT_WR)
            self.turn()
            self.assertEqual(one.events, ["read", "read", told])
            self.turn()
            self.assertEqual(one.events, ["read", "read", told])

    def test_a_hangup_after_everything_was_read(self) -> None:
        for kind, told in ((Selectable, "lost ConnectionDone"), (Halves, "read lost ConnectionDone")):
            one = self.reads(kind)
            one.peer.close()
            self.turn()
            self.turn()
            self.assertEqual(one.events, ["read", "read", told])

    def test_a_hangup_of_one_that_does_not_read(self) -> None:
        one = self.reads()
        one.socket.recv(9)
        self.reactor.removeReader(one)
        self.reactor.addWriter(one)
        one.peer.close()
        self.turn()
        self.assertEqual(one.events, ["lost ConnectionLost"])
        self.assertFalse(self.watched(one))

    def test_one_that_is_gone_by_what_was_called_before_hears_nothing(self) -> None:
        ends: list[Selectable] = []

        def remove() -> None:
            for end in ends:
                if not end.events:
                    self.reactor.removeReader(end)

        ends += [self.reads(read=remove) for _ in range(3)]
        self.turn()
        self.assertEqual(sorted(end.events for end in ends), [[], [], ["read"]])

    def test_a_poll_that_a_signal_ends_is_an_empty_turn(self) -> None:
        one = self.reads()
        poller = self.reactor._poller
        self.reactor._poller = Interrupted(poller, errno.EINTR)
        self.turn()
        self.assertEqual(one.events, [])
        self.reactor._poller = Interrupted(poller, errno.EBADF)
        self.assertRaises(OSError, self.turn)
        self.reactor._poller = poller
        self.turn()
        self.assertEqual(one.events, ["read"])

    def test_a_signal_while_it_waits_is_heard_in_the_same_wait(self) -> None:
        one = self.reads()
        one.socket.recv(9)
        before = signal.signal(signal.SIGALRM, lambda *_: one.peer.sendall(b"x"))
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        self.reactor.doIteration(None)
        self.assertEqual(one.events, ["read"])

    def test_it_runs_with_timers_and_threads(self) -> None:
        done: list[str] = []

        def from_thread() -> None:
            done.append("thread")
            self.reactor.callFromThread(self.reactor.stop)

        self.reactor.callLater(0, self.reactor.callInThread, from_thread)
        self.reactor.run(installSignalHandlers=False)
        self.assertEqual(done, ["thread"])

    def test_there_is_one_for_a_process(self) -> None:
        import_module("twisted.internet.reactor")  # has one, whatever ran before
        self.assertRaises(ReactorAlreadyInstalledError, reactors.install)

    def test_it_waits_as_long_as_it_is_told(self) -> None:
        asked: list[Any] = []

        class Asked(Interrupted):
            def poll(self, *how: Any) -> Any:
                asked.append(how[0])
                return []

        poller = self.reactor._poller
        self.reactor._poller = Asked(poller, 0)
        self.addCleanup(setattr, self.reactor, "_poller", poller)
        for timeout in (None, 0, 1.5):
            self.reactor.doPoll(timeout)
        self.assertEqual(asked, [-1, 0, 1.5])


class TimedTurns(OfAReactor):
    """What is told of turns that take long, on a clock that a test sets."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 100.0
        self.reactor.seconds = lambda: self.now
        self.told: list[tuple[float, float]] = []
        self.waits = 0.0
        poller = self.reactor._poller

        class Slow(Interrupted):
            def poll(slow, *how: Any) -> Any:
                self.now += self.waits
                return poller.poll(*how)

        self.reactor._poller = Slow(poller, 0)
        self.addCleanup(setattr, self.reactor, "_poller", poller)
        self.reactor.watch_turns(self.hear)

    def hear(self, began: float, ended: float) -> None:
        self.told.append((began, round(ended - began, 6)))

    def takes(self, seconds: float) -> Callable[[], None]:
        def pass_time() -> None:
            self.now += seconds

        return pass_time

    def test_a_turn_ends_where_the_next_wait_begins(self) -> None:
        self.waits = 0.5
        self.reads(read=self.takes(0.01))
        self.reads(read=lambda: self.reactor.later.append(Ended([], self.takes(0.02))))
        self.reactor.doIteration(1)
        self.assertEqual(self.told, [])
        self.takes(0.03)()  # by the timers that are due
        self.turn()
        self.assertEqual(self.told, [(100.5, 0.06)])

    def test_the_wait_is_no_part_of_it_and_a_short_one_is_not_told(self) -> None:
        self.waits = 0.5
        for _ in range(3):
            self.reads(read=self.takes(0.0009))
            self.reactor.doIteration(1)
            self.reactor.removeAll()
        self.assertEqual(self.told, [])

    def test_one_under_way_is_known_by_its_begin(self) -> None:
        self.waits = 0.5
        began: list[float] = []
        self.reads(read=lambda: began.append(self.reactor.turn_began))
        self.reactor.doIteration(1)
        self.assertEqual(began, [100.5])

    def test_a_wait_that_ended_late_belongs_to_the_turn(self) -> None:
        self.waits = 0.051
        self.reactor.doIteration(0.02)
        self.turn()
        self.assertEqual([told for _, told in self.told], [0.03])
        self.reactor.doIteration(0.1)
        self.assertEqual([told for _, told in self.told], [0.03, 0.05])
        self.turn()
        self.assertEqual([told for _, told in self.told], [0.03, 0.05])

    def test_one_that_had_no_end_is_never_late(self) -> None:
        self.waits = 50.0
        self.reads()
        self.reactor.doIteration(None)
        self.turn()
        self.assertEqual(self.told, [])

    def test_a_wait_that_a_signal_ends_is_a_wait(self) -> None:
        poller = self.reactor._poller
        self.now += 0.01
        self.reactor._poller = Interrupted(poller, errno.EINTR)
        self.turn()
        self.assertEqual((self.told, self.reactor.turn_began), ([(100.0, 0.01)], self.now))
        self.reactor._poller = poller

    def test_nobody_is_told_any_more(self) -> None:
        self.reactor.unwatch_turns(self.hear)
        self.reads(read=self.takes(1.0))
        self.turn()
        self.turn()
        self.assertEqual(self.told, [])

    def test_several_are_told_until_each_wants_no_more(self) -> None:
        others: list[float] = []

        def hear_too(began: float, ended: float) -> None:
            others.append(round(ended - began, 6))

        self.reactor.watch_turns(hear_too)
        for _ in range(2):
            self.takes(0.5)()
            self.turn()
            self.reactor.unwatch_turns(hear_too)
        self.assertEqual(([told for _, told in self.told], others), ([0.5, 0.5], [0.5]))
        self.assertEqual(self.reactor.turn_began, self.now, "it goes on to know when each turn began")

    def test_who_begins_to_hear_within_a_turn_hears_of_the_rest(self) -> None:
        self.reactor.unwatch_turns(self.hear)
        self.takes(1.0)()

        def begin() -> None:
            self.takes(1.0)()
            self.reactor.watch_turns(self.hear)
            self.takes(0.25)()

        self.reads(read=begin)
        self.turn()
        self.turn()
        self.assertEqual(self.told, [(102.0, 0.25)])


class Ended:
    """A transport that has written, and does `action` at the turn's end."""

    def __init__(self, events: list[str], action: Callable[[], object] = lambda: None) -> None:
        self.events, self.action = events, action

    def end_turn(self) -> None:
        self.events.append("sent")
        self.action()


class EndsOfTurns(OfAReactor):
    """What is written leaves before the reactor waits, and after the others of the turn were served."""

    def writes(self, events: list[str], action: Callable[[], object] = lambda: None) -> Any:
        """One that reads, and then writes."""

        def read() -> None:
            events.append("read")
            self.reactor.turn.append(Ended(events, action))

        return self.reads(read=read)

    def test_after_all_that_are_ready(self) -> None:
        events: list[str] = []
        for _ in range(3):
            self.writes(events)
        self.turn()
        self.assertEqual((events, self.reactor.turn), (["read"] * 3 + ["sent"] * 3, []))

    def test_some_do_not_wait_for_all_of_many(self) -> None:
        events: list[str] = []
        for _ in range(reactors.TOGETHER + 1):
            self.writes(events)
        self.turn()
        together = reactors.TOGETHER
        self.assertEqual(events, ["read"] * together + ["sent"] * together + ["read", "sent"])

    def test_what_timers_wrote_before_it_waits(self) -> None:
        events: list[str] = []
        self.reactor.turn.append(Ended(events))
        self.reactor._poller = Interrupted(self.reactor._poller, errno.EINTR)
        self.addCleanup(setattr, self.reactor, "_poller", self.reactor._poller._poller)
        self.turn()
        self.assertEqual((events, self.reactor.turn), (["sent"], []))

    def test_what_can_wait_is_done_when_all_is_sent(self) -> None:
        events: list[str] = []

        def told() -> None:
            events.append("told")

        def read() -> None:
            self.reactor.later.append(Ended([], told))

        self.reads(read=read)
        self.writes(events)
        self.turn()
        self.assertEqual((events, self.reactor.later), (["read", "sent", "told"], []))

    def test_it_is_done_though_nothing_is_sent(self) -> None:
        events: list[str] = []
        self.reads(read=lambda: self.reactor.later.append(Ended(events)))
        self.turn()
        self.reactor.later.append(Ended(events))
        self.turn()
        self.assertEqual((events, self.reactor.later), (["sent", "sent"], []))

    def test_what_one_raises_is_logged_and_the_others_send(self) -> None:
        events: list[str] = []
        self.writes(events, lambda: 1 // 0)
        self.writes(events, lambda: self.reactor.turn.append(Ended(events)))
        self.turn()
        self.assertEqual(events, ["read", "read", "sent", "sent"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.reactor.removeAll()
        self.turn()
        self.assertEqual(events.count("sent"), 3)
