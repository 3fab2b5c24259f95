"""The laws of codecs: every cut, every end, damage and floods; and that nothing can be smuggled."""

from __future__ import annotations

import random

import pytest
from made import agreeable, commands_of
from sslbroker_resp import RESP
from sslbroker_resp.reader import Reader

from sslbroker.interfaces import Head, Origin
from sslbroker.testkit import Kit, mutated

REQUESTS = [
    b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nb\r\n\r\nGET 'a b'\n",
    b"MULTI\r\nSET a 1\r\nEXEC\r\nWATCH a\r\nPING\r\n",
    b"MULTI\r\nGET a\r\nSELECT 1\r\nEXEC\r\n",
    b"HELLO 3\r\nCLIENT SETINFO LIB-NAME x\r\nSCAN 0\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$120\r\n" + b"x" * 120 + b"\r\nGET a\r\n",
    b"GET a\r\nSUBSCRIBE a\r\nraw",
    b"PING\r\nQUIT\r\nPING\r\n",
]
ANSWERS = [
    (b"GET a\r\n", b"$3\r\nabc\r\n"),
    (b"GET a\r\nGET b\r\n", b"-LOADING x\r\n+OK\r\n"),
    (b"MULTI\r\nGET a\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n*1\r\n*2\r\n:1\r\n,1.5\r\n"),
    (b"HELLO 3\r\n", b"%1\r\n+a\r\n|1\r\n+b\r\n_\r\n#t\r\n"),
    (b"SUBSCRIBE a\r\n", b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\nraw"),
    (b"SCAN 0\r\n", b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
]


@pytest.fixture(scope="module")
def kit() -> Kit:
    return Kit(RESP(), head_size=100, bound=66_000, meaning=commands_of, answer=agreeable)


def test_it_is_whole(kit: Kit) -> None:
    kit.check_whole()


@pytest.mark.parametrize("data", REQUESTS)
def test_commands_are_the_same_however_they_are_cut(kit: Kit, data: bytes) -> None:
    assert kit.check_requests(data)


@pytest.mark.parametrize(("request_", "data"), ANSWERS)
def test_answers_are_the_same_however_they_are_cut(kit: Kit, request_: bytes, data: bytes) -> None:
    kit.check_answers(request_, data)
    kit.check_answers(request_, data, end=True)


def test_what_a_server_and_a_client_are_sent(kit: Kit) -> None:
    written = b"*2\r\n$3\r\nget\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"
    kit.check_exchange(b"get a\r\nGET 'b'\nSET a 1\r\n", written, b"$-1\r\n:1\r\n", b"$-1\r\n:1\r\n")
    kit.check_exchange(b"MONITOR\r\n", b"*1\r\n$7\r\nMONITOR\r\n", b"+OK\r\nany", b"+OK\r\nany")


def test_whatever_a_peer_does(kit: Kit) -> None:
    kit.check_hostile(REQUESTS, ANSWERS)


def test_what_is_written_is_read_as_the_same_commands() -> None:
    """Damaged or not: a server that reads as this reader does sees what the broker judged, and no more."""
    chance = random.Random(2)
    kit = Kit(RESP(), answer=agreeable)
    seen = 0
    for number in range(2000):
        data = mutated(chance.choice(REQUESTS), chance) if number >= len(REQUESTS) else REQUESTS[number]
        for event in kit.requests([data]):
            if isinstance(event, Head) and event.message.commands[-1].whole:
                link = kit.protocol.server_codec(100, 1)
                to_server = kit.rules.to_server(event.message, Origin("192.0.2.1"), "a:1", False)
                to_server.version = 2
                out = link.send(Head(link.open(), to_server))
                reader = Reader(1 << 20)
                reader.feed(out)
                assert [reader.next() for _ in to_server.commands] == event.message.commands
                assert reader.held() == 0
                seen += 1
    assert seen > 1000
