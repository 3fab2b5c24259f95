"""What clients have sent, kept until no try can need it: one budget that sizes itself.

Decides how many bytes may wait or be kept for another try, and whose copies are given up first.
Invariant: bytes not yet sent to a server are never dropped; copies of sent bytes are, but only when
all would exceed the maximum, the largest transaction's first, and that transaction then says why it
cannot be replayed. Above the maximum only one read for each transaction is accepted, so a drain always
proceeds. Refuses to read or to write: it tells its user to stop reading, and calls back when there is
room. It calls back last in an operation, so whoever is called may use any part of the storage.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from ..outcome import Replay
from ..settings import KiB
from ..settings import Storage as StorageSettings
from .figures import StorageFigures

#: Neighbours are joined up to this size, in bytes. A client that sends single bytes would otherwise make
#: objects worth fifty times what is counted; as it is, any two neighbours hold more than this.
JOINED = 4 * KiB

_REPLAYABLE = Replay.REPLAYABLE
_NOT_BY_CHOICE = (Replay.STORAGE_FULL, Replay.TOO_LARGE)


class Storage:
    """The budget of a process, in bytes; each transaction opens its own `Stored` in it."""

    __slots__ = ("_kept", "_ranked", "_resuming", "_waiting", "figures", "settings")

    def __init__(self, settings: StorageSettings, figures: StorageFigures | None = None) -> None:
        self.settings = settings
        self.figures = figures or StorageFigures(settings.initial, settings.maximum)
        self._kept: set[Stored] = set()  # who has copies
        self._waiting: dict[Stored, Callable[[], None]] = {}
        self._resuming = False
        # While copies are being given up: who has them, the largest first. An entry whose size is no
        # longer right is passed over; there is always one that is right.
        self._ranked: list[tuple[int, int, Stored]] | None = None

    def open(self) -> Stored:
        """A transaction's own part of the storage, empty."""
        return Stored(self)

    @property
    def used(self) -> int:
        """Bytes, unsent and copies."""
        return self.figures.unsent + self.figures.replay

    @property
    def full(self) -> bool:
        """Unsent bytes alone fill the storage: whoever reads from a client must stop."""
        return self.figures.unsent >= self.settings.maximum

    # --- what a Stored tells ---

    def _make_room(self) -> None:
        """Bytes have come, or have become copies: grow while that helps, then give up copies."""
        figures, settings = self.figures, self.settings
        used, maximum = figures.unsent + figures.replay, settings.maximum
        while figures.size < maximum and used > settings.grow_above * figures.size:
            # By one byte at least: a factor near 1 must not stand still.
            figures.size = min(maximum, max(figures.size + 1, int(figures.size * settings.grow_by)))
            figures.grown += 1
        while self._kept and figures.unsent + figures.replay > maximum:
            self._largest()._give_up(Replay.STORAGE_FULL)

    def _eased(self) -> None:
        """Bytes have left: shrink, and call those who wait. Comes last."""
        figures, settings = self.figures, self.settings
        used = figures.unsent + figures.replay
        while figures.size > settings.minimum and used < settings.shrink_below * figures.size:
            smaller = max(settings.minimum, int(figures.size * settings.shrink_by))
            if used > settings.grow_above * smaller:
                break  # it would have to grow at once
            figures.size = smaller
            figures.shrunk += 1
            self._ranked = None
        if self._waiting:
            self._resume()

    def _resume(self) -> None:
        """Unsent bytes are fewer: call those who wait, while there is room. Comes last."""
        if self._resuming:
            return  # not by recursion: each callback that frees something would call the next one
        self._resuming = True
        try:
            while self._waiting and not self.full:
                resume = self._waiting.pop(next(iter(self._waiting)))
                resume()
        finally:
            self._resuming = False

    def _keeps(self, stored: Stored) -> None:
        """`stored` has copies now, or more of them."""
        self._kept.add(stored)
        ranked = self._ranked
        if ranked is not None:
            if len(ranked) > 2 * len(self._kept) + 64:
                self._ranked = None  # mostly outdated: made anew when it is needed
            else:
                heappush(ranked, (-stored.replay_size, id(stored), stored))

    def _largest(self) -> Stored:
        """Who has the most copies. A ranking, since a search through all for each would take O(n²)."""
        ranked = self._ranked
        if ranked is None:
            ranked = self._ranked = [(-stored.replay_size, id(stored), stored) for stored in self._kept]
            heapify(ranked)
        while True:
            size, _, stored = heappop(ranked)
            if stored.replay_size == -size:
                return stored


