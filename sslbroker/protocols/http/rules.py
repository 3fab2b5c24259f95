"""What HTTP answers to the broker's questions, under the settings of one pool.

Decides which requests are carried, which may be seen twice by servers, which answers fail, what brokers
tell each other of their tries, and what the access log shows. Invariant: no answer depends on anything
but the message, its origin and the settings; what depends on settings alone is worked out once. Refuses
to rewrite messages (`forwarding`), to read claims (`claims`) and cookies (`cookies`), to word answers
(`answers`) and to know how a response goes on elsewhere (`resume`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter

from zope.interface import implementer

from ...errors import BrokerError, LoopDetected, RequestRefused
from ...interfaces import (
    Event,
    ICascades,
    IExchangeRules,
    IHealthChecks,
    IHosts,
    ILengths,
    IMeasured,
    IResponseClassifier,
    IRests,
    IResumable,
    IStickiness,
    IUndone,
    Origin,
)
from ...outcome import Replay
from ...settings import Pool
from .answers import Answers
from .checks import StatusChecks, all_of
from .claims import claimed
from .cookies import Cookie, StickyCookie
from .dates import retry_after
from .fields import LOOPED, TRIES, VIA, values_of
from .forwarding import Forwarding, offered
from .message import LENGTH, NONE, Request, Response
from .resume import Resumption, hindrance, resumption

GO_AHEAD_WAIT = 1.0
"""Seconds that a body is held back for a ``100 Continue`` (spec §6)."""

_TARGET = 2048  # bytes of a target, and of a host, that the log shows
_MOST_TRIES = 1000  # that another broker is believed to have made
_HEDGED = frozenset((b"GET", b"HEAD", b"OPTIONS"))  # safe methods without content (RFC 9110 §9.2.1)
_TRIES = re.compile(rb"[1-9][0-9]{0,3}")
_MISDIRECTED = 421
_UNAVAILABLE = 503
_NAME = itemgetter(0)  # of a field


@implementer(IExchangeRules, IHealthChecks, IHosts, ILengths, IMeasured, IStickiness, ICascades, IResumable)
class HTTPRules:
    """The answers for one pool. Making one raises `ConfigurationError` for unusable header rules."""

    __slots__ = (
        "_answers",
        "_any_method",
        "_checks",
        "_excluded",
        "_forwarding",
        "_hashed",
        "_key_field",
        "_methods",
        "_passed",
        "_sticky",
        "_unresumable",
    )

    def __init__(self, pool: Pool, broker_name: str, answers: Answers) -> None:
        self._answers = answers
        self._checks = StatusChecks(pool)
        self._forwarding = Forwarding(pool, broker_name)
        # A received-by in Via (RFC 9110 §7.6.3), after the start or a comma and the received protocol.
        name = re.escape(broker_name.encode("ascii"))
        self._passed = re.compile(rb"(?:^|,)[ \t]*+[^ \t,]++[ \t]++" + name + rb"(?=[ \t,]|$)", re.I)
        failover = pool.failover
        self._excluded = tuple(path.encode("ascii") for path in pool.pacing.exclude)
        self._any_method = "*" in failover.methods
        self._methods = frozenset(method.encode("latin-1") for method in failover.methods)
        header = failover.idempotency_header.lower()
        # A key that the operator's own rules take away is no key for the server.
        dropped = {name.lower() for name in (*pool.headers.remove, *pool.headers.set)}
        self._key_field = b"" if header in dropped else header.encode("latin-1")
        self._hashed = Cookie(pool.hash_cookie) if pool.hash_cookie else None
        self._sticky = StickyCookie(pool.sticky.cookie) if pool.sticky is not None else None
        self._unresumable = hindrance(pool.headers)

    def admit(self, request: Request, origin: Origin) -> BrokerError | None:
        """Why the request is not carried: CONNECT, a loop, a TRACE or OPTIONS meant for the broker.

        CONNECT is 405 and not 501: the method is known, and that it is not carried is no failure of
        a server, so it should not be counted with the 5xx.
        """
        method = request.method
        if method == b"CONNECT":
            return RequestRefused("CONNECT asks for a forward proxy, and this is none")
        if method == b"TRACE" or method == b"OPTIONS":
            refused = _meant_for_us(request)
            if refused is not None:
                return refused
        if VIA in map(_NAME, request.fields):
            passed = [self._passed.findall(value) for name, _, value in request.fields if name == VIA]
            if sum(map(len, passed)) > 1:
                return LoopDetected("Via names this broker twice")
        return None

    def host(self, request: Request) -> bytes:
        """That of the target, else of ``Host`` (RFC 9112 §3.2.2); b"" in HTTP/1.0 without either."""
        return request.host or b""

    def length(self, request: Request) -> int:
        """What ``Content-Length`` says; a chunked request does not say it."""
        return request.length

    def measured(self, request: Request) -> bool:
        """Not what becomes a tunnel, nor what asks for the paths of ``pacing.exclude`` or below them."""
        if request.upgrade:
            return False
        if not self._excluded:
            return True
        path = request.target.partition(b"?")[0]
        return not any(
            path == excluded or path.startswith(excluded.removesuffix(b"/") + b"/")
            for excluded in self._excluded
        )

    def measured_answer(self, response: Response) -> bool:
        """Not a stream of events (WHATWG HTML §9.2)."""
        return not any(
            name == b"content-type" and value[:17].lower() == b"text/event-stream"
            for name, _, value in response.fields
        )

    def origin(self, request: Request, origin: Origin) -> Origin:
        """The origin after what a trusted peer says of the client."""
        return claimed(request.fields, origin) if origin.trusted else origin

    def replay(self, request: Request) -> Replay:
        """Replayable by its method (RFC 9110 §9.2.2) or by a key; an Upgrade only with GET."""
        if request.upgrade and request.method != b"GET" and offered(request.upgrade):
            return Replay.METHOD
        if self._any_method or request.method in self._methods:
            return Replay.REPLAYABLE
        if self._key_field:
            for name, _, value in request.fields:
                if name == self._key_field and value:
                    return Replay.REPLAYABLE
        return Replay.METHOD

    def hedgeable(self, request: Request) -> bool:
        """A safe method without content and without an Upgrade."""
        return (
            request.method in _HEDGED
            and (request.framing is NONE or (request.framing is LENGTH and not request.length))
            and not request.upgrade
        )

    def affinity(self, request: Request) -> bytes | None:
        """The value of the cookie ``hash_cookie`` (RFC 6265 §5.4), if it is there and not overlong."""
        return None if self._hashed is None else self._hashed.value(request.fields)

    def stuck(self, request: Request) -> str:
        """The key in the broker's own cookie; "" when it is not there, can be no key, or is not used."""
        return "" if self._sticky is None else self._sticky.key(request.fields)

    def stick(self, response: Response, key: str, origin: Origin) -> None:
        """Set the broker's own cookie, ``Secure`` when the client's connection is; `to_client` came first."""
        if self._sticky is not None:
            self._sticky.set(response.fields, key, origin.secure)

    def tried(self, response: Response) -> int:
        """What ``Sslbroker-Tries`` says, once and well formed; more than 1000 is not believed."""
        said = values_of(response.fields, TRIES)
        if len(said) != 1 or _TRIES.fullmatch(said[0]) is None:
            return 0
        tries = int(said[0])
        return tries if tries <= _MOST_TRIES else 0

    def tell_tries(self, response: Response, tries: int) -> None:
        """Add ``Sslbroker-Tries``; `to_client` has taken away what a server said. 0 tries are not told."""
        if tries > 0:
            response.fields.append((TRIES, b"Sslbroker-Tries", b"%d" % min(tries, _MOST_TRIES)))

    def check_request(self, address: str, path: str, secure_link: bool) -> Request:
        """A GET of the path, in the broker's own name."""
        return self._checks.request(address, path, secure_link)

    def healthy(self, response: Response) -> bool:
        """Whether ``health.statuses`` has its status."""
        return self._checks.healthy(response)

    def looped(self, response: Response) -> bool:
        """A broker, which may be ourselves, has answered that the request goes in a circle."""
        return any(name == LOOPED for name, _, _ in response.fields)

    def resumption(self, request: Request, response: Response) -> Resumption | str:
        """How the rest of this response is had from another server, or why it cannot be."""
        return self._unresumable or resumption(request, response)

    def go_ahead_wait(self, request: Request) -> float:
        """Seconds: one for a request that expects ``100 Continue``, none for others."""
        return GO_AHEAD_WAIT if request.expects_continue else 0.0

    def to_server(self, request: Request, origin: Origin, address: str, secure_link: bool) -> Request:
        """The request as the chosen server shall see it."""
        forwarded = self._forwarding.to_server(request, origin, address, secure_link)
        if self._sticky is not None:
            forwarded.fields = self._sticky.kept_from_server(forwarded.fields)
        return forwarded

    def to_client(self, response: Response, request: Request, origin: Origin) -> Response:
        """The response as the client shall see it; a final one without Date gets it (RFC 9110 §6.6.1)."""
        forwarded = self._forwarding.to_client(response, request)
        if response.status >= 200 and b"date" not in map(_NAME, forwarded.fields):
            forwarded.fields += self._answers.date()
        if self._sticky is not None:
            forwarded.fields = self._sticky.kept_from_client(forwarded.fields)
        return forwarded

    def error_answer(self, error: BrokerError, request: Request | None, exchange: int) -> Sequence[Event]:
        """The broker's own answer: whole, `Head` to `End`."""
        return self._answers.error(error, request, exchange)

    def log_fields(self, request: Request | None, response: Response | None) -> Mapping[str, object]:
        """`method`, `target`, `host`, `version` of the request and `status` of the response."""
        fields: dict[str, object] = {}
        if request is not None:
            fields = {
                "method": request.method.decode("latin-1"),
                "target": request.target[:_TARGET].decode("latin-1"),
                "host": (request.host or b"")[:_TARGET].decode("latin-1"),
                "version": "1.1" if request.minor else "1.0",
            }
        if response is not None:
            fields["status"] = response.status
        return fields


