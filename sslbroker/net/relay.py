"""One transaction's way through the broker: does what its state machine says.

Decides nothing: `core.transitions` does. Invariant: a client that is full pauses its server. Every entry
point (a method without underscore that handles input) ends in `flush`, so that all bytes of one turn leave in
one write for each side. What a plugin raises ends this transaction, by 502 or visibly, and comes no further.
A stream is over when both directions have ended. Refuses to know HTTP, timers of connections, and the
choice of servers; `way` gets a link to one, `upload` moves the request, `download` the answer, and `hedge`
makes a try beside one that takes long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.attempt import Attempt
from ..core.members import Member
from ..core.states import DONE, RELAY, RESUME, Action, Input
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
from . import tries
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
_OWN, _OK, _FAILING = Input.OWN, Cause.OK, Input.FAILING

_MISDIRECTED = 421  # RFC 9110 §§7.4, 15.5.20


class Relay:
    """Made by a `ClientConnection` for each request's head; forgotten when the transaction is over."""

    __slots__ = (
        "_answer_ended",
        "_attempt",
        "_kept",
        "_left",
        "_link_exchange",
        "_over",
        "answer_time",
        "connection",
        "download",
        "exchange",
        "hedge",
        "link",
        "link_kind",
        "measured",
        "origin",
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
    ) -> None:
        """`carried` is what the short cuts said, if they were asked: the rules need not be asked again."""
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
        #: Who watches over its response times, if anybody does.
        self.promises = pool.promises if pool.promises is None or pool.counts(request, stream) else None
        #: Does what its client waits for tell anything of what groups get?
        self.measured = self.promises is not None
        within = pool.answer_times.answer_within(request) if pool.answer_times is not None else None
        #: Seconds without a byte after which a server is silent; 0.0: no limit.
        self.answer_time: float = pool.settings.failover.response_timeout if within is None else within
        self._answer_ended = False  # a stream's server sends no more
        self.link: Link | None = None
        self.link_kind: str | None = None  # of the last try: "plain" or "secure"
        self._link_exchange = 0
        self._attempt: Attempt | None = None  # the one that counts as outstanding
        hedged = (
            pool.hedges
            and self.origin.secure
            and pool.counts(request, stream)
            and pool.rules.hedgeable(request)
        )
        #: What makes a try beside one that takes long; None: nothing does, or no more.
        self.hedge = Hedge(self) if hedged else None
        self._kept: KeptAnswer | None = None  # the failing answer of an earlier try
        #: Of the tries: how many the monitor knows together with how it went on.
        self.told = 0
        self._over = False
        self._left: BrokerError | None = None  # a stream's client has gone, and nobody has heard it yet

    def step(self, event: Input, subject: object = None) -> None:
        """Something has happened: do what is to be done then."""
        for action in self.transaction.receive(event, self.pool.now(), subject):
            _DO[action](self)

    # --- from the client's connection ---

    def begin(self) -> None:
        """The request's head has come: refuse it, or set out for a server, if it has not failed already."""
        if self._over:
            return
        try:
            origin = self.origin
            refusal = self._misdirected() if origin.misdirected is not None else None
            refusal = refusal or self.pool.rules.admit(self.request, origin)
            if refusal is not None:
                self.step(_REFUSED, refusal)
            elif self.pool.own_answers is None or not self._answered_by_ourselves():
                self._choose()
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
        self._attempt = attempt
        self._use(link)
        self._link_exchange = exchange
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
                        self._left = error  # as soon as there is a link, it has the client's last words
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
            if self._kept is not None and link is self._kept.link:
                self._kept.event(event)
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
            if self._kept is not None and link is self._kept.link:
                self._kept.lose()
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
        self._use(link)
        self._link_exchange = link.begin(self)
        if self.connection.full:
            link.pause()
        self.step(_LINKED, link.reused)
        if self._left is not None:
            self.client_lost(self._left, cut=False)

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
        if self._over:
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
        self._drop()
        self._cut()
        self._finish()

    # --- what the state machine asks for ---

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

    def _choose(self) -> None:
        self.way.choose()

    def _get_link(self) -> None:
        self._attempt = attempt = self.transaction.attempt
        tries.begins(self, attempt)
        if self.hedge is not None:
            self.hedge.watch()
        self.way.link(attempt)

    def _use(self, link: Link) -> None:
        self.link = link
        self.link_kind = "secure" if link.secure else "plain"

    def _send(self) -> None:
        link = self.link
        assert link is not None
        rules, request, exchange, upload = self.pool.rules, self.request, self._link_exchange, self.upload
        transaction = self.transaction
        attempt, replay = transaction.attempt, transaction.replay
        member = attempt.member
        wait = 0.0
        if transaction.state is RESUME:
            request = self.download.continuation()
        else:
            wait = rules.go_ahead_wait(request)
        head = rules.to_server(request, self.origin, member.address, link.secure)
        sent = link.codec.send(Upgraded(exchange, head) if self.stream else Head(exchange, head))
        if replay is not _REPLAYABLE and (self.pool.judge.undone is None or replay is _PINNED):
            upload.stored.give_up(replay)
        elif transaction.last:
            upload.stored.give_up(Replay.TRIES)
        upload.start(link, attempt, exchange, sent, wait)
        if not upload.sent:
            member.excuse(attempt)  # it waits for the client, too

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

    def _pass(self) -> None:
        self._forget_kept()
        self._forget_hedge()
        attempt = self.transaction.attempt
        tries.passed(self)
        if attempt.outcome is not _OK:
            self.download.begin(self.tunnel, self.transaction.tries, "")
        else:
            key = attempt.member.key
            self.download.begin(self.tunnel, 0, "" if key == self.way.stuck else key)
        if self.tunnel:
            assert self.link is not None
            self.link.tunnel()
            if not self.stream:
                self.upload.tunnel()
            self.connection.tunnel()
        else:
            self.upload.answered()

    def _answer(self) -> None:
        error = self.transaction.error
        if error is None:
            best = self._kept.best if self._kept is not None else None
            assert best is not None
            self.download.kept(best.message, best.rest(self.exchange), self.transaction.tries)
        elif self._left is None and not self.download.failure(error):
            self._cut()

    def _keep(self) -> None:
        """The try is over, but what its server answers is read on, and kept until a better answer comes."""
        link, self.link = self.link, None
        attempt = self._attempt
        assert link is not None
        assert attempt is not None
        message, self.download.response = self.download.response, None
        self._keep_answer(attempt.member, message, link, self._link_exchange, self.upload.sent)
        self.upload.stop()
        self._attempt_over()

    def _keep_answer(self, member: Member, message: Any, link: Link, exchange: int, sent: bool) -> None:
        link.relay = self
        stored, client = self.pool.storage.open(), self.connection
        sent = sent and not link.full
        before = self._kept.yields() if self._kept is not None else None
        kept = KeptAnswer(member, message, stored, link, exchange, client, sent=sent, before=before)
        self._kept = self.transaction.kept = kept

    def _forget_kept(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _hedge(self) -> None:
        hedge, attempt = self.hedge, self.transaction.beside
        assert hedge is not None
        assert attempt is not None
        hedge.begin(attempt)

    def _send_hedge(self) -> None:
        assert self.hedge is not None
        self.hedge.send()

    def _swap(self) -> None:
        """The other try is this one from now on."""
        assert self.hedge is not None
        self._attempt, way, link, exchange = self.hedge.won()
        if link is None:
            assert way is not None
            self.way.close()
            self.way, way.told = way, self
        else:
            self._use(link)
            self._link_exchange = exchange
            link.relay = self
            self.upload.take_over(link, self._attempt, exchange)
            if self.connection.full:
                link.pause()

    def _cancel(self) -> None:
        assert self.hedge is not None
        self.hedge.cancel()

    def _keep_hedge(self) -> None:
        assert self.hedge is not None
        self._keep_answer(*self.hedge.yields(), True)

    def _forget_hedge(self) -> None:
        hedge, self.hedge = self.hedge, None
        if hedge is not None:
            hedge.close()

    def _cut(self) -> None:
        self.download.drop()
        if self._left is None:
            self.connection.cut()

    def _drop(self) -> None:
        """The try is over, and its link with it."""
        self.upload.stop()
        link, self.link = self.link, None
        if link is not None:
            link.drop()
            if self.transaction.replay is _PINNED:
                self.connection.pin_lost()
        self.way.give_up()
        self._attempt_over()

    def _finish(self) -> None:
        """The transaction is over: everything it held goes back, and its record is written."""
        if self.upload.out or self.download.out:
            self.flush()
        link = self.link
        if link is not None:
            kept = link.leave(self._link_exchange, self.connection)
            if not kept and self.transaction.replay is _PINNED:
                self.connection.pin_lost()
            self.link = None
            self._attempt_over()
        self._over = True
        self._forget_kept()
        self._forget_hedge()
        tries.all_over(self)
        self.upload.close()
        self.way.close()
        self.connection.exchange_over(self)

    def _attempt_over(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            tries.is_over(self, attempt)


_DO = {
    Action.CHOOSE: Relay._choose,
    Action.LINK: Relay._get_link,
    Action.SEND: Relay._send,
    Action.DROP: Relay._drop,
    Action.KEEP: Relay._keep,
    Action.HEDGE: Relay._hedge,
    Action.SEND_HEDGE: Relay._send_hedge,
    Action.SWAP: Relay._swap,
    Action.CANCEL: Relay._cancel,
    Action.KEEP_HEDGE: Relay._keep_hedge,
    Action.PASS: Relay._pass,
    Action.ANSWER: Relay._answer,
    Action.CUT: Relay._cut,
    Action.FINISH: Relay._finish,
}
