"""The access log: one line of JSON for each transaction, written in batches.

Decides how a record becomes a line and when lines reach the file. Invariant: nothing here raises
into a transaction's path, and what waits in memory is bounded; a line is written whole or counted in
`lost`, but for the one that a full disk cuts while the file is changed. Refuses to wait: a pipe or a
terminal that takes nothing is tried again later. Only a slow disk can hold up `os.write`, because
Linux has no non-blocking writes to files: keep the log on a local one.
"""

from __future__ import annotations

import json
import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Protocol

import orjson
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ..errors import StartError
from ..interfaces import IObserver

BATCH: Final = 64 * 1024
"""Bytes that are worth a write of their own."""
DELAY: Final = 0.25
"""Seconds that a line may wait for others."""
WAITING_LIMIT: Final = 8 * 1024 * 1024
"""Bytes kept while the file takes nothing; lines above it are lost."""
LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line; a longer record has its texts and lists cut."""
LAST_PATIENCE: Final = 0.1
"""Seconds that a process which ends waits for its turn to write its last lines."""
QUIET: Final = 60.0
"""Seconds between two complaints of the same kind."""

_TEXT_LIMIT: Final = 1024  # characters, in a record that had to be cut
_ITEM_LIMIT: Final = 32
_DEPTH_LIMIT: Final = 4
_NEWLINE: Final = 0x0A
_PLAIN: Final = (
    orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
# What `poll` calls writable takes this many bytes at once without blocking (pipe(7), PIPE_BUF).
_PIPE_PIECE: Final = 4096


class ITurn(Protocol):
    """Which of several processes may write to a pipe or a terminal that they have in common."""

    def take(self, patience: float = 0.0) -> bool:
        """Is it this one now, or in so many seconds?"""

    def give(self) -> None:
        """Another one may write."""


@implementer(IObserver)
class AccessLog:
    """Writes each transaction's record to a file, or to standard output when `path` is "-".

    Several processes may have the same one. To a file each batch is one write in append mode, which Linux
    never mixes with another; to anything else a process writes when it has the `turn`, which it keeps
    within a line. `stdout` is the descriptor that "-" means, 1 when it is None. `write` is `os.write` but
    in tests. Raises `StartError` when the file cannot be opened. To be used in the reactor's thread only.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        clock: IReactorTime,
        *,
        stdout: int | None = None,
        write: Callable[[int, memoryview], int] = os.write,
        limit: int = WAITING_LIMIT,
        turn: ITurn | None = None,
    ) -> None:
        self.path = path
        self.lines = 0  # accepted since the start, lost ones too
        self.lost = 0
        self.waiting = 0  # bytes accepted and not written yet
        self._clock = clock
        self._write = write
        self._patience = 0.0  # seconds to wait for a turn
        self._turn = turn  # to write to what is no file, where other processes do
        self._limit = limit
        self._encode = LineEncoder()
        self._fresh: list[bytes] = []  # lines of the batch that is filling
        self._fresh_size = 0
        self._blocks: deque[memoryview] = deque()  # full batches
        self._torn = False  # the first block begins inside a line
        self._stuck = False  # the last write took nothing: only the timer tries again
        self._failing = False  # … and it was an error, which has been reported
        self._timer: IDelayedCall | None = None
        self._said: dict[str, float] = {}
        self._closed = False
        standard = 1 if stdout is None else stdout
        try:
            self._descriptor = standard if path == "-" else _open(path)
            self._polled = _must_be_polled(self._descriptor)
        except OSError as error:
            raise StartError(
                f"access log {path!r}: cannot be opened ({error.strerror}), expected a file that this "
                "process may append to; make its directory, or change log.access"
            ) from error

    def transaction_ended(self, record: Mapping[str, Any]) -> None:
        """Accept one record; `record["time"]` is in seconds since the epoch. Never raises."""
        self.lines += 1
        if self._closed:
            self.lost += 1
            return
        try:
            line = self._encode(record)
        except Exception as error:  # a plugin's field can be anything: it must cost its own line only
            self.lost += 1
            self._say("record", "a record cannot be written as JSON and is lost: {detail}", repr(error)[:200])
            return
        size = len(line)
        if self.waiting + size > self._limit:
            self.lost += 1
            self._say("full", "lines are lost, {detail} bytes wait already", str(self.waiting))
            return
        self._fresh.append(line)
        self._fresh_size += size
        self.waiting += size
        if self._fresh_size >= BATCH:
            self._cut_block()
            if not self._stuck:
                self._write_blocks()
        elif self._timer is None:
            self._timer = self._clock.callLater(DELAY, self._due)

    def flush(self) -> None:
        """Write what waits, as far as the file takes it now."""
        self._cut_block()
        self._write_blocks()

    def reopen(self) -> None:
        """Go on with a new file at the same path (after SIGHUP or SIGUSR1, when logs are rotated).

        What waits goes to the old file first. A path that cannot be opened is reported and the old
        file kept. Standard output is only flushed.
        """
        if self._closed:
            return
        self.flush()
        if self.path == "-":
            return
        try:
            descriptor = _open(self.path)
        except OSError as error:
            self._log.error(
                "access log {path}: cannot be opened anew ({detail}), so the old file is kept; "
                "mend the path and send the signal again",
                path=self.path,
                detail=error.strerror,
            )
            return
        if self._torn:  # its first half stays in the old file
            self._drop_torn()
        _close(self._descriptor)
        self._descriptor = descriptor
        self._polled = _must_be_polled(descriptor)
        self._write_blocks()

    def close(self) -> None:
        """Write what waits and close the file; what the file does not take now is counted in `lost`."""
        if self._closed:
            return
        self._patience = LAST_PATIENCE  # nobody comes back to write these lines
        self.flush()
        self._closed = True
        self._stop_timer()
        if self._blocks:
            left = sum(bytes(block).count(b"\n") for block in self._blocks)
            self.lost += left
            self._blocks.clear()
            self.waiting = 0
            self._log.error("access log {path}: {left} lines are lost at the end", path=self.path, left=left)
        if self.path != "-":
            _close(self._descriptor)

    def _due(self) -> None:
        self._timer = None
        self.flush()

    def _cut_block(self) -> None:
        if self._fresh:
            self._blocks.append(memoryview(b"".join(self._fresh)))
            self._fresh.clear()
            self._fresh_size = 0

    def _write_blocks(self) -> None:
        self._stop_timer()
        while self._blocks:
            block = self._blocks[0]
            done = self._write_some(block)
            if done == 0:
                self._stuck = True
                self._timer = self._clock.callLater(DELAY, self._due)
                return
            self.waiting -= done
            self._torn = block[done - 1] != _NEWLINE
            if done == len(block):
                self._blocks.popleft()
            else:
                self._blocks[0] = block[done:]
        self._stuck = False
        self._give_turn()
        if self._failing:
            self._failing = False
            self._say("again", "writing works again; lost since the start: {detail} lines", str(self.lost))

    def _write_some(self, block: memoryview) -> int:
        """Bytes that the file took; 0: none now."""
        if self._polled:
            if self._turn is not None and not self._turn.take(self._patience):
                return 0
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if not poll.poll(0):
                self._give_turn()
                return 0
            block = block[:_PIPE_PIECE]
        try:
            return self._write(self._descriptor, block)
        except BlockingIOError:
            self._give_turn()
            return 0
        except OSError as error:
            self._give_turn()
            self._failing = True
            self._say("write", "writing failed ({detail}); lines wait in memory for now", str(error))
            return 0

    def _give_turn(self) -> None:
        if self._turn is not None and not self._torn:
            self._turn.give()

    def _drop_torn(self) -> None:
        block = self._blocks.popleft()
        rest = block[bytes(block).index(b"\n") + 1 :]
        if rest:
            self._blocks.appendleft(rest)
        self.waiting -= len(block) - len(rest)
        self.lost += 1
        self._torn = False

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self, kind: str, message: str, detail: str) -> None:
        now = self._clock.seconds()
        if now - self._said.get(kind, -QUIET) >= QUIET:
            self._said[kind] = now
            self._log.warn(f"access log {{path}}: {message}", path=self.path, detail=detail)


