"""A record becomes a line that JSON gives back whole, and trouble with the file costs lines, never more."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from sslbroker.errors import StartError
from sslbroker.interfaces import IObserver
from sslbroker.observe.accesslog import BATCH, DELAY, LAST_PATIENCE, LINE_LIMIT, QUIET, AccessLog, LineEncoder
from sslbroker.outcome import Cause

RECORD: dict[str, Any] = {
    "time": 1_700_000_000.25,
    "id": "7f3a",
    "client": "203.0.113.9",
    "group": None,
    "priority": 1,
    "listener": "https",
    "secure": True,
    "method": "GET",
    "target": "/shop?item=1",
    "status": 200,
    "pool": "shop",
    "server": "127.0.0.1:9001",
    "link": "plain",
    "tries": [
        {"server": "127.0.0.1:9002", "outcome": "silent", "milliseconds": 31.5, "replay": "replayable"},
        {"server": "127.0.0.1:9001", "outcome": "ok", "milliseconds": 2.25, "reused": True},
    ],
    "bytes_in": 0,
    "bytes_out": 1024,
    "timings": {"admit": 0.1, "relay": 33.75},
    "end": "ok",
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def numbered(number: int) -> dict[str, Any]:
    return {"time": 0.0, "id": number}


class TestLines:
    @settings(max_examples=200)
    @given(st.dictionaries(st.text(), json_values, max_size=6))
    def test_any_record_comes_back_from_one_line_of_ascii(self, record: dict[str, Any]) -> None:
        record["time"] = 0.5

        line = LineEncoder()(record)

        assert line.endswith(b"\n")
        assert line.isascii()
        assert min(line[:-1]) >= 0x20
        assert json.loads(line) == {**record, "time": "1970-01-01T00:00:00.500Z"}

    def test_a_whole_record_keeps_its_fields_and_their_order(self) -> None:
        shown = json.loads(LineEncoder()(RECORD))

        assert list(shown) == list(RECORD)
        assert shown == {**RECORD, "time": "2023-11-14T22:13:20.250Z"}

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_753_950_000.123, "2025-07-31T08:20:00.123Z"),
            (1_700_000_000.9994, "2023-11-14T22:13:20.999Z"),
            (1_700_000_000.9996, "2023-11-14T22:13:21.000Z"),
            (-0.25, "1969-12-31T23:59:59.750Z"),
        ],
    )
    def test_time_is_rfc_3339_with_milliseconds(self, seconds: float, text: str) -> None:
        assert json.loads(LineEncoder()({"time": seconds}))["time"] == text

    def test_the_second_is_made_anew_when_it_changes(self) -> None:
        encode = LineEncoder()

        times = [json.loads(encode({"time": seconds}))["time"][17:] for seconds in (1.0, 1.5, 2.0, 1.25)]

        assert times == ["01.000Z", "01.500Z", "02.000Z", "01.250Z"]

    @pytest.mark.parametrize(
        ("hostile", "shown"),
        [
            ('"}\n{"id":"forged"}', '"}\n{"id":"forged"}'),
            ("\x00\x1b[2J\r\u2028\u2029", "\x00\x1b[2J\r\u2028\u2029"),
            ("\udc80 alone", "\udc80 alone"),
            ("caf\u00e9".encode(), "caf\u00e9"),
            (b"/\xff\xe9", "/\u00ff\u00e9"),
            (Cause.SILENT, "silent"),
            (Path("/a"), "/a"),
        ],
    )
    def test_hostile_text_and_foreign_values_stay_inside_their_field(self, hostile: Any, shown: str) -> None:
        line = LineEncoder()({"time": 0, "target": hostile})

        assert line.count(b"\n") == 1
        assert line.isascii()
        assert json.loads(line)["target"] == shown

    @pytest.mark.parametrize(
        "number", [float("nan"), float("inf"), -float("inf"), 1 << 20_000], ids=["nan", "inf", "-inf", "huge"]
    )
    def test_a_number_that_json_lacks_is_null(self, number: float) -> None:
        shown = json.loads(LineEncoder()({"time": 0, "bytes_in": number, "status": 200, "secure": False}))

        assert shown == {
            "time": "1970-01-01T00:00:00.000Z",
            "bytes_in": None,
            "status": 200,
            "secure": False,
            "cut": True,
        }

    @pytest.mark.parametrize("record", [{}, {"time": float("nan")}, {"time": 1e300}, {"time": "noon"}])
    def test_a_record_without_a_usable_time_is_still_written(self, record: dict[str, Any]) -> None:
        assert json.loads(LineEncoder()({**record, "id": "a"})) == {"time": None, "id": "a", "cut": True}

    def test_a_record_that_holds_itself_is_cut_off(self) -> None:
        record: dict[str, Any] = {"time": 0}
        record["self"] = [record]

        shown = json.loads(LineEncoder()(record))

        assert shown["cut"] is True
        assert "\u2026" in json.dumps(shown, ensure_ascii=False)

    def test_a_record_that_is_too_long_is_cut_and_says_so(self) -> None:
        record = {
            "time": 0,
            "target": "\x00" * LINE_LIMIT,
            "tries": [{"server": n} for n in range(20_000)],
            "end": "ok",
            b"odd": {(1, 2): Cause.OK},
        }

        line = LineEncoder()(record)  # type: ignore[arg-type]
        shown = json.loads(line)

        assert len(line) < LINE_LIMIT
        assert shown["target"] == "\x00" * 1024
        assert len(shown["tries"]) == 32
        assert (shown["end"], shown["cut"]) == ("ok", True)
        assert shown["b'odd'"] == {"[1, 2]": "ok"}


class Disk:
    """A disk with room for so many bytes of the first file that is written; others have room enough."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.refused = 0
        self._first: int | None = None

    def write(self, descriptor: int, data: memoryview) -> int:
        file = os.fstat(descriptor).st_ino
        self._first = self._first or file
        if file != self._first:
            return os.write(descriptor, data)
        if not self.room:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = os.write(descriptor, data[: self.room])
        self.room -= done
        return done


class AccessLogCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "access.log"

    def log(
        self,
        write: Callable[[int, memoryview], int] = os.write,
        limit: int = 1024 * 1024,
    ) -> AccessLog:
        log = AccessLog(str(self.path), self.clock, write=write, limit=limit)
        self.addCleanup(log.close)
        return log

    def ids(self, path: Path | None = None) -> list[int]:
        return [json.loads(line)["id"] for line in (path or self.path).read_bytes().splitlines()]

    def hear(self) -> list[str]:
        """What is logged from now on, as text."""
        heard: list[str] = []

        def hear(event: LogEvent) -> None:
            heard.append(formatEvent(event))

        observer = cast(ILogObserver, hear)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return heard


class Batches(AccessLogCase):
    def test_it_is_an_observer(self) -> None:
        verifyObject(IObserver, self.log())

    def test_lines_wait_for_each_other_a_quarter_of_a_second(self) -> None:
        log = self.log()

        log.transaction_ended(numbered(1))
        self.clock.advance(DELAY - 0.01)
        log.transaction_ended(numbered(2))
        assert self.ids() == []
        self.clock.advance(0.01)

        assert self.ids() == [1, 2]
        assert (log.lines, log.lost, log.waiting) == (2, 0, 0)

    def test_a_full_batch_is_written_at_once_and_in_one_write(self) -> None:
        writes: list[int] = []

        def write(descriptor: int, data: memoryview) -> int:
            writes.append(len(data))
            return os.write(descriptor, data)

        log = self.log(write)
        number = 0
        while not writes:
            log.transaction_ended(numbered(number))
            number += 1

        assert self.ids() == list(range(number))
        assert len(writes) == 1
        assert BATCH <= writes[0] < BATCH + 100

    def test_no_timer_runs_while_nothing_waits(self) -> None:
        log = self.log()
        assert self.clock.getDelayedCalls() == []

        log.transaction_ended(numbered(1))
        assert len(self.clock.getDelayedCalls()) == 1
        self.clock.advance(DELAY)
        assert self.clock.getDelayedCalls() == []

        log.transaction_ended(numbered(2))
        log.flush()
        assert self.clock.getDelayedCalls() == []

    def test_closing_writes_what_waits_and_stops_the_timer(self) -> None:
        log = self.log()
        log.transaction_ended(numbered(1))

        log.close()
        log.close()

        assert self.ids() == [1]
        assert self.clock.getDelayedCalls() == []

    def test_a_line_after_closing_is_counted_as_lost(self) -> None:
        log = self.log()
        log.close()

        log.transaction_ended(numbered(1))
        log.reopen()

        assert (log.lines, log.lost) == (1, 1)
        assert self.clock.getDelayedCalls() == []

    def test_a_file_that_was_there_is_continued(self) -> None:
        self.path.write_bytes(b'{"id":0}\n')
        log = self.log()

        log.transaction_ended(numbered(1))
        log.close()

        assert self.ids() == [0, 1]

    def test_the_file_is_not_readable_for_others(self) -> None:
        mask = os.umask(0)
        self.addCleanup(os.umask, mask)

        self.log()

        assert self.path.stat().st_mode & 0o777 == 0o640

    def test_a_file_that_cannot_be_opened_ends_the_start(self) -> None:
        self.path = self.folder / "nowhere" / "access.log"

        with pytest.raises(StartError) as caught:
            self.log()

        assert str(self.path) in str(caught.value)
        assert "No such file or directory" in str(caught.value)

    def test_a_named_pipe_without_a_reader_ends_the_start_and_does_not_hang(self) -> None:
        os.mkfifo(self.path)

        with pytest.raises(StartError):
            self.log()


