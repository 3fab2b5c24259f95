"""The one place that decides whether a transaction is tried on another server (spec §6).

Decides from what was sent, what came back, what is still stored and how many tries were made.
Invariant: a request whose bytes may have reached a server is sent again only when it is replayable, or
that server proves that it did nothing, and everything received of it is still stored; nothing is tried
again once the response has begun to reach the client, when only one link could do it, or when no server
could. Refuses to look at types of errors, to choose a server or to act.
"""

from __future__ import annotations

from typing import NamedTuple

from ..outcome import Replay


class Decision(NamedTuple):
    """Whether there is another try, and the reason, as it stands in the access log."""

    again: bool
    reason: Replay


def decide(
    *,
    sent: bool,
    done: bool = True,
    final: bool = False,
    begun: bool,
    request: Replay,
    stored: Replay,
    tries: int,
    allowed: int,
) -> Decision:
    """Is there another try after this one failed?

    `sent`: a byte of the request may have reached the server in this try (when an earlier one had sent,
    the request was replayable, or this one would not have been). `done`: the server may have done some of
    it. `final`: its answer shows that no other could mend the failure. `begun`: the response has begun to
    reach the client. `request`: may the request be repeated, by its method or key. `stored`: is everything
    received of it still here. `tries` of `allowed` were made, this one included.
    """
    if begun:
        return Decision(False, Replay.RESPONSE_BEGUN)
    if final:
        return Decision(False, Replay.FINAL)
    if request is Replay.PINNED:
        return Decision(False, request)
    if sent:
        if done and request is not Replay.REPLAYABLE:
            return Decision(False, request)
        if stored is not Replay.REPLAYABLE:
            return Decision(False, stored)
    if tries >= allowed:
        return Decision(False, Replay.TRIES)
    if not sent:
        return Decision(True, Replay.NOTHING_SENT)
    return Decision(True, Replay.REPLAYABLE if done else Replay.NOTHING_DONE)
