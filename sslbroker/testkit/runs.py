"""One run of a codec, watched: fed pieces, answered as the broker answers, and each event looked at.

Decides what a codec may give, and in which order. Invariant: whatever breaks a law ends the run with an
`AssertionError` that says what was fed and what came. Refuses to compare runs: the kit does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import FramingError, NoServer
from ..interfaces import CONNECTION, Body, End, Error, Event, Head, ICodec, Interim, Origin, Reply, Upgraded
from ..outcome import After
from .meaning import cut, show

if TYPE_CHECKING:
    from .kit import Kit, Pieces


class Watched:
    """One run of a codec: feeds it, and looks at each event that it gives."""

    def __init__(self, kit: Kit, codec: ICodec, pieces: Pieces) -> None:
        self.kit = kit
        self.codec = codec
        self.pieces = pieces
        self.events: list[Event] = []
        self.most = 0  # bytes that it held while it waited for a head
        self.again = False  # more may come of what it holds
        self._open: dict[int, str] = {}  # by exchange: "head", "body" or "over"
        self._broken = False

    def fail(self, why: str) -> AssertionError:
        return AssertionError(f"fed {show(self.pieces)}\ncame {cut(repr(self.events))}\n{why}")

    def call(self, name: str, *arguments: Any) -> Any:
        """A method of the codec that must not raise."""
        try:
            return getattr(self.codec, name)(*arguments)
        except Exception as error:
            shown = cut(", ".join(map(repr, arguments)))
            raise self.fail(f"{name}({shown}) raised {type(error).__name__}: {error}") from error

    def give(self, name: str, *arguments: Any) -> None:
        """Call this, take its events, and ask again as long as an answer has made room for the next."""
        self.take(self.call(name, *arguments))
        while self.again:
            self.again = False
            self.take(self.call("receive", b""))

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, Reply):
                continue
            if self._broken:
                raise self.fail("an event after an Error")
            self._look(event)
            self.heard(event)
        held = self.call("held")
        if not isinstance(held, int) or held < 0:
            raise self.fail(f"held() gave {held!r}, expected a number of bytes")

    def heard(self, event: Event) -> None:
        """What follows from an event."""

    def _look(self, event: Event) -> None:
        exchange = event.exchange
        state = self._open.get(exchange)
        if isinstance(event, Error):
            self._broken = True
        elif isinstance(event, Head | Upgraded):
            if exchange <= CONNECTION or state is not None:
                raise self.fail(f"{event!r}: its exchange is not a new one")
            self._open[exchange] = "raw" if isinstance(event, Upgraded) else "body"
        elif isinstance(event, Interim):
            if state is not None:
                raise self.fail(f"{event!r} behind the head")
        elif state not in ("body", "raw"):
            raise self.fail(f"{event!r} of an exchange that has no head, or is over")
        elif isinstance(event, Body):
            if not isinstance(event.data, bytes) or not event.data:
                raise self.fail(f"{event!r}: expected bytes, and not none")
        elif isinstance(event, End):
            self._open[exchange] = "over"

    def feed(self, *, end: bool, refuse: FramingError | None) -> None:
        """All that the peer does."""
        if self.kit.protocol.server_first:
            self.give("receive", b"")
        for piece in self.pieces:
            self.give("receive", piece)
            self.fed()
        if end:
            self.give("receive_end")
        if refuse is not None:
            self.give("refuse", refuse)

    def fed(self) -> None:
        """After each piece."""


class ClientRun(Watched):
    def __init__(self, kit: Kit, pieces: Pieces) -> None:
        super().__init__(kit, kit.protocol.client_codec(kit.head_size, kit.headers), pieces)
        self._requests: dict[int, Any] = {}  # those that are open, by exchange
        self._tunnels: set[int] = set()
        self._closed = False

    def play(self, *, end: bool = False, refuse: FramingError | None = None) -> list[Event]:
        self.feed(end=end, refuse=refuse)
        return self.events

    def call(self, name: str, *arguments: Any) -> Any:
        return (
            ()
            if self._closed and name in ("receive", "receive_end", "refuse")
            else super().call(name, *arguments)
        )

    def fed(self) -> None:
        if not self._requests and not self._closed:
            self.most = max(self.most, self.call("held"))

    def heard(self, event: Event) -> None:
        exchange = event.exchange
        if isinstance(event, Head | Upgraded):
            self._requests[exchange] = event.message
        elif isinstance(event, End):
            self._answer(exchange)
        elif isinstance(event, Error) and exchange != CONNECTION:
            self._answer(exchange, event.error)

    def _answer(self, exchange: int, error: FramingError | None = None) -> None:
        """Answer the request as the broker would, and let the next one come."""
        if exchange not in self._tunnels:
            answer = self._answer_to(exchange, error)
        elif error is None:
            answer = [End(exchange)]
        else:  # too late for an answer: the broker cuts the connection
            self._closed = True
            return
        for event in answer:
            data = self.call("send", event)
            if not isinstance(data, bytes):
                raise self.fail(f"send({event!r}) gave {data!r}, expected bytes")
        if any(isinstance(event, Upgraded) for event in answer) and not isinstance(answer[-1], End):
            self._tunnels.add(exchange)
            self._open[exchange] = "raw"
            self.again = True
            return
        after = self.call("after", exchange)
        if error is not None and after is not After.CLOSE:
            raise self.fail(f"after({exchange}) is {after} behind an Error, expected {After.CLOSE}")
        if after is not After.REUSABLE:
            self._closed = True
            return
        self.call("release", exchange)
        del self._requests[exchange]
        self.again = True

    def _answer_to(self, exchange: int, error: FramingError | None) -> Sequence[Event]:
        request = self._requests.get(exchange)
        if error is None and self.kit.answer is not None:
            return self.kit.answer(request, exchange)
        refused = error or NoServer("a trial")
        try:
            return self.kit.rules.error_answer(refused, request, exchange)
        except Exception as mistake:
            raise self.fail(f"error_answer({refused!r}, …) raised {mistake!r}") from mistake


class LinkRun(Watched):
    def __init__(self, kit: Kit, request: bytes, pieces: Pieces) -> None:
        super().__init__(kit, kit.protocol.server_codec(kit.head_size, kit.headers), pieces)
        self._exchange = self.codec.open()
        self._over = False
        self.sent = self._ask(request)

    def _ask(self, request: bytes) -> bytes:
        """Send the first of the requests that a client's codec finds in these bytes."""
        sent = b""
        events = self.kit.protocol.client_codec(self.kit.head_size, self.kit.headers).receive(request)
        for event in events:
            if event.exchange != events[0].exchange or isinstance(event, Error):
                break
            if isinstance(event, Head | Upgraded):
                message = self.kit.rules.to_server(event.message, Origin("192.0.2.1"), "192.0.2.9:1", False)
                event = type(event)(self._exchange, message)
            event.exchange = self._exchange
            sent += self.call("send", event)
        assert sent or events, f"{request!r} makes no request"
        return sent

    def play(self, *, end: bool = False, refuse: FramingError | None = None) -> tuple[list[Event], After]:
        self.feed(end=end, refuse=refuse)
        after: After = self.call("after", self._exchange)
        if after is not After.CLOSE and not self._over:
            raise self.fail(f"after({self._exchange}) is {after}, and the answer is not whole")
        if after is not After.CLOSE and not (end or refuse):
            self.call("release", self._exchange)
        return self.events, after

    def take(self, events: Sequence[Event]) -> None:
        """Behind a whole answer nothing counts: what the link is good for says that something came."""
        if self._over:
            for event in events:
                if not isinstance(event, Error | Reply):
                    raise self.fail(f"{event!r} behind the answer, expected an Error or nothing")
            return
        super().take(events)

    def heard(self, event: Event) -> None:
        if event.exchange not in (CONNECTION, self._exchange):
            raise self.fail(f"{event!r}: the open exchange is {self._exchange}")
        if isinstance(event, Head):
            self.kit.classifier.failing(event.message)
            self.kit.classifier.status(event.message)
        self._over = self._over or isinstance(event, End)
