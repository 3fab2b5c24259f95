"""One probe of one server: does it speak TLS, is it plain, or can that not be told?

Decides what counts as proof. Invariant: one sign of TLS outweighs everything, and a server is plain only
after it has failed to speak TLS twice, with a proof of its own in between or each time; so an overloaded
TLS server is unknown, and only who can forge its answers makes it plain. Refuses to verify a certificate
(that is a link's business, and no reason to go plain), to carry a transaction, and to remember anything.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any
from typing import Protocol as Shape

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import BrokerError
from ..interfaces import IBackendProtocol, IProbe
from .deadline import Deadline
from .pins import Finding

_log = Logger("sslbroker.probing")

#: Bytes of an answer that are looked at.
LIMIT = 4096

# RFC 8446 §5.1, §4 and §6
_CONTENT_TYPES = range(0x14, 0x19)
_ALERT, _HANDSHAKE = 0x15, 0x16
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_LEVELS = (1, 2)  # warning, fatal
_LARGEST_RECORD = 2**14


class Calling(Shape):
    """A call to a server that is under way."""

    def cancel(self) -> None:
        """Give up, unless it is over: then the factory hears of a failure."""


#: Connects a factory to the server, within seconds in all; the factory hears of one connection or failure.
Connect = Callable[[ClientFactory[Any], float], Calling]


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe found, and for people why."""

    finding: Finding
    detail: str


def probe(
    connect: Connect,
    creator: IOpenSSLClientConnectionCreator,
    protocol: IBackendProtocol,
    host: str,
    timeout: float,
    clock: IReactorTime,
) -> Deferred[Found]:
    """Find out what a server speaks, on connections of the probe's own; never fails unless cancelled.

    `creator` begins TLS as a link would; `host` is what the protocol's own question names. Up to three
    connections follow each other, each `timeout` seconds to connect and `timeout` seconds to answer.
    """
    return Deferred.fromCoroutine(_Probe(connect, creator, protocol, host, timeout, clock).run())


def speaks_tls(received: bytes) -> bool | None:
    """Do these bytes begin a TLS server's first record? None: that cannot be told (yet).

    That is a ServerHello or an alert, of any version from SSL 3.0 on (RFC 8446 §5.1, §6). What looks like
    TLS and is not quite that is never called plain.
    """
    if (received[:1] and received[0] not in _CONTENT_TYPES) or received[1:2] not in (b"", b"\x03"):
        return False
    if len(received) < 6:
        return None
    length, first = int.from_bytes(received[3:5]), received[5]
    if received[0] == _HANDSHAKE and first == _CLIENT_HELLO:
        return False  # an echo of ours: no server says that
    if received[0] == _HANDSHAKE:
        plausible = first == _SERVER_HELLO and 0 < length <= _LARGEST_RECORD
    else:
        plausible = received[0] == _ALERT and first in _LEVELS and length == 2
    return True if plausible else None


class _Said(Enum):
    """How a server answered one question."""

    TLS = "tls"
    OTHER = "other"  # bytes that are not TLS; to a plain question: in its protocol
    WRONG = "wrong"  # to a plain question: bytes that are neither
    NOTHING = "nothing"  # it closed the connection, or was silent
    UNCLEAR = "unclear"  # bytes that do not tell
    NOT_REACHED = "not-reached"


_Judge = Callable[[bytes], _Said | None]


@dataclass(frozen=True, slots=True)
class _Answer:
    said: _Said
    detail: str


class _Probe:
    def __init__(
        self,
        connect: Connect,
        creator: IOpenSSLClientConnectionCreator,
        protocol: IBackendProtocol,
        host: str,
        timeout: float,
        clock: IReactorTime,
    ) -> None:
        self._connect = connect
        self._creator = creator
        self._protocol = protocol
        self._host = host
        self._timeout = timeout
        self._clock = clock

    async def run(self) -> Found:
        try:
            answer = await self._ask_tls()
            if answer.said is _Said.OTHER:
                answer = await self._ask_tls()
                if answer.said is _Said.OTHER:
                    return Found(Finding.PLAIN, "it answered two TLS handshakes with something else")
            if answer.said is _Said.NOTHING:
                return await self._without_evidence(answer.detail)
        except CancelledError:
            raise
        except Exception:
            _log.failure("A probe of server {host} ended by a mistake", host=self._host)
            return Found(
                Finding.UNKNOWN, "the probe ended by a mistake of the broker or of a plugin: see the log"
            )
        return _found(answer)

    async def _without_evidence(self, detail: str) -> Found:
        """The server has said nothing to a TLS handshake: perhaps because it is plain, perhaps it is busy."""
        answer = await self._ask_plain()
        if answer.said is _Said.OTHER:
            answer = await self._ask_tls()  # it does answer: was it only busy before?
            if answer.said in (_Said.OTHER, _Said.NOTHING):
                name = self._protocol.name
                return Found(Finding.PLAIN, f'it spoke "{name}" in plain, and no TLS before and after')
        elif answer.said is not _Said.TLS:
            return Found(Finding.UNKNOWN, f"{detail}, and {answer.detail}")
        return _found(answer)

    async def _ask_tls(self) -> _Answer:
        return await self._ask("a TLS handshake", _client_hello(self._creator), _judge_tls)

    async def _ask_plain(self) -> _Answer:
        protocol = self._protocol
        if IProbe.providedBy(protocol):
            own: IProbe = protocol
            return await self._ask("a plain question", own.probe(self._host), _judge_plain(own.answers))
        if protocol.server_first:
            return await self._ask("a plain connection", b"", _judge_plain(lambda received: True))
        return _Answer(_Said.NOTHING, f'protocol "{protocol.name}" has no question to ask it in plain')

    async def _ask(self, what: str, say: bytes, judge: _Judge) -> _Answer:
        question = _Question(what, say, judge, self._timeout, self._clock)
        return await question.ask(self._connect)


