"""A link to a server: commands go out, as many replies come in.

Decides when an answer is whole, what its first replies say about the server, and whether another client may
use the link. Invariant: a link that is given back has been answered in full, holds no state of a client, and
speaks the version of RESP that its next client has asked for before that one's commands are written.
Refuses to change a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from zope.interface import implementer

from sslbroker.errors import FramingError
from sslbroker.interfaces import CONNECTION, Body, End, Error, Event, Head, ICodec, Upgraded
from sslbroker.outcome import After

from .commands import Effect, Kind
from .message import Answer, Request, written
from .replies import Replies
from .session import BEGINNING, Session

#: Errors by which a server says that it cannot do now what it was asked, before it has begun to.
REFUSALS: Final = frozenset(
    b"LOADING MASTERDOWN CLUSTERDOWN TRYAGAIN READONLY BUSY NOREPLICAS MISCONF".split()
)
#: With these a server ends the connection, without a look at what it was asked.
_SHUT: Final = (b"-ERR max number of clients", b"-DENIED ")
_QUEUED: Final = (b"+OK", b"+QUEUED")
_MINUS: Final = ord("-")


class State(Enum):
    """What the next bytes from the server are."""

    IDLE = "nothing: nothing was asked"
    FIRST = "the replies that tell of the server"
    REPLIES = "replies"
    WHOLE = "nothing: the answer is whole"
    RAW = "a stream's"
    BROKEN = "dropped"


@implementer(ICodec)
class ServerCodec:
    """`ICodec` for a link to a server."""

    capacity = 1

    def __init__(self, head_size: int) -> None:
        """A line may have `head_size` bytes, and so may what is looked at before the answer's head."""
        self._limit = head_size
        self._replies = Replies(head_size)
        self._session = Session()
        self._exchange = 0
        self._state = State.IDLE
        self._request: Request | None = None  # None: its head was not sent yet
        self._sent = False  # all of the request
        self._tunnel = False  # what is sent is a stream's
        self._hello = False  # the first reply is to the codec's own HELLO
        self._early: list[bytes] = []  # replies that came before the head was judged
        self._looked = 0  # replies and bytes that were looked at for it
        self._looked_size = 0
        self._error = b""
        self._refused = False
        self._shut = False
        self._beginning = b""

    # --- commands go out ---

    def open(self) -> int:
        self._exchange += 1
        self._state = State.FIRST
        self._request = None
        self._sent = self._tunnel = self._hello = self._refused = self._shut = False
        self._looked = self._looked_size = 0
        self._error = self._beginning = b""
        return self._exchange

    def send(self, event: Event) -> bytes:
        if event.exchange != self._exchange or self._state is State.IDLE:
            raise ValueError(f"exchange {event.exchange} is not open")
        if isinstance(event, Head) and self._request is None:
            return self._send_request(event.message)
        if self._request is not None and not self._sent:
            if isinstance(event, Body) and not self._request.commands[-1].whole:
                return event.data
            if isinstance(event, End):
                self._sent = True
                return b""
        if self._tunnel and isinstance(event, Body | End):  # also when the server has ended its direction
            self._tunnel = isinstance(event, Body)
            return event.data if isinstance(event, Body) else b""
        raise ValueError(f"{type(event).__name__} cannot be sent to a server now")

    def _send_request(self, request: Request) -> bytes:
        self._request = request
        data = written(request.commands)
        session, first = self._session, request.commands[0]
        asks = first.spec.effect is Effect.HELLO and first.count > 1
        if request.version != session.version and not session.held and not asks:
            self._hello = True
            session.version = request.version
            data = b"*2\r\n$5\r\nHELLO\r\n$1\r\n%d\r\n" % request.version + data
        self._replies.expect(1 if self._hello else len(request.commands))
        return data

    # --- replies come in ---

    def receive(self, data: bytes) -> Sequence[Event]:
        state = self._state
        if state is State.BROKEN:
            return []
        if state is State.IDLE and data:
            return self._broken(CONNECTION, FramingError("bytes on an idle link"))
        self._replies.feed(data)
        if state is State.RAW:
            return self._raw()
        if state is State.FIRST:
            return self._first()
        if state is State.REPLIES:
            out = self._replies.take()
            self._replies.lines.clear()
            return self._passed_on([], out)
        return []  # what comes behind an answer is seen by `after`

    def receive_end(self) -> Sequence[Event]:
        if self._state is State.RAW:
            self._state = State.WHOLE
            return [End(self._exchange)]
        if self._state is State.FIRST or self._state is State.REPLIES:
            return self._broken(self._exchange, FramingError("closed within the replies"))
        return []

    def refuse(self, error: FramingError) -> Sequence[Event]:
        if self._state is State.BROKEN:
            return []
        return self._broken(CONNECTION if self._state is State.IDLE else self._exchange, error)

    def _broken(self, exchange: int, error: FramingError) -> Sequence[Event]:
        self._state = State.BROKEN
        self._replies = Replies(self._limit)
        self._early.clear()
        return [Error(exchange, error)]

    def _raw(self) -> Sequence[Event]:
        data = self._replies.everything()
        return [Body(self._exchange, data)] if data else []

    def _first(self) -> Sequence[Event]:
        """Look at replies until they have told whether this server can do what it was asked."""
        request, replies = self._request, self._replies
        if request is None:  # a server that has no room says so before it is asked
            return []
        if self._hello and not self._greeted():
            return []
        if request.kind is Kind.STREAM and replies.first() not in (0, _MINUS):
            self._state = State.RAW
            self._tunnel = True
            return [Upgraded(self._exchange, Answer()), *self._raw()]
        if data := replies.take():
            self._early.append(data)
        lines, replies.lines = replies.lines, []
        told = any(self._tells(request, line) for line in lines)
        if not told and replies.left:
            return [] if replies.error is None else self._broken(self._exchange, replies.error)
        plain = request.kind is Kind.GROUP or all(command.spec.plain for command in request.commands)
        undone = self._refused and (self._shut or (plain and not told))
        answer = Answer(self._error, refusal=self._refused, undone=undone)
        out = b"".join(self._early)
        self._early.clear()
        self._state = State.REPLIES
        return self._passed_on([Head(self._exchange, answer)], out)

    def _tells(self, request: Request, line: bytes) -> bool:
        """Has this reply's first line settled what the server can do? A refusal leaves it to the next one."""
        self._looked += 1
        self._looked_size += len(line) + 2
        if line[0] == _MINUS and not self._error:
            self._error = line[1:]
        if line.startswith(_SHUT):
            self._refused = self._shut = True
            return True
        if line[0] == _MINUS and line[1:].split(b" ", 1)[0] in REFUSALS:
            self._refused = True
            return self._looked_size > self._limit
        if request.kind is Kind.GROUP:
            if self._looked == len(request.commands):
                return not (self._refused and line.startswith(b"-EXECABORT"))
            if line in _QUEUED or line[0] == _MINUS:
                return self._looked_size > self._limit
        return True

    def _greeted(self) -> bool:
        """The reply to the codec's own HELLO is passed over; False: it has not all come."""
        replies = self._replies
        replies.take()
        del replies.lines[:-1]
        if replies.left:
            return replies.error is not None
        # Where it is an error (no user yet, an old server), the commands' own replies tell it.
        if replies.lines[-1].startswith(b"-"):
            self._session.version = 2
        replies.lines.clear()
        self._hello = False
        assert self._request is not None
        replies.expect(len(self._request.commands))
        return True

    def _passed_on(self, events: list[Event], out: bytes) -> Sequence[Event]:
        if out:
            events.append(Body(self._exchange, out))
            if len(self._beginning) < BEGINNING:
                self._beginning += out[:BEGINNING]
        if self._replies.error is not None:
            events += self._broken(self._exchange, self._replies.error)
        elif not self._replies.left:
            assert self._request is not None
            self._state = State.WHOLE
            self._session.did(self._request.commands, self._beginning)
            events.append(End(self._exchange))
        return events

    # --- between exchanges ---

    def after(self, exchange: int) -> After:
        whole = self._state is State.WHOLE and self._sent and exchange == self._exchange
        request = self._request
        if (
            not whole
            or self._replies.held()
            or request is None
            or (request.kind is Kind.STREAM and not self._error)
        ):
            return After.CLOSE
        return After.PINNED if self._session.held else After.REUSABLE

    def release(self, exchange: int) -> None:
        if self.after(exchange) is After.CLOSE:
            raise ValueError(f"exchange {exchange} cannot be released: the link must be closed")
        self._state = State.IDLE

    def held(self) -> int:
        return self._replies.held() + sum(map(len, self._early))

    def drain(self) -> bytes:
        return b""
