"""Which of several processes may write to a pipe that they have in common.

Decides nothing but that: the kernel keeps the lock. Invariant: a process that dies has no turn. Refuses to
wait, but for a moment when a process ends, whose last lines would be lost.
"""

from __future__ import annotations

import fcntl
import tempfile
import time
from contextlib import suppress

#: Seconds between two looks, for who waits: others write for microseconds.
PAUSE = 0.002


class Turn:
    """Made before the processes are forked; each of them uses it as its own."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process

    def take(self, patience: float = 0.0) -> bool:
        """Is it this process's now, or in so many seconds? To take it again is no harm."""
        tries = 1 + int(patience / PAUSE)
        for number in range(tries):
            if number:
                time.sleep(PAUSE)
            # A lock of the process, not of the open file, which all processes have in common.
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False

    def give(self) -> None:
        """Another one may write."""
        fcntl.lockf(self._file, fcntl.LOCK_UN)
