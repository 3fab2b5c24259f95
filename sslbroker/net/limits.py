"""The one time limit that stands for a client's connection (spec R3).

Decides for what a connection can wait, which of these limits a single byte renews, and when a client that
reads slowly has stopped. Invariant: at most one limit stands at any moment, and none after `stop`. Refuses
to know what a connection does when a limit has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from ..settings import Limits
from .deadline import Deadline
from .transport import backlog


class Wait(Enum):
    """What a client's connection can be waiting for."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    SERVER = "server"  # limited on the link, not here
    READ = "read"
    TUNNEL = "tunnel"
    CLOSE = "close"

    __hash__ = object.__hash__  # Enum's own is written in Python, and every read looks one up


# A limit that a single byte renewed would be none against a client that sends one at a time.
_NOT_RENEWED = frozenset({Wait.HANDSHAKE, Wait.HEAD, Wait.READ, Wait.CLOSE})
# Here a client may still be taking what was written, slowly.
_WHILE_READING = frozenset({Wait.IDLE, Wait.READ, Wait.CLOSE})


def seconds_of(limits: Limits) -> Mapping[Wait, float]:
    """The limit of each wait, in seconds; 0.0: none."""
    return {
        Wait.HANDSHAKE: limits.handshake,
        Wait.IDLE: limits.idle,
        Wait.HEAD: limits.head,
        Wait.BODY: limits.idle,
        Wait.SERVER: 0.0,
        Wait.READ: limits.read,
        Wait.TUNNEL: limits.tunnel,
        Wait.CLOSE: limits.close,
    }


class Limit:
    """Calls `passed(wait, seconds)` when what is waited for has not come in time."""

    __slots__ = ("_backlog", "_deadline", "_passed", "_seconds", "_transport", "_wait")

    def __init__(
        self, clock: Any, seconds: Mapping[Wait, float], passed: Callable[[Wait, float], None]
    ) -> None:
        self._seconds = seconds
        self._passed = passed
        self._deadline = Deadline(clock, self._expired)
        self._wait = Wait.SERVER
        self._transport: Any = None
        self._backlog = -1  # bytes that the client had not taken when we last looked

    def start(self, transport: Any) -> None:
        """The connection is made: its progress in reading shows in `transport`."""
        self._transport = transport

    def set(self, wait: Wait) -> None:
        """This is waited for now; the same wait again begins anew, if it is one that a byte renews."""
        if wait is self._wait and wait in _NOT_RENEWED:
            return
        self._wait = wait
        seconds = self._seconds[wait]
        if seconds:
            self._deadline.set(seconds)
        else:
            self._deadline.clear()

    def met(self) -> None:
        """What was waited for has come: the next wait is a new one, even of the same kind."""
        self._wait = Wait.SERVER
        self._deadline.clear()

    def full(self) -> None:
        """The client does not take what is written: from here on its progress counts."""
        self._backlog = backlog(self._transport)

    def again(self) -> None:
        """What has passed was no failure: the same limit once more."""
        self._deadline.set(self._seconds[self._wait])

    def stop(self) -> None:
        """No limit for ever, and no circle of references: one would keep the TLS state in memory."""
        self._deadline.stop()
        self._passed = _nothing

    def _expired(self) -> None:
        wait = self._wait
        if wait in _WHILE_READING and self._reader_moves():
            self.again()
        else:
            self._passed(wait, self._seconds[wait])

    def _reader_moves(self) -> bool:
        left = backlog(self._transport)
        moves = left > 0 and left != self._backlog
        self._backlog = left
        return moves


def _nothing(wait: Wait, seconds: float) -> None:
    pass
