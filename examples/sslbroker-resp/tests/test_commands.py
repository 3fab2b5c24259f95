"""What is known of commands: their keys, their own time limits, their kinds."""

from __future__ import annotations

import pytest
from sslbroker_resp.commands import Command, Kind, first_key, hash_tag, keys_of, waits


def command(line: str, missing: int = 0) -> Command:
    words = line.encode().split()
    return Command(words, len(words) + missing, 0)


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("PING", []),
        ("GET a", [b"a"]),
        ("GET", []),
        ("get a", [b"a"]),
        ("MGET a b c", [b"a", b"b", b"c"]),
        ("MSET a 1 b 2", [b"a", b"b"]),
        ("DEL a b", [b"a", b"b"]),
        ("RENAME a b", [b"a", b"b"]),
        ("BITOP AND d a b", [b"d", b"a", b"b"]),
        ("OBJECT ENCODING a", [b"a"]),
        ("BLPOP a b 0", [b"a", b"b"]),
        ("BLMOVE a b LEFT RIGHT 0", [b"a", b"b"]),
        ("BLMPOP 0 2 a b LEFT", [b"a", b"b"]),
        ("EVAL x 2 a b c", [b"a", b"b"]),
        ("EVAL x 0", []),
        ("ZUNION 2 a b", [b"a", b"b"]),
        ("ZUNIONSTORE d 2 a b", [b"d", b"a", b"b"]),
        ("XREAD COUNT 2 STREAMS a b 0 0", [b"a", b"b"]),
        ("XREADGROUP GROUP g c STREAMS a >", [b"a"]),
    ],
)
def test_keys(line: str, keys: list[bytes]) -> None:
    assert keys_of(command(line)) == keys
    assert first_key(command(line)) == (keys[0] if keys else None)


@pytest.mark.parametrize("line", ["FROBNICATE a", "EVAL x many", "EVAL x 9 a", "XREAD STREAMS"[:5]])
def test_keys_that_cannot_be_told(line: str) -> None:
    assert keys_of(command(line)) is None


def test_keys_of_a_command_that_was_not_kept_whole() -> None:
    assert keys_of(command("MSET a 1", 100)) is None
    assert keys_of(command("SET a", 1)) == [b"a"]
    assert keys_of(command("XREAD STREAMS a", 100)) is None


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        (b"a", b"a"),
        (b"{a}b", b"a"),
        (b"x{a}{b}", b"a"),
        (b"{}a", b"{}a"),
        (b"{a", b"{a"),
        (b"a{{b}}", b"{b"),
    ],
)
def test_hash_tags(key: bytes, tag: bytes) -> None:
    assert hash_tag(key) == tag


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("GET a", None),
        ("BLPOP a 1.5", 1.5),
        ("BLPOP a 0", 0.0),
        ("BLPOP a soon", None),
        ("BLPOP a -1", None),
        ("BLPOP a inf", None),
        ("BLPOP", None),
        ("BZMPOP 2 1 a MIN", 2.0),
        ("WAIT 1 1500", 1.5),
        ("WAIT 1", None),
        ("WAITAOF 1 0 2000", 2.0),
        ("XREAD BLOCK 500 STREAMS a $", 0.5),
        ("XREAD STREAMS a 0", None),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS a >", 0.0),
        ("XREAD BLOCK", None),
    ],
)
def test_how_long_a_command_waits(line: str, seconds: float | None) -> None:
    assert waits(command(line)) == seconds


def test_a_limit_that_was_not_kept_is_none() -> None:
    assert waits(command("BLPOP a b", 5000)) == 0.0
    assert waits(command("BLMPOP 3 2 a", 1)) == 3.0


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("GET a", Kind.READ),
        ("SET a b", Kind.WRITE),
        ("XREAD STREAMS a 0", Kind.READ),
        ("XREAD BLOCK 0 STREAMS a 0", Kind.BLOCK),
        ("CLIENT SETINFO LIB-NAME x", Kind.OWN),
        ("CLIENT REPLY OFF", Kind.REFUSED),
        ("CLIENT TRACKING ON", Kind.STREAM),
        ("CLIENT ID", Kind.ALONE),
        ("JSON.GET a", Kind.ALONE),
        ("SUBSCRIBE a", Kind.STREAM),
        ("QUIT", Kind.LAST),
    ],
)
def test_kinds(line: str, kind: Kind) -> None:
    assert command(line).spec.kind is kind


def test_commands_are_compared_and_shown() -> None:
    assert command("GET a") == command("GET a")
    assert command("GET a") != command("GET a", 1)
    assert repr(command("GET a", 1)) == "Command([b'GET', b'a'] of 3)"
    assert repr(command("GET a")) == "Command([b'GET', b'a'])"
