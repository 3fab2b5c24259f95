"""Which servers of a pool are left out for a while, because of what their tries came to.

Decides when failures in a row eject a server and for how long, when a failing answer is held against the
server that gave it, and whether a server that asks to rest may. Invariant: no more than the set share of the
pool is out at once, ejected and resting together; each ejection in a row is longer than the one before, up to
a limit; nothing counts that the client, the request or the broker can have caused. Refuses timers (whoever
calls asks `due`, and calls `tick` then), to choose among those that are left, and whether a server can be
reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from ..outcome import Cause, Replay
from ..settings import Ejection
from .attempt import Attempt
from .members import EJECTED, RESTING, Member

#: Seconds of the longest ejection, unless `ejection.base` is longer.
LONGEST_EJECTION = 300.0

#: Seconds that a server may rest because its answer asked for it.
LONGEST_REST = 30.0

_OK, _STATUS, _FINAL = Cause.OK, Cause.STATUS, Replay.FINAL

#: What several tries that were under way together suffer at once when their server dies.
_ENDED = frozenset((Cause.BROKEN, Cause.EMPTY, Cause.TRUNCATED))

#: Failures of a server; status is one only when it is blamed (`judged`). A refused link is a fact of its own,
#: a stale one nobody's fault.
_FAILURES = _ENDED | {Cause.MALFORMED, Cause.SILENT, Cause.CONNECT_TIMEOUT, Cause.TLS_FAILED}

#: How a try can end that a server had the request of.
_TELLING = _ENDED | {_OK, _STATUS, Cause.MALFORMED, Cause.SILENT}


class Verdict(NamedTuple):
    """What has changed: for how long `member` is left out, and why. No seconds: it is back."""

    member: Member
    bar: str
    seconds: float
    detail: str


class _Account:
    """What is held against one server."""

    __slots__ = ("ejected_until", "ejections", "failed", "failures", "resting_until", "since")

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self.failed = -inf  # when the last one that counts was heard
        self.ejections = 0  # in a row: no try went well since the first of them
        self.since = -inf  # the last ejection or return: what began before tells nothing of what came after
        self.ejected_until = inf
        self.resting_until = inf


class Health:
    """The health of one pool, as its transactions show it. Times are seconds of the clock of `now`."""

    __slots__ = ("_accounts", "_most", "_settings")

    def __init__(self, members: Sequence[Member], settings: Ejection) -> None:
        self._settings = settings
        self._accounts = {member: _Account() for member in members}
        # A share is written with few digits, and its product with an integer is often a little less.
        self._most = int(settings.share * len(members) + 1e-9)

    def heard(self, attempt: Attempt, now: float) -> Verdict | None:
        """A try has ended. One that went well needs to be told of a `suspect` member only."""
        if attempt.outcome is _OK:
            return self._went_well(attempt, now)
        return self._failed(attempt, now) if attempt.outcome in _FAILURES else None

    def judged(self, attempts: Iterable[Attempt], now: float) -> list[Verdict]:
        """A transaction has its answer, or ends without one: who of its tries is to blame for a failing one?

        Nobody, unless another try made something else of the same request. A status 4xx is the request's
        own fault, and what is `FINAL` no server's.
        """
        telling = [one for one in attempts if one.outcome in _TELLING and one.reason is not _FINAL]
        verdicts: list[Verdict] = []
        if len({(attempt.outcome, attempt.status) for attempt in telling}) < 2:
            return verdicts
        for attempt in telling:
            if attempt.outcome is _STATUS and attempt.status // 100 != 4:
                for verdict in (self._rests(attempt, now), self._failed(attempt, now)):
                    if verdict is not None:
                        verdicts.append(verdict)
        return verdicts

    def due(self) -> float | None:
        """When `tick` has something to do; None: never, as it stands."""
        accounts = self._accounts.values()
        first = min((min(one.ejected_until, one.resting_until) for one in accounts), default=inf)
        return None if first == inf else first

    def tick(self, now: float) -> list[Verdict]:
        """Those whose time is over are back."""
        back: list[Verdict] = []
        for member, account in self._accounts.items():
            if account.ejected_until <= now:
                back.append(self._return(member, account, now, "its time is over"))
            if account.resting_until <= now:
                account.resting_until = inf
                member.unbar(RESTING, now)
                member.figures.resting = 0
                back.append(Verdict(member, RESTING, 0.0, "it has rested"))
        return back

    def _went_well(self, attempt: Attempt, now: float) -> Verdict | None:
        member = attempt.member
        account = self._accounts[member]
        if attempt.began < account.since:
            return None
        account.failures = account.ejections = 0
        member.suspect = False
        # Where nobody else was left it was tried all the same.
        return self._return(member, account, now, "a try went well") if EJECTED in member.bars else None

    def _failed(self, attempt: Attempt, now: float) -> Verdict | None:
        member, outcome = attempt.member, attempt.outcome
        account = self._accounts[member]
        if attempt.began < account.since or EJECTED in member.bars:
            return None
        if outcome in _ENDED and attempt.began < account.failed:
            return None  # all that are under way when a server dies are one failure
        account.failures += 1
        account.failed = now
        member.suspect = True
        if account.failures < (1 if account.ejections else self._settings.failures):
            return None
        if not self._room(member):
            return None  # with its next failure, if there is room then
        return self._eject(attempt, account, now)

    def _eject(self, attempt: Attempt, account: _Account, now: float) -> Verdict:
        member, base = attempt.member, self._settings.base
        in_a_row = "1 failure" if account.failures == 1 else f"{account.failures} failures in a row"
        last = f"{attempt.outcome_word}: {attempt.detail}" if attempt.detail else attempt.outcome_word
        detail = f"{in_a_row}, the last: {last}"
        account.failures = 0
        account.ejections += 1
        seconds = min(base * account.ejections, max(base, LONGEST_EJECTION))
        account.since, account.ejected_until = now, now + seconds
        member.bar(EJECTED, detail)
        member.figures.ejected = 1
        member.figures.ejections += 1
        return Verdict(member, EJECTED, seconds, detail)

    def _return(self, member: Member, account: _Account, now: float, detail: str) -> Verdict:
        account.since, account.ejected_until = now, inf
        member.unbar(EJECTED, now)
        member.figures.ejected = 0
        return Verdict(member, EJECTED, 0.0, detail)

    def _rests(self, attempt: Attempt, now: float) -> Verdict | None:
        """It asked for it by its answer."""
        member, seconds = attempt.member, min(attempt.rest, LONGEST_REST)
        account = self._accounts[member]
        if seconds <= 0.0 or not self._room(member):
            return None
        resting = RESTING in member.bars
        if resting and now + seconds <= account.resting_until:
            return None
        account.resting_until = now + seconds
        detail = f"it asked for {seconds:g} s by its answer of status {attempt.status}"
        if resting:
            return None
        member.bar(RESTING, detail)
        member.figures.resting = 1
        member.figures.rests += 1
        return Verdict(member, RESTING, seconds, detail)

    def _room(self, member: Member) -> bool:
        """May this one be out, too?"""
        out = [one for one in self._accounts if EJECTED in one.bars or RESTING in one.bars]
        return member in out or len(out) < self._most