@implementer(IResponseClassifier, IUndone, IRests)
class StatusClassifier:
    """An answer fails by its status alone, as ``failover.statuses`` says."""

    __slots__ = ("_failing",)

    def __init__(self, pool: Pool) -> None:
        self._failing = all_of(pool.failover.statuses)

    def failing(self, response: Response) -> bool:
        """Whether another server should be tried."""
        return response.status in self._failing

    def status(self, response: Response) -> int:
        """The status code, under which the answer is counted."""
        return response.status

    def nothing_done(self, response: Response) -> bool:
        """A 421 alone: whatever its method, such a request may be made again (RFC 9110 §15.5.20).

        A 425 is about early data (RFC 8470 §5.2), which is the client's to send again and not the broker's.
        Of 408, 429 and 503 no RFC says that nothing was done.
        """
        return response.status == _MISDIRECTED

    def rest(self, response: Response) -> float:
        """What the ``Retry-After`` of a 503 says: with it, a server speaks of itself (RFC 9110 §15.6.4).

        In a 429 it is about the client, in a redirection about what it leads to.
        """
        return retry_after(response.fields) if response.status == _UNAVAILABLE else 0.0


def _meant_for_us(request: Request) -> RequestRefused | None:
    """``Max-Forwards: 0`` makes the broker the last to see it (RFC 9110 §7.6.2): it offers no methods."""
    if request.method == b"TRACE" and request.framing is not NONE:
        return RequestRefused("a TRACE has no content (RFC 9110 §9.3.8)", status=400)
    for name, _, value in request.fields:
        if name == b"max-forwards" and value.isdigit() and not value.strip(b"0"):
            return RequestRefused(f"Max-Forwards: 0 ends a {request.method.decode()} here")
    return None
