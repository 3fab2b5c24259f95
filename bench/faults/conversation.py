"""One client's connection to a proxy, used again and again, each answer read strictly and hashed.

Decides as what a failure counts (`seen.KINDS`). Invariant: after a failure the connection is closed and the
next request goes over a new one, as clients do; a request is asked once, and an answer that does not come in
time is a failure of its own kind. Refuses to ask again: whatever goes wrong is visible.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass

from ..connecting import Target, connect, read_some
from ..turns import At, Gone, Loop, Ready, Turns
from . import answers
from .seen import Failure, Seen

Turning = Generator[Ready | At | Gone, None, bool]


@dataclass(frozen=True)
class Request:
    target: str  # tells one from all others, in logs too
    data: bytes
    expected: str  # the SHA-256 of a good answer


class Conversation:
    """Asks one request after another; counts in `seen`."""

    def __init__(self, target: Target, seen: Seen, begin: float, patience: float) -> None:
        self.target = target
        self.seen = seen
        self.begin = begin
        self.patience = patience
        self.sock: socket.socket | None = None
        self.calling: socket.socket | None = None  # what will be `sock` when it is connected
        self.deadline = float("inf")
        self.gone = False  # given up by `watch`

    def ask(self, request: Request, due: float | None = None) -> Turning:
        """Whether the answer was good; `due`: from when its time counts, else from now."""
        begin = time.perf_counter()
        self.deadline, self.gone = begin + self.patience, False
        stage, detail = "refused", ""
        digest = hashlib.sha256()
        try:
            if self.sock is None:
                yield from self.call()
            elif unasked(self.sock):
                raise ConnectionResetError("closed between two requests")
            stage = "reset"
            assert self.sock is not None
            self.sock.sendall(request.data)
            reading = answers.read(digest.update)
            next(reading)
            while True:
                data = yield from read_some(self.sock, 65_536)
                if data:
                    stage = "cut"
                try:
                    reading.send(data)
                except StopIteration as end:
                    answer: answers.Answer = end.value
                    break
            if answer.status != 200:
                stage, detail = "status", str(answer.status)
            else:
                stage = ""
            if answer.close:
                yield from self.close()
        except answers.Malformed as error:
            stage, detail = "malformed", str(error)
        except answers.Cut as error:
            detail = str(error)
        except OSError as error:
            detail = f"{type(error).__name__} {error}"
        now = time.perf_counter()
        self.deadline = float("inf")
        if stage and self.gone:
            stage = "timeout"
        self.seen.times.append((now - (begin if due is None else due)) * 1e3)
        if stage:
            self.seen.failed.append(Failure(request.target, stage, detail, now - self.begin))
            if stage != "status":
                yield from self.close()
        elif digest.hexdigest() != request.expected:
            self.seen.wrong.append(request.target)
        else:
            self.seen.good += 1
            return True
        return False

    def open(self) -> Turns:
        """Connect before there is anything to ask; a failure is left to the first request."""
        with suppress(OSError):
            yield from self.call()

    def call(self) -> Turns:
        try:
            self.sock = yield from connect(self.target, lambda sock: setattr(self, "calling", sock))
        finally:
            self.calling = None

    def close(self) -> Turns:
        if self.sock is not None:
            yield Gone(self.sock.fileno())
            self.sock.close()
            self.sock = None


def unasked(sock: socket.socket) -> bool:
    """Whether the proxy has ended an idle connection.

    Only TLS 1.3 tickets may wait there, and these OpenSSL takes by itself with the first answer.
    """
    try:
        return not sock.recv(1)
    except (ssl.SSLWantReadError, BlockingIOError):
        return False


def watch(loop: Loop, conversations: list[Conversation], going: Callable[[], bool]) -> None:
    """Give up what takes too long: shut the socket down, which wakes who waits for it."""

    def turns() -> Turns:
        while going():
            yield At(time.perf_counter() + 0.1)
            now = time.perf_counter()
            for each in conversations:
                sock = each.sock or each.calling
                if now > each.deadline and sock is not None and not each.gone:
                    each.gone = True
                    # Below TLS: the object above is in use.
                    with suppress(OSError):
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    loop.start(turns())
