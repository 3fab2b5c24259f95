"""One link to a server, through all the exchanges it carries.

Decides when a link is ready, when a server has been silent too long, and what an ended link means for the
try on it. Invariant: a secure link carries nothing before the server has proved who it is; a link serves
one relay at a time, goes back to the idle ones only when its codec says `REUSABLE`, stays with its client
when it says `PINNED`, and is closed by a byte that nobody asked for. Refuses to know what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from typing import Protocol as Role

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import (
    AttemptError,
    ConnectTimeout,
    EmptyResponse,
    LinkBroken,
    LinkTLSFailed,
    MalformedResponse,
    Silent,
    StaleLink,
)
from ..interfaces import Error, Event, ICodec, Interim, Reply
from ..outcome import After
from .deadline import Deadline
from .fast_path import FastTransaction
from .transport import backlog, ended_in_order, half_close, has_ended, unsent

if TYPE_CHECKING:
    from .client import ClientConnection
    from .links import Links

_CLOSE, _PINNED = After.CLOSE, After.PINNED

_NO_HEAD = "no whole head of a final answer within"


class Sending(Role):
    """What an exchange's user does with its request, as far as a link must know."""

    @property
    def waits_for_server(self) -> bool:
        """It is the server's turn: to read, or to answer."""

    def link_full(self) -> None:
        """The server does not take what was written."""

    def link_ready(self) -> None:
        """It takes more."""


class User(Role):
    """Whose exchange a link carries: a transaction (`Relay`), or a check of the server (`Check`)."""

    @property
    def answer_time(self) -> float:
        """Seconds without a byte after which the server is silent; 0.0: no limit."""

    @property
    def tunnel(self) -> bool:
        """The exchange is a stream from its beginning."""

    @property
    def upload(self) -> Sending: ...

    def link_event(self, link: Link, event: Event) -> None:
        """An event of the response; `flush` follows the last one of a read."""

    def link_failed(self, link: Link, error: AttemptError) -> None:
        """The link, or the server's answer on it, has failed."""

    def flush(self) -> None: ...

    def mistake(self) -> None:
        """A plugin, or this user, has raised something: called in the `except`."""


