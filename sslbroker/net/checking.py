"""One active check of one server: a link that is made, and where there is a path, one exchange on it.

Decides what a check has found. Invariant: it goes over a link of its own, made as those of transactions are
(mode, name, what the server must prove), and closed when the check is over, which it is after `timeout`
whatever the server does; of an answer no more than `LIMIT` is read, and a head as the limits of links allow.
Refuses to judge a server by one check, to count for transactions, and to know what a request says.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.checks import Result
from ..errors import AttemptError, ConnectTimeout, MalformedResponse, Silent
from ..interfaces import Body, End, Event, Head, IHealthChecks, Interim
from ..outcome import Cause
from ..settings import Health
from .judging import Judge
from .link import Link
from .links import Links

_log = Logger("sslbroker.checks")

#: Bytes of an answer's content that are read: what has so many is judged by its head, and let go.
LIMIT = 64 * 1024

#: Characters of what is told of a check.
_LONGEST_DETAIL = 500


class _Sent:
    """A check's request is at the server as soon as it is written: nothing of it waits for anybody."""

    waits_for_server = True

    def link_full(self) -> None:
        pass

    def link_ready(self) -> None:
        pass


_SENT = _Sent()


class Check:
    """A check under way: the user of its link (`link.User`)."""

    answer_time = 0.0  # its own limit is for all of it
    tunnel = False
    upload = _SENT

    def __init__(
        self, links: Links, settings: Health, rules: IHealthChecks | None, judge: Judge, clock: Any
    ) -> None:
        """`links` are the check's own (`Links.apart`); without `rules` no request is made."""
        self._links = links
        self._settings = settings
        self._rules = rules
        self._judge = judge
        self._clock = clock
        self._over: Deferred[Result] = Deferred(lambda _: self._end())
        self._limit: IDelayedCall | None = None
        self._connecting: Deferred[Link] | None = None
        self._link: Link | None = None
        self._response: Any = None
        self._size = 0

    def begin(self) -> Deferred[Result]:
        """Fires with what was found, at the latest when the time is over; may be cancelled."""
        self._links.start()
        self._limit = self._clock.callLater(self._settings.timeout, self._late)
        self._connecting = connecting = self._links.connect()
        connecting.addCallbacks(self._linked, self._not_linked).addErrback(self._mistaken)
        return self._over

    # --- what its link calls ---

    def link_event(self, link: Link, event: Event) -> None:
        """An event of the answer; what a server has to say before it does not count."""
        if link is not self._link:
            return
        kind = type(event)
        if kind is Head:
            self._response = event.message  # type: ignore[attr-defined]
        elif kind is Body:
            self._size += len(event.data)  # type: ignore[attr-defined]
            if self._size > LIMIT:
                self._answered()
        elif kind is End:
            self._answered(whole=True)
        elif kind is not Interim:
            self._failed(MalformedResponse("it switched to another protocol"))

    def link_failed(self, link: Link, error: AttemptError) -> None:
        if link is self._link:
            self._failed(error)

    def flush(self) -> None:
        pass

    def mistake(self) -> None:
        self._mistaken(Failure())

    # --- how it goes ---

    def _linked(self, link: Link) -> None:
        self._connecting, self._link = None, link
        if self._rules is None:
            self._found(Result(Cause.OK, "connected"), in_order=True)
            return
        server, contexts = self._links.member.settings, self._links.contexts
        address = server.address
        if link.secure and contexts is not None:
            host = f"[{contexts.name}]" if ":" in contexts.name else contexts.name
            address = f"{host}:{server.port}"
        request = self._rules.check_request(address, self._settings.path, link.secure)
        exchange = link.begin(self)
        link.write(link.codec.send(Head(exchange, request)) + link.codec.send(End(exchange)))

    def _not_linked(self, failure: Failure) -> None:
        self._connecting = None
        if isinstance(failure.value, AttemptError):
            self._failed(failure.value)
        elif not isinstance(failure.value, CancelledError):
            self._mistaken(failure)

    def _answered(self, *, whole: bool = False) -> None:
        assert self._rules is not None
        response = self._response
        cause = Cause.OK if self._rules.healthy(response) else Cause.STATUS
        status = self._judge.status(response)
        said = f"status {status}" if status else "good" if cause is Cause.OK else "not good"
        self._found(Result(cause, f"{self._settings.path}: {said}"), in_order=whole)

    def _failed(self, error: AttemptError) -> None:
        word = error.cause.value
        detail = f"{word}: {error.detail}" if error.detail else word
        if self._link is not None:
            detail = f"{self._settings.path}: {detail}"
        self._found(Result(error.cause, detail))

    def _late(self) -> None:
        self._limit = None
        seconds = self._settings.timeout
        if self._link is None:
            self._failed(ConnectTimeout(f"no link within {seconds:g} s"))
        else:
            self._failed(Silent(f"no whole answer within {seconds:g} s"))

    def _mistaken(self, failure: Failure) -> None:
        """Of the broker or of a plugin: it is no finding about the server."""
        server = self._links.member.address
        _log.failure("A check of server {server} ended by a mistake", failure, server=server)
        self._found(Result(Cause.INTERNAL, f"a mistake: {failure.getErrorMessage()}"))

    def _found(self, result: Result, *, in_order: bool = False) -> None:
        self._end(in_order=in_order)
        if not self._over.called:
            self._over.callback(Result(result.cause, result.detail[:_LONGEST_DETAIL]))

    def _end(self, *, in_order: bool = False) -> None:
        """Nothing is left: no timer, no call that somebody waits for, no link that is not closing."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        link, self._link = self._link, None
        if link is not None:
            if in_order:
                link.close()
            else:
                link.drop()
        self._links.close()