def _found(answer: _Answer) -> Found:
    return Found(Finding.TLS if answer.said is _Said.TLS else Finding.UNKNOWN, answer.detail)


def _client_hello(creator: IOpenSSLClientConnectionCreator) -> bytes:
    """The first bytes of a handshake, which is never gone on with: its first answer tells."""
    connection = creator.clientConnectionForTLS(None)  # type: ignore[arg-type]  # nothing is told to it
    connection.set_connect_state()
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(2**16)


def _judge_tls(received: bytes) -> _Said | None:
    return {True: _Said.TLS, False: _Said.OTHER, None: None}[speaks_tls(received)]


def _judge_plain(answers: Callable[[bytes], bool | None]) -> _Judge:
    def judge(received: bytes) -> _Said | None:
        tls = speaks_tls(received)
        if tls is not False:
            return _Said.TLS if tls else None
        return {True: _Said.OTHER, False: _Said.WRONG, None: None}[answers(received)]

    return judge


class _Question(ClientFactory[Protocol]):
    """One question on one connection."""

    noisy = False

    def __init__(self, what: str, say: bytes, judge: _Judge, timeout: float, clock: IReactorTime) -> None:
        self.what = what
        self.say = say
        self.judge = judge
        self.timeout = timeout
        self.clock = clock
        self._call: Calling | None = None
        self._connection: _Connection | None = None
        self._over = False
        self._answer: Deferred[_Answer] = Deferred(self._cancelled)

    def ask(self, connect: Connect) -> Deferred[_Answer]:
        try:
            self._call = connect(self, self.timeout)
        except Exception as error:  # an address that cannot be used is told at once
            self.not_reached(error)
        return self._answer

    def ended(self, said: _Said, detail: str = "") -> None:
        """The connection is gone, and this is what it said."""
        if not self._over:
            self._over = True
            self._answer.callback(_Answer(said, detail))

    def failed(self) -> None:
        """The protocol's own judgement failed, in an `except` clause."""
        self._over = True
        self._answer.errback(Failure())

    def not_reached(self, error: BaseException | None) -> None:
        text = error.detail if isinstance(error, BrokerError) else str(error)
        self.ended(_Said.NOT_REACHED, f"it cannot be reached ({text or type(error).__name__})")

    def _cancelled(self, answer: Deferred[_Answer]) -> None:
        self._over = True
        if self._connection is not None:
            self._connection.end()
        elif self._call is not None:
            self._call.cancel()

    # --- what Twisted calls ---

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self._connection = _Connection(self)
        return self._connection

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.not_reached(reason.value)


class _Connection(Protocol):
    """Says one thing and listens for the answer."""

    transport: ITCPTransport

    def __init__(self, question: _Question) -> None:
        self._question = question
        self._received = b""
        self._said: _Said | None = None
        self._late = False
        self._deadline = Deadline(question.clock, self._expired)

    def end(self) -> None:
        self._deadline.stop()
        self.transport.abortConnection()

    # --- what Twisted calls ---

    def connectionMade(self) -> None:
        self._deadline.set(self._question.timeout)
        self.transport.write(self._question.say)

    def dataReceived(self, data: bytes) -> None:
        self._received = (self._received + data)[:LIMIT]
        try:
            self._said = self._question.judge(self._received)
        except Exception:
            self._question.failed()
            self.end()
            return
        if self._said is not None or len(self._received) == LIMIT:
            self.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.stop()
        self._question.ended(*self._heard())

    def _expired(self) -> None:
        self._late = True
        self.end()

    def _heard(self) -> tuple[_Said, str]:
        what = self._question.what
        if self._said is _Said.TLS:
            return _Said.TLS, f"it answered {what} in TLS"
        if self._said is not None:
            return self._said, f"its answer to {what} is not what was asked for"
        if self._received:
            return _Said.UNCLEAR, f"its answer to {what} is too short or too strange to tell"
        if self._late:
            return _Said.NOTHING, f"it did not answer {what} in {self._question.timeout:g} s"
        return _Said.NOTHING, f"it answered {what} by closing the connection"
