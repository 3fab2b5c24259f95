"""The ways in which a demo server can be broken, and how each one looks to whoever asks it.

Decides what a broken server does with a request. Invariant: the trouble at the moment when a request
is whole is the trouble it gets; what began before goes on. `CUT` breaks an answer off in its middle
only where another server can finish it (a strong ETag, RFC 9110 §8.8); any other answer is dropped
before its first byte, after its work was done. Refuses to know what the answers are about.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol, cast

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from .answers import AnsweringRequest
from .channel import Channel, Tunnel

CUT_AT_MOST: Final = 256 * 1024
"""Bytes of content after which a cut answer breaks off, if its half is not reached sooner."""


class Trouble(Enum):
    NONE = "none"
    STATUS_500 = "status-500"  # every request is answered 500
    SILENCE = "silence"  # requests are read and never answered
    SLOW = "slow"  # every answer comes late
    CUT = "cut"  # answers break off
    DEAD = "dead"  # connections are reset, new ones refused


class Troubled(Protocol):
    """What a request needs to know of its server."""

    name: str
    clock: IReactorTime
    slowness: float
    patience: float
    silent: set[TroubledRequest]

    @property
    def trouble(self) -> Trouble: ...


class TroubledRequest(AnsweringRequest):
    """A request that suffers its server's trouble."""

    _cutting = False
    _room: int | None = None  # bytes of content until the cut; None: no cut
    _gone = False

    @property
    def server(self) -> Troubled:
        return cast(Troubled, self._connection.site)

    @property
    def _connection(self) -> Channel:
        return cast(Channel, self.channel)

    def process(self) -> None:
        server = self.server
        self.setHeader(b"Served-By", server.name.encode())
        # Pages read it too: a script sees the timing of its own page, but not its headers.
        self.setHeader(b"Server-Timing", b"served-by;desc=" + server.name.encode())
        if server.trouble is Trouble.STATUS_500:
            self.answer_error(500, f"{server.name} was told to answer 500 to everything")
        elif server.trouble is Trouble.SILENCE:
            server.silent.add(self)
            self.notifyFinish().addErrback(lambda _: server.silent.discard(self))
        elif server.trouble is Trouble.SLOW:
            late = server.clock.callLater(server.slowness, super().process)

            def forget(_: Failure) -> None:
                if late.active():
                    late.cancel()

            self.notifyFinish().addErrback(forget)
        else:
            self._cutting = server.trouble is Trouble.CUT
            super().process()

    def hang_up(self) -> None:
        """End the connection at once, without an answer."""
        self._gone = True
        self._connection.abort()

    def become(self, tunnel: Tunnel, fields: list[tuple[str, str]]) -> None:
        """Make the connection a WebSocket (RFC 6455 §4.2.2), with these further fields in the answer."""
        if self._cutting:
            self.hang_up()
            return
        upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Served-By", self.server.name)]
        self._connection.become(tunnel, [*upgrade, *fields])

    def write(self, data: bytes) -> None:
        if self._gone:
            return
        if self._cutting and not self.startedWriting:
            self._room = self._bytes_before_cut()
            if not self._room:
                self.hang_up()
                return
        if self._room is None:
            super().write(data)
            return
        super().write(data[: self._room])
        self._room -= len(data)
        if self._room <= 0:
            self._break_off()

    def finish(self) -> None:
        if not self.startedWriting:
            self.write(b"")
        if not self._gone:
            super().finish()

    def _bytes_before_cut(self) -> int:
        if self.method != b"GET" or not self.responseHeaders.hasHeader(b"ETag"):
            return 0
        length = int(self.responseHeaders.getRawHeaders(b"Content-Length", [b"0"])[0])
        return min(length // 2, CUT_AT_MOST)

    def _break_off(self) -> None:
        """What was written still goes out; then the connection ends, too soon."""
        self._gone = True
        if self.producer is not None:
            self.producer.stopProducing()
            self.unregisterProducer()
        self.loseConnection()
