"""The links to one server: made, handed out, kept idle, closed.

Decides which link serves a try, and how many are kept for later. Invariant: every link that is open is in
exactly one of the states idle, busy and draining, and one function moves it, so the lengths are the
figures; who waits for a link is never more than the calls under way, and of those who have gone no more calls
than `links.idle` and one are left when the next is made; no link of another mode (plain, secure) than the
server's is handed out, nor one that was proved by files which are replaced, and none is kept that leads to an
address which the server's name has no longer. Refuses to choose a server, and to know what a link carries.
"""

from __future__ import annotations

import errno
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as LookupTimeout
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.members import Member
from ..errors import AttemptError, ConnectTimeout, NoSocket, Refused, Unreachable
from ..interfaces import ICodec
from ..settings import Pool as PoolSettings
from .calling import Call, call, rotated
from .knocking import Knocking
from .link import Link
from .link_modes import LinkMode
from .link_tls import LinkContexts
from .names import Name, Names, literal
from .transports import Transports

_log = Logger("sslbroker.links")

#: Why a call fails that no server has to do with: files, ports or memory of this machine.
_OUR_OWN_WANT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Links(ClientFactory):
    """The links to one server, a dict for each state (in the order they came there)."""

    noisy = False

    def __init__(
        self,
        member: Member,
        settings: PoolSettings,
        make_codec: Callable[[int, int], ICodec],
        clock: Any,
        transports: Transports,
        names: Names,
        contexts: LinkContexts | None,
    ) -> None:
        self.member = member
        self.settings = settings
        self.clock = clock
        #: How secure links are made; None while there are only plain ones.
        self.contexts = contexts
        #: What the next link is: set by the pool, which also has to know the findings of `auto`.
        self.mode: LinkMode
        #: Told whether the server takes links, if anybody knocks at it.
        self.knocking: Knocking | None = None
        #: Called when a place may have become free.
        self.freed: Callable[[], None] = _nobody
        self._make_codec = make_codec
        self._transports = transports
        self._names = names
        self._name: Name | None = None
        self._literal = literal(member.settings.host)  # None: the host is a name
        self._turn = 0  # whose of several addresses it is
        self.calls = 0  # connections that are being made
        self.idle: dict[Link, None] = {}
        self.busy: dict[Link, None] = {}
        self.draining: dict[Link, None] = {}
        self._waiting: OrderedDict[Deferred[Link], None] = OrderedDict()
        self._keep = settings.links.idle

    def apart(self, settings: PoolSettings) -> Links:
        """Other links to the same server, made as these are now, by other limits of time: they count nowhere,
        take no place, and wait for nobody here. Whoever is given them starts and closes them."""
        made = Links(
            Member(self.member.settings),
            settings,
            self._make_codec,
            self.clock,
            self._transports,
            self._names,
            self.contexts,
        )
        made.mode = self.mode
        self._turn += 1
        made._turn = self._turn  # so that several addresses take turns there, too
        return made

    def start(self) -> None:
        """Begin to look the server's name up, if it has one that is no address."""
        if self._literal is None and self._name is None:
            self._name = self._names.watch(self.member.settings.host, self._name_changed)
            self._name_changed(self._name)  # it may be known already

    @property
    def addresses(self) -> Sequence[str]:
        """Where the server is, as far as it is known."""
        if self._literal is not None:
            return (self._literal,)
        return self._name.addresses if self._name is not None else ()

    def take(self) -> Link | None:
        """The idle link that was used last, if there is one."""
        while self.idle:
            link = next(reversed(self.idle))
            if link.good:
                self.member.figures.links_reused += 1
                return link
            link.drop()  # at once: another takes its place within the limit
        return None

    def make_room(self) -> None:
        """A fresh link is wanted: at the limit an idle one gives its place."""
        if self.idle and self.member.figures.links >= self.member.most_links:
            next(iter(self.idle)).drop()

    def trim(self) -> None:
        """There may be fewer links than before: idle ones above that are closed."""
        figures = self.member.figures
        while self.idle and figures.links - figures.links_draining > self.member.most_links:
            next(iter(self.idle)).drop()

    def connect(self) -> Deferred[Link]:
        """A new link, secure or plain as the mode is; may be cancelled.

        Fails with `Refused`, `Unreachable`, `ConnectTimeout` or `LinkTLSFailed`. The connection, the
        handshake, and before them a first lookup of the server's name, have `failover.connect_timeout` each.
        """
        waiting: Deferred[Link] = Deferred(self._waiting.pop)
        left = self.calls - len(self._waiting)  # of those who have gone
        self._waiting[waiting] = None
        if left > self._keep:
            return waiting  # clients that come and go must not pile calls up
        self._called(1)
        name = self._name
        if name is None or name.addresses:
            self._call()
        else:
            known = name.ready().addTimeout(self.settings.failover.connect_timeout, self.clock)
            known.addCallbacks(lambda _: self._call(), self._not_known).addErrback(self._failed)
        return waiting

    def resolved(self) -> Deferred[Any]:
        """Fires when it is known where the server is, or that this is not known."""
        return succeed(None) if self._name is None else self._name.ready()

    def reach(self, turn: int, factory: Any, timeout: float) -> Call:
        """Connect `factory` to the server by plain TCP, on a connection that is no link.

        `turn` says which of several addresses is the first. As `connectTCP`, it tells a failure by the
        factory's `clientConnectionFailed`; raises `Unreachable` while the server's name does not resolve.
        """
        if not self.addresses:
            raise Unreachable(self._unresolved())
        return call(self.clock, self._connect, rotated(self.addresses, turn), factory, timeout)

    def _call(self) -> None:
        self.mode.called()
        addresses, secure = self.addresses, self.mode.secure
        if not addresses or secure is None:
            unknown = "the server has not shown yet whether it speaks TLS"
            self._give_up(Unreachable(unknown if addresses else self._unresolved()))
            return
        timeout = self.settings.failover.connect_timeout
        self._turn += 1
        connect = self._connect_securely if secure else self._connect
        try:
            call(self.clock, connect, rotated(addresses, self._turn), self, timeout)
        except Exception as error:  # an address that cannot be used
            self.not_made(_why_failed(error))

    def _connect(self, address: str, factory: Any, timeout: float) -> IConnector:
        return self._transports.connect(address, self.member.settings.port, factory, timeout)

    def _connect_securely(self, address: str, factory: Any, timeout: float) -> IConnector:
        port, contexts = self.member.settings.port, self.contexts
        assert contexts is not None
        return self._transports.connect(address, port, factory, timeout, contexts)

    def _unresolved(self) -> str:
        return self._name.problem if self._name is not None else "no address"

    def _not_known(self, failure: Failure) -> None:
        failure.trap(LookupTimeout)
        self._give_up(ConnectTimeout("the server's name is still being looked up"))

    def _failed(self, failure: Failure) -> None:
        _log.failure("A call of {address} ended by a mistake", failure, address=self.member.address)
        self._give_up(Unreachable("a mistake in the broker"))

    def made(self, link: Link) -> None:
        """A link is ready: for who waits longest, else for later."""
        self.member.figures.links_opened += 1
        self.move(link, self.busy)
        if link.secure:
            self.mode.spoke_tls()
        if self._waiting and not link.current:
            link.drop()
            self._call()
            return
        self._called(-1)
        if self._waiting:
            self._waiting.popitem(last=False)[0].callback(link)
        else:
            self.keep(link)
        if self.knocking is not None:
            self.knocking.heard(None)

    def not_made(self, error: AttemptError) -> None:
        """A call of the server has failed."""
        if self.knocking is not None:
            # First: what this failure leads to depends on whether there is an outage now.
            self.knocking.heard(error)
        self._give_up(error)

    def _give_up(self, error: AttemptError) -> None:
        """There is no link, whatever that tells of the server."""
        self._called(-1)
        # The call of somebody who has gone may have failed: it fails nobody whose own is under way.
        if len(self._waiting) > self.calls:
            self._waiting.popitem(last=False)[0].errback(error)
        self.freed()

    def keep(self, link: Link) -> None:
        """Back among the idle ones; closed when there are enough, or when it fits no longer."""
        if len(self.idle) >= self._keep or not self._fits(link):
            link.close()
        else:
            self.move(link, self.idle)
            link.idle()
            self.freed()

    def _called(self, more: int) -> None:
        self.calls += more
        self.member.figures.links_connecting = self.calls

    def move(self, link: Link, state: dict[Link, None] | None) -> None:
        """The one place where a link changes its state; None: it is gone."""
        if link.state is not None:
            del link.state[link]
        link.state = state
        if state is not None:
            state[link] = None
        figures = self.member.figures
        figures.links_idle = len(self.idle)
        figures.links_busy = len(self.busy)
        figures.links_draining = len(self.draining)
        if state is None:
            self.freed()

    def mode_changed(self) -> None:
        """Idle links of the other mode are closed; the busy ones end with their exchange."""
        self._close_unfit()
        self.freed()

    def close(self) -> None:
        """Close every idle link; the busy ones are kept no longer than their exchange."""
        self._keep = 0
        for link in list(self.idle):
            link.close()
        if self.knocking is not None:
            self.knocking.stop()
        name, self._name = self._name, None
        if name is not None:
            name.unwatch(self._name_changed)

    def _fits(self, link: Link) -> bool:
        """It may serve another exchange, and leads to where the server is now."""
        return link.good and (self._name is None or self._name.has(link.peer))

    def _close_unfit(self) -> None:
        for link in [link for link in self.idle if not self._fits(link)]:
            link.close()

    def _name_changed(self, name: Name) -> None:
        if name.addresses:
            self.member.unbar("unresolved", self.clock.seconds())
        elif name.problem:
            self.member.bar("unresolved", name.problem)
        else:
            return  # nothing is known yet
        self._close_unfit()
        self.freed()

    # --- what Twisted calls ---

    def buildProtocol(self, addr: IAddress | None) -> Link:
        limits = self.settings.links
        return Link(self, self._make_codec(limits.head_size, limits.headers))

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.not_made(_why_failed(reason.value))


def _nobody() -> None:
    pass


def _why_failed(error: BaseException | None) -> AttemptError:
    """The failure of a connect in our words."""
    if isinstance(error, AttemptError):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        return Refused(text)
    if isinstance(error, TimeoutError):
        return ConnectTimeout(text)
    if getattr(error, "osError", None) in _OUR_OWN_WANT:
        return NoSocket(text)
    return Unreachable(text)
