"""Twisted's own tests, against our sockets and our reactor: ``python -m tests.sockets.twisted_suite KIND…``.

Decides which of Twisted's tests are run, and judges: each must pass, but those that `twisted_left_out.txt`
names with a reason. Invariant: an entry of that list is a test that there is, and that does not pass; a test
that never ends is one that failed. Refuses tests that make a transport of Twisted's by themselves: they would
say nothing about ours.
"""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.main import installReactor
from twisted.python.reflect import namedAny
from twisted.trial import reporter, runner
from twisted.trial.unittest import TestCase

LEFT_OUT = Path(__file__).with_name("twisted_left_out.txt")

#: Seconds after which a test's reactor is stopped, and after which its process is.
LIMIT, HUNG = 5, 30

#: Tests of transports: each reactor with our sockets.
TRANSPORTS = (
    "twisted.internet.test.test_newtls",
    "twisted.internet.test.test_socket",
    "twisted.internet.test.test_tcp",
    "twisted.internet.test.test_tls",
    "twisted.test.test_tcp",
    "twisted.test.test_ssl",
    "tests.sockets.twisted_endpoints",
)

#: Tests of reactors: our reactor with Twisted's sockets.
REACTORS = (
    "twisted.internet.test.test_core",
    "twisted.internet.test.test_fdset",
    "twisted.internet.test.test_newtls",
    "twisted.internet.test.test_process",
    "twisted.internet.test.test_socket",
    "twisted.internet.test.test_stdio",
    "twisted.internet.test.test_tcp",
    "twisted.internet.test.test_threads",
    "twisted.internet.test.test_time",
    "twisted.internet.test.test_tls",
    "twisted.internet.test.test_udp",
    "twisted.internet.test.test_unix",
    "twisted.test.test_internet",
)

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "direct": ("tests.sockets.twisted_reactors.OwnDirectEPoll", TRANSPORTS),
    "epoll": ("tests.sockets.twisted_reactors.OwnEPoll", TRANSPORTS),
    "poll": ("tests.sockets.twisted_reactors.OwnPoll", TRANSPORTS),
    "select": ("tests.sockets.twisted_reactors.OwnSelect", TRANSPORTS),
    "asyncio": ("tests.sockets.twisted_reactors.OwnAsyncio", TRANSPORTS),
    "reactor": ("sslbroker.sockets.reactor.DirectEPollReactor", REACTORS),
}


class Outcome(NamedTuple):
    """`how` is ``passed``, ``failed`` or ``skipped``, `why` a traceback or a reason."""

    name: str
    how: str
    why: str
    seconds: float


