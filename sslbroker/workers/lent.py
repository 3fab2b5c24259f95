"""Places at servers with a limit, lent to workers: a worker's side.

Decides what a worker gives back when the parent asks for it, and when it asks for more. Invariant: a place in
use is never given back; of those that it has, a worker keeps one for itself, so that it goes on, if slowly.
Refuses to know which other worker needs the places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from ..core.members import LINKS, TRANSACTIONS, Member
from .leases import Key

#: Seconds between two questions for more places at the same server: the first one may be on its way.
PATIENCE = 0.05


class _Links(Protocol):
    """The links to a member (`net.links.Links`)."""

    member: Member

    def trim(self) -> None: ...


def limits(member: Member) -> dict[str, int]:
    """The limits that the configuration gives this server, by kind."""
    settings = member.settings
    both = {TRANSACTIONS: settings.maximum_transactions, LINKS: settings.maximum_links}
    return {kind: limit for kind, limit in both.items() if limit}


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
        for name, pool in pools.items():
            for links in pool.links.values():
                member = links.member
                for kind in limits(member):
                    key = (name, member.address, kind)
                    self._leases[key] = Lease(links, kind, clock, partial(need, key))
                    member.lacking = partial(self._lacking, name, member.address)
                    pool.places.settle = self._settle

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
    """The places of one kind that this worker has at one server."""

    def __init__(self, links: _Links, kind: str, clock: Any, need: Callable[[], None]) -> None:
        self._links = links
        self._member = links.member
        self._transactions = kind == TRANSACTIONS
        self._clock = clock
        self._need = need
        self._asked = float("-inf")
        self._held = 0  # as the parent knows
        self._limit = 0  # of them, those that may be used
        self._apply()

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
        self._apply()

    def recalled(self, most: int) -> int:
        """Others need places: what is above `most`, and half of what is below and not used, may not be used
        any more. How many are given back at once."""
        used, limit = self._used(), min(self._limit, most)
        if used < limit:
            limit = used + (limit - used) // 2
        self._limit = min(self._limit, max(1, limit))
        self._apply()
        return self.freed()

    def freed(self) -> int:
        """How many of those that are to be given back are in use no longer, and go now."""
        places = max(0, self._held - max(self._limit, self._used()))
        self._held -= places
        return places

    def _used(self) -> int:
        figures = self._member.figures
        return figures.outstanding if self._transactions else figures.links

    def _apply(self) -> None:
        if self._transactions:
            self._member.most_transactions = self._limit
        else:
            self._member.most_links = self._limit
            self._links.trim()
