"""What the servers of `auto` speak, found out by one process for all.

Decides that a server is asked once, however many want to know: who asks meanwhile gets the same answer, and
for a second afterwards. Invariant: a finding is pinned before anybody hears of it, and every worker is told
to look at the pins before the one who asked has its answer; so none goes on with plain links to a server of
which another knows that it speaks TLS. Refuses to know how a server is asked, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ..net.pins import Finding, Pins
from ..net.probing import Found

#: Seconds for which an answer is given again.
FRESH = 1.0

Key = tuple[str, str]  # pool, address of the server


class Findings:
    """The one process that probes. From its making on the pools of this process ask here, too."""

    def __init__(
        self, pools: Mapping[str, Any], pins: Pins, clock: Any, told: Callable[[str, str], None]
    ) -> None:
        """`told` is called with pool and address when something was pinned."""
        self._pins = pins
        self._clock = clock
        self._told = told
        self._probes: dict[Key, Callable[[], Deferred[Found]]] = {}
        self._probing: dict[Key, Deferred[Found]] = {}
        self._waiting: dict[Key, list[Deferred[Found]]] = {}
        self._known: dict[Key, tuple[float, Found]] = {}  # until when, and what
        for name, pool in pools.items():
            for links in pool.links.values():
                key = (name, links.member.address)
                self._probes[key] = links.mode.probe
                links.mode.probe = partial(self.find, *key)

    def find(self, pool: str, server: str) -> Deferred[Found]:
        """What the server speaks now; may be cancelled."""
        key = (pool, server)
        until, found = self._known.get(key, (float("-inf"), None))
        if found is not None and self._clock.seconds() < until:
            return succeed(found)
        waiting: Deferred[Found] = Deferred(lambda _: self._waiting[key].remove(waiting))
        self._waiting.setdefault(key, []).append(waiting)
        if key not in self._probing:
            probing = self._probing[key] = self._probes[key]()
            probing.addErrback(_mistaken).addCallback(self._found, key, probing)
        return waiting

    def forget(self, pool: str, server: str) -> None:
        """The operator's word: what was found, or is being found, does not count any more."""
        key = (pool, server)
        self._known.pop(key, None)
        probing = self._probing.pop(key, None)
        if probing is not None:
            probing.cancel()
            self._answer(key, Found(Finding.UNKNOWN, "what was known of it was cleared"))

    def stop(self) -> None:
        """Nobody is asked any more."""
        for probing in list(self._probing.values()):
            probing.cancel()

    def _found(self, found: Found, key: Key, probing: Deferred[Found]) -> None:
        if self._probing.get(key) is not probing:
            return  # forgotten
        del self._probing[key]
        self._known[key] = (self._clock.seconds() + FRESH, found)
        if found.finding is not Finding.UNKNOWN:
            before = self._pins.get(*key)
            if self._pins.set(*key, found.finding) is not before:
                self._told(*key)
        self._answer(key, found)

    def _answer(self, key: Key, found: Found) -> None:
        for waiting in self._waiting.pop(key, []):
            waiting.callback(found)


def _mistaken(failure: Failure) -> Found:
    return Found(Finding.UNKNOWN, f"it could not be asked: {failure.getErrorMessage()}")