class Teller(reporter.Reporter):
    """Writes each test's name when it begins, and its outcome when it has ended, as lines of JSON."""

    def __init__(self, tell: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._tell = tell
        self._outcome: tuple[str, str] = ("passed", "")
        self._since = 0.0

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        faulthandler.dump_traceback_later(HUNG, exit=True)
        self._outcome, self._since = ("passed", ""), time.monotonic()
        self._tell([name_of(test)])

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self._tell([name_of(test), *self._outcome, time.monotonic() - self._since])

    def addSkip(self, test: Any, reason: Any) -> None:
        super().addSkip(test, reason)
        if self._outcome[0] == "passed":
            self._outcome = ("skipped", str(reason))

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self._failed(error)

    def addFailure(self, test: Any, fail: Any) -> None:
        super().addFailure(test, fail)
        self._failed(fail)

    def _failed(self, error: Any) -> None:
        why = self._outcome[1] if self._outcome[0] == "failed" else ""
        self._outcome = ("failed", why + self._getFailure(error).getTraceback())


def name_of(test: Any) -> str:
    """`twisted.x.Class_ReactorTests.test_y` is `twisted.x.Class.test_y`."""
    *module, case, method = test.id().split(".")
    if case.endswith("Tests") and "_" in case.strip("_"):
        case = case.rpartition("_")[0]
    return ".".join([*module, case, method])


def cases_in(suite: Any) -> Iterator[Any]:
    for each in suite:
        if hasattr(each, "__iter__"):
            yield from cases_in(each)
        else:
            yield each


def run_here(kind: str, done: set[str]) -> None:
    """Run what is not `done`, in this process, whose reactor becomes one of the kind."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is none of these lines
    name, modules = KINDS[kind]
    installReactor(namedAny(name)())
    from twisted.internet.test.reactormixins import ReactorBuilder  # after the reactor is there

    ReactorBuilder._reactors = [name]
    kinds_of_test: tuple[Any, ...] = (ReactorBuilder, TestCase)
    for each in kinds_of_test:
        each.timeout = LIMIT
    loaded = runner.TestSuite([runner.TestLoader().loadByName(module) for module in modules])
    cases = [
        case
        for case in cases_in(loaded)
        if (isinstance(case, ReactorBuilder) or case.id().startswith("twisted.test."))
        and name_of(case) not in done
    ]
    excused = left_out(kind)
    cases.sort(key=lambda case: name_of(case) in excused)  # last: what fails may trouble what comes after it

    def report(*arguments: Any, **more: Any) -> Teller:
        return Teller(lambda line: print(json.dumps(line), file=lines), *arguments, **more)

    with tempfile.TemporaryDirectory() as directory:
        runner.TrialRunner(report, workingDirectory=f"{directory}/trial", stream=StringIO()).run(
            runner.TestSuite(cases)
        )


def outcomes_of(kind: str) -> Iterator[Outcome]:
    """Run all tests of this kind, in another process; in one more after each that has hung."""
    done: set[str] = set()
    while True:
        argv = (sys.executable, "-m", __spec__.name, "--here", kind, *done)
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=said, text=True) as child,
        ):
            running = ""
            assert child.stdout is not None
            for line in child.stdout:
                name, *outcome = json.loads(line)
                running = "" if outcome else name
                if outcome:
                    done.add(name)
                    yield Outcome(name, *outcome)
            if child.wait() == 0:
                return
            said.seek(0)
            if not running:
                raise RuntimeError(f"the tests of {kind} end with {child.returncode}:\n{said.read()}")
            done.add(running)
            yield Outcome(running, "failed", f"its process ended:\n{said.read()}", HUNG)


def left_out(kind: str) -> dict[str, bool]:
    """By a test's name: does it fail on every machine?"""
    found = {}
    for line in LEFT_OUT.read_text().splitlines():
        if line and not line.startswith("#"):
            kinds, name, _reason = line.split(maxsplit=2)
            for each in kinds.split(","):
                if each.rstrip("?") == kind:
                    found[name.rstrip(":")] = not each.endswith("?")
    return found


def judge(kind: str, outcomes: Iterable[Outcome], excused: Mapping[str, bool]) -> int:
    """Say what became of each test, and give the number of those that are wrong."""
    wrong, counts, seen = 0, {"passed": 0, "failed": 0, "skipped": 0}, set()
    for name, how, why, seconds in outcomes:
        counts[how] += 1
        seen.add(name)
        print(f"{kind}: {how}: {name} ({seconds:.2f} s) {why if how == 'skipped' else ''}", flush=True)
        if how == "failed" and name not in excused:
            wrong += 1
            print(f"FAILED, {kind}: {name}\n{why}", flush=True)
        elif how == "passed" and excused.get(name):
            wrong += 1
            print(f"PASSED, so take it out of the list, {kind}: {name}")
    for name in excused.keys() - seen:
        wrong += 1
        print(f"IS NO TEST, so take it out of the list, {kind}: {name}")
    left = sum(name in seen for name in excused)
    print(
        f"{kind}: {counts['passed']} passed, {wrong} wrong, {left} left out, {counts['skipped']} not for here"
    )
    return wrong


def main(kinds: list[str]) -> int:
    wrong = sum([judge(kind, outcomes_of(kind), left_out(kind)) for kind in kinds or KINDS])
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        run_here(sys.argv[2], set(sys.argv[3:]))
    else:
        sys.exit(main(sys.argv[1:]))
