"""Every way in which a transaction, a try or a configuration can fail, as one tree of classes.

Decides, for each failure, its phase, its cause, whether the server can have seen anything of the
request, and the status that tells a client of it. Invariant: a class is complete (phase, cause,
``nothing_sent``, status), so that failover, log, metrics and error answers never look at a type.
Refuses to know Twisted or HTTP: the glue translates a transport's failure into one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .outcome import Cause, Phase


class BrokerError(Exception):
    """A failure with a place in the life of a transaction."""

    phase: ClassVar[Phase]
    cause: ClassVar[Cause] = Cause.INTERNAL
    #: True when no byte of the request can have reached a server.
    nothing_sent: ClassVar[bool] = False
    #: True when the server's answer proves that it did nothing of the request.
    nothing_done: bool = False
    #: True when the server's answer shows that no other server could mend it.
    final: bool = False
    #: True when it can happen in any phase: then the transaction's own is told, not `phase`.
    anywhere: ClassVar[bool] = False
    #: What a client is told, as an HTTP status; other protocols translate it.
    status: int = 502

    #: How many tries were made in vain, when this is the transaction's final failure.
    tries: int = 0

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        where = f"{self.phase.value}:{self.cause.value}"
        return f"{where} ({self.detail})" if self.detail else where

    @property
    def end(self) -> str:
        """Phase and cause, as the access log's ``end`` shows them."""
        return f"{self.phase.value}:{self.cause.value}"


# --- what a client did wrong -----------------------------------------------------------------


class ClientError(BrokerError):
    """The client's own failure: never counts against a server, never tried again."""

    phase = Phase.FRAME
    cause = Cause.BAD_REQUEST
    nothing_sent = True
    status = 400


class FramingError(ClientError):
    """A message that is malformed or ambiguous (RFC 9112) or over a limit.

    ``status`` is what a client is told: 400, 413, 414, 417, 431, 501 or 505. Raised for what a
    server sent too; the link turns it into `MalformedResponse`.
    """

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class RequestRefused(ClientError):
    """A well-formed request that this broker does not carry (CONNECT, an unknown Expect)."""

    phase = Phase.ADMIT
    cause = Cause.REFUSED_REQUEST

    def __init__(self, detail: str, status: int = 405) -> None:
        super().__init__(detail)
        self.status = status


class LoopDetected(ClientError):
    """The request has passed this broker before (RFC 9110 §7.6.3)."""

    phase = Phase.ADMIT
    cause = Cause.LOOP
    status = 508


class ClientTimeout(FramingError):
    """The client did not send its request, or did not read its response, in time."""

    cause = Cause.CLIENT_TIMEOUT

    def __init__(self, detail: str) -> None:
        super().__init__(detail, 408)


class ClientGone(ClientError):
    """The client's connection ended before its transaction did."""

    phase = Phase.RELAY
    cause = Cause.CLIENT_GONE
    anywhere = True
    status = 499


# --- what went wrong with one try ------------------------------------------------------------


class AttemptError(BrokerError):
    """One try failed; failover decides whether another server is tried."""


class Refused(AttemptError):
    phase = Phase.LINK
    cause = Cause.REFUSED
    nothing_sent = True


class Unreachable(AttemptError):
    phase = Phase.LINK
    cause = Cause.UNREACHABLE
    nothing_sent = True


class ConnectTimeout(AttemptError):
    phase = Phase.LINK
    cause = Cause.CONNECT_TIMEOUT
    nothing_sent = True
    status = 504


class LinkTLSFailed(AttemptError):
    phase = Phase.LINK
    cause = Cause.TLS_FAILED
    nothing_sent = True


class NoSocket(AttemptError):
    """The broker itself has no socket for a link: no more files may be open, or no port is left.

    Another server may have a link that is open already.
    """

    phase = Phase.LINK
    cause = Cause.INTERNAL
    nothing_sent = True
    status = 503


class LinkBroken(AttemptError):
    """The link ended after something was sent and before the response was whole."""

    phase = Phase.WATCH
    cause = Cause.BROKEN


class StaleLink(AttemptError):
    """A reused link ended before any byte of a response: most likely closed while idle."""

    phase = Phase.WATCH
    cause = Cause.STALE


class EmptyResponse(AttemptError):
    """The server closed a fresh link without a byte."""

    phase = Phase.WATCH
    cause = Cause.EMPTY


class MalformedResponse(AttemptError):
    phase = Phase.WATCH
    cause = Cause.MALFORMED


class Silent(AttemptError):
    """No byte from the server within ``failover.response_timeout``."""

    phase = Phase.WATCH
    cause = Cause.SILENT
    status = 504


class FailingStatus(AttemptError):
    """A whole answer whose status the operator lists as failing."""

    phase = Phase.WATCH
    cause = Cause.STATUS


class Mismatch(AttemptError):
    """What a server sent in place of the rest of a response cannot be proved to be that.

    `final` when it shows that the validator proves nothing: then nobody is asked for the rest any more.
    """

    phase = Phase.RESUME
    cause = Cause.MISMATCH

    def __init__(self, detail: str, final: bool = False) -> None:
        super().__init__(detail)
        self.final = final


class Truncated(AttemptError):
    """The response broke off after its head had been passed on."""

    phase = Phase.RELAY
    cause = Cause.TRUNCATED


class Stalled(AttemptError):
    """The response stopped arriving after its head had been passed on."""

    phase = Phase.RELAY
    cause = Cause.SILENT
    status = 504


# --- what went wrong with the choice, or with the broker --------------------------------------


class NoServer(BrokerError):
    """No server of the pool can be tried (any more)."""

    phase = Phase.CHOOSE
    cause = Cause.NO_SERVER
    nothing_sent = True
    status = 503


class QueueTimeout(NoServer):
    """No server had a place for the transaction within ``queue.timeout``."""

    cause = Cause.QUEUE_TIMEOUT


class QueueFull(NoServer):
    """``queue.length`` transactions wait for a place already."""

    cause = Cause.QUEUE_FULL


class HeldBack(NoServer):
    """A plain transaction gave way to secure ones for too long, or with too many others."""

    cause = Cause.PACED


class ShuttingDown(BrokerError):
    """The broker's drain deadline ended the transaction."""

    phase = Phase.RELAY
    cause = Cause.SHUTDOWN
    anywhere = True
    status = 503


class InternalError(BrokerError):
    """A mistake in the broker or in a plugin: logged in full, told to the client as 502."""

    phase = Phase.RELAY
    cause = Cause.INTERNAL
    anywhere = True


# --- what is wrong with a configuration -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where, what was found, what was expected."""

    path: str
    found: str
    expected: str
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.path}: found {self.found}, expected {self.expected}"
        return f"{text} ({self.suggestion})" if self.suggestion else text


class ConfigurationError(Exception):
    """A configuration that cannot be used, with every problem at once."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = problems

    def __str__(self) -> str:
        lines = [f"{self.source}: {problem}" for problem in self.problems]
        return "\n".join(lines)


class StartError(Exception):
    """The broker cannot start: a port, a certificate or a file that cannot be used."""
