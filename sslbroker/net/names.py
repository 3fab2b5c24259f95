"""The names of servers while the broker runs: looked up, kept, refreshed before they expire.

Decides which addresses a name has now, when it is looked up again, and for how long old addresses are used
while nobody answers (RFC 8767). Invariant: after its first lookup a name has either addresses or a problem;
one lookup at most is under way for it, however many watch it. Refuses to ask anybody itself (`lookup` does),
and to know what its watchers do with an address.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain, zip_longest
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import settings
from ..core.networks import place
from .lookup import Answer, Lookup, LookupFailed, NoSuchName

#: Addresses of one name that are used; what is beyond is not looked at.
MOST_ADDRESSES = 64

#: "There is no such name" in so many lookups in a row is believed, and empties the name.
BELIEVED_GONE = 3

#: Seconds for which addresses that have expired are used while no lookup succeeds (RFC 8767 §5: 1 to 3 days).
STALE_TIME = 86_400.0

#: Seconds to the next lookup after a failed one: doubled from the first to the longest.
FIRST_WAIT, DOUBLINGS, LONGEST_WAIT = 1.0, 5, 30.0

_log = Logger("sslbroker.names")


def literal(host: str) -> str | None:
    """The host as an address, when it is one and needs no lookup."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


class Names:
    """All names that somebody watches, each once."""

    def __init__(
        self,
        settings: settings.Names,
        reactor: Any,
        *,
        lookup: Callable[[str], Deferred[Answer]] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`lookup` fails with `NoSuchName` or `LookupFailed`; None: the hosts file, then DNS."""
        self.settings = settings
        self.clock = reactor
        self.lookup = Lookup(settings, reactor) if lookup is None else lookup
        self.jitter = jitter
        self._names: dict[str, Name] = {}

    def watch(self, host: str, changed: Callable[[Name], None]) -> Name:
        """The name, looked up from now on; `changed` is called when its addresses or problem changed.

        Not from within: what is known now, the name that is returned says. It may open sockets, so a
        process that is going to fork watches later.
        """
        key = host.lower()
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = Name(self, host)
            name.begin()
        name.watchers.append(changed)
        return name

    def forget(self, name: Name) -> None:
        """Nobody watches the name any more."""
        if self._names.get(name.host.lower()) is name:
            del self._names[name.host.lower()]
        name.end()

    def stop(self) -> None:
        """No lookup is under way or to come; who waits for a first one is told of no addresses."""
        for name in list(self._names.values()):
            self.forget(name)


class Name:
    """One host and what is known of it. Times are seconds of the reactor's clock."""

    __slots__ = (
        "_asking",
        "_ended",
        "_expires",
        "_failures",
        "_gone",
        "_names",
        "_timer",
        "_waiting",
        "_whole",
        "addresses",
        "host",
        "problem",
        "stale",
        "watchers",
    )

    def __init__(self, names: Names, host: str) -> None:
        self.host = host
        #: As text, IPv6 without brackets; families alternate, since either may be cut off (RFC 8305 §4), and
        #: each is sorted, so that a server of DNS that turns its answers round changes nothing here.
        self.addresses: tuple[str, ...] = ()
        self.problem = ""  # why there are no addresses, for people
        self.stale = ""  # why the addresses could not be refreshed, for people
        self.watchers: list[Callable[[Name], None]] = []
        self._names = names
        self._waiting: list[Deferred[tuple[str, ...]]] = []
        self._asking: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._failures = 0  # lookups in a row without an address
        self._gone = 0  # of them those that said: no such name
        self._expires = 0.0
        self._whole = 0.0  # when the last answer for both kinds of address expires
        self._ended = False

    def ready(self) -> Deferred[tuple[str, ...]]:
        """The addresses, () when there is a problem: when the first lookup is over. May be cancelled."""
        if self.addresses or self.problem:
            return succeed(self.addresses)
        waiting: Deferred[tuple[str, ...]] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def has(self, address: str) -> bool:
        """Is this one of the addresses? A connection tells its own in the kernel's spelling, which is another
        than Python's for some of IPv6."""
        return address in self.addresses or place(address) in map(place, self.addresses)

    def unwatch(self, changed: Callable[[Name], None]) -> None:
        """`changed` is called no more; a name that nobody watches is forgotten. May be done twice."""
        if changed in self.watchers:
            self.watchers.remove(changed)
            if not self.watchers:
                self._names.forget(self)

    # --- for Names alone ---

    def begin(self) -> None:
        address = literal(self.host)
        if address is None:
            self._look_up()
        else:
            self.addresses = (address,)

    def end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asking.cancel()
        if not self.addresses and not self.problem:
            self._tell((), problem="it is not looked up any more")

    # --- one lookup after the other ---

    def _look_up(self) -> None:
        self._timer = None
        self._asking = asking = maybeDeferred(self._names.lookup, self.host)
        asking.addCallback(self._answered).addErrback(self._failed)
        asking.addErrback(lambda failure: _log.failure("looking up {host}", failure, host=self.host))

    def _answered(self, answer: Answer) -> None:
        addresses = arranged(answer.addresses)
        if not addresses:
            raise NoSuchName(f"{self.host} has no address that can be called")
        self._asking = None
        if self._ended:
            return
        settings, now = self._names.settings, self._names.clock.seconds()
        lifetime = min(max(answer.ttl, settings.minimum), settings.maximum)
        self._failures = self._gone = 0
        self._expires = now + lifetime
        if answer.whole:
            self._whole = self._expires
        elif now < self._whole + STALE_TIME:
            addresses = arranged((*addresses, *self._of_other_kinds(addresses)))
        self._again(lifetime * (0.8 + 0.15 * self._names.jitter()))
        self._tell(addresses)

    def _of_other_kinds(self, addresses: tuple[str, ...]) -> list[str]:
        kinds = {":" in address for address in addresses}
        return [address for address in self.addresses if (":" in address) not in kinds]

    def _failed(self, failure: Failure) -> None:
        self._asking = None
        if self._ended:
            return
        if failure.check(NoSuchName, LookupFailed):
            why = failure.getErrorMessage()
        else:
            _log.failure("looking up {host}", failure, host=self.host)
            why = f"the lookup broke: {failure.getErrorMessage()}"
        if failure.check(NoSuchName):
            self._gone += 1
        wait = min(FIRST_WAIT * 2 ** min(self._failures, DOUBLINGS), LONGEST_WAIT)
        self._failures += 1
        self._again(wait * (0.8 + 0.2 * self._names.jitter()))
        too_old = self._names.clock.seconds() >= self._expires + STALE_TIME
        if self._gone >= BELIEVED_GONE or too_old or not self.addresses:
            self._tell((), problem=why)
        else:
            self._tell(self.addresses, stale=why)

    def _again(self, seconds: float) -> None:
        self._timer = self._names.clock.callLater(seconds, self._look_up)

    def _tell(self, addresses: tuple[str, ...], *, problem: str = "", stale: str = "") -> None:
        """The one place where what is known of the name changes."""
        before = (self.addresses, self.problem)
        was, now = (bool(self.problem), bool(self.stale)), (bool(problem), bool(stale))
        self.addresses, self.problem, self.stale = addresses, problem, stale
        if was != now and not self._ended:
            self._say()
        if not self._ended and (addresses, problem) != before:
            self._tell_watchers()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(addresses)

    def _tell_watchers(self) -> None:
        for watcher in list(self.watchers):
            if watcher in self.watchers:  # one of the others may have taken it away
                try:
                    watcher(self)
                except Exception:
                    _log.failure("telling what {host} is now", host=self.host)

    def _say(self) -> None:
        if self.problem:
            _log.warn("{host} does not resolve: {why}", host=self.host, why=self.problem)
        elif self.stale:
            _log.warn("{host} keeps its old addresses: {why}", host=self.host, why=self.stale)
        else:
            _log.info("{host} resolves again", host=self.host)


def arranged(addresses: Iterable[str]) -> tuple[str, ...]:
    """What can be called of these, in a steady order; what is no address of one host is left out."""
    found = {address for text in addresses if (address := _callable(text)) is not None}
    six = sorted(address for address in found if isinstance(address, IPv6Address))
    four = sorted(address for address in found if isinstance(address, IPv4Address))
    mixed = chain.from_iterable(zip_longest(six, four))
    return tuple(str(address) for address in mixed if address is not None)[:MOST_ADDRESSES]


def _callable(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if address.is_unspecified or address.is_multicast else address
