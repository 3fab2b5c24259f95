"""A connection to a client: commands come in, replies go out.

Decides which commands make one exchange: a server is asked once for all that came together and may be
answered together, so a pipeline does not cost a way there and back for each. Invariant: an exchange holds
commands of one kind only, so what is said of one (may it be repeated, does it leave state) is true of all.
Refuses to count replies: the link's side does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum

from zope.interface import implementer

from sslbroker.errors import FramingError
from sslbroker.interfaces import Body, End, Error, Event, Head, ICodec, Upgraded
from sslbroker.outcome import After

from .commands import Command, Effect, Kind, first_key, hash_tag
from .message import Request
from .reader import Reader
from .session import BEGINNING, Session

#: Commands in one exchange; their bytes are limited by the size of a head.
TOGETHER = 1000

_JOINED = frozenset({Kind.READ, Kind.WRITE, Kind.OWN, Kind.QUEUED})
_IN_GROUP = frozenset({Kind.READ, Kind.WRITE, Kind.BLOCK})


class Incoming(Enum):
    """What the next bytes from the client are."""

    COMMANDS = "commands"
    REST = "the rest of a long command"
    WHOLE = "of the next exchange"
    RAW = "a stream's"
    BROKEN = "dropped"


class Outgoing(Enum):
    """What the next `send` must be."""

    HEAD = "an answer's head"
    BODY = "its body or its end"
    RAW = "a stream's"
    WHOLE = "nothing: the answer is whole"


@implementer(ICodec)
class ClientCodec:
    """`ICodec` for a connection to a client."""

    capacity = 1

    def __init__(self, head_size: int, *, by_key: bool = False) -> None:
        """An exchange keeps `head_size` bytes in memory. `by_key`: commands together have one key's place."""
        self._head_size = head_size
        self._by_key = by_key
        self._reader = Reader(head_size)
        self._ahead: deque[Command] = deque()  # parsed, and not of the exchange before
        self._ahead_size = 0
        self._error: FramingError | None = None  # behind them
        self._session = Session()
        self._exchange = 0
        self._incoming = Incoming.COMMANDS
        self._outgoing = Outgoing.HEAD
        self._request: Request | None = None
        self._beginning = b""  # of the answer
        self._last = False  # the connection ends after this answer
        self._ended = self._draining = False

    # --- commands come in ---

    def open(self) -> int:
        """Never: a client opens the exchanges of its connection."""
        raise ValueError("exchanges of a client's connection are opened by its commands")

    def receive(self, data: bytes) -> Sequence[Event]:
        if self._incoming is Incoming.BROKEN:
            return []
        self._reader.feed(data)
        events: list[Event] = []
        if self._incoming is Incoming.COMMANDS:
            self._begin(events)
        if self._incoming is Incoming.REST:
            self._rest(events)
        elif self._incoming is Incoming.RAW and self._reader.held():
            events.append(Body(self._exchange, self._reader.take()))
        if self._ended:
            self._end(events)
        return events

    def receive_end(self) -> Sequence[Event]:
        """The client sends no more; it may still read what its commands are answered."""
        self._ended = True
        events: list[Event] = []
        self._end(events)
        return events

    def refuse(self, error: FramingError) -> Sequence[Event]:
        if self._incoming is Incoming.BROKEN or self._incoming is Incoming.WHOLE:
            return []
        if self._incoming is Incoming.COMMANDS:
            self._exchange += 1
            self._request = None
        self._incoming = Incoming.BROKEN
        self._reader = Reader(self._head_size)
        self._ahead.clear()
        self._ahead_size = 0
        return [Error(self._exchange, error)]

    def _begin(self, events: list[Event]) -> None:
        try:
            found = self._together()
        except FramingError as error:
            events += self.refuse(error)
            return
        if not found:
            return
        kind, commands = found
        session = self._session
        self._exchange += 1
        self._request = Request(kind, commands, session.version, session.multi, session.held)
        self._beginning = b""
        events.append(Head(self._exchange, self._request.copy()))
        if commands[-1].whole:
            self._incoming = Incoming.WHOLE
            events.append(End(self._exchange))
        else:
            self._incoming = Incoming.REST

    def _rest(self, events: list[Event]) -> None:
        if data := self._reader.rest():
            events.append(Body(self._exchange, data))
        if self._reader.error is not None:
            events += self.refuse(self._reader.error)
        elif not self._reader.resting:
            self._incoming = Incoming.WHOLE
            events.append(End(self._exchange))

    def _end(self, events: list[Event]) -> None:
        if self._incoming is Incoming.RAW:
            self._incoming = Incoming.WHOLE
            events.append(End(self._exchange))
        elif self._incoming is Incoming.REST or (self._incoming is Incoming.COMMANDS and self.held()):
            events += self.refuse(FramingError("closed within a command"))

    # --- which commands make one exchange ---

    def _together(self) -> tuple[Kind, list[Command]] | None:
        """The commands of the next exchange; None when not one has come. `FramingError` when none can."""
        first = self._look(0)
        if first is None:
            if self._error is not None:
                raise self._error
            return None
        kind = self._kind(first)
        if first.spec.effect is Effect.MULTI and first.whole and (group := self._group()):
            return Kind.GROUP, self._taken(group)
        number, size = 1, first.size
        while kind in _JOINED and first.whole:
            command = self._look(number)
            if command is None or not command.whole or number == TOGETHER:
                break
            size += command.size
            if size > self._head_size or not self._joins(kind, first, command):
                break
            number += 1
            if command.spec.kind is not kind:  # EXEC ends what was queued; WAIT, the writes before it
                break
        return kind, self._taken(number)

    def _kind(self, command: Command) -> Kind:
        kind = command.spec.kind
        if not self._session.multi or kind in (Kind.STREAM, Kind.LAST, Kind.REFUSED):
            return kind
        return Kind.QUEUED if command.spec.effect is Effect.NONE else Kind.ALONE

    def _joins(self, kind: Kind, first: Command, command: Command) -> bool:
        if kind is Kind.WRITE and command.spec.kind is Kind.WAIT:
            return True
        if self._by_key and _place(first) != _place(command):
            return False
        ends = kind is Kind.QUEUED and command.spec.effect is Effect.EXEC
        return ends or self._kind(command) is kind

    def _group(self) -> int:
        """How many commands are a whole MULTI … EXEC that has come already; 0: it has not."""
        number, size = 1, 0
        while (command := self._look(number)) is not None and command.whole and number < TOGETHER:
            number += 1
            size += command.size
            if size > self._head_size:
                return 0
            if command.spec.effect is Effect.EXEC and command.count == 1:
                return number
            if command.spec.kind not in _IN_GROUP:
                return 0
        return 0

    def _look(self, number: int) -> Command | None:
        """The command so many places ahead, if it has come."""
        while len(self._ahead) <= number:
            if self._error is not None:
                return None
            try:
                command = self._reader.next()
            except FramingError as error:
                self._error = error
                return None
            if command is None:
                return None
            self._ahead.append(command)
            self._ahead_size += command.size
        return self._ahead[number]

    def _taken(self, number: int) -> list[Command]:
        commands = [self._ahead.popleft() for _ in range(number)]
        self._ahead_size -= sum(command.size for command in commands)
        return commands

    # --- replies go out ---

    def send(self, event: Event) -> bytes:
        if event.exchange != self._exchange or self._incoming is Incoming.COMMANDS:
            raise ValueError(f"exchange {event.exchange} is not open")
        outgoing = self._outgoing
        if isinstance(event, Head) and outgoing is Outgoing.HEAD:
            self._outgoing = Outgoing.BODY
            self._last = event.message.last
            return b""
        if isinstance(event, Upgraded) and outgoing is Outgoing.HEAD and self._incoming is Incoming.WHOLE:
            self._outgoing, self._incoming = Outgoing.RAW, Incoming.RAW
            return b""
        if isinstance(event, Body) and outgoing in (Outgoing.BODY, Outgoing.RAW):
            if len(self._beginning) < BEGINNING:
                self._beginning += event.data[:BEGINNING]
            return event.data
        if isinstance(event, End) and outgoing in (Outgoing.BODY, Outgoing.RAW):
            self._last = self._last or outgoing is Outgoing.RAW or self._incoming is not Incoming.WHOLE
            self._outgoing = Outgoing.WHOLE
            return b""
        raise ValueError(f"{type(event).__name__} cannot be sent; expected {outgoing.value}")

    # --- between exchanges ---

    def after(self, exchange: int) -> After:
        whole = self._incoming is Incoming.WHOLE and self._outgoing is Outgoing.WHOLE
        if not whole or self._last or self._draining or exchange != self._exchange:
            return After.CLOSE
        return After.CLOSE if self._ended and not self.held() else After.REUSABLE

    def release(self, exchange: int) -> None:
        if self.after(exchange) is not After.REUSABLE:
            raise ValueError(f"exchange {exchange} cannot be released: the connection must be closed")
        if self._request is not None:
            self._session.did(self._request.commands, self._beginning)
        self._request = None
        self._incoming, self._outgoing = Incoming.COMMANDS, Outgoing.HEAD

    def held(self) -> int:
        return self._reader.held() + self._ahead_size

    def drain(self) -> bytes:
        """RESP has no word for it: the connection ends after the exchange that is under way or comes next."""
        self._draining = True
        return b""


def _place(command: Command) -> bytes | None:
    key = first_key(command)
    return None if key is None else hash_tag(key)
