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
        "_client",
        "_exchange",
        "_lost",
        "_open",
        "_stored",
        "_trailers",
        "_whole",
        "link",
        "member",
        "message",
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
    ) -> None:
        """`sent`: its request went out whole. Else its link is of no use, and nothing of it is waited for."""
        self.member = member
        self.message = message
        self.link = link
        self._whole = False
        self._lost = False
        self._stored = stored
        self._exchange = exchange
        self._client = client
        self._trailers: Any = None
        self._open = sent
        if not sent:
            link.drop()

    @property
    def usable(self) -> bool:
        """It is whole, and its content is still here."""
        return self._whole and not self._lost and self._stored.replay is Replay.REPLAYABLE

    def event(self, event: Event) -> None:
        """Some more of it has come."""
        if type(event) is Body:
            stored = self._stored
            if not self._lost and stored.replay_size + len(event.data) <= MOST:
                stored.append(event.data)
                stored.take()
            else:
                self.close()
        elif type(event) is End:
            self._whole, self._trailers = True, event.trailers
            self._leave()

    def rest(self, exchange: int) -> Sequence[Event]:
        """What follows its head, for the client's `exchange`; only of one that is `usable`."""
        self._stored.rewind()
        content = b"".join(self._stored.take())
        return [*([Body(exchange, content)] if content else []), End(exchange, self._trailers)]

    def close(self) -> None:
        """It is not wanted any more, or its end will never come. Again: nothing happens."""
        self._lost = True
        self._stored.close()
        if self._open:
            self._open = False
            self.link.drop()

    def _leave(self) -> None:
        """The link may serve others, unless it now has this client's state: then the answer goes with it."""
        link = self.link
        after = link.codec.after(self._exchange)
        if after is After.PINNED:
            self.close()
        elif self._open:
            self._open = False
            if after is After.REUSABLE:
                link.leave(self._exchange, self._client)
            else:
                link.drop()
