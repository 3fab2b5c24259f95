"""A secure listener with nothing behind it, to look at its TLS from outside.

    python tests/real/tls_server.py PORT [CERTIFICATE…]

Answers every request head with 200 and a short page, and closes. Without certificates it makes an
ECDSA and an RSA one. Prints "ready PORT" when it listens (of port 0, which one it got), and ends when
its standard input closes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import protocol, stdio, task
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sslbroker.net import certificates, tls
from sslbroker.net.ports import bind
from sslbroker.net.transports import transports
from sslbroker.settings import ListenerTLS

PAGE = b"hello\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\n" + PAGE
)
HEAD_LIMIT = 32 * 1024


class OneAnswer(protocol.Protocol):
    """One request, one answer."""

    received = b""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.received += data
        whole = b"\r\n\r\n" in self.received
        if whole:
            self.transport.write(ANSWER)
        if whole or len(self.received) > HEAD_LIMIT:
            self.transport.loseConnection()


class UntilClosed(protocol.Protocol):
    """Standard input; whoever started the script ends it by closing that."""

    def __init__(self, closed: Deferred[None]) -> None:
        self.closed = closed

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.closed.callback(None)


async def serve(reactor: Any, port: int, paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        if not paths:
            for kind in ("ecdsa", "rsa"):
                made = certificates.throwaway(["localhost", "127.0.0.1"], key=kind)
                Path(directory, f"{kind}.pem").write_bytes(made)
            paths = [directory]
        contexts = tls.ListenerContexts(ListenerTLS(tuple(Path(path) for path in paths)))
    for warning in contexts.warnings:
        print(warning, flush=True)
    carried = transports(os.environ.get("SSLBROKER_TRANSPORT", "own"), reactor)
    bound = bind(f"tcp:{port}:interface=127.0.0.1")
    bound.listen(carried, protocol.Factory.forProtocol(OneAnswer), contexts)
    print(f"ready {bound.port}", flush=True)
    closed: Deferred[None] = Deferred()
    stdio.StandardIO(UntilClosed(closed), reactor=reactor)
    await closed


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(serve(reactor, int(sys.argv[1]), sys.argv[2:])))
