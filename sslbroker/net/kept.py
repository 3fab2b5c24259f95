"""A failing answer that is kept while another server is tried: should nothing come, it is better than ours.

Decides how long such an answer is worth keeping. Invariant: at most `MOST` bytes of its content are kept, as
copies in storage, which gives them up as all copies when it is full; an answer is given whole or not at all,
and its link goes back to the others when it has ended exactly. Refuses to judge it, and to wait for its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.members import Member
from ..core.storage import Stored
from ..interfaces import Body, End, Event
from ..outcome import After, Replay
from ..settings import KiB

if TYPE_CHECKING:
    from .client import ClientConnection
    from .link import Link

#: Bytes of content, the largest answer that is kept.
MOST = 64 * KiB


class KeptAnswer:
    """Made by a `Relay` when the head of a failing answer has come; hears the rest of it."""

    __slots__ = (
        "_before",
        "_client",
        "_exchange",
        "_lost",
        "_open",
        "_stored",
        "_trailers",
        "_whole",
        "link",
        "message",
        "server",
    )

    def __init__(
        self,
        member: Member,
        message: Any,
        stored: Stored,
        link: Link,
        exchange: int,
        client: ClientConnection,
        *,
        sent: bool,
        before: KeptAnswer | None,
    ) -> None:
        """`sent`: its request went out whole. Else its link is of no use, and nothing of it is waited for.
        `before` is what another server has answered: it is better than this one until this one is whole."""
        self.server = member
        self.message = message
        self.link = link
        self._whole = False
        self._lost = False
        self._stored = stored
        self._exchange = exchange
        self._client = client
        self._trailers: Any = None
        self._open = sent
        self._before = before
        if not sent:
            link.drop()

    @property
    def best(self) -> KeptAnswer | None:
        """The last one that is whole, and whose content is still here."""
        if self._whole and not self._lost and self._stored.replay is Replay.REPLAYABLE:
            return self
        return self._before.best if self._before is not None else None

    @property
    def member(self) -> Member | None:
        """The server of that; None: there is no such answer."""
        best = self.best
        return None if best is None else best.server

    def yields(self) -> KeptAnswer | None:
        """Another failing answer has begun: what is worth keeping until that is whole. No more is heard."""
        best = self.best
        if best is not self:
            self._before = None
            self.lose()
        return best

    def event(self, event: Event) -> None:
        """Some more of it has come."""
        if type(event) is Body:
            stored = self._stored
            if not self._lost and stored.replay_size + len(event.data) <= MOST:
                stored.append(event.data)
                stored.take()
            else:
                self.lose()
        elif type(event) is End:
            self._whole, self._trailers = True, event.trailers
            self._leave()
            if self.best is self:
                self._forget_before()

    def rest(self, exchange: int) -> Sequence[Event]:
        """What follows its head, for the client's `exchange`; only of one that is the `best`."""
        self._stored.rewind()
        content = b"".join(self._stored.take())
        return [*([Body(exchange, content)] if content else []), End(exchange, self._trailers)]

    def close(self) -> None:
        """Neither it nor those before are wanted any more."""
        self._forget_before()
        self.lose()

    def lose(self) -> None:
        """It is too large, or its end will never come. Again: nothing happens."""
        self._lost = True
        self._stored.close()
        if self._open:
            self._open = False
            self.link.drop()

    def _forget_before(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before.close()

    def _leave(self) -> None:
        """The link may serve others, unless it now has this client's state: then the answer goes with it."""
        link = self.link
        after = link.codec.after(self._exchange)
        if after is After.PINNED:
            self.lose()
        elif self._open:
            self._open = False
            if after is After.REUSABLE:
                link.leave(self._exchange, self._client)
            else:
                link.drop()
