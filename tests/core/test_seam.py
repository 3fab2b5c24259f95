"""A continuation is joined to what the client has had: exactly the rest, or nothing at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.seam import Seam
from sslbroker.errors import Mismatch
from sslbroker.outcome import Cause, Phase

CONTENT = st.binary(max_size=60)


def pieces(draw: st.DrawFn, content: bytes) -> list[bytes]:
    """The content in chunks of any sizes."""
    cuts = draw(st.lists(st.integers(0, len(content)), max_size=8).map(sorted))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if a < b]


@st.composite
def breaks(draw: st.DrawFn) -> tuple[bytes, int, int, int]:
    """A content, how much of it had passed, the tail's size, and what of it a continuation leaves out."""
    content = draw(CONTENT)
    passed = draw(st.integers(0, len(content)))
    tail = draw(st.integers(0, passed))
    return content, passed, tail, draw(st.integers(0, passed - tail))


def mismatch(seam: Seam, data: bytes) -> str:
    with pytest.raises(Mismatch) as caught:
        seam.feed(data)
    assert caught.value.final
    assert (caught.value.phase, caught.value.cause) == (Phase.RESUME, Cause.MISMATCH)
    return caught.value.detail


def fed(seam: Seam, chunks: list[bytes], got: list[bytes]) -> None:
    """Feed the chunks; what comes before a `Mismatch` stays in `got`."""
    for chunk in chunks:
        got.append(seam.feed(chunk))


# --- the rest, and nothing else ---------------------------------------------------------------


@given(breaks(), st.data(), st.booleans())
def test_any_break_and_any_chunks_give_exactly_the_rest(
    of: tuple[bytes, int, int, int], data: st.DataObject, told: bool
) -> None:
    content, passed, tail, begin = of
    left = len(content) - passed
    seam = Seam(passed - tail - begin, content[passed - tail : passed], left if told else None)
    got = b""
    came = begin
    for chunk in data.draw(st.composite(pieces)(content[begin:])):
        new = seam.feed(chunk)
        came += len(chunk)
        assert len(new) == max(0, min(len(chunk), came - passed))
        got += new
        assert seam.proved is (came >= passed)
        assert seam.whole is (told and came == len(content))
    assert got == content[passed:]


def test_a_chunk_that_is_wholly_new_is_the_same_object() -> None:
    seam = Seam(1, b"bc", 8)
    assert seam.feed(b"abc") == b""
    chunk = bytes(bytearray(b"defg"))
    assert seam.feed(chunk) is chunk


def test_what_is_dropped_is_not_kept() -> None:
    seam = Seam(3_000_000, b"t", 1)
    for _ in range(3):
        assert seam.feed(bytes(1_000_000)) == b""
        assert not seam.proved
    assert seam.feed(b"tn") == b"n"
    assert seam.whole


def test_skip_tail_and_new_bytes_may_come_in_one_chunk() -> None:
    seam = Seam(2, b"cd", 2)
    assert seam.feed(b"abcdef") == b"ef"
    assert seam.whole


def test_nothing_left_is_whole_when_the_tail_has_come() -> None:
    seam = Seam(0, b"cd", 0)
    assert not seam.whole
    assert seam.feed(b"c") == b""
    assert not seam.whole
    assert seam.feed(b"d") == b""
    assert seam.whole


def test_nothing_had_and_nothing_left_is_whole_at_once() -> None:
    seam = Seam(0, b"", 0)
    assert seam.proved
    assert seam.whole


def test_what_nobody_has_told_the_length_of_is_never_known_to_be_whole() -> None:
    seam = Seam(0, b"c", None)
    assert seam.feed(b"cdef") == b"def"
    assert seam.proved
    assert not seam.whole


# --- what is not that response ----------------------------------------------------------------


@given(breaks(), st.data())
def test_any_changed_byte_of_the_tail_is_found_before_a_byte_is_passed_on(
    of: tuple[bytes, int, int, int], data: st.DataObject
) -> None:
    content, passed, tail, begin = of
    if not tail:
        content, passed, tail, begin = b"a" + content, passed + 1, 1, begin
    at = data.draw(st.integers(passed - tail, passed - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    seam = Seam(passed - tail - begin, content[passed - tail : passed], len(content) - passed)
    chunks = data.draw(st.composite(pieces)(bytes(changed[begin:])))
    got: list[bytes] = []
    with pytest.raises(Mismatch):
        fed(seam, chunks, got)
    assert not any(got)


@given(breaks(), st.data(), st.binary(min_size=1, max_size=3))
def test_one_byte_too_many_is_found(
    of: tuple[bytes, int, int, int], data: st.DataObject, more: bytes
) -> None:
    content, passed, tail, begin = of
    seam = Seam(passed - tail - begin, content[passed - tail : passed], len(content) - passed)
    chunks = data.draw(st.composite(pieces)(content[begin:] + more))
    got: list[bytes] = []
    with pytest.raises(Mismatch):
        fed(seam, chunks, got)
    assert content[passed:].startswith(b"".join(got))


def test_the_detail_says_what_was_wrong() -> None:
    assert mismatch(Seam(0, b"ab", 4), b"aXcd") == "other bytes than those that the client had last"
    assert mismatch(Seam(0, b"ab", 1), b"abcd") == "more bytes than were left of the response"
