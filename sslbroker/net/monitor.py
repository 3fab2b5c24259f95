"""Hears how every try ended, and keeps the account of each server.

Decides nothing yet but what is counted: statuses, response times and outcomes of each server, which
health and pacing read. Invariant: every try that began is heard once. Refuses to choose and to act.
"""

from __future__ import annotations

import time

from twisted.application.service import Service

from ..core.figures import count, count_status
from ..core.transaction import Attempt
from ..outcome import Cause

_OK = Cause.OK


class MonitorService(Service):
    """The broker's watch over status codes and response times."""

    def heard(self, attempt: Attempt) -> None:
        """A try has ended; its `outcome`, `status` and times are final."""
        figures = attempt.member.figures
        word = attempt.outcome_word
        count(figures.outcomes, word)
        count_status(figures.statuses, attempt.status)
        if attempt.outcome is not _OK:
            figures.last_failure = f"{word}: {attempt.detail}" if attempt.detail else word
            figures.last_failure_at = time.time()
        if attempt.first_byte:
            figures.server_times.add(attempt.first_byte - attempt.sent)
