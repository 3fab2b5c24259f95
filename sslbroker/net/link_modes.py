"""What the links to one server are now, plain or secure, and how that becomes known when it is `auto`.

Decides when a server is probed, and what a finding changes. Invariant: in `auto` a server is barred while
no probe finds out what it speaks, and from TLS, be it of a probe or of a link in any mode, nothing leads to
plain but the operator, who clears the pin or says `false`. An operator's word about a server that is in use
does not bar it: links are made as before until the probe that follows is over. Refuses to know how a probe is
done and how links are made.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ..core.jitter import jittered
from ..core.members import Member
from .pins import Finding, Pins
from .probing import Found

_log = Logger("sslbroker.links")

#: The word of this bar of a member.
BAR = "link-unknown"

#: Seconds from one probe to the next, at first; doubled each time, up to what follows.
FIRST = 1.0
LONGEST_UNKNOWN = 30.0
LONGEST_PLAIN = 60.0

#: The part of it by which each of these times is shorter or longer at random, at most.
JITTER = 0.25

#: Seconds after which another worker's finding, or a pin that was cleared, is seen, and after which a plain
#: server is asked anew before a link is made to it.
LOOK = 5.0

_LINES = {
    Finding.TLS: (
        LogLevel.info,
        "pool {pool}: server {server} speaks TLS: links to it are secure from now on, and never plain again "
        "({detail})",
    ),
    Finding.PLAIN: (
        LogLevel.warn,
        "pool {pool}: server {server} speaks no TLS: links to it are plain, until it does ({detail})",
    ),
    Finding.UNKNOWN: (
        LogLevel.warn,
        "pool {pool}: server {server} is not used until it is known what it speaks: {detail}",
    ),
}

_PINNED = "as it is pinned"

_SECURE = {Finding.TLS: True, Finding.PLAIN: False, Finding.UNKNOWN: None}


class LinkMode:
    """The mode of the links to one server of a pool, and what it comes to."""

    def __init__(
        self,
        pool: str,
        member: Member,
        mode: bool | str,
        pins: Pins,
        probe: Callable[[], Deferred[Found]],
        clock: Any,
        changed: Callable[[], None],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`changed` is called after each change of `secure`; `jitter` gives numbers from 0 to 1."""
        self.mode = mode  # the operator's: False, True or "auto"
        self.finding = Finding.UNKNOWN  # of the server; followed in "auto" only
        self.detail = ""  # for people: why that is the finding
        self._pool = pool
        self._member = member
        self._pins = pins
        self.probe = probe  # how the server is asked
        self._clock = clock
        self._changed = changed
        self._jitter = jitter
        self._running = False
        self._probing: Deferred[Found] | None = None
        self._next: IDelayedCall | None = None
        self._due = self._wait = 0.0  # when the next probe is, and how long after it another one
        self._stale = 0.0  # from when on what was found out should not be relied on for a new link
        self._as_before: bool | None = None  # what links are until the probe after a change is over
        self._told = False  # the log has said why the server is still unknown
        self._take(*self._pinned())
        self.secure = self._means()  # what links are made as now; None: the server is barred

    # --- what a pool calls ---

    def start(self) -> None:
        """Begin to probe where that is needed: at once, unless TLS is pinned."""
        self._running = True
        self._begin()

    def stop(self) -> None:
        """Nothing is left in the reactor, and nothing changes any more."""
        self._running = False
        self._pause()

    def set_mode(self, mode: bool | str) -> None:
        """The operator's word, at any time; the next link follows it."""
        self.mode = mode
        self._forget()
        self._hold(*self._pinned())
        self._begin()

    def clear_pin(self) -> None:
        """The operator's word that the server may have become plain: what was found out is forgotten."""
        self._pins.clear(self._pool, self._member.address)
        self.cleared()

    def cleared(self) -> None:
        """The pin was cleared, here or in the process that others belong to."""
        self._forget()
        self._hold(Finding.UNKNOWN, "what was known of it was cleared")
        self._begin()

    def look(self) -> None:
        """Another process may have found something out: see it now, and not at the next look."""
        if self._running and self.mode == "auto":
            self._tick_in(0.0)

    def spoke_tls(self) -> None:
        """The server has proved who it is on a link: whatever the mode, it has spoken TLS."""
        if self.finding is not Finding.TLS:
            self._hold(self._pins.set(self._pool, self._member.address, Finding.TLS), "a link was secure")

    def called(self) -> None:
        """The next link is about to be made. A server that has learned TLS closes the links of before, and
        may have answers for plain requests that are no failures (nginx: 400), so it is asked again now."""
        if self._running and self.mode == "auto" and self.finding is Finding.PLAIN and self._probing is None:
            now = self._clock.seconds()
            if now >= self._stale:
                self._due = now
                self._tick_in(0.0)

    # --- what holds ---

    def _pinned(self) -> tuple[Finding, str]:
        pinned = self._pins.get(self._pool, self._member.address)
        return (pinned, _PINNED) if pinned else (Finding.UNKNOWN, "not found out yet")

    def _means(self) -> bool | None:
        if self.mode != "auto":
            return bool(self.mode)
        found = _SECURE[self.finding]
        return self._as_before if found is None else found

    def _forget(self) -> None:
        """What was known holds no more by the operator's word: until it is known anew, links are as now."""
        self._as_before = self.secure if self._running else None

    def _take(self, finding: Finding, detail: str) -> None:
        self.finding, self.detail = finding, detail
        if finding is not Finding.UNKNOWN:
            self._as_before = None
        if self._means() is None:
            self._member.bar(BAR, detail)
        else:
            self._member.unbar(BAR, self._clock.seconds())

    def _hold(self, finding: Finding, detail: str) -> None:
        """From now on this holds of the server."""
        news = finding is not self.finding
        self._take(finding, detail)
        asking = finding is Finding.UNKNOWN and self._as_before is not None  # its answer will be told
        if news and self.mode == "auto" and not asking:
            self._tell()
        if self.secure is not (secure := self._means()):
            self.secure = secure
            self._changed()

    def _tell(self) -> None:
        level, line = _LINES[self.finding]
        _log.emit(level, line, pool=self._pool, server=self._member.address, detail=self.detail)

    # --- when it is asked ---

    def _begin(self) -> None:
        """The mode or what holds is another: ask at once, if the answer matters."""
        self._pause()
        self._wait, self._due = FIRST, self._clock.seconds()
        if not self._running:
            return
        if self.mode == "auto":
            self._tick()
        elif not self.mode and self._pinned()[0] is Finding.TLS:
            _log.warn(
                "pool {pool}: links to server {server} are plain, though it speaks TLS: the operator says so",
                pool=self._pool,
                server=self._member.address,
            )

    def _pause(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._probing is not None:
            probing, self._probing = self._probing, None
            probing.cancel()

    def _tick(self) -> None:
        """Look what other workers have found out, and ask when it is time."""
        self._next = None
        pinned, detail = self._pinned()
        if pinned is not self.finding:
            self._forget()
            self._hold(pinned, detail)
            self._begin()
            return
        if self.finding is Finding.TLS or self._probing is not None:
            self._tick_in(LOOK)
        elif (left := self._due - self._clock.seconds()) > 0:
            self._tick_in(min(left, LOOK))
        else:
            self._tick_in(LOOK)
            self._ask()

    def _tick_in(self, seconds: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._clock.callLater(seconds, self._tick)

    def _ask(self) -> None:
        probing = self._probing = maybeDeferred(self.probe)
        probing.addErrback(self._mistaken, probing).addCallback(self._asked, probing)

    def _mistaken(self, failure: Failure, probing: Deferred[Found]) -> Found:
        if self._probing is probing:
            _log.failure("A probe of server {server} failed", failure, server=self._member.address)
        return Found(Finding.UNKNOWN, "the probe ended by a mistake of the broker: see the log")

    def _asked(self, found: Found, probing: Deferred[Found]) -> None:
        if self._probing is not probing:
            return  # given up
        self._probing = self._as_before = None
        finding, detail = found.finding, found.detail
        if finding is not Finding.UNKNOWN:
            finding = self._pins.set(self._pool, self._member.address, finding)
            if finding is not found.finding:
                detail = _PINNED
        elif self.finding is Finding.PLAIN:  # it is down, or busy: that is no reason to doubt
            finding, detail = self.finding, self.detail
        if finding is not self.finding:
            self._wait = FIRST
        longest = LONGEST_UNKNOWN if finding is Finding.UNKNOWN else LONGEST_PLAIN
        now = self._clock.seconds()
        self._stale = now + (FIRST if found.finding is Finding.UNKNOWN else LOOK)
        self._due = now + jittered(self._wait, JITTER, self._jitter())
        self._wait = min(2 * self._wait, longest)
        self._tick_in(min(self._due - now, LOOK))
        self._hold(finding, detail)
        if finding is Finding.UNKNOWN and not self._told:
            self._tell()
        self._told = finding is Finding.UNKNOWN