class Rotation(AccessLogCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.folder / "access.log.1"

    def test_reopening_goes_on_in_a_new_file(self) -> None:
        log = self.log()
        log.transaction_ended(numbered(1))
        self.path.rename(self.old)

        log.reopen()
        log.transaction_ended(numbered(2))
        log.close()

        assert (self.ids(self.old), self.ids()) == ([1], [2])

    def test_reopening_leaves_no_descriptor_behind(self) -> None:
        log = self.log()
        before = len(os.listdir("/proc/self/fd"))

        log.reopen()
        log.reopen()
        assert len(os.listdir("/proc/self/fd")) == before

        log.close()
        assert len(os.listdir("/proc/self/fd")) == before - 1

    def test_a_path_that_cannot_be_opened_keeps_the_old_file_and_says_so(self) -> None:
        heard = self.hear()
        log = self.log()
        self.path.rename(self.old)
        self.path.mkdir()

        log.reopen()
        log.transaction_ended(numbered(1))
        log.flush()

        assert self.ids(self.old) == [1]
        assert len(heard) == 1
        assert "cannot be opened anew (Is a directory), so the old file is kept" in heard[0]

    def test_what_the_old_disk_cannot_take_goes_to_the_new_file_without_the_torn_line(self) -> None:
        disk = Disk(room=30)
        self.hear()
        log = self.log(disk.write)
        for number in range(3):
            log.transaction_ended(numbered(number))
        log.flush()
        self.path.rename(self.old)

        log.reopen()

        assert self.old.read_bytes().count(b"\n") == 0
        assert self.ids() == [1, 2]
        assert (log.lost, log.waiting) == (1, 0)

    def test_a_torn_last_line_leaves_nothing_for_the_new_file(self) -> None:
        disk = Disk(room=30)
        self.hear()
        log = self.log(disk.write)
        log.transaction_ended(numbered(0))
        log.flush()
        self.path.rename(self.old)

        log.reopen()

        assert self.ids() == []
        assert (log.lost, log.waiting) == (1, 0)
        assert self.clock.getDelayedCalls() == []

    def test_an_old_file_that_cannot_be_closed_is_reported_and_left(self) -> None:
        log = self.log()
        close = os.close

        def close_badly(descriptor: int) -> None:
            close(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with patch.object(os, "close", close_badly):
            log.reopen()
        log.transaction_ended(numbered(1))
        log.close()

        assert self.ids() == [1]
        assert len(self.flushLoggedErrors(OSError)) == 1


class Trouble(AccessLogCase):
    def test_a_full_disk_costs_nothing_while_memory_lasts(self) -> None:
        disk = Disk(room=30)
        heard = self.hear()
        log = self.log(disk.write)
        for number in range(5):
            log.transaction_ended(numbered(number))
        self.clock.advance(DELAY)
        assert log.waiting > 0

        disk.room = 1_000_000
        self.clock.advance(DELAY)

        assert self.ids() == [0, 1, 2, 3, 4]
        assert (log.lost, log.waiting) == (0, 0)
        assert self.clock.getDelayedCalls() == []
        assert len(heard) == 2
        assert "writing failed ([Errno 28] No space left on device)" in heard[0]
        assert "writing works again; lost since the start: 0 lines" in heard[1]

    def test_above_the_limit_lines_are_lost_and_counted(self) -> None:
        disk = Disk(room=0)
        self.hear()
        log = self.log(disk.write, limit=200)
        for number in range(10):
            log.transaction_ended(numbered(number))
        self.clock.advance(DELAY)
        for number in range(10, 13):
            log.transaction_ended(numbered(number))
        kept = 10 - log.lost + 3
        assert log.waiting <= 200

        disk.room = 1_000_000
        self.clock.advance(DELAY)
        log.transaction_ended(numbered(99))
        log.close()

        assert log.lines == 14
        assert self.ids() == [*range(kept), 99]
        assert log.lost == 13 - kept > 0

    def test_a_full_disk_is_complained_of_once_a_minute(self) -> None:
        disk = Disk(room=0)
        heard = self.hear()
        log = self.log(disk.write)

        log.transaction_ended(numbered(1))
        self.clock.pump([DELAY] * int(QUIET / DELAY))
        assert len(heard) == 1
        self.clock.pump([DELAY] * 2)
        assert len(heard) == 2

    def test_a_full_disk_is_not_tried_for_every_batch(self) -> None:
        disk = Disk(room=0)
        self.hear()
        log = self.log(disk.write)
        log.transaction_ended(numbered(0))
        self.clock.advance(DELAY)
        assert disk.refused == 1

        for number in range(5 * BATCH // 40):
            log.transaction_ended(numbered(number))
        assert disk.refused == 1
        assert log.waiting > 4 * BATCH

        self.clock.advance(DELAY)
        assert disk.refused == 2

    def test_lines_that_a_closing_file_does_not_take_are_lost(self) -> None:
        disk = Disk(room=0)
        heard = self.hear()
        log = self.log(disk.write)
        for number in range(3):
            log.transaction_ended(numbered(number))

        log.close()

        assert (log.lost, log.waiting) == (3, 0)
        assert self.clock.getDelayedCalls() == []
        assert "3 lines are lost at the end" in heard[-1]

    def test_small_writes_add_up_to_whole_lines(self) -> None:
        log = self.log(lambda descriptor, data: os.write(descriptor, data[:7]))

        for number in range(20):
            log.transaction_ended(numbered(number))
        log.close()

        assert self.ids() == list(range(20))

    def test_a_record_that_cannot_be_written_costs_only_itself(self) -> None:
        class Unspeakable:
            def __str__(self) -> str:
                raise RuntimeError("no text")

        heard = self.hear()
        log = self.log()

        log.transaction_ended({"time": 0, "id": Unspeakable()})
        log.transaction_ended({"time": 0, **{f"field{n}": "x" * 1000 for n in range(100)}})
        log.transaction_ended(numbered(3))
        log.close()

        assert self.ids() == [3]
        assert (log.lines, log.lost) == (3, 2)
        assert len(heard) == 1
        assert "a record cannot be written as JSON and is lost: RuntimeError('no text')" in heard[0]


class StandardOutput(AccessLogCase):
    def setUp(self) -> None:
        super().setUp()
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.addCleanup(self.close_pipe)

    def close_pipe(self) -> None:
        for end in {self.reader, self.writer} - {-1}:
            os.close(end)

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                piece = os.read(self.reader, 65536)
            except BlockingIOError:
                return data
            data += piece

    def test_a_dash_is_standard_output_and_is_never_closed(self) -> None:
        log = AccessLog("-", self.clock, stdout=self.writer)

        log.transaction_ended(numbered(1))
        log.reopen()
        log.transaction_ended(numbered(2))
        log.close()

        assert [json.loads(line)["id"] for line in self.read().splitlines()] == [1, 2]
        os.fstat(self.writer)

    def test_a_dash_alone_is_descriptor_1(self) -> None:
        assert AccessLog("-", self.clock)._descriptor == 1

    def test_a_standard_output_that_is_closed_ends_the_start(self) -> None:
        with pytest.raises(StartError):
            AccessLog("-", self.clock, stdout=987_654)

    def test_a_pipe_that_nobody_empties_holds_up_nothing_and_loses_nothing(self) -> None:
        size = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        heard = self.hear()
        log = AccessLog("-", self.clock, stdout=self.writer)
        count = 3 * size // 40
        for number in range(count):
            log.transaction_ended(numbered(number))

        received = b""
        while log.waiting:
            self.clock.advance(DELAY)
            received += self.read()

        assert os.get_blocking(self.writer)  # shared with others: not ours to change
        assert [json.loads(line)["id"] for line in received.splitlines()] == list(range(count))
        assert (log.lost, heard) == (0, [])

    def test_a_non_blocking_pipe_that_is_full_is_tried_again(self) -> None:
        answers = iter([BlockingIOError(errno.EAGAIN, "full"), None])

        def write(descriptor: int, data: memoryview) -> int:
            trouble = next(answers)
            if trouble is not None:
                raise trouble
            return os.write(descriptor, data)

        heard = self.hear()
        log = AccessLog("-", self.clock, stdout=self.writer, write=write)
        log.transaction_ended(numbered(1))
        self.clock.advance(DELAY)
        assert log.waiting > 0
        self.clock.advance(DELAY)

        assert [json.loads(line)["id"] for line in self.read().splitlines()] == [1]
        assert heard == []

    def test_a_pipe_whose_reader_has_gone_is_reported(self) -> None:
        heard = self.hear()
        log = AccessLog("-", self.clock, stdout=self.writer)
        os.close(self.reader)
        self.reader = -1

        log.transaction_ended(numbered(1))
        self.clock.advance(DELAY)

        assert "Broken pipe" in heard[0]
        log.close()
        assert log.lost == 1


class Turn:
    """Whose turn it is, as a test says."""

    def __init__(self) -> None:
        self.ours = True
        self.taken = False
        self.patience = 0.0

    def take(self, patience: float = 0.0) -> bool:
        self.patience = patience
        self.taken = self.taken or self.ours
        return self.ours

    def give(self) -> None:
        self.taken = False


class Sharing(StandardOutput):
    """Several processes write to one pipe."""

    def setUp(self) -> None:
        super().setUp()
        self.turn = Turn()
        self.shared = AccessLog("-", self.clock, stdout=self.writer, turn=self.turn)

    def tell(self, *numbers: int) -> None:
        for number in numbers:
            self.shared.transaction_ended(numbered(number))

    def test_nothing_is_written_before_it_is_our_turn(self) -> None:
        self.turn.ours = False
        self.tell(1)
        self.clock.advance(DELAY)
        assert self.read() == b""
        self.turn.ours = True
        self.clock.advance(DELAY)
        assert [json.loads(line)["id"] for line in self.read().splitlines()] == [1]
        assert not self.turn.taken

    def test_within_a_line_the_turn_is_kept(self) -> None:
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        self.shared.transaction_ended({"time": 0.0, "id": "x" * 9000})
        self.shared.flush()
        assert self.turn.taken
        data = self.read()
        while not data.endswith(b"\n"):
            self.clock.advance(DELAY)
            data += self.read()
        assert len(json.loads(data)["id"]) == 9000
        assert not self.turn.taken

    def test_a_full_pipe_leaves_the_turn_to_others(self) -> None:
        size = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(self.writer, b"\n" * size)
        self.tell(1)
        self.shared.flush()
        assert not self.turn.taken
        self.read()
        self.clock.advance(DELAY)

    def test_at_the_end_a_turn_is_waited_for_a_moment(self) -> None:
        self.tell(1)
        self.shared.close()
        assert self.turn.patience == LAST_PATIENCE
        assert [json.loads(line)["id"] for line in self.read().splitlines()] == [1]

    def test_an_error_leaves_the_turn_to_others(self) -> None:
        for error in (BlockingIOError(), OSError(errno.EIO, "broken")):

            def refuse(descriptor: int, data: memoryview, error: OSError = error) -> int:
                raise error

            log = AccessLog("-", self.clock, stdout=self.writer, turn=self.turn, write=refuse)
            log.transaction_ended(numbered(1))
            log.flush()
            assert not self.turn.taken
            log.close()
