"""Content that can be fetched in parts: what a byte range of it is, and how it goes out.

Decides which part of a content a request gets (RFC 9110 §13 and §14: conditional requests and
ranges). Invariant: one content has one strong validator, and its bytes are the same from every
server, so what one server began another can finish; sending costs one block of memory, however long
the content. Refuses several ranges at once: those get the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, shake_128
from typing import Final, Protocol

BLOCK: Final = 64 * 1024
"""Bytes that are made and written at a time."""

MAXIMUM_NOISE: Final = 1024 * 1024 * 1024  # bytes

_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class Content(Protocol):
    """Bytes with a type and a strong validator."""

    @property
    def length(self) -> int:
        """Bytes in all."""

    @property
    def kind(self) -> bytes:
        """The value of Content-Type."""

    @property
    def etag(self) -> bytes:
        """The value of ETag, in its quotes."""

    def read(self, start: int, stop: int) -> bytes:
        """At least one byte from `start`, none from `stop` on, at most a block."""


class Fixed:
    """Bytes that are in memory."""

    def __init__(self, data: bytes, kind: bytes) -> None:
        self.data = data
        self.kind = kind
        self.length = len(data)
        self.etag = b'"%s"' % sha256(data).hexdigest()[:32].encode()

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start : min(stop, start + BLOCK)]


@lru_cache(maxsize=16)
def _noise(block: int) -> bytes:
    return shake_128(b"sslbroker demo %d" % block).digest(BLOCK)


class Noise:
    """The first `length` bytes of an endless, reproducible noise: each block is SHAKE128 of its number."""

    kind = b"application/octet-stream"

    def __init__(self, length: int) -> None:
        """`ValueError` when `length` is not 0 to `MAXIMUM_NOISE` bytes."""
        if not 0 <= length <= MAXIMUM_NOISE:
            raise ValueError(f"found {length} bytes, expected 0 to {MAXIMUM_NOISE}")
        self.length = length
        self.etag = b'"noise-%d"' % length

    def read(self, start: int, stop: int) -> bytes:
        block, offset = divmod(start, BLOCK)
        return _noise(block)[offset : offset + stop - start]


@dataclass(frozen=True, slots=True)
class Part:
    """What a request gets: bytes `start` to `stop` of the content, under `status`."""

    status: int
    start: int
    stop: int


def choose_part(
    content: Content,
    *,
    none_match: bytes | None = None,
    byte_range: bytes | None = None,
    if_range: bytes | None = None,
) -> Part:
    """What a GET with these header values gets: 200 whole, 206 a part, 304 or 416 nothing."""
    if none_match is not None and _matches(none_match, content.etag):
        return Part(304, 0, 0)
    whole = Part(200, 0, content.length)
    if byte_range is None or (if_range is not None and if_range != content.etag):
        return whole
    found = _RANGE.fullmatch(byte_range)
    if found is None or found.group(1) == found.group(2) == b"":
        return whole  # several ranges, another unit, or nonsense: RFC 9110 §14.2 lets us ignore it
    first, last = found.groups()
    if not first:
        start, stop = max(0, content.length - int(last)), content.length
    else:
        start = int(first)
        stop = min(int(last) + 1, content.length) if last else content.length
        if last and int(last) < start:
            return whole  # not a valid range (RFC 9110 §14.1.1)
    if start >= content.length:
        return Part(416, 0, 0)
    return Part(206, start, stop)


def _matches(listed: bytes, etag: bytes) -> bool:
    """Is it in the list of If-None-Match, by weak comparison (RFC 9110 §13.1.2)?"""
    tags = [tag.strip().removeprefix(b"W/") for tag in listed.split(b",")]
    return b"*" in tags or etag in tags
