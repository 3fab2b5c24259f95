"""What clients have sent, kept until no try can need it: one budget that sizes itself.

Decides how many bytes may wait or be kept for another try, and whose copies are given up first.
Invariant: bytes not yet sent to a server are never dropped; copies of sent bytes are, the largest
transaction's first, and that transaction then says why it cannot be replayed. Above the maximum only
one read for each transaction is accepted, so a drain always proceeds. Refuses to read or to write:
it tells its user to stop reading, and calls back when there is room.
"""

from __future__ import annotations

from collections.abc import Callable

from ..outcome import Replay
from ..settings import Storage as StorageSettings
from .figures import StorageFigures

_NOT_BY_CHOICE = (Replay.STORAGE_FULL, Replay.TOO_LARGE)


class Storage:
    """The budget of a process, in bytes; each transaction opens its own `Stored` in it."""

    __slots__ = ("_kept", "_waiting", "figures", "settings")

    def __init__(self, settings: StorageSettings, figures: StorageFigures | None = None) -> None:
        self.settings = settings
        self.figures = figures or StorageFigures(settings.initial, settings.maximum)
        self._kept: set[Stored] = set()
        self._waiting: list[Callable[[], None]] = []

    def open(self) -> Stored:
        """A transaction's own part of the storage, empty."""
        return Stored(self)

    @property
    def used(self) -> int:
        return self.figures.unsent + self.figures.replay

    @property
    def full(self) -> bool:
        """Unsent bytes alone fill the storage: whoever reads from a client must stop."""
        return self.figures.unsent >= self.settings.maximum

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, when the storage is no longer full."""
        self._waiting.append(resume)

    def _changed(self, unsent: int, replay: int) -> None:
        figures, settings = self.figures, self.settings
        figures.unsent += unsent
        figures.replay += replay
        used = figures.unsent + figures.replay
        if unsent + replay > 0:
            while used > settings.grow_above * figures.size and figures.size < settings.maximum:
                figures.size = min(settings.maximum, int(figures.size * settings.grow_by))
                figures.grown += 1
            while used > settings.maximum and self._kept:
                self._give_up_largest()
                used = figures.unsent + figures.replay
            return
        while used < settings.shrink_below * figures.size and figures.size > settings.minimum:
            figures.size = max(settings.minimum, int(figures.size * settings.shrink_by))
            figures.shrunk += 1
        if self._waiting and not self.full:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()

    def _give_up_largest(self) -> None:
        largest = max(self._kept, key=lambda stored: stored.replay_size)
        largest.give_up(Replay.STORAGE_FULL)


class Stored:
    """What one transaction's client has sent: in order, first unsent, then a copy for another try.

    `replay` is `REPLAYABLE` while everything received so far is still here.
    """

    __slots__ = ("_chunks", "_next", "_storage", "received", "replay", "replay_size", "unsent_size")

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._chunks: list[bytes] = []
        self._next = 0  # index of the first chunk that this try has not sent
        self.received = 0
        self.unsent_size = 0
        self.replay_size = 0
        self.replay = Replay.REPLAYABLE

    @property
    def over_share(self) -> bool:
        """More waits here unsent than one transaction may keep: stop reading its client."""
        return self.unsent_size >= self._storage.settings.per_transaction

    def append(self, data: bytes) -> None:
        """Keep `data` until `take` asks for it."""
        self._chunks.append(data)
        size = len(data)
        self.received += size
        self.unsent_size += size
        self._storage._changed(size, 0)

    def take(self) -> list[bytes]:
        """The chunks that this try has not sent; from now on they are copies for another try."""
        if not self.unsent_size:
            return []
        chunks = self._chunks[self._next :]
        size, self.unsent_size = self.unsent_size, 0
        if self.replay is not Replay.REPLAYABLE:
            self._chunks.clear()
            self._storage._changed(-size, 0)
            return chunks
        self._next = len(self._chunks)
        self.replay_size += size
        storage = self._storage
        storage._kept.add(self)
        storage.figures.unsent -= size
        storage.figures.replay += size
        if self.replay_size > storage.settings.per_transaction:
            self.give_up(Replay.TOO_LARGE)
        return chunks

    def rewind(self) -> None:
        """Another try begins: everything is unsent again. `ValueError` when not everything is here."""
        if self.unsent_size + self.replay_size != self.received:
            raise ValueError(f"cannot rewind: {self.replay.value}")
        size, self.replay_size = self.replay_size, 0
        self._next = 0
        self.unsent_size += size
        storage = self._storage
        storage._kept.discard(self)
        storage.figures.unsent += size
        storage.figures.replay -= size

    def give_up(self, reason: Replay) -> None:
        """Drop the copies of what was sent; unsent bytes stay. `reason` says why for ever after."""
        if self.replay is not Replay.REPLAYABLE:
            return
        self.replay = reason
        if reason in _NOT_BY_CHOICE:
            self._storage.figures.given_up += 1
        del self._chunks[: self._next]
        self._next = 0
        self._forget_copies()

    def close(self) -> None:
        """The transaction is over: nothing of it is kept."""
        unsent, self.unsent_size = self.unsent_size, 0
        self._chunks.clear()
        self._next = 0
        if unsent:
            self._storage._changed(-unsent, 0)
        self._forget_copies()

    def _forget_copies(self) -> None:
        size, self.replay_size = self.replay_size, 0
        if size:
            self._storage._kept.discard(self)
            self._storage._changed(0, -size)
