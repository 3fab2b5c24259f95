"""The framing of a stream: none. One exchange for the whole connection, its bytes as they come.

Decides when a stream's exchange begins and how its ends are told apart. Invariant: a client's exchange begins
with its connection, so that a server may speak first; a server that ends without having said a byte is an
`Error`, since whether that is a failure depends on what it was sent. Refuses to look into the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from ...errors import FramingError
from ...interfaces import Body, End, Error, Event, ICodec, Upgraded
from ...outcome import After


class Stream:
    """The message of a stream: it has nothing to say."""

    __slots__ = ()


STREAM = Stream()


@implementer(ICodec)
class StreamCodec:
    """Either side of a stream. The two differ in who makes the exchange begin."""

    __slots__ = ("_begun", "_ended", "_exchange", "_spoken")

    capacity = 1

    def __init__(self, client: bool) -> None:
        """`client`: for a connection to a client, whose exchange begins at the first `receive`."""
        self._exchange = 1 if client else 0
        self._begun = False  # the peer's side of the exchange
        self._spoken = client  # its first bytes are not needed for it to begin, or have come
        self._ended = False

    def receive(self, data: bytes) -> Sequence[Event]:
        """The bytes as they are; before the first of them, the beginning."""
        if self._ended:
            return ()
        exchange = self._exchange
        if self._begun:
            return (Body(exchange, data),) if data else ()
        if not (data or self._spoken):
            return ()
        self._begun = True
        begun = Upgraded(exchange, STREAM)
        return (begun, Body(exchange, data)) if data else (begun,)

    def receive_end(self) -> Sequence[Event]:
        """The peer sends no more: an `End`, or an `Error` where it has never begun."""
        if self._ended:
            return ()
        self._ended = True
        if self._begun:
            return (End(self._exchange),)
        return (Error(self._exchange, FramingError("closed before the first byte")),)

    def refuse(self, error: FramingError) -> Sequence[Event]:
        """A stream owes nothing, so there is nothing to give up."""
        return ()

    def open(self) -> int:
        """The one exchange of a link; `ValueError` for a second one."""
        if self._exchange:
            raise ValueError("a stream has one exchange")
        self._exchange = 1
        return 1

    def send(self, event: Event) -> bytes:
        """The bytes of a `Body`; a stream's beginning and its ends have none."""
        if event.exchange != self._exchange:
            raise ValueError(f"exchange {event.exchange} is not open")
        if isinstance(event, Body):
            return event.data
        if isinstance(event, Upgraded | End):
            return b""
        raise ValueError(f"{type(event).__name__} cannot be sent in a stream")

    def after(self, exchange: int) -> After:
        """`CLOSE`: nothing follows a stream."""
        return After.CLOSE

    def release(self, exchange: int) -> None:
        """`ValueError`: nothing follows a stream."""
        raise ValueError("nothing follows a stream")

    def held(self) -> int:
        """0: bytes are given as they come."""
        return 0

    def drain(self) -> bytes:
        """A stream has no words for its end."""
        return b""
