"""The ends of a pipe: nothing is said to one who is gone, and nothing of theirs is logged."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import capturedLogs
from twisted.protocols.amp import Command
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.workers import messages
from sslbroker.workers.messages import Begin, Drain, PipeEnd

from .wire import Wire


class Ends(SynchronousTestCase):
    def test_the_table_has_every_message(self) -> None:
        commands = [
            name for name, one in vars(messages).items() if isinstance(one, type) and issubclass(one, Command)
        ]
        assert messages.__doc__ is not None
        self.assertEqual([name for name in commands if f"`{name}`" not in messages.__doc__], [])

    def test_coming_and_going_is_not_logged(self) -> None:
        with capturedLogs() as events:
            wire = Wire()
            wire.flush()
            wire.pipe.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(events, [])

    def test_who_is_gone_is_told_nothing_and_answers_nothing(self) -> None:
        end = PipeEnd()
        end.tell(Drain)  # nobody is there yet
        wire = Wire()
        asked = wire.pipe.ask(Begin)
        wire.pipe.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(asked, ConnectionDone, ConnectionLost)
        wire.pipe.tell(Drain)
        self.assertFalse(wire.pipe.open)
