"""What the broker does when the operating system signals it.

Decides: SIGTERM and SIGINT drain, and a second one ends at once; SIGUSR1 reopens the logs, SIGHUP reads
certificates anew too.
Invariant: nothing is done inside a signal's handler but waking the reactor; a rotation that comes after
the logs were closed does not kill the process. Refuses to touch signals under a reactor that is not the
process's own (a test's).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.logger import Logger

_log = Logger("sslbroker")


class Signals:
    """The broker's handlers.

    `stop` is called at the second request to stop, `reopen` for the logs, `reload` for all that is read anew.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        stop: Callable[[], None],
        reopen: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._stop = stop
        self._reopen = reopen
        self._reload = reload
        self._stopping = False
        self._installed = False

    def install(self) -> None:
        """Take the signals; those of stopping when the reactor runs, for it sets its own as it starts."""
        if not isinstance(self._reactor, ReactorBase):
            return
        self._installed = True
        signal.signal(signal.SIGHUP, self._wake_to_reload)
        signal.signal(signal.SIGUSR1, self._wake_to_reopen)
        self._reactor.callWhenRunning(self._take_stopping)

    def remove(self) -> None:
        """The logs are closed: their signals mean nothing more. The stopping ones stay ours to the end."""
        if self._installed:
            for number in (signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)

    def request_stop(self) -> None:
        """Stop the reactor, which drains; asked again, end now."""
        if self._stopping:
            self._stop()
        else:
            self._stopping = True
            _log.info("stopping: transactions under way may end")
            self._reactor.stop()

    def _take_stopping(self) -> None:
        # An exit after a drain is a clean one (status 0), not a death by the signal.
        signal.signal(signal.SIGTERM, self._wake_to_stop)
        signal.signal(signal.SIGINT, self._wake_to_stop)

    def _wake_to_reopen(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reopen)

    def _wake_to_reload(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _wake_to_stop(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self.request_stop)
