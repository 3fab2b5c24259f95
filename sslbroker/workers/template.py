"""The process that workers are forked from, and the parent's end of it.

Decides how a worker comes to be: it is forked, so that it has what the parent had when it started, and a
replacement years later is what the first one was. What a new interpreter would lose: objects of a ``.tac``
file (observers, balancers), keys that only root could read before twistd changed the user, and keys of TLS
tickets, which only contexts from before a fork share. It is not forked from the parent: that one runs a
reactor, with connections, which a fork would copy into every worker. So the parent forks once, before
anything runs, the template, which does nothing but fork, and tell who died.

Invariant: the template ends when the parent does, and has no descriptor of a worker. Refuses to know what a
worker does: it calls what it was given.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..net import heap
from . import told
from .fresh import name_process

Work = Callable[[int, int], None]
"""What a worker does: given the number of its slot, and the descriptor of its end of the pipe to the
parent."""

#: Seconds from one look to the next whether a process that is ending has ended.
REAP = 0.01

#: Bytes of the longest message, either way.
_LONGEST = 1024

#: Ignored by the template and its workers, who hear from the parent what happens: a terminal signals all.
_PARENTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

_log = Logger("sslbroker.workers")


@implementer(IReadDescriptor)
class Template:
    """The parent's end. `died(child, status)` is called for each worker that is gone, by the number that
    `fork` gave, with its exit status as of `os.waitpid`; `lost()` when the template itself is gone."""

    def __init__(
        self,
        reactor: Any,
        work: Work,
        calls: Mapping[str, Callable[[], None]],
        *,
        died: Callable[[int, int], None],
        lost: Callable[[], None],
    ) -> None:
        """`calls` are what `do` can say, to change what workers that are forked later are."""
        self._reactor = reactor
        self._work = work
        self._calls = calls
        self._died = died
        self._lost = lost
        self._children = 0
        self._socket: socket.socket | None = None
        self._ended: Deferred[None] | None = None
        self.pid = 0

    def start(self) -> None:
        """Fork it. Call it while nothing is open that a worker should not have."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _flush()
        self.pid = os.fork()
        if not self.pid:
            _run_and_exit(lambda: _Forking(theirs, self._work, self._calls, ours).run())
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._reactor.addReader(self)

    def fork(self, slot: int, descriptor: int) -> int:
        """A worker for `slot`, which gets `descriptor`; under which number `died` tells of its end."""
        self._children += 1
        self._send(["fork", slot, self._children], descriptor)
        return self._children

    def kill(self, child: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End a worker that does not end by itself; one that has ended is left alone."""
        self._send(["kill", child, how])

    def do(self, name: str) -> None:
        """Let the template call what is known to it by this name."""
        self._send(["do", name])

    def finish(self) -> Deferred[None]:
        """Let it end when its last worker has."""
        self._ended = Deferred()
        if self._socket is None:
            self._ended.callback(None)
        else:
            self._send(["finish"])
        return self._ended

    def _send(self, message: list[Any], *descriptors: int) -> None:
        if self._socket is None:
            return
        # What cannot be sent because the template is gone, `doRead` tells.
        with suppress(OSError):
            socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)

    # --- what the reactor calls ---

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def logPrefix(self) -> str:
        return "template of workers"

    def doRead(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(_LONGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            self._died(*json.loads(data))

    def connectionLost(self, reason: Failure) -> None:
        self._gone()

    def _gone(self) -> None:
        if self._socket is None:
            return
        self._reactor.removeReader(self)
        self._socket.close()
        self._socket = None
        self._reap()

    def _reap(self) -> None:
        """It has closed its end, so it is about to be gone."""
        with suppress(ChildProcessError):
            if not os.waitpid(self.pid, os.WNOHANG)[0]:
                self._reactor.callLater(REAP, self._reap)
                return
        if self._ended is not None:
            self._ended.callback(None)
        else:
            self._lost()


class _Forking:
    """The template itself."""

    def __init__(
        self,
        control: socket.socket,
        work: Work,
        calls: Mapping[str, Callable[[], None]],
        parents: socket.socket,
    ) -> None:
        parents.close()
        self._control = control
        self._work = work
        self._calls = calls
        self._living: dict[int, int] = {}  # number by pid
        self._finishing = False

    def run(self) -> None:
        name_process("template")
        told.silence()  # only the parent writes the log, which it rotates
        for number in _PARENTS:
            signal.signal(number, signal.SIG_IGN)
        self._woken, waking = os.pipe()
        self._waking = waking
        os.set_blocking(self._woken, False)
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        heap.settle()  # once for all workers, which have it in common
        while not (self._finishing and not self._living):
            ready, _, _ = select.select([self._control.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, _LONGEST)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                return

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                number = self._living.pop(pid, None)
                if number is not None:
                    self._control.send(json.dumps([number, status]).encode())

    def _obey(self) -> bool:
        """Do what the next message says; False: the parent is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._control, _LONGEST, 1)
        if not data:
            return False
        word, *said = json.loads(data)
        if word == "fork":
            self._fork(said[0], said[1], descriptors[0])
        elif word == "kill":
            for pid, number in self._living.items():
                if number == said[0]:
                    os.kill(pid, said[1])
        elif word == "do":
            self._calls[said[0]]()
        else:
            self._finishing = True
        return True

    def _fork(self, slot: int, number: int, descriptor: int) -> None:
        try:
            pid = os.fork()
        except OSError:  # too many processes: the end of its pipe tells the parent
            os.close(descriptor)
            return
        if pid:
            self._living[pid] = number
            os.close(descriptor)
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for mine in (self._woken, self._waking):
            os.close(mine)
        self._control.close()
        _run_and_exit(lambda: self._work(slot, descriptor))


def _run_and_exit(work: Callable[[], None]) -> NoReturn:
    """The life of a forked process: it never returns into what forked it."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)  # what twistd put in its place is the log of the parent
    finally:
        _flush()
        os._exit(status)


def _flush() -> None:
    """What waits to be written would be written by the forked process too."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or somebody else's
            stream.flush()
