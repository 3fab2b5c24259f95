"""A client who has no answer in time gives up, whatever it waits for."""

from __future__ import annotations

import socket

import pytest

from bench.connecting import Target
from bench.faults.conversation import Conversation, Request, watch
from bench.faults.seen import Seen
from bench.turns import Loop, Turns


def asked(port: int) -> Seen:
    """What one client saw that waits a twentieth of a second."""
    loop, seen, done = Loop(), Seen(), []
    conversation = Conversation(Target(port, "", None), seen, 0.0, 0.05)

    def one() -> Turns:
        yield from conversation.ask(Request("/", b"GET / HTTP/1.1\r\n\r\n", ""))
        done.append(True)

    loop.start(one())
    watch(loop, [conversation], lambda: not done)
    loop.run()
    assert conversation.sock is conversation.calling is None
    return seen


@pytest.mark.parametrize("others", [0, 3])
def test_a_proxy_that_is_silent_or_takes_no_more_connections_is_given_up(others: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        there = [socket.socket() for _ in range(others)]
        for each in there:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        seen = asked(listening.getsockname()[1])
        for each in there:
            each.close()
    assert [failure.kind for failure in seen.failed] == ["timeout"]


def test_a_connection_that_is_refused_is_a_failure_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert [failure.kind for failure in asked(port).failed] == ["refused"]
