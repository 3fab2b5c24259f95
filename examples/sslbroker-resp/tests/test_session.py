"""What commands leave on a link."""

from __future__ import annotations

import pytest
from sslbroker_resp.commands import Command
from sslbroker_resp.session import Session

OK = b"+OK\r\n"
LAST = b"*2\r\n$1\r\n0\r\n*0\r\n"
MORE = b"*2\r\n$2\r\n17\r\n*0\r\n"


def command(line: str) -> Command:
    words = line.encode().split()
    return Command(words, len(words), 0)


def after(*did: tuple[str, bytes]) -> Session:
    """One exchange each; commands of one exchange are parted by `;`."""
    session = Session()
    for lines, answer in did:
        session.did([command(line) for line in lines.split(";")], answer)
    return session


@pytest.mark.parametrize(
    "did",
    [
        [("GET a", OK)],
        [("SET a b", OK)],
        [("EVAL x 0", OK)],
        [("CLIENT SETINFO LIB-NAME x", OK)],
        [("CLIENT LIST", OK)],
        [("MULTI", OK), ("GET a", OK), ("EXEC", b"*1\r\n")],
        [("MULTI;GET a;EXEC", OK)],
        [("MULTI", OK), ("DISCARD", OK)],
        [("WATCH a", OK), ("UNWATCH", OK)],
        [("WATCH a", OK), ("MULTI;GET a;EXEC", OK)],
        [("WATCH a", OK), ("MULTI", OK), ("UNWATCH", b"+QUEUED\r\n"), ("EXEC", OK)],
        [("SELECT 1", OK), ("MULTI", OK), ("RESET", b"+RESET\r\n")],
        [("SCAN 0", LAST)],
        [("SCAN 0", MORE), ("SCAN 17", LAST)],
        [("SCAN 0", b"-LOADING\r\n")],
        [("HSCAN h 0", MORE), ("SCAN 0", MORE), ("SCAN 17", LAST), ("HSCAN h 17", LAST)],
        [("SCAN 17", LAST)],
        [("HELLO", b"*14\r\n")],
        [("HELLO 3", b"%7\r\n")],
        [("EXEC", b"-ERR EXEC without MULTI\r\n")],
    ],
)
def test_nothing_is_left(did: list[tuple[str, bytes]]) -> None:
    assert not after(*did).held


@pytest.mark.parametrize(
    "did",
    [
        [("SELECT 1", OK)],
        [("AUTH a", b"-WRONGPASS\r\n")],
        [("CLIENT SETNAME a", OK)],
        [("CLIENT", OK)],
        [("HELLO 3 AUTH a b", b"%7\r\n")],
        [("FROBNICATE", OK)],
        [("MULTI", OK)],
        [("MULTI", OK), ("EXEC now", b"-ERR\r\n")],
        [("MULTI", OK), ("SELECT 1", b"+QUEUED\r\n"), ("EXEC", OK)],
        [("MULTI", OK), ("SCAN 0", b"+QUEUED\r\n"), ("EXEC", OK)],
        [("WATCH a", OK)],
        [("WATCH a", OK), ("EXEC", b"-ERR EXEC without MULTI\r\n")],
        [("WATCH a", OK), ("UNWATCH", b"-ERR\r\n")],
        [("SELECT 1", OK), ("RESET", b"-ERR unknown command\r\n")],
        [("SCAN 0", MORE)],
        [("SCAN 0", MORE), ("SSCAN s 0", LAST)],
    ],
)
def test_something_is_left(did: list[tuple[str, bytes]]) -> None:
    assert after(*did).held


@pytest.mark.parametrize(
    ("did", "version"),
    [
        ([("HELLO 3", b"%7\r\n")], 3),
        ([("HELLO 3", b"-NOPROTO\r\n")], 2),
        ([("HELLO 3", b"%7\r\n"), ("HELLO", b"%7\r\n")], 3),
        ([("HELLO 3", b"%7\r\n"), ("HELLO 2", b"*14\r\n")], 2),
        ([("HELLO 3", b"%7\r\n"), ("RESET", b"+RESET\r\n")], 2),
    ],
)
def test_the_version_is_remembered(did: list[tuple[str, bytes]], version: int) -> None:
    assert after(*did).version == version


def test_a_command_that_was_not_kept_whole_is_taken_for_the_worst() -> None:
    session = Session()
    session.did([Command([b"HELLO"], 9, 0)], b"%7\r\n")
    assert session.held
