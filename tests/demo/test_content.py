"""Byte ranges and validators."""

from __future__ import annotations

import hashlib

import pytest

from sslbroker.demo.content import BLOCK, Content, Fixed, Noise, Part, choose_part


def read_all(content: Content, start: int, stop: int) -> bytes:
    parts = []
    while start < stop:
        part = content.read(start, stop)
        assert 0 < len(part) <= BLOCK
        parts.append(part)
        start += len(part)
    return b"".join(parts)


CONTENT = Fixed(b"0123456789", b"text/plain")
ETAG = CONTENT.etag


@pytest.mark.parametrize(
    ("byte_range", "part"),
    [
        (None, Part(200, 0, 10)),
        (b"bytes=0-3", Part(206, 0, 4)),
        (b"bytes=4-", Part(206, 4, 10)),
        (b"bytes=-3", Part(206, 7, 10)),
        (b"bytes=-30", Part(206, 0, 10)),
        (b"bytes=9-9", Part(206, 9, 10)),
        (b"bytes=5-999", Part(206, 5, 10)),
        (b"Bytes=0-0", Part(206, 0, 1)),
        (b"bytes=10-", Part(416, 0, 0)),
        (b"bytes=-0", Part(416, 0, 0)),
        (b"bytes=5-4", Part(200, 0, 10)),
        (b"bytes=-", Part(200, 0, 10)),
        (b"bytes=0-1,3-4", Part(200, 0, 10)),
        (b"lines=0-1", Part(200, 0, 10)),
        (b"bytes=" + b"9" * 5000 + b"-", Part(200, 0, 10)),
    ],
)
def test_a_range_gets_its_part(byte_range: bytes | None, part: Part) -> None:
    assert choose_part(CONTENT, byte_range=byte_range) == part


@pytest.mark.parametrize(
    ("if_range", "status"),
    [(ETAG, 206), (b'"other"', 200), (b"W/" + ETAG, 200), (b"Sun, 06 Nov 1994 08:49:37 GMT", 200)],
)
def test_a_range_of_another_version_gets_the_whole(if_range: bytes, status: int) -> None:
    assert choose_part(CONTENT, byte_range=b"bytes=0-1", if_range=if_range).status == status


@pytest.mark.parametrize(
    ("none_match", "status"),
    [(ETAG, 304), (b"W/" + ETAG, 304), (b'"a", ' + ETAG, 304), (b"*", 304), (b'"a"', 200)],
)
def test_a_client_that_has_it_gets_nothing(none_match: bytes, status: int) -> None:
    assert choose_part(CONTENT, none_match=none_match).status == status


def test_noise_is_the_same_from_every_place() -> None:
    noise = Noise(3 * BLOCK)
    whole = read_all(noise, 0, noise.length)
    for start, stop in (
        (0, 1),
        (BLOCK - 1, BLOCK + 1),
        (100, 2 * BLOCK + 7),
        (noise.length - 1, noise.length),
    ):
        assert read_all(noise, start, stop) == whole[start:stop]


def test_noise_does_not_depend_on_its_length_or_the_run() -> None:
    assert read_all(Noise(100), 0, 100) == read_all(Noise(100_000), 0, 100)
    assert hashlib.sha256(read_all(Noise(100), 0, 100)).hexdigest()[:16] == "0b18f5e61ebe6110"


def test_noise_of_two_places_differs() -> None:
    noise = Noise(2 * BLOCK)
    assert noise.read(0, BLOCK) != noise.read(BLOCK, 2 * BLOCK)


def test_noise_of_different_lengths_has_different_validators() -> None:
    assert Noise(1).etag != Noise(2).etag


@pytest.mark.parametrize("length", [-1, 1024**3 + 1])
def test_noise_is_bounded(length: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to"):
        Noise(length)


def test_fixed_content_is_read_in_blocks() -> None:
    data = bytes(range(256)) * 1000
    assert read_all(Fixed(data, b"x"), 10, 200_000) == data[10:200_000]