class LineEncoder:
    """Makes a record one line of ASCII JSON: every control character, quote and U+2028 is escaped.

    Bytes are read as UTF-8, else as latin-1, so that nothing is refused.
    """

    def __init__(self) -> None:
        self._json = json.JSONEncoder(
            separators=(",", ":"), check_circular=False, allow_nan=False, default=_plain
        ).encode
        self._second: int | None = None
        self._second_text = ""
        self._moment: int | None = None  # milliseconds since the epoch: many records are of the same one
        self._moment_text = ""

    def __call__(self, record: Mapping[str, Any]) -> bytes:
        """The line, with its newline, of at most `LINE_LIMIT` bytes; `ValueError` when it stays longer."""
        try:
            shown = {**record, "time": self._when(record["time"])}
            line = self._plain_line(shown) or f"{self._json(shown)}\n".encode("ascii")
        except (LookupError, TypeError, ValueError, ArithmeticError, OSError, RecursionError):
            line = b""
        if not line or len(line) > LINE_LIMIT:
            line = f"{self._json(self._tamed(record))}\n".encode("ascii")
            if len(line) > LINE_LIMIT:
                raise ValueError(f"{len(line)} bytes when cut, expected at most {LINE_LIMIT}")
        return line

    def _plain_line(self, shown: dict[str, Any]) -> bytes:
        """The line, where the fast writer of JSON means the same by it; else b"".

        It leaves DEL and what is not ASCII as they are, has fewer types, and makes a number that JSON lacks a
        null. Where "null" is a part of a text, that looks the same, and is left to the other writer, too.
        """
        try:
            line = orjson.dumps(shown, None, _PLAIN)
        except TypeError:
            return b""
        if not line.isascii() or b"\x7f" in line:
            return b""
        nulls = line.count(b"null")
        # Of most records the group alone is None.
        sound = (nulls == 1 and shown.get("group", "") is None) or nulls == [*shown.values()].count(None)
        return line if sound else b""

    def _when(self, seconds: float) -> str:
        """RFC 3339 with milliseconds, in UTC."""
        moment = round(seconds * 1000)
        if moment != self._moment:
            whole, milliseconds = divmod(moment, 1000)
            if whole != self._second:
                self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
                self._second = whole
            self._moment_text = f"{self._second_text}.{milliseconds:03d}Z"
            self._moment = moment
        return self._moment_text

    def _tamed(self, record: Mapping[str, Any]) -> dict[str, Any]:
        tamed = {str(name): _tame(value) for name, value in record.items()}
        try:
            tamed["time"] = self._when(record["time"])
        except (LookupError, TypeError, ValueError, ArithmeticError, OSError):
            tamed["time"] = None
        tamed["cut"] = True
        return tamed


