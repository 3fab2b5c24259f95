"""When two runs mean the same, and how it is told that they do not."""

from __future__ import annotations

import pytest

from sslbroker.errors import FramingError
from sslbroker.interfaces import Body, Error, Head
from sslbroker.testkit.meaning import joined, plain, same, show


def test_bodies_are_joined() -> None:
    assert joined([Body(1, b"a"), Body(1, b"b"), Body(2, b"c")]) == [Body(1, b"ab"), Body(2, b"c")]


def test_messages_without_equality_are_compared_by_their_attributes() -> None:
    class Slots:
        __slots__ = ("size", "text")

        def __init__(self, text: str) -> None:
            self.text = text

    assert plain([Head(1, Slots("a"))]) == plain([Head(1, Slots("a"))])
    assert plain([Head(1, Slots("a"))]) != plain([Head(1, Slots("b"))])
    assert plain([Error(1, FramingError("a"))]) == plain([Error(1, FramingError("b"))])


def test_a_difference_is_told_with_what_was_fed() -> None:
    same([1], [1], [b"a"])
    with pytest.raises(AssertionError, match=r"fed b'a' \| b'b'\ncame     2\nexpected 1"):
        same(1, 2, [b"a", b"b"])


def test_what_is_long_is_cut() -> None:
    assert len(show([b"a" * 10_000])) < 1000
