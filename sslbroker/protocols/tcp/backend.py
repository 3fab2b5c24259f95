"""Streams as a backend protocol: ``protocol = "tcp"``.

Decides what a stream answers to the broker's questions. Invariant: bytes of a client reach one server only,
unless the operator says with ``failover.replay`` that a second one may have them. Refuses to look into the
bytes: TLS, databases and chats are the same to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from ...errors import BrokerError
from ...interfaces import (
    End,
    Event,
    IAnswerTimes,
    IBackendProtocol,
    IExchangeRules,
    IResponseClassifier,
    Origin,
)
from ...outcome import Cause, Replay
from ...settings import Pool
from .codec import Stream, StreamCodec


@implementer(IExchangeRules, IAnswerTimes)
class StreamRules:
    """The answers for one pool."""

    __slots__ = ("_replay",)

    def __init__(self, pool: Pool) -> None:
        self._replay = Replay.REPLAYABLE if pool.failover.replay else Replay.STREAM

    def admit(self, request: Stream, origin: Origin) -> BrokerError | None:
        """Every stream is carried."""
        return None

    def origin(self, request: Stream, origin: Origin) -> Origin:
        """Nobody tells of another client within a stream."""
        return origin

    def replay(self, request: Stream) -> Replay:
        """Not once a byte has been written to a server, unless the operator says so (spec §6)."""
        return self._replay

    def hedgeable(self, request: Stream) -> bool:
        """Never: two servers would do the same."""
        return False

    def affinity(self, request: Stream) -> bytes | None:
        """A stream has no key but its client's address."""
        return None

    def go_ahead_wait(self, request: Stream) -> float:
        """0: a stream waits for nobody."""
        return 0.0

    def answer_within(self, request: Stream) -> float:
        """0: a server may be silent as long as ``limits.tunnel`` allows."""
        return 0.0

    def to_server(self, request: Stream, origin: Origin, address: str, secure_link: bool) -> Stream:
        """There is nothing to rewrite."""
        return Stream()

    def to_client(self, response: Stream, request: Stream, origin: Origin) -> Stream:
        """There is nothing to rewrite."""
        return Stream()

    def error_answer(self, error: BrokerError, request: Stream | None, exchange: int) -> Sequence[Event]:
        """An end for a server that ended in good order without a byte; for all else no words, but a cut."""
        return (End(exchange),) if error.cause is Cause.EMPTY else ()

    def log_fields(self, request: Stream | None, response: Stream | None) -> Mapping[str, object]:
        """A stream has no fields of its own."""
        return {}


@implementer(IResponseClassifier)
class StreamClassifier:
    """Whatever a server says is an answer."""

    def failing(self, response: Stream) -> bool:
        """Never."""
        return False

    def status(self, response: Stream) -> int:
        """0: streams have none."""
        return 0


@implementer(IBackendProtocol)
class TCPProtocol:
    """Any stream, over TLS or plain on either side."""

    name = "tcp"
    alpn: Sequence[bytes] = ()
    server_first = True

    def client_codec(self, head_size: int, headers: int) -> StreamCodec:
        """A stream has no head, so the limits of heads mean nothing."""
        return StreamCodec(client=True)

    def server_codec(self, head_size: int, headers: int) -> StreamCodec:
        """A stream has no head, so the limits of heads mean nothing."""
        return StreamCodec(client=False)

    def rules(self, pool: Pool, broker_name: str) -> StreamRules:
        """The answers for one pool."""
        return StreamRules(pool)

    def classifier(self, pool: Pool) -> StreamClassifier:
        """Which answers fail: none."""
        return StreamClassifier()


TCP = TCPProtocol()
