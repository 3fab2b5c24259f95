"""Places at servers and in pools with a limit, lent to workers: the parent's side.

Decides which worker may use how many of these places. Invariant: the places that are lent never are
more than there are, whoever dies or answers late: what a worker has been asked to give back is its own until
it says so. Each worker begins with an equal share; who needs more gets half of what nobody has; when there
is nothing left, the others are asked for what they do not use, and for one that has less than its share those
with more give up the rest as it comes free, so nobody starves. Refuses to send: it says what is to be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[str, str, str]  # pool, address of the server ("": the whole pool), "transactions" or "links"


@dataclass(frozen=True, slots=True)
class Grant:
    """Tell this worker that so many places more are its own."""

    worker: int
    key: Key
    places: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask this worker for places: what it has above `most`, and of the rest half of what it does not use."""

    worker: int
    key: Key
    most: int


Word = Grant | Recall


class Leases:
    """All limits of all servers and pools. A worker is known by a number that no other one ever has."""

    def __init__(self, limits: Mapping[Key, int], workers: int) -> None:
        self._servers = {key: _Places(key, total, workers) for key, total in limits.items()}

    def joined(self, worker: int) -> list[Word]:
        """A worker begins."""
        return [word for places in self._servers.values() for word in places.joined(worker)]

    def left(self, worker: int) -> list[Word]:
        """It is gone, with all that it did."""
        return [word for places in self._servers.values() for word in places.left(worker)]

    def need(self, worker: int, key: Key) -> list[Word]:
        """It has transactions for more places than it has."""
        return self._servers[key].need(worker) if key in self._servers else []

    def gave_back(self, worker: int, key: Key, places: int, *, asked: bool) -> list[Word]:
        """Places came back; `asked`: as the answer to a `Recall`."""
        return self._servers[key].gave_back(worker, places, asked)

    def lent(self, key: Key) -> Mapping[int, int]:
        """How many places each worker has."""
        return self._servers[key].lent


class _Places:
    """Those of one server, or of one pool."""

    def __init__(self, key: Key, total: int, workers: int) -> None:
        self._key = key
        self._total = total
        self._fair = max(1, total // workers)
        self.lent: dict[int, int] = {}
        self._needing: dict[int, None] = {}  # in the order in which they asked
        self._asked: set[int] = set()  # to give back, and have not answered

    def joined(self, worker: int) -> list[Word]:
        free = self._free()
        self.lent[worker] = share = min(self._fair, free)
        if share:
            return [Grant(worker, self._key, share)]
        return self.need(worker)

    def left(self, worker: int) -> list[Word]:
        self.lent.pop(worker, None)
        self._needing.pop(worker, None)
        self._asked.discard(worker)
        return self._serve()

    def need(self, worker: int) -> list[Word]:
        if worker not in self.lent:
            return []
        self._needing.setdefault(worker)
        return self._serve()

    def gave_back(self, worker: int, places: int, asked: bool) -> list[Word]:
        if asked:
            self._asked.discard(worker)
        if worker not in self.lent:
            return []
        self.lent[worker] -= places
        return self._serve() if places else []

    def _free(self) -> int:
        return self._total - sum(self.lent.values())

    def _serve(self) -> list[Word]:
        words: list[Word] = []
        for worker in sorted(self._needing, key=lambda worker: self.lent[worker] >= self._fair):
            free = self._free()
            if not free:
                break
            del self._needing[worker]
            places = -(-free // 2)
            self.lent[worker] += places
            words.append(Grant(worker, self._key, places))
        if self._needing:
            words += self._recalls()
        return words

    def _recalls(self) -> list[Word]:
        words: list[Word] = []
        starving = any(self.lent[worker] < self._fair for worker in self._needing)
        for worker, lent in self.lent.items():
            if worker in self._asked:
                continue
            if lent > self._fair and starving:
                most = self._fair
            elif lent > 1 and worker not in self._needing:
                most = lent  # only what it does not use
            else:
                continue
            self._asked.add(worker)
            words.append(Recall(worker, self._key, most))
        return words
