"""The broker's own answers: small, plain, and silent about what stands behind the broker.

Decides what a client reads when its transaction failed. Invariant: an answer is whole (head, content,
end), is never cached, and shows nothing of servers, addresses or exceptions; only what the client itself
did wrong is told in detail. Refuses to decide whether to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate

from ...errors import BrokerError, ClientError
from ...interfaces import Body, End, Event, Head
from ...outcome import Cause
from .fields import LOOPED
from .message import LENGTH, NONE, Field, Request, Response

_REASONS = {
    400: b"Bad Request",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    508: b"Loop Detected",
}
_ELSE = 502  # for a status that cannot be sent (499) or that has no reason here

_WORDS = {
    Cause.REFUSED: "no server could be reached",
    Cause.UNREACHABLE: "no server could be reached",
    Cause.CONNECT_TIMEOUT: "no server could be reached in time",
    Cause.TLS_FAILED: "no secure link to a server could be made",
    Cause.STALE: "the server closed the connection without an answer",
    Cause.BROKEN: "the server closed the connection without an answer",
    Cause.EMPTY: "the server closed the connection without an answer",
    Cause.MALFORMED: "the server sent an answer that cannot be understood",
    Cause.TRUNCATED: "the server's answer broke off",
    Cause.SILENT: "the server did not answer in time",
    Cause.OUTRUN: "the server did not answer in time",
    Cause.STATUS: "the server failed",
    Cause.MISMATCH: "the rest of the server's answer could not be had",
    Cause.NO_SERVER: "no server is available at present",
    Cause.QUEUE_TIMEOUT: "no server was free, or could be reached, in time",
    Cause.QUEUE_FULL: "no server is free, or can be reached, and too many requests wait for one",
    Cause.PACED: "the service is busy at present",
    Cause.CLIENT_GONE: "the connection ended before the request was whole",
    Cause.CLIENT_TIMEOUT: "the request did not arrive in time",
    Cause.BAD_REQUEST: "the request cannot be understood",
    Cause.REFUSED_REQUEST: "this request is not carried here",
    Cause.LOOP: "the request has passed here before",
    Cause.SHUTDOWN: "the service is being stopped",
}
_INTERNAL_WORDS = "the request could not be carried out"

#: After these the bytes that follow on the connection mean nothing certain, or nobody shall send more.
_LAST = (Cause.BAD_REQUEST, Cause.CLIENT_TIMEOUT, Cause.CLIENT_GONE, Cause.SHUTDOWN)

_DETAIL = 200  # characters of a detail that a client is shown
_ALLOW: Field = (b"allow", b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE")
_RETRY_AFTER: Field = (b"retry-after", b"Retry-After", b"1")
_LOOP: Field = (LOOPED, b"Sslbroker-Loop", b"1")
_CONSTANT: tuple[Field, ...] = (
    (b"content-type", b"Content-Type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"Cache-Control", b"no-store"),
    # A detail may repeat what a client sent: a browser must not take it for a page.
    (b"x-content-type-options", b"X-Content-Type-Options", b"nosniff"),
)


class Answers:
    """Makes answers dated by `now`, which gives seconds since the epoch; undated without it."""

    __slots__ = ("_date", "_now", "_second")

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now
        self._second = -1
        self._date: tuple[Field, ...] = ()

    def date(self) -> tuple[Field, ...]:
        """The ``Date`` of this second (RFC 9110 §5.6.7), or no field without a clock (§6.6.1)."""
        if self._now is not None:
            second = int(self._now())
            if second != self._second:
                self._second = second
                self._date = ((b"date", b"Date", formatdate(second, usegmt=True).encode("ascii")),)
        return self._date

    def error(self, error: BrokerError, request: Request | None, exchange: int) -> Sequence[Event]:
        """The answer to a failed transaction: its `Head`, its content, its `End`.

        `request` is None when none was framed; the connection then ends with the answer.
        """
        status = error.status if error.status in _REASONS else _ELSE
        content = f"{status} {_REASONS[status].decode()}: {_words(error)}\n".encode()
        fields: list[Field] = [*self.date(), *_CONSTANT]
        if status == 405:
            fields.append(_ALLOW)
        if error.cause is Cause.LOOP:
            fields.append(_LOOP)
        if status in (502, 503, 504):
            fields.append(_RETRY_AFTER)
        response = Response(
            status=status,
            reason=_REASONS[status],
            minor=1,
            fields=fields,
            framing=LENGTH,
            length=len(content),
            close=request is None or error.cause in _LAST,
        )
        if request is not None and request.method == b"HEAD":
            fields.append((b"content-length", b"Content-Length", b"%d" % len(content)))
            response.framing = NONE
            response.length = 0
            return [Head(exchange, response), End(exchange)]
        return [Head(exchange, response), Body(exchange, content), End(exchange)]


def _words(error: BrokerError) -> str:
    words = _WORDS.get(error.cause, _INTERNAL_WORDS)
    if isinstance(error, ClientError) and error.detail:
        words = f"{words}: {_shown(error.detail)}"
    return f"{words} ({error.phase.value})"


def _shown(detail: str) -> str:
    shown = detail if len(detail) <= _DETAIL else detail[:_DETAIL] + "…"
    return "".join(sign if sign.isprintable() else "?" for sign in shown)