def _tame(value: Any, depth: int = 0) -> Any:
    """A copy that JSON can hold: long texts and lists cut, what is no finite number None."""
    if isinstance(value, Mapping) and depth < _DEPTH_LIMIT:
        pairs = list(value.items())[:_ITEM_LIMIT]
        return {str(_tame(name, depth + 1)): _tame(item, depth + 1) for name, item in pairs}
    if isinstance(value, list | tuple) and depth < _DEPTH_LIMIT:
        return [_tame(item, depth + 1) for item in value[:_ITEM_LIMIT]]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 2**63 else None
    if isinstance(value, Mapping | list | tuple):
        return "…"
    text = value if isinstance(value, str) else _plain(value)
    return text[:_TEXT_LIMIT] if isinstance(text, str) else _tame(text, depth + 1)


def _plain(value: object) -> Any:
    """What JSON knows, for what it does not."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return value.value if isinstance(value, Enum) else str(value)


def _open(path: str) -> int:
    # O_NONBLOCK: without it a named pipe that nobody reads would hold up the process here.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, 0o640)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        AccessLog._log.failure("access log: the old file could not be closed")


def _must_be_polled(descriptor: int) -> bool:
    """Pipes, sockets and terminals block, or are shared with processes that expect them to."""
    return not stat.S_ISREG(os.fstat(descriptor).st_mode)
