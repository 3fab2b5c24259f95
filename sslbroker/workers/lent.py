"""Places at servers and in pools with a limit, lent to workers: a worker's side.

Decides what a worker gives back when the parent asks for it, and when it asks for more. Invariant: a place in
use is never given back; of those that it has, a worker keeps one for itself, so that it goes on, if slowly.
Refuses to know which other worker needs the places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ..core.members import LINKS, TRANSACTIONS, Member
from ..core.pool_limit import PoolLimit
from .leases import Key

#: Seconds between two questions for more places at the same server: the first one may be on its way.
PATIENCE = 0.05


#: In a key, in place of a server's address: the whole pool.
ALL_SERVERS = ""


class Limit:
    """How many there may be of something. A worker has a part of that."""

    def __init__(
        self,
        key: Key,
        total: int,
        of: Member | PoolLimit,
        used: Callable[[], int],
        allow: Callable[[int], None],
    ) -> None:
        self.key = key
        self.total = total
        self.of = of  # who tells that it lacks places
        self.used = used  # how many there are
        self.allow = allow  # so many there may be


def limits(pools: Mapping[str, Any]) -> Iterator[Limit]:
    """All limits of these pools (`net.pool`) and of their servers, as the configuration gives them."""
    for name, pool in pools.items():
        if pool.limit is not None:
            yield _of_pool((name, ALL_SERVERS, TRANSACTIONS), pool.limit)
        for links in pool.links.values():
            member = links.member
            settings = member.settings
            if settings.maximum_transactions:
                yield _of_transactions((name, member.address, TRANSACTIONS), member)
            if settings.maximum_links:
                yield _of_links((name, member.address, LINKS), links)


def _of_pool(key: Key, limit: PoolLimit) -> Limit:
    def allow(most: int) -> None:
        limit.most = most

    return Limit(key, limit.total, limit, lambda: limit.outstanding, allow)


def _of_transactions(key: Key, member: Member) -> Limit:
    def allow(most: int) -> None:
        member.most_transactions = most

    return Limit(key, member.settings.maximum_transactions, member, lambda: member.outstanding, allow)


def _of_links(key: Key, links: Any) -> Limit:
    member = links.member

    def allow(most: int) -> None:
        member.most_links = most
        links.trim()

    return Limit(key, member.settings.maximum_links, member, lambda: member.figures.links, allow)


class Lent:
    """All places that are lent to this worker. From its making on none is there before it is granted."""

    def __init__(
        self,
        pools: Mapping[str, Any],
        clock: Any,
        need: Callable[[Key], None],
        give_back: Callable[[Key, int], None],
    ) -> None:
        """`pools` are those of `net.pool`; `need` and `give_back` tell the parent."""
        self._pools = pools
        self._give_back = give_back
        self._leases: dict[Key, Lease] = {}
        self._owing: set[Key] = set()  # those that have more than they may use
        for limit in limits(pools):
            pool, address, _ = limit.key
            self._leases[limit.key] = Lease(limit, clock, partial(need, limit.key))
            limit.of.lacking = partial(self._lacking, pool, address)
            pools[pool].places.settle = self._settle

    def granted(self, key: Key, places: int) -> None:
        """So many more."""
        self._leases[key].granted(places)
        self._owing.discard(key)
        self._pools[key[0]].places.freed()

    def recalled(self, key: Key, most: int) -> int:
        """Others need places; how many are given back at once."""
        lease = self._leases[key]
        places = lease.recalled(most)
        if lease.owing:
            self._owing.add(key)
        return places

    def _lacking(self, pool: str, address: str, kind: str) -> None:
        self._leases[pool, address, kind].lacking()

    def _settle(self) -> None:
        """Places may have come free: those that others wait for go back."""
        for key in list(self._owing):  # as a rule there are none
            lease = self._leases[key]
            if places := lease.freed():
                self._give_back(key, places)
            if not lease.owing:
                self._owing.discard(key)


class Lease:
    """The places of one kind that this worker has, at one server or in one pool."""

    def __init__(self, limit: Limit, clock: Any, need: Callable[[], None]) -> None:
        self._of = limit
        self._clock = clock
        self._need = need
        self._asked = float("-inf")
        self._held = 0  # as the parent knows
        self._limit = 0  # of them, those that may be used
        self._of.allow(self._limit)

    @property
    def owing(self) -> bool:
        """It has places in use that are to be given back."""
        return self._held > self._limit

    def lacking(self) -> None:
        """A transaction found no place."""
        now = self._clock.seconds()
        if now - self._asked >= PATIENCE:
            self._asked = now
            self._need()

    def granted(self, places: int) -> None:
        """So many more."""
        self._held += places
        self._limit = self._held
        self._asked = float("-inf")
        self._of.allow(self._limit)

    def recalled(self, most: int) -> int:
        """Others need places: what is above `most`, and half of what is below and not used, may not be used
        any more. How many are given back at once."""
        used, limit = self._of.used(), min(self._limit, most)
        if used < limit:
            limit = used + (limit - used) // 2
        self._limit = min(self._limit, max(1, limit))
        self._of.allow(self._limit)
        return self.freed()

    def freed(self) -> int:
        """How many of those that are to be given back are in use no longer, and go now."""
        places = max(0, self._held - max(self._limit, self._of.used()))
        self._held -= places
        return places