class Stored:
    """What one transaction's client has sent: in order, copies of what was sent, then the unsent.

    `replay` is `REPLAYABLE` while everything received so far is still here. Sizes are bytes.
    """

    __slots__ = (
        "_copies",
        "_storage",
        "_unsent",
        "closed",
        "received",
        "replay",
        "replay_size",
        "unsent_size",
    )

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._copies: list[bytes] = []
        self._unsent: list[bytes] = []
        self.received = 0
        self.unsent_size = 0
        self.replay_size = 0
        self.replay = _REPLAYABLE
        self.closed = False

    @property
    def over_share(self) -> bool:
        """More waits here unsent than one transaction may keep: stop reading its client."""
        return self.unsent_size >= self._storage.settings.per_transaction

    def append(self, data: bytes) -> None:
        """Keep `data` until `take` asks for it. `ValueError` when closed: nothing would ever free it."""
        if self.closed:
            raise ValueError("append to the storage of a transaction that is over")
        size = len(data)
        if not size:
            return  # an empty chunk would be read as the end of a chunked body
        self.received += size
        self.unsent_size += size
        _add(self._unsent, data)
        storage = self._storage
        figures = storage.figures
        figures.unsent += size
        if figures.unsent + figures.replay > storage.settings.grow_above * figures.size:
            storage._make_room()

    def take(self) -> list[bytes]:
        """The chunks that this try has not sent; from now on they are copies for another try.

        Ends a wait for room: whoever takes reads on, but only after it has sent what it took.
        """
        chunks = self._unsent
        if not chunks:
            return []
        self._unsent = []
        size, self.unsent_size = self.unsent_size, 0
        storage = self._storage
        figures = storage.figures
        figures.unsent -= size
        if storage._waiting:
            storage._waiting.pop(self, None)
        if self.replay is _REPLAYABLE and self.replay_size + size <= storage.settings.per_transaction:
            for chunk in chunks:
                _add(self._copies, chunk)
            self.replay_size += size
            figures.replay += size
            storage._keeps(self)
            if figures.unsent + figures.replay > storage.settings.maximum:
                storage._make_room()
            if storage._waiting:
                storage._resume()
        else:
            if self.replay is _REPLAYABLE:
                self._give_up(Replay.TOO_LARGE)
            storage._eased()
        return chunks

    def rewind(self) -> None:
        """Another try begins: everything is unsent again. `ValueError` when not everything is here."""
        size = self.replay_size
        if self.unsent_size + size != self.received:
            raise ValueError(f"cannot rewind: {self.replay.value}")
        if not size:
            return
        self.replay_size = 0
        self.unsent_size += size
        self._unsent = self._copies + self._unsent
        self._copies = []
        storage = self._storage
        storage._kept.discard(self)
        storage.figures.unsent += size
        storage.figures.replay -= size

    def give_up(self, reason: Replay) -> None:
        """Drop the copies of what was sent; unsent bytes stay. The first `reason` holds for ever after."""
        if self.replay is _REPLAYABLE:
            had = self.replay_size
            self._give_up(reason)
            if had:
                self._storage._eased()

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, when the storage is not full (at once, if it is not).

        A later call replaces an earlier one; `take` and `close` end the wait. `resume` must not raise.
        """
        storage = self._storage
        if not storage.full:
            resume()
        elif not self.closed:
            storage._waiting[self] = resume

    def close(self) -> None:
        """The transaction is over: nothing of it is kept. Again: nothing happens."""
        self.closed = True
        storage = self._storage
        if storage._waiting:
            storage._waiting.pop(self, None)
        unsent = self.unsent_size
        if not unsent and not self.replay_size:
            return
        self.unsent_size = 0
        if unsent:
            self._unsent = []
            storage.figures.unsent -= unsent
        if self.replay_size:
            self._drop_copies()
        storage._eased()

    def _give_up(self, reason: Replay) -> None:
        self.replay = reason
        if reason in _NOT_BY_CHOICE:
            self._storage.figures.given_up += 1
        if self.replay_size:
            self._drop_copies()

    def _drop_copies(self) -> None:
        self._copies = []
        storage = self._storage
        storage._kept.discard(self)
        storage.figures.replay -= self.replay_size
        self.replay_size = 0


def _add(chunks: list[bytes], data: bytes) -> None:
    """Append `data`, joined to the last of `chunks` when both are small."""
    if chunks and len(chunks[-1]) + len(data) <= JOINED:
        chunks[-1] += data
    else:
        chunks.append(data)
