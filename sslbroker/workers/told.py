"""A worker's lines of the log, which the parent writes.

Decides what of an event travels: its level, where it comes from, and the text. Invariant: only one process
writes twistd's log, which it rotates; a worker without a parent is silent, and never fails by that. Refuses
to filter but what Twisted says of its own pipes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from zope.interface import implementer

from .messages import LONGEST_TEXT

Tell = Callable[[str, str, str], None]
"""Takes the level, the namespace and the text of a line."""


def silence() -> None:
    """Nobody in this process hears of events any more."""
    for observer in list(globalLogPublisher._observers):
        globalLogPublisher.removeObserver(observer)


def tell_all(tell: Tell) -> None:
    """Every event goes to `tell`, and to nobody else."""
    silence()

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        if level is LogLevel.debug:
            return
        text = formatEvent(event)
        failure = event.get("log_failure")
        if failure is not None:
            text = f"{text}\n{failure.getTraceback()}"
        if text:
            tell(level.name, str(event.get("log_namespace") or "-"), text[:LONGEST_TEXT])

    globalLogPublisher.addObserver(observer)


def repeat(number: int, level: str, namespace: str, text: str) -> None:
    """In the parent: write what worker `number` has said."""
    known = LogLevel.lookupByName(level)
    Logger(namespace).emit(known, "worker {number}: {text}", number=number, text=text)
