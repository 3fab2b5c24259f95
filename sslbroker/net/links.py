"""The links to one server: made, handed out, kept idle, closed.

Decides which link serves a try, and how many are kept for later. Invariant: every link that is open is in
exactly one of the states idle, busy and draining, and one function moves it, so the lengths are the
figures; who waits for a link is never more than the calls under way. Refuses to choose a server, and to
know what a link carries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IAddress, IConnector, IReactorTCP
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from ..core.members import Member
from ..errors import AttemptError, ConnectTimeout, Refused, Unreachable
from ..interfaces import ICodec
from ..settings import Pool as PoolSettings
from .link import Link


class Links(ClientFactory):
    """The links to one server, a dict for each state (in the order they came there)."""

    noisy = False

    def __init__(
        self,
        member: Member,
        settings: PoolSettings,
        make_codec: Callable[[int, int], ICodec],
        clock: Any,
    ) -> None:
        self.member = member
        self.settings = settings
        self.clock = clock
        self._make_codec = make_codec
        self.calls = 0  # connections that are being made
        self.idle: dict[Link, None] = {}
        self.busy: dict[Link, None] = {}
        self.draining: dict[Link, None] = {}
        self._waiting: deque[Deferred[Link]] = deque()
        self._keep = settings.links.idle

    def take(self) -> Link | None:
        """The idle link that was used last, if there is one."""
        if not self.idle:
            return None
        link = next(reversed(self.idle))
        self.member.figures.links_reused += 1
        return link

    def connect(self) -> Deferred[Link]:
        """A new link. Fails with `Refused`, `Unreachable` or `ConnectTimeout`; may be cancelled."""
        server = self.member.settings
        timeout = self.settings.failover.connect_timeout
        reactor: IReactorTCP = self.clock
        waiting: Deferred[Link] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        self.calls += 1
        self._count()
        try:
            reactor.connectTCP(server.host, server.port, self, timeout)
        except Exception as error:  # an address that cannot be used is told at once, an unknown name later
            self._waiting.remove(waiting)
            self.calls -= 1
            self._count()
            return fail(_why_failed(error))
        return waiting

    def made(self, link: Link) -> None:
        """A link is ready: for who waits longest, else for later."""
        self.calls -= 1
        self.member.figures.links_opened += 1
        self.move(link, self.busy)
        if self._waiting:
            self._waiting.popleft().callback(link)
        else:
            self.keep(link)

    def keep(self, link: Link) -> None:
        """Back among the idle ones; closed when there are enough."""
        if len(self.idle) >= self._keep:
            link.close()
        else:
            self.move(link, self.idle)
            link.idle()

    def move(self, link: Link, state: dict[Link, None] | None) -> None:
        """The one place where a link changes its state; None: it is gone."""
        if link.state is not None:
            del link.state[link]
        link.state = state
        if state is not None:
            state[link] = None
        self._count()

    def close(self) -> None:
        """Close every idle link; the busy ones are kept no longer than their exchange."""
        self._keep = 0
        for link in list(self.idle):
            link.close()

    def _count(self) -> None:
        figures = self.member.figures
        figures.links_connecting = self.calls
        figures.links_idle = len(self.idle)
        figures.links_busy = len(self.busy)
        figures.links_draining = len(self.draining)

    # --- what Twisted calls ---

    def buildProtocol(self, addr: IAddress | None) -> Link:
        limits = self.settings.links
        return Link(self, self._make_codec(limits.head_size, limits.headers))

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.calls -= 1
        self._count()
        # The call of somebody who has gone may have failed: it fails nobody whose own is under way.
        if len(self._waiting) > self.calls:
            self._waiting.popleft().errback(_why_failed(reason.value))


def _why_failed(error: BaseException | None) -> AttemptError:
    """The failure of a connect in our words."""
    text = str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        return Refused(text)
    if isinstance(error, TimeoutError):
        return ConnectTimeout(text)
    return Unreachable(text)
