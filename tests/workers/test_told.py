"""A worker's lines reach the parent's log, with level, place and traceback."""

from __future__ import annotations

from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.workers import told
from sslbroker.workers.messages import LONGEST_TEXT

Line = tuple[str, str, str]


class Telling(SynchronousTestCase):
    def setUp(self) -> None:
        observers = list(globalLogPublisher._observers)
        self.addCleanup(lambda: globalLogPublisher._observers.__setitem__(slice(None), observers))
        self.lines: list[Line] = []
        told.tell_all(lambda *line: self.lines.append(line))

    def test_level_place_and_text(self) -> None:
        log = Logger("shop")
        log.warn("found {number}", number=3)
        log.debug("not told")
        globalLogPublisher({"log_format": "of nobody", "log_namespace": None, "log_level": None})
        self.assertEqual(self.lines, [("warn", "shop", "found 3"), ("info", "-", "of nobody")])

    def test_a_failure_comes_with_its_traceback_and_a_text_is_bounded(self) -> None:
        log = Logger("shop")
        log.failure("it failed", Failure(ZeroDivisionError("by nothing")))
        log.info("{text}", text="x" * 2 * LONGEST_TEXT)
        self.assertIn("ZeroDivisionError: by nothing", self.lines[0][2])
        self.assertEqual(len(self.lines[1][2]), LONGEST_TEXT)

    def test_nobody_else_hears(self) -> None:
        self.assertEqual(len(globalLogPublisher._observers), 1)
        told.silence()
        Logger("shop").error("unheard")
        self.assertEqual(self.lines, [])

    def test_what_has_no_text_is_not_told(self) -> None:
        globalLogPublisher({"log_level": LogLevel.info})
        self.assertEqual(self.lines, [])


class Repeating(SynchronousTestCase):
    def test_the_parent_writes_which_worker_said_it(self) -> None:
        with capturedLogs() as events:
            told.repeat(2, "error", "shop", "a {brace} and a line")
        (event,) = events
        self.assertEqual(formatEvent(event), "worker 2: a {brace} and a line")
        self.assertEqual((event["log_level"], event["log_namespace"]), (LogLevel.error, "shop"))
