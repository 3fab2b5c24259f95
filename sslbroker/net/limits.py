"""The one time limit that stands for a client's connection (spec R3).

Decides for what a connection waits, which of these limits a single byte renews, when a client that reads
slowly has stopped, and how a connection ends whose limit has passed. Invariant: at most one limit stands
at any moment, and none after `stop`. Refuses to close and to answer: the connection does.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..errors import ClientTimeout
from ..settings import Limits
from .deadline import Deadline
from .transport import backlog

if TYPE_CHECKING:
    from .client import ClientConnection


class Wait(Enum):
    """What a client's connection can be waiting for."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    SERVER = "server"  # limited on the link, not here
    READ = "read"
    TUNNEL = "tunnel"
    REST = "rest"  # of a tunnel whose server sends no more
    CLOSE = "close"

    __hash__ = object.__hash__  # Enum's own is written in Python, and every read looks one up


# Bind once: a lookup in an Enum class costs more than the test it is made for.
_CLOSE, _READ, _REST, _TUNNEL = Wait.CLOSE, Wait.READ, Wait.REST, Wait.TUNNEL
_BODY, _SERVER, _HEAD, _IDLE = Wait.BODY, Wait.SERVER, Wait.HEAD, Wait.IDLE

# A limit that a single byte renewed would be none against a client that sends one at a time.
_NOT_RENEWED = frozenset({Wait.HANDSHAKE, Wait.HEAD, Wait.READ, Wait.CLOSE})
# Here a client may still be taking what was written, slowly.
_WHILE_READING = frozenset({Wait.IDLE, Wait.READ, Wait.REST, Wait.CLOSE})


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
        Wait.REST: limits.idle,
        Wait.CLOSE: limits.close,
    }


class Limit:
    """Made by a `ClientConnection`, which tells it whenever it may wait for something else."""

    __slots__ = ("_backlog", "_connection", "_deadline", "_passed_on", "_seconds", "_transport", "_wait")

    def __init__(self, clock: Any, seconds: Mapping[Wait, float], connection: ClientConnection) -> None:
        self._seconds = seconds
        self._connection: ClientConnection | None = connection
        self._deadline = Deadline(clock, self._expired)
        self._wait = Wait.SERVER
        self._transport: Any = None
        self._backlog = -1  # bytes that the client had not taken when we last looked
        self._passed_on = 0  # bytes of answers that had passed then

    def start(self, transport: Any) -> None:
        """The connection is made: its progress in reading shows in `transport`."""
        self._transport = transport

    def renew(self) -> None:
        """Look what the connection waits for now; a byte may have come."""
        connection = self._connection
        if connection is None:
            return
        wait = _waits_for(connection)
        if wait is not _SERVER:
            self.set(wait)
        elif self._wait is not _SERVER:
            self._wait = _SERVER
            self._deadline.clear()

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
        self._wait = _SERVER
        self._deadline.clear()

    def full(self) -> None:
        """The client does not take what is written: from here on its progress counts."""
        self._backlog = backlog(self._transport)

    def stop(self) -> None:
        """No limit for ever, and no circle of references: one would keep the TLS state in memory."""
        self._deadline.stop()
        self._connection = None

    def _expired(self) -> None:
        connection = self._connection
        assert connection is not None
        wait, seconds = self._wait, self._seconds[self._wait]
        if (wait in _WHILE_READING and self._reader_moves()) or (
            wait is Wait.BODY and self._answer_moves(connection)
        ):
            self._deadline.set(seconds)
        elif wait is Wait.IDLE:
            connection.close()
        elif wait is Wait.HEAD:
            connection.refuse(ClientTimeout(f"no whole head within {seconds:g} s"))
        elif wait is Wait.BODY:
            connection.refuse(ClientTimeout(f"nothing of the body for {seconds:g} s"))
        else:
            connection.give_up(ClientTimeout(f"{wait.value}: nothing for {seconds:g} s"))

    def _reader_moves(self) -> bool:
        left = backlog(self._transport)
        moves = left > 0 and left != self._backlog
        self._backlog = left
        return moves

    def _answer_moves(self, connection: ClientConnection) -> bool:
        """A client that is being answered may wait with the rest of its request."""
        before = self._passed_on
        self._passed_on = sum(relay.download.bytes_out for relay in connection.relays.values())
        return self._passed_on != before


def _waits_for(connection: ClientConnection) -> Wait:
    if connection.closing:
        return _CLOSE
    if connection.full:
        return _READ
    if connection.relays:
        if connection.tunnelled:
            return _REST if connection.answer_ended else _TUNNEL
        for relay in connection.relays.values():
            if relay.upload.waits_for_client:
                return _BODY
        return _SERVER
    return _HEAD if connection.codec.held() else _IDLE
