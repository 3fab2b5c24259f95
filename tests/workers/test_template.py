"""Real processes: a template, workers that it forks, and how each of them ends."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from sslbroker.workers.template import Template

PATIENCE = 10.0


def living(pid: int) -> bool:
    """Is there such a process, that is no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TemplateCase(TestCase):
    def setUp(self) -> None:
        self.said = "as it was"
        self.ends: dict[int, Deferred[int]] = {}
        self.lost: Deferred[None] = Deferred()

    def start(self) -> Template:
        self.template = Template(
            reactor,
            self.work,
            {
                "change": self.change,
                "starve": self.starve,
                "feed": lambda: setattr(os, "fork", self.real_fork),
            },
            died=lambda child, status: self.ends[child].callback(status),
            lost=lambda: self.lost.callback(None),
        )
        self.template.start()
        self.addCleanup(self.template.finish)
        return self.template

    real_fork = staticmethod(os.fork)

    def starve(self) -> None:
        """In the template: there may be no more processes."""

        def fail() -> int:
            raise BlockingIOError("no more")

        os.fork = fail

    def change(self) -> None:
        self.said = "changed"

    def work(self, slot: int, descriptor: int) -> None:
        """A worker: it says who it is, and does what it is told."""
        pipe = socket.socket(fileno=descriptor)
        pipe.sendall(f"{slot} {os.getpid()} {os.getppid()} {self.said}".encode())
        word = pipe.recv(100)
        if word == b"fail":
            os.close(2)  # of what follows nothing need be seen
            os.open(os.devnull, os.O_WRONLY)
            raise RuntimeError("as it was told")

    def fork(self, slot: int) -> tuple[int, socket.socket, list[str]]:
        """A worker's number, the pipe to it, and what it says."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        ours.settimeout(PATIENCE)
        child = self.template.fork(slot, theirs.fileno())
        theirs.close()
        self.ends[child] = Deferred()
        return child, ours, ours.recv(100).decode().split(" ", 3)

    async def ended(self, child: int) -> int:
        status = await self.ends[child].addTimeout(PATIENCE, reactor)
        return os.waitstatus_to_exitcode(status)

    async def gone(self, pid: int) -> None:
        for _ in range(500):
            if not living(pid):
                return
            await deferLater(reactor, 0.02)
        self.fail(f"{pid} is there still")


class Forking(TemplateCase):
    async def test_workers_are_its_children_and_their_ends_are_told(self) -> None:
        template = self.start()
        (one, first, said), (two, second, other) = self.fork(0), self.fork(7)
        self.assertEqual((said[0], other[0], said[3]), ("0", "7", "as it was"))
        self.assertEqual({said[2], other[2]}, {str(template.pid)})
        self.assertEqual(Path(f"/proc/{template.pid}/comm").read_text(), "ssl:template\n")
        first.send(b"end")
        self.assertEqual(await self.ended(one), 0)
        second.send(b"fail")
        self.assertEqual(await self.ended(two), 1)

    async def test_who_does_not_end_is_killed_and_nobody_else(self) -> None:
        self.start()
        (one, first, _), (two, second, _) = self.fork(0), self.fork(1)
        self.template.kill(99)
        self.template.kill(one)
        self.assertEqual(await self.ended(one), -signal.SIGKILL)
        self.template.kill(one)
        second.send(b"end")
        self.assertEqual(await self.ended(two), 0)
        self.assertEqual(first.recv(10), b"")

    async def test_it_may_be_ended_by_another_signal(self) -> None:
        self.start()
        child, _, _ = self.fork(0)
        self.template.kill(child, signal.SIGUSR2)
        self.assertEqual(await self.ended(child), -signal.SIGUSR2)

    async def test_what_it_is_told_to_do_later_workers_have_and_earlier_ones_do_not(self) -> None:
        self.start()
        self.template.do("change")
        child, pipe, said = self.fork(0)
        self.assertEqual(said[3], "changed")
        self.assertEqual(self.said, "as it was")
        pipe.send(b"end")
        await self.ended(child)

    async def test_where_nobody_can_be_forked_the_pipe_ends_and_it_goes_on(self) -> None:
        self.start()
        self.template.do("starve")
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        ours.settimeout(PATIENCE)
        self.template.fork(0, theirs.fileno())
        theirs.close()
        self.assertEqual(ours.recv(10), b"")
        self.template.do("feed")
        child, pipe, _ = self.fork(0)
        pipe.send(b"end")
        self.assertEqual(await self.ended(child), 0)

    async def test_signals_of_a_terminal_end_neither(self) -> None:
        template = self.start()
        child, pipe, said = self.fork(0)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(template.pid, number)
            os.kill(int(said[1]), number)
        os.kill(template.pid, signal.SIGTERM)
        again, other, _ = self.fork(1)
        for one in (pipe, other):
            one.send(b"end")
        self.assertEqual((await self.ended(child), await self.ended(again)), (0, 0))


class Ending(TemplateCase):
    async def test_it_ends_with_its_last_worker_when_it_is_told(self) -> None:
        template = self.start()
        child, pipe, _ = self.fork(0)
        finished = template.finish()
        self.assertFalse(finished.called)
        pipe.send(b"end")
        await self.ended(child)
        await finished
        await self.gone(template.pid)
        self.assertFalse(self.lost.called)
        await template.finish()  # again is no harm

    async def test_its_death_is_told_and_workers_live_on(self) -> None:
        template = self.start()
        _, pipe, said = self.fork(0)
        os.kill(template.pid, signal.SIGKILL)
        await self.lost.addTimeout(PATIENCE, reactor)
        await self.gone(template.pid)
        self.assertTrue(living(int(said[1])))
        template.kill(1)  # to nobody
        pipe.send(b"end")
        await self.gone(int(said[1]))

    async def test_it_ends_when_the_parent_does(self) -> None:
        reading, writing = os.pipe()
        parent = os.fork()
        if not parent:
            self.in_parent(writing)
        os.close(writing)
        pid = int(os.read(reading, 100))
        os.close(reading)
        os.waitpid(parent, 0)
        await self.gone(pid)

    def in_parent(self, pipe: int) -> Any:
        """A process that starts a template, and dies."""
        template = Template(_Deaf(), self.work, {}, died=lambda *_: None, lost=lambda: None)
        template.start()
        os.write(pipe, str(template.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    async def test_what_the_reactor_asks(self) -> None:
        template = self.start()
        self.assertEqual(template.logPrefix(), "template of workers")
        self.assertGreater(template.fileno(), 0)
        os.kill(template.pid, signal.SIGKILL)
        await self.lost
        self.assertEqual(template.fileno(), -1)


class _Deaf:
    """In place of a reactor."""

    def addReader(self, reader: object) -> None:
        pass
