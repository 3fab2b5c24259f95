"""A forked process begins its reactor again, and the other one's goes on."""

from __future__ import annotations

import os
import select
import socket

import pytest
from twisted.internet import asyncioreactor, epollreactor, pollreactor, selectreactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from sslbroker.workers.fresh import renew

REACTORS = {
    "epoll": epollreactor.EPollReactor,
    "poll": pollreactor.PollReactor,
    "select": selectreactor.SelectReactor,
    "asyncio": asyncioreactor.AsyncioSelectorReactor,
}


def in_child(pipe: int, reactor: PosixReactorBase) -> None:
    """What a worker does: renew, listen, serve one client, end."""
    renew(reactor)
    assert not reactor.getDelayedCalls()
    one, other = socket.socketpair()
    one.setblocking(False)

    class Answer(Protocol):
        def dataReceived(self, data: bytes) -> None:
            os.write(pipe, data)
            reactor.stop()

    reactor.adoptStreamConnection(one.fileno(), socket.AF_UNIX, Factory.forProtocol(Answer))
    reactor.callLater(0, other.send, b"served")
    reactor.run(installSignalHandlers=False)


@pytest.mark.parametrize("name", REACTORS)
def test_a_reactor_that_waits_is_begun_again_in_the_child_and_goes_on_in_the_parent(name: str) -> None:
    reactor = REACTORS[name]()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    heard: list[bytes] = []

    class Hear(Protocol):
        def dataReceived(self, data: bytes) -> None:
            heard.append(data)
            reactor.stop()

    reading, writing = os.pipe()

    def fork() -> None:
        pid = os.fork()
        if not pid:
            try:
                in_child(writing, reactor)
            finally:
                os._exit(0)
        ready, _, _ = select.select([reading], [], [], 10.0)
        heard.append(os.read(reading, 100) if ready else b"nothing")
        os.waitpid(pid, 0)
        theirs.send(b"and goes on")

    reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Factory.forProtocol(Hear))
    reactor.callLater(5.0, heard.append, b"late")
    reactor.callLater(0, fork)
    reactor.callLater(4.0, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert heard == [b"served", b"and goes on"]
    # The child's end of the parent's connection is closed: the parent alone decides when it ends.
    theirs.setblocking(False)
    ours.close()
    for reader in reactor.removeAll():
        reader.connectionLost(Failure(ConnectionError()))
    assert theirs.recv(10) == b""
    for descriptor in (reading, writing):
        os.close(descriptor)
    theirs.close()
