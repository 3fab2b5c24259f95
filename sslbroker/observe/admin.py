"""The admin pages: ``/metrics``, ``/state`` and an index, over HTTP, to be read only.

Decides what an operator's tools may ask of a running broker. Invariant: a connection carries one
request and lives for a bounded time; a request's head is bounded and its content is never read; a page
changes nothing. Refuses everything but GET and HEAD, and refuses, on a loopback address, a host name
that is not this machine's, so that a web page somewhere cannot read these through a visitor's browser
(DNS rebinding).
"""

# twisted.web has few annotations: calls into it are untyped in half of this file.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from prometheus_client import CollectorRegistry
from twisted.internet.address import IPv4Address as TCP4
from twisted.internet.address import IPv6Address as TCP6
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as ChannelRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from ..core.figures import BrokerFigures, WorkerFigures
from .metrics import LogFigures, broker_registry, exposition
from .state import Servers, state

CONNECTIONS: Final = 32
"""How many connections may be open at once; more are closed at once."""
TIMEOUT: Final = 10.0
"""Seconds for a request's head, and again for the reading of its response."""

_METHODS: Final = (b"GET", b"HEAD")
_ALLOW: Final = b"GET, HEAD"
_TEXT: Final = b"text/plain; charset=utf-8"
_PROMETHEUS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_HEADERS: Final = (
    (b"Server", b"sslbroker"),
    (b"Cache-Control", b"no-store"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_INDEX: Final = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sslbroker</title></head>
<body>
<h1>sslbroker</h1>
<ul>
<li><a href="/state">/state</a>: what happens now, as JSON</li>
<li><a href="/metrics">/metrics</a>: figures for Prometheus</li>
</ul>
</body>
</html>
"""

_Page = tuple[bytes, Callable[[], Iterator[bytes]]]  # content type, content in pieces
_Refusal = tuple[int, bytes]  # status, text


def admin_site(
    figures: Callable[[], BrokerFigures],
    clock: IReactorTime,
    *,
    access_log: LogFigures | None = None,
    extra: Callable[[], Mapping[str, Any]] | None = None,
    servers: Callable[[], Servers] | None = None,
    workers: Callable[[], Sequence[WorkerFigures]] | None = None,
    fresh: Callable[[], Deferred[None]] | None = None,
    registry: CollectorRegistry | None = None,
    hosts: Collection[str] = (),
) -> Site:
    """The admin pages as a factory for the admin endpoint.

    `extra` gives what `/state` shows beside the figures, and `servers` how each server stands, by pool and
    address; `workers` tells of each worker process, and `fresh` fires when the figures are as of now, where
    they are those of other processes; `registry` replaces the one with the broker's
    own metrics; `hosts` are further names that may stand in `Host` on a loopback address.
    """
    pages = _Pages(
        figures,
        clock,
        extra or dict,
        servers or dict,
        workers or tuple,
        fresh or (lambda: succeed(None)),
        registry or broker_registry(figures, access_log, servers or dict, workers or tuple),
        frozenset(hosts),
    )
    return _AdminSite(pages, clock)


class _Pages(Resource):
    """All pages: a table from path to answer."""

    isLeaf = True

    def __init__(
        self,
        figures: Callable[[], BrokerFigures],
        clock: IReactorTime,
        extra: Callable[[], Mapping[str, Any]],
        servers: Callable[[], Servers],
        workers: Callable[[], Sequence[WorkerFigures]],
        fresh: Callable[[], Deferred[None]],
        registry: CollectorRegistry,
        hosts: frozenset[str],
    ) -> None:
        super().__init__()
        self._figures = figures
        self._clock = clock
        self._extra = extra
        self._servers = servers
        self._workers = workers
        self._fresh = fresh
        self._registry = registry
        self._hosts = hosts
        self._pages: dict[bytes, _Page] = {
            b"/": (b"text/html; charset=utf-8", lambda: iter([_INDEX])),
            b"/metrics": (_PROMETHEUS, lambda: exposition(registry)),
            b"/state": (b"application/json", self._state),
        }

    def render(self, request: Request) -> bytes | int:
        for name, value in _HEADERS:
            request.setHeader(name, value)
        refusal = self._refusal(request)
        if refusal is not None:
            status, text = refusal
            request.setResponseCode(status)
            _answer(request, _TEXT, text)
        else:
            kind, pieces = self._pages[request.path]
            rendering = _Rendering(request, self._clock, kind, pieces())
            self._fresh().addCallbacks(lambda _: rendering.begin(), rendering.failed)
        return NOT_DONE_YET

    def _refusal(self, request: Request) -> _Refusal | None:
        if request.method not in _METHODS:
            request.setHeader(b"Allow", _ALLOW)
            return 405, b"These pages are read with GET or HEAD only.\n"
        names = request.requestHeaders.getRawHeaders(b"host", [])
        if len(names) > 1:
            return 400, b"Found several Host headers, expected one.\n"
        if names and not self._is_ours(names[0], request.getHost()):
            return 421, b"Found an unknown name in Host, expected an address or localhost.\n"
        if request.path not in self._pages:
            return 404, b"No such page. There are /, /state and /metrics.\n"
        return None

    def _state(self) -> Iterator[bytes]:
        shown = state(self._figures(), self._clock.seconds(), self._extra(), self._servers(), self._workers())
        yield json.dumps(shown, separators=(",", ":"), default=str).encode() + b"\n"

    def _is_ours(self, host: bytes, arrived_at: IAddress) -> bool:
        """A name in `Host` is judged only where the operator relies on the address being private."""
        if not (isinstance(arrived_at, TCP4 | TCP6) and _is_loopback(arrived_at.host)):
            return True
        name = host.decode("latin-1").lower()
        name = name[: name.rfind("]") + 1] or name.partition(":")[0]
        return name == "localhost" or name in self._hosts or _is_address(name.strip("[]"))


class _Rendering:
    """Makes a page piece by piece, a turn of the reactor for each, and then answers."""

    def __init__(self, request: Request, clock: IReactorTime, kind: bytes, pieces: Iterator[bytes]) -> None:
        self._request = request
        self._clock = clock
        self._kind = kind
        self._pieces = pieces
        self._done: list[bytes] = []
        self._next: IDelayedCall | None = None
        self._left = False  # who asked is gone
        request.notifyFinish().addErrback(self._gone)

    def begin(self) -> None:
        if not self._left:
            self._next = self._clock.callLater(0, self._step)

    def failed(self, failure: Failure) -> None:
        if not self._left:
            self._request.processingFailed(failure)

    def _step(self) -> None:
        try:
            piece = next(self._pieces, None)
        except Exception:
            self._request.processingFailed(Failure())
            return
        if piece is None:
            _answer(self._request, self._kind, b"".join(self._done))
            return
        self._done.append(piece)
        self._next = self._clock.callLater(0, self._step)

    def _gone(self, reason: Failure) -> None:
        self._left = True
        if self._next is not None:
            self._next.cancel()


def _answer(request: Request, kind: bytes, content: bytes) -> None:
    request.setHeader(b"Content-Type", kind)
    request.setHeader(b"Content-Length", b"%d" % len(content))
    request.write(content)  # which leaves the content out for HEAD
    request.finish()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


class _AdminChannel(HTTPChannel):
    """One connection, for one request. Nothing but time passing extends its life."""

    maxHeaders = 100
    totalHeadersSize = 8192
    _refused = False

    def dataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().dataReceived(data)

    def resetTimeout(self) -> None:
        """Bytes do not extend the time for a request's head: a slow sender would live for ever."""

    def allHeadersReceived(self) -> None:
        if self.length == 0:
            super().allHeadersReceived()
            return
        # Content would be kept in memory or in a file: it is refused before a byte of it is read.
        status = b"413 Content Too Large" if self._command in _METHODS else b"405 Method Not Allowed"
        self._refused = True
        self.write(
            b"HTTP/1.1 %b\r\nAllow: %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % (status, _ALLOW)
        )
        self.loseConnection()

    def checkPersistence(self, request: ChannelRequest, version: bytes) -> bool:
        # Pipelined requests would each be answered before anything is read: megabytes for a few bytes.
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def requestDone(self, request: ChannelRequest) -> None:
        self.setTimeout(TIMEOUT)
        super().requestDone(request)

    def timeoutConnection(self) -> None:
        self.forceAbortClient()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.open -= 1
        super().connectionLost(reason)


class _AdminSite(Site):
    """A site without a log of its own, with a bound on its connections."""

    protocol = _AdminChannel  # type: ignore[assignment]  # the base class adds HTTP/2 to it
    displayTracebacks = False
    noisy = False

    def __init__(self, pages: Resource, clock: IReactorTime) -> None:
        super().__init__(pages, timeout=TIMEOUT, reactor=clock, parsePOSTFormSubmission=False)
        self.open = 0

    def logPrefix(self) -> str:
        """What Twisted calls it in its own lines of the log."""
        return "admin pages"

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if self.open >= CONNECTIONS:
            return None
        self.open += 1
        return super().buildProtocol(addr)

    def startFactory(self) -> None:
        """Nothing: the base class would open a log and format the time every second."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]
