"""One try of a transaction at one server: what happened to it, and when.

Holds what the relay, the figures, the verdicts and the access log need to know of a try, and says how the log
shows it. Invariant: a time is 0.0 until it has come, and a try whose `outcome` is known has its answer, or is
over. Refuses to decide: whether another one follows is said by `failover`, and what that changes by
`transitions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..outcome import Cause, Replay
from .members import Member

if TYPE_CHECKING:
    from .standing import Standing

# Once, since the value of an Enum's member is looked up in Python.
_OUTCOMES = {cause: cause.value for cause in Cause}
_INTERNAL = Cause.INTERNAL


class Attempt:
    """One try. Times are seconds of the clock that `now` comes from; 0.0: has not happened."""

    __slots__ = (
        "began",
        "detail",
        "ended",
        "first_byte",
        "load",
        "member",
        "outcome",
        "passed",
        "reason",
        "rest",
        "reused",
        "sent",
        "stage",
        "standing",
        "status",
        "wrote",
    )

    def __init__(self, member: Member, now: float) -> None:
        self.member = member
        self.began = now
        # For who watches over response times (`promises`), where anybody does:
        self.load = 0  # other tries that its server had under way when it began
        self.standing: Standing | None = None
        self.stage = 0  # what is known of its answer
        self.sent = 0.0  # the request, so far as it had been received, was written
        self.first_byte = 0.0
        self.ended = 0.0
        self.wrote = False  # a byte of the request may have reached the server
        self.reused = False
        self.outcome: Cause | None = None
        self.reason: Replay | None = None  # why another try was, or was not, made after it
        self.detail = ""  # how it failed, for people
        self.status = 0  # of the answer, for protocols that have one
        self.passed = 0  # bytes of content that it gave the client, once it has broken off
        self.rest = 0.0  # seconds for which its failing answer asks that the server be left alone

    @property
    def outcome_word(self) -> str:
        """The outcome as logs and figures show it."""
        return _OUTCOMES[self.outcome or _INTERNAL]

    def log_fields(self) -> dict[str, object]:
        """The try as the access log shows it."""
        fields: dict[str, object] = {
            "server": self.member.address,
            "outcome": _OUTCOMES[self.outcome or _INTERNAL],
            "milliseconds": round((self.ended - self.began) * 1e6) / 1e3,  # an integer is rounded to faster
            "reused": self.reused,
        }
        if self.detail:
            fields["detail"] = self.detail
        if self.reason is not None:
            fields["next"] = self.reason.value
        return fields