@implementer(IPushProducer, IHalfCloseableProtocol, IHandshakeListener)
class Link(Protocol):
    """One connection to a server. Made and kept by `Links`; a relay, or a check, uses it for one exchange."""

    transport: Any

    def __init__(self, links: Links, codec: ICodec) -> None:
        self.links = links
        self.codec = codec
        self.figures = links.member.figures
        self.secure = False
        self.state: dict[Link, None] | None = None  # which of the states of `Links`; None: not open
        self.exchanges = 0  # that it has carried
        self.answered = False  # a byte came since the exchange began
        self._answers = False  # more than a part of a head did
        self.full = False  # the server does not take what was written
        self._ready = False  # connected, and where it is secure, shaken hands
        self._failed = False  # it will never be
        self._user: User | FastTransaction | None = None
        self._holder: ClientConnection | None = None  # whose state the link has, between its exchanges
        self._answer_time = 0.0  # seconds without a byte after which the server is silent; 0.0: no limit
        self._reading = True
        self._tunnel = False
        self._backlog = 0  # bytes that the server had not taken when we last looked; 0: it takes all
        self._deadline = Deadline(links.clock, self._expired)

    @property
    def relay(self) -> User | None:
        """Whose exchange it carries; a fast transaction becomes a relay when it is asked for."""
        user = self._user
        return user.relay() if type(user) is FastTransaction else cast("User | None", user)

    @relay.setter
    def relay(self, relay: User | None) -> None:
        self._user = relay

    # --- what a relay calls ---

    @property
    def reused(self) -> bool:
        return self.exchanges > 1

    @property
    def current(self) -> bool:
        """Would a link be made like it now? Mode and files may have changed since it was called."""
        links = self.links
        if self.secure is not links.mode.secure:
            return False
        return not self.secure or (links.contexts is not None and links.contexts.made(self.transport))

    @property
    def good(self) -> bool:
        """May an idle link serve another exchange? A secure one may have been ended by its server in this
        turn of the reactor (a plain one tells that at once)."""
        if not self.secure:
            return self.links.mode.secure is False
        return self.current and not has_ended(self.transport)

    @property
    def peer(self) -> str:
        """The address at its other end; "" where there is none."""
        return getattr(self.transport.getPeer(), "host", "")

    def begin(self, relay: User | FastTransaction) -> int:
        """The link is `relay`'s: the number of its exchange. Its time begins with what it is given."""
        self._user = relay
        self._holder = None
        self._answer_time = relay.answer_time
        self._tunnel = relay.tunnel
        self.exchanges += 1
        self.answered = self._answers = False
        self._backlog = 0
        self.links.move(self, self.links.busy)
        return self.codec.open()

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def progress(self) -> None:
        """The server has just done, or been given, something: its time limit begins anew."""
        if self._answer_time and not self._tunnel:
            self._deadline.set(self._answer_time)
        else:
            self._deadline.clear()

    def tunnel(self) -> None:
        """The exchange became a tunnel: the client's connection limits its time."""
        self._tunnel = True
        self._deadline.clear()

    def end_writing(self) -> None:
        """The client of a tunnel sends no more."""
        half_close(self.transport)

    def pause(self) -> None:
        if self._reading:
            self._reading = False
            self.transport.pauseProducing()

    def resume(self) -> None:
        if not self._reading:
            self._reading = True
            self.progress()
            self.transport.resumeProducing()

    def leave(self, exchange: int, client: ClientConnection) -> bool:
        """The exchange is over: keep the link if it may serve another one, or one of `client`; else close it.

        False: it is closed.
        """
        # While a part of the request has not left, the server answered without it (R8).
        open_still = self.state is not None and not self.full and not unsent(self.transport)
        after = self.codec.after(exchange) if open_still else _CLOSE
        if after is _CLOSE:
            self.close()
            return False
        self.codec.release(exchange)
        self._user = None
        if not self._reading:
            self.resume()
        if after is _PINNED:
            self._deadline.clear()
            self._holder = client
            client.pinned = self
        else:
            self.links.keep(self)
        return True

    def drop(self) -> None:
        """End the link at once; what was not sent is lost."""
        self._user = self._holder = None
        if self.state is not None:
            self._deadline.clear()
            self.links.move(self, self.links.draining)
            self.transport.abortConnection()

    def close(self) -> None:
        """Close the link when what was written has been sent, within a time limit.

        That is `connect_timeout`, for nobody waits for it; in a tunnel, where what is left counts as
        much as what came before, `response_timeout`.
        """
        self._user = self._holder = None
        if self.state is None:
            return
        self.links.move(self, self.links.draining)
        self.transport.unregisterProducer()
        self.resume()
        limits = self.links.settings.failover
        self._deadline.set(limits.response_timeout if self._tunnel else limits.connect_timeout)
        self.transport.loseConnection()

    def idle(self) -> None:
        self._deadline.set(self.links.settings.links.idle_time)

    # --- what Twisted calls ---

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.secure = ISSLTransport.providedBy(self.transport)
        if self.secure:
            self._deadline.set(self.links.settings.failover.connect_timeout)
        else:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        if self.secure:
            self._deadline.clear()
            contexts = self.links.contexts
            assert contexts is not None
            fault = contexts.fault(self.transport)
            if fault:
                self._not_ready(LinkTLSFailed(fault))
                return
        self._ready = True
        self.transport.registerProducer(self, True)
        self.links.made(self)

    def dataReceived(self, data: bytes) -> None:
        user = self._user
        if user is None:
            # Nothing was asked: an early 408 or a stray byte. Whatever it is, no request may follow it.
            self._lost_to(self._holder)
            self.drop()
            return
        self.answered = True
        if type(user) is FastTransaction:
            user.receive(data)
            return
        relay = cast("User", user)
        try:
            events = self.codec.receive(data)
        except Exception:
            relay.mistake()
        else:
            self.give(relay, events)

    def readConnectionLost(self) -> None:
        """The server sends no more; an answer delimited by that is whole now."""
        relay = self.relay
        if relay is None:
            self._lost_to(self._holder)
            self.close()  # from now on: what is read in this turn of the reactor must not be given to it
            return
        exchange = self.exchanges
        self._end(relay)
        if self._carries(exchange) and not self._tunnel:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.stop()
        if not self._ready:
            contexts = self.links.contexts
            assert contexts is not None
            self._not_ready(LinkTLSFailed(contexts.why_failed(self.transport, reason)))
            return
        self.links.move(self, None)
        self._lost_to(self._holder)
        relay = self.relay
        if relay is not None and self.secure and ended_in_order(self.transport, True, reason):
            self._end(relay)  # a TLS transport tells the server's end only so
            relay = self.relay
        if relay is not None:
            self._user = None
            self._fail(relay, self._why_lost(reason))

    def _not_ready(self, error: AttemptError) -> None:
        """The handshake has failed, perhaps by us; its call is told once."""
        if self._failed:
            return
        self._failed = True
        self._deadline.stop()
        self.transport.abortConnection()
        self.links.not_made(error)

    def _lost_to(self, holder: ClientConnection | None) -> None:
        """The client whose state the link had must know that it is gone."""
        self._holder = None
        if holder is not None:
            holder.pin_lost()

    def _carries(self, exchange: int) -> bool:
        """Is it still that exchange which is under way? Its user may be another one by now."""
        return self._user is not None and self.exchanges == exchange

    def _end(self, relay: User) -> None:
        """The server sends no more."""
        try:
            self._give(relay, self.codec.receive_end(), at_end=True)
        except Exception:
            relay.mistake()

    def give(self, relay: User, events: Sequence[Event]) -> None:
        """The relay hears of what the server has sent."""
        if not events:
            return
        try:
            exchange = self.exchanges
            self._give(relay, events)
            # A part of a head, or a head before the final one, renews no limit: by a byte, or by a 103, at a
            # time a server would hold the client for ever.
            if self._carries(exchange) and type(events[-1]) is not Interim:
                self._answers = True
                self.progress()
        except Exception:
            relay.mistake()

    def _give(self, relay: User, events: Sequence[Event], at_end: bool = False) -> None:
        for event in events:
            kind = type(event)
            if kind is Reply:
                self.write(event.data)  # type: ignore[attr-defined]
            elif kind is Error:
                detail = event.error.detail  # type: ignore[attr-defined]
                error = self._why_lost(connectionDone, detail) if at_end else MalformedResponse(detail)
                relay.link_failed(self, error)
            else:
                relay.link_event(self, event)
        relay.flush()

    def _fail(self, relay: User, error: AttemptError) -> None:
        try:
            relay.link_failed(self, error)
        except Exception:
            relay.mistake()

    def _why_lost(self, reason: Failure, detail: str = "") -> AttemptError:
        clean = isinstance(reason.value, ConnectionDone)
        if isinstance(reason.value, SSL.Error) and self.links.contexts is not None:
            detail = self.links.contexts.why_failed(self.transport, reason)
        detail = detail or ("closed" if clean else "reset")
        if self.answered:
            return LinkBroken(f"{detail} in the response")
        if self.reused:
            return StaleLink(detail)
        return EmptyResponse(detail) if clean else LinkBroken(detail)

    def _expired(self) -> None:
        relay = self.relay
        if not self._ready:
            seconds = self.links.settings.failover.connect_timeout
            self._not_ready(ConnectTimeout(f"no TLS handshake within {seconds:g} s"))
        elif relay is None:
            if self.state is self.links.idle:
                self.close()
            else:
                self.drop()
        elif self._reading and relay.upload.waits_for_server and not self._server_reads():
            begins = self.answered and not self._answers
            self._fail(relay, Silent(f"{_NO_HEAD if begins else 'nothing for'} {self._answer_time:g} s"))
        else:
            self.progress()  # it is the client that everybody waits for: its own limit stands

    def _server_reads(self) -> bool:
        """Does it take an upload still, however slowly? Looked at only where it has not taken all at once."""
        before = self._backlog
        if before:
            self._backlog = backlog(self.transport)
        return 0 < self._backlog != before

    # --- a push producer of the requests that its transport takes ---

    def pauseProducing(self) -> None:
        self.full = True
        self._backlog = backlog(self.transport)
        relay = self.relay
        if relay is not None:
            relay.upload.link_full()

    def resumeProducing(self) -> None:
        self.full = False
        relay = self.relay
        if relay is not None:
            self.progress()
            try:
                relay.upload.link_ready()
            except Exception:
                relay.mistake()

    def stopProducing(self) -> None:
        pass
