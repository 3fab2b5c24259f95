"""What signals do: tried on a reactor that only pretends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net.signals import Signals


class Pretending(ReactorBase):
    """Enough of a reactor to be signalled; nothing of it runs."""

    def __init__(self) -> None:
        self.stopped = 0
        self.woken: list[Callable[[], None]] = []

    def callWhenRunning(self, callable: Any, *args: Any, **kwargs: Any) -> Any:
        callable()

    def callFromThread(self, f: Any, *args: Any, **kwargs: Any) -> None:
        self.woken.append(f)

    def stop(self) -> None:
        self.stopped += 1


NUMBERS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


class Signalled(SynchronousTestCase):
    def setUp(self) -> None:
        for number in NUMBERS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = Pretending()
        self.did: list[str] = []
        self.signals = Signals(
            self.reactor,
            stop=lambda: self.did.append("end now"),
            reopen=lambda: self.did.append("reopen"),
            reload=lambda: self.did.append("reload"),
        )
        self.signals.install()

    def signal(self, number: int) -> None:
        os.kill(os.getpid(), number)
        woken, self.reactor.woken = self.reactor.woken, []
        for call in woken:
            call()

    def test_usr1_reopens_the_logs_and_hup_reads_everything_anew(self) -> None:
        self.signal(signal.SIGUSR1)
        self.signal(signal.SIGHUP)
        self.assertEqual(self.did, ["reopen", "reload"])

    def test_the_first_request_to_stop_drains_and_the_second_ends(self) -> None:
        self.signal(signal.SIGTERM)
        self.assertEqual((self.reactor.stopped, self.did), (1, []))
        self.signal(signal.SIGINT)
        self.assertEqual((self.reactor.stopped, self.did), (1, ["end now"]))

    def test_after_removal_a_late_rotation_does_not_kill(self) -> None:
        self.signals.remove()
        self.signal(signal.SIGHUP)
        self.assertEqual(self.did, [])

    def test_a_tests_reactor_is_left_alone(self) -> None:
        before = [signal.getsignal(number) for number in NUMBERS]
        Signals(MemoryReactorClock(), stop=list, reopen=list, reload=list).install()  # type: ignore[arg-type]
        self.assertEqual([signal.getsignal(number) for number in NUMBERS], before)
