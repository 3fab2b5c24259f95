"""One transaction's way through the broker: hears what happens to it, and has done what follows.

Decides nothing: `core.transitions` does, and `actions` does what it says. Invariant: a client that is full
pauses its server. Every entry point (a method without underscore that handles input) ends in `flush`, so that
all bytes of one turn leave in one write for each side. What a plugin raises ends this transaction, by 502 or
visibly, and comes no further. A stream is over when both directions have ended. Refuses to know HTTP, timers
of connections, and the choice of servers; `way` gets a link to one, `upload` moves the request, `download`
the answer, and `hedge` makes a try beside one that takes long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.attempt import Attempt
from ..core.members import Member
from ..core.states import DONE, RELAY, RESUME, Input
from ..core.transaction import Transaction
from ..errors import (
    AttemptError,
    BrokerError,
    ClientGone,
    InternalError,
    Mismatch,
    NoServer,
    RequestRefused,
    Stalled,
    Truncated,
)
from ..interfaces import Body, End, Event, Head, Interim, Origin, Upgraded
from ..outcome import Cause, Replay
from . import actions, tries
from .download import Download
from .hedge import Hedge
from .kept import KeptAnswer
from .upload import Upload
from .way import Way

if TYPE_CHECKING:
    from .client import ClientConnection
    from .link import Link

_log = Logger("sslbroker.relay")

# Bind once: a lookup in an Enum class costs more than the test it is made for.
_REPLAYABLE, _PINNED = Replay.REPLAYABLE, Replay.PINNED
_NO_SERVER, _LINKED, _FAILED = Input.NO_SERVER, Input.LINKED, Input.FAILED
_ANSWERED, _ENDED, _REFUSED, _LOST = Input.ANSWERED, Input.ENDED, Input.REFUSED, Input.LOST
_OWN, _FAILING = Input.OWN, Input.FAILING
_DO = actions.DO

_MISDIRECTED = 421  # RFC 9110 §§7.4, 15.5.20


class Relay:
    """Made by a `ClientConnection` for each request's head; forgotten when the transaction is over."""

    __slots__ = (
        "_answer_ended",
        "answer_time",
        "begun",
        "connection",
        "download",
        "exchange",
        "gone",
        "hedge",
        "kept",
        "link",
        "link_exchange",
        "link_kind",
        "measured",
        "origin",
        "over",
        "pool",
        "promises",
        "request",
        "stream",
        "told",
        "transaction",
        "tunnel",
        "upload",
        "way",
    )

    def __init__(
        self,
        connection: ClientConnection,
        exchange: int,
        request: Any,
        stream: bool,
        now: float,
        carried: Origin | None = None,
        counts: bool | None = None,
    ) -> None:
        """`carried` is what the short cuts said, if they were asked: the rules need not be asked again. Nor
        whether the transaction `counts`, if that is known."""
        pool = connection.frontend.pool
        self.connection = connection
        self.exchange = exchange
        self.request = request
        self.pool = pool
        self.origin: Origin = carried or pool.rules.origin(request, connection.origin)
        stored = pool.storage.open()
        self.upload = Upload(self, stored)
        self.download = Download(self)
        self.way = Way(self)
        pinned = connection.pinned is not None
        replay = _PINNED if pinned else _REPLAYABLE if carried is not None else pool.rules.replay(request)
        self.transaction = Transaction(replay, stored, pool.allowance, now)
        self.stream = stream  # from its beginning
        self.tunnel = stream  # or since the final answer
        if counts is None:
            counts = pool.watched and pool.counts(request, stream)
        #: Who watches over its response times, if anybody does.
        self.promises = pool.promises if counts else None
        #: Does what its client waits for tell anything of what groups get?
        self.measured = self.promises is not None
        within = pool.answer_times.answer_within(request) if pool.answer_times is not None else None
        #: Seconds without a byte after which a server is silent; 0.0: no limit.
        self.answer_time: float = pool.settings.failover.response_timeout if within is None else within
        self._answer_ended = False  # a stream's server sends no more
        self.link: Link | None = None
        self.link_kind: str | None = None  # of the last try: "plain" or "secure"
        self.link_exchange = 0
        self.begun: Attempt | None = None  # the one that counts as outstanding
        hedged = pool.hedges and counts and self.origin.secure and pool.rules.hedgeable(request)
        #: What makes a try beside one that takes long; None: nothing does, or no more.
        self.hedge = Hedge(self) if hedged else None
        self.kept: KeptAnswer | None = None  # the failing answer of an earlier try
        #: Of the tries: how many the monitor knows together with how it went on.
        self.told = 0
        self.over = False
        self.gone: BrokerError | None = None  # a stream's client has gone, and nobody has heard it yet

    def step(self, event: Input, subject: object = None) -> None:
        """Something has happened: do what is to be done then."""
        for action in self.transaction.receive(event, self.pool.now(), subject):
            _DO[action](self)

    # --- from the client's connection ---

    def begin(self) -> None:
        """The request's head has come: refuse it, or set out for a server, if it has not failed already."""
        if self.over:
            return
        try:
            origin = self.origin
            refusal = self._misdirected() if origin.misdirected is not None else None
            refusal = refusal or self.pool.rules.admit(self.request, origin)
            if refusal is not None:
                self.step(_REFUSED, refusal)
            elif self.pool.own_answers is None or not self._answered_by_ourselves():
                self.way.choose()
            self.flush()
        except Exception:
            self.mistake()

    def chosen(self, chosen: Member | Deferred[Member] | Failure) -> None:
        """In place of `begin`: the request is admitted, and this is what came of the choice of its server."""
        try:
            if not isinstance(chosen, Failure):
                self.way.take(chosen)
            elif isinstance(chosen.value, NoServer):
                chosen.cleanFailure()  # its traceback would keep us, in a circle
                self.step(_NO_SERVER, chosen.value)
            else:
                self.mistake(chosen)
            self.flush()
        except Exception:
            self.mistake()

    def take_over(self, attempt: Attempt, link: Link, exchange: int) -> None:
        """In place of `begin`: the request, which had no content, is at its server, on an idle link."""
        self.transaction.under_way(attempt)
        self.begun = attempt
        self.use(link)
        self.link_exchange = exchange
        link.relay = self
        self.upload.take_over(link, attempt, exchange)

    def client_failed(self, error: BrokerError) -> None:
        """The client broke its protocol or a time limit; its connection can still be written to."""
        self.step(_REFUSED, error)
        self.flush()

    def client_lost(self, error: BrokerError, clean: bool = False, cut: bool = True) -> None:
        """The client is gone. `clean`: it has closed its connection in good order. `cut`: it is seen that
        it has not, so a stream's server must see that, too."""
        try:
            if self.tunnel and not cut:
                self.upload.last_words()
            if self.tunnel and clean and self.transaction.state is RELAY:
                self.step(_ENDED)  # that is how a stream ends where one direction cannot be ended alone
            elif self.transaction.state is not DONE:
                if self.tunnel and not cut:
                    if self.link is None and self.upload.stored.unsent_size:
                        self.gone = error  # as soon as there is a link, it has the client's last words
                        return
                    self._close_link()
                self.step(_LOST, error)
        except Exception:
            self.mistake()

    def _close_link(self) -> None:
        """The link ends when everything on it has been sent."""
        link, self.link = self.link, None
        if link is not None:
            link.close()

    def client_full(self) -> None:
        """The client reads more slowly than the server sends."""
        if self.link is not None:
            self.link.pause()

    def client_ready(self) -> None:
        if self.link is not None:
            self.link.resume()

    # --- from the link ---

    def link_event(self, link: Link, event: Event) -> None:
        """An event of the response. The link calls `flush` after the last one of a read."""
        if link is not self.link:
            if self.kept is not None and link is self.kept.link:
                self.kept.event(event)
            return
        kind = type(event)
        event.exchange = self.exchange
        if kind is Body:
            link.figures.bytes_in += len(event.data)  # type: ignore[attr-defined]
            if self.tunnel:
                self.connection.touch()
            try:
                self.download.body(event)  # type: ignore[arg-type]
            except Mismatch as error:
                self._broke_off(error.with_traceback(None))
        elif kind is Head or kind is Upgraded:
            self._judge(event.message, kind is Upgraded)  # type: ignore[attr-defined]
        elif kind is End:
            if not self.download.end(event):  # type: ignore[arg-type]
                self._broke_off(Truncated("the continuation ended too early"))
            elif self.tunnel and not self.upload.sent:
                self._answer_ended = True
                self.flush()
                self.connection.end_writing()
            else:
                self.step(_ENDED)
        elif kind is Interim:
            if self.transaction.state is not RESUME:  # the client has the final one
                self.download.interim(event)  # type: ignore[arg-type]
            if event.go_ahead:  # type: ignore[attr-defined]
                self.upload.go_ahead()

    def link_failed(self, link: Link, error: AttemptError) -> None:
        """The link, or the server's answer on it, has failed."""
        if link is not self.link:
            if self.kept is not None and link is self.kept.link:
                self.kept.lose()
            return
        if self._answer_ended:
            self.step(_ENDED)  # after all that it had to say, the server wants no more to hear
        elif self.transaction.state is RELAY:
            broken = Stalled if error.cause is Cause.SILENT else Truncated
            self._broke_off(broken(error.detail))
        else:
            self.step(_FAILED, error)
        self.flush()

    def flush(self) -> None:
        """Write what this turn has gathered: once to the server, once to the client."""
        if self.upload.out:
            self.upload.flush()
        if self.download.out:
            self.download.flush()

    # --- from the way ---

    def linked(self, link: Link) -> None:
        """A link to the server of this try is ready."""
        self.use(link)
        self.link_exchange = link.begin(self)
        if self.connection.full:
            link.pause()
        self.step(_LINKED, link.reused)
        if self.gone is not None:
            self.client_lost(self.gone, cut=False)

    def not_linked(self, error: AttemptError) -> None:
        """There is no link to it."""
        self.step(_FAILED, error)
        self.flush()

    # --- from the hedge ---

    def outrun(self, message: Any, upgraded: bool) -> None:
        """The try beside this one has a good answer."""
        self.download.response = message
        self.tunnel = upgraded
        self.step(Input.OUTRUN)

    # --- from the upload ---

    def stream_sent(self) -> None:
        """The client of a stream sends no more, and the link has had all of it."""
        if self._answer_ended:
            self.step(_ENDED)

    # --- from whoever catches what a plugin raises ---

    def mistake(self, failure: Failure | None = None) -> None:
        """A mistake in the broker or in a plugin: this transaction ends, nothing else does.

        Call it in an `except`, or with the failure. The client gets 502, or a cut when an answer has
        begun or cannot be made.
        """
        failure = failure or Failure()
        _log.failure("A transaction of pool {pool} ended by a mistake", failure, pool=self.pool.name)
        if self.over:
            return
        try:
            if self.transaction.state is not DONE:
                self.step(_REFUSED, InternalError(failure.getErrorMessage()))
                self.flush()
                return
        except Exception:
            _log.failure("and the answer to its client by another", pool=self.pool.name)
        if self.transaction.state is not DONE:
            self.transaction.receive(_LOST, self.pool.now(), ClientGone("cut"))
        if self.hedge is not None:
            self.hedge.cancel()
        actions.drop(self)
        actions.cut(self)
        actions.finish(self)

    # --- small things ---

    def use(self, link: Link) -> None:
        """From now on this is the link to its server."""
        self.link = link
        self.link_kind = "secure" if link.secure else "plain"

    def _misdirected(self) -> BrokerError | None:
        """A request for a host with other rules for clients than the name that the connection asked for.

        Its client comes again on a connection for that name, and shows there what that name requires.
        """
        misdirected, hosts = self.origin.misdirected, self.pool.hosts
        assert misdirected is not None
        if hosts is not None and not misdirected(hosts.host(self.request)):
            return None
        return RequestRefused("this connection was made for another name", status=_MISDIRECTED)

    def _answered_by_ourselves(self) -> bool:
        own = self.pool.own_answers
        assert own is not None
        events = own.own_answer(self.request, self.origin, self.exchange)
        if events:
            self.download.own(events)
            self.step(_OWN)
        return bool(events)

    def _broke_off(self, error: AttemptError) -> None:
        """The client has a part of the response, and no more comes from this server."""
        transaction = self.transaction
        attempt = transaction.attempt
        attempt.passed, why_not = self.download.broke_off()
        if error.cause is not Cause.MISMATCH:
            attempt.member.broke_off()
        transaction.resumable = not why_not and self.upload.ended and not self.upload.bytes_in
        if why_not:
            error.detail = f"{error.detail}; {why_not}"
        self.step(_FAILED, error)

    def _judge(self, message: Any, upgraded: bool) -> None:
        assert self.link is not None
        resumes = self.transaction.state is RESUME
        if not resumes:
            self.download.response = message
        error = tries.judged(self, self.transaction.attempt, self.link, message, upgraded)
        if error is not None:
            self.step(_FAILED if resumes else _FAILING, error)
        elif resumes:
            skip = "it is a tunnel" if upgraded else self.download.continued(message)
            if isinstance(skip, str):
                self.step(_FAILED, Mismatch(skip))
            else:
                self.step(_ANSWERED)
                self.download.join(skip)
        else:
            self.tunnel = upgraded
            self.measured = self.measured and not upgraded
            self.step(_ANSWERED)
