"""Where a response that broke off goes on: what another server sends, joined to what the client has had.

Decides which bytes of a continuation are new to the client. Invariant: not a byte is given before all that
the client had last, and that was kept, has come once more and the same; and never more than was left.
Refuses to know why it is believed that the two belong together, to keep what it drops, and to say whether
a continuation has ended: who hears its end asks whether it was `whole`.
"""

from __future__ import annotations

from ..errors import Mismatch


class Seam:
    """The content of one continuation, in the order in which it comes. After a `Mismatch` it is of no use."""

    __slots__ = ("_left", "_skip", "_tail")

    def __init__(self, skip: int, tail: bytes, left: int | None) -> None:
        """First come `skip` bytes that the client has had, then `tail`, which it had last, then `left` new
        ones; None: nobody has said how many."""
        self._skip = skip
        self._tail = memoryview(tail)  # what of it is still to come
        self._left = left

    def feed(self, data: bytes) -> bytes:
        """What of `data` the client has not had; b"" while there is nothing new in it.

        `Mismatch`, and nothing of `data` may go to the client, when it is not what the client had, or is more
        than was left. It is final: the validator was the same, so it proves nothing.
        """
        if self._skip or self._tail:
            data = self._compared(data)
        left = self._left
        if left is not None:
            left -= len(data)
            if left < 0:
                raise Mismatch("more bytes than were left of the response", final=True)
            self._left = left
        return data

    def _compared(self, data: bytes) -> bytes:
        """What comes after the tail."""
        size = len(data)
        at = min(self._skip, size)
        self._skip -= at
        tail = self._tail
        end = min(at + len(tail), size)
        if memoryview(data)[at:end] != tail[: end - at]:
            raise Mismatch("other bytes than those that the client had last", final=True)
        self._tail = tail[end - at :]
        return data[end:]

    @property
    def proved(self) -> bool:
        """All that the client had had of it has come."""
        return not self._skip and not self._tail

    @property
    def whole(self) -> bool:
        """All that was left has come; never so when nobody has said how much that is."""
        return self._left == 0 and self.proved
