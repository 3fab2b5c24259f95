"""What probes have found out about servers, kept for as long as the servers live: the pins.

Decides what holds when a file, this process and other workers disagree: TLS wins over plain, and only
`clear` takes it back. Invariant: a file that is broken, unreadable or gone is never read as "nothing is
known", because that would make links plain in silence; what could not be written holds in memory and is
written later. Refuses to wait for a lock, and to know how anything was found out.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ..errors import Problem, StartError

_log = Logger("sslbroker.pins")

#: Bytes of the largest file that is read: some 100,000 servers.
LIMIT = 8 * 1024 * 1024

_VERSION = 1

_Key = tuple[str, str]  # pool, address of the server
_Stamp = tuple[int, int, int]


class Finding(Enum):
    """What a server speaks, as far as a probe could tell."""

    TLS = "tls"
    PLAIN = "plain"
    UNKNOWN = "unknown"


class Pins:
    """The pins in `links.json` of `directory`, which workers share; None: in this process's memory only."""

    def __init__(self, directory: Path | None) -> None:
        """Reads the file. `StartError` when it, or the directory, cannot be used. Writes nothing yet."""
        self._directory = directory
        self._held: dict[_Key, Finding] = {}
        self._owed: dict[_Key, Finding] = {}  # found here, and not in the file yet
        self._cleared: set[_Key] = set()  # cleared here, and still in the file
        self._stamp: _Stamp | None = None  # of the file that was read last
        self._busy = self._told = False
        if directory is not None:
            _check(directory)
            self._file = directory / "links.json"
            self._read()

    def get(self, pool: str, address: str) -> Finding | None:
        """What is pinned now, `TLS` or `PLAIN`, whichever worker found it; None: nothing."""
        self._refresh()
        return self._held.get(_key(pool, address))

    def set(self, pool: str, address: str, finding: Finding) -> Finding:
        """Pin what was found; gives what holds now: `TLS` whenever that was pinned before.

        `ValueError` for `UNKNOWN`. A pin that cannot be written holds in memory: logged once, tried again
        at each later call of any method.
        """
        if finding is Finding.UNKNOWN:
            raise ValueError("what is unknown cannot be pinned")
        self._refresh()
        key = _key(pool, address)
        if self._held.get(key) not in (Finding.TLS, finding):
            self._held[key] = finding
            if self._directory is not None:
                self._owed[key] = finding
                self._write()
        return self._held[key]

    def clear(self, pool: str, address: str) -> None:
        """The operator's word that the server may be found out anew. Not written: as with `set`."""
        self._refresh()
        key = _key(pool, address)
        self._owed.pop(key, None)
        if self._held.pop(key, None) is not None and self._directory is not None:
            self._cleared.add(key)
            self._write()

    def _refresh(self) -> None:
        """See what others have written, and write what is owed."""
        if self._directory is None:
            return
        try:
            if self._stamp != _stamp(os.stat(self._file)):
                self._read()
        except FileNotFoundError:
            # Removed while brokers run it comes back: a lost file must not be a lost pin.
            self._stamp = None
            self._owed = dict(self._held)
        except (OSError, StartError) as error:
            self._tell(error)
            return
        if self._owed or self._cleared:
            self._write()
        else:
            self._busy = self._told = False

    def _read(self) -> dict[_Key, Finding] | None:
        """Take over what the file says, and what is owed to it; gives what it said."""
        found = _load(self._file)
        if found is None:
            return None
        self._stamp, theirs = found
        held = {key: finding for key, finding in theirs.items() if key not in self._cleared}
        for key, finding in self._owed.items():
            if held.get(key) is not Finding.TLS:
                held[key] = finding
        self._held = held
        return theirs

    def _write(self) -> None:
        try:
            with _locked(self._file):
                if self._read() != self._held:
                    _replace(self._file, _text(self._held))
        except (OSError, StartError) as error:
            self._tell(error)
        else:
            self._owed.clear()
            self._cleared.clear()

    def _tell(self, error: Exception) -> None:
        if isinstance(error, BlockingIOError) and not self._busy:
            self._busy = True  # somebody else writes now, for milliseconds: only if it lasts it is told
        elif not self._told:
            self._told = True
            _log.error(
                "what servers speak cannot be kept in {file}: {error}. It holds in memory as it is, and "
                "will be written when that is possible; a restart before then finds servers out anew",
                file=str(self._file),
                error=_words(error),
            )


def _key(pool: str, address: str) -> _Key:
    return pool, address.lower()


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_ino, status.st_size


def _words(error: Exception) -> str:
    if isinstance(error, BlockingIOError):
        return "another process holds links.lock and does not let it go"
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def _check(directory: Path) -> None:
    """`StartError` unless files can be made in `directory`, or the directory itself.

    It is made at the first write: a broker that starts as root changes its user between the two.
    """
    found, suggestion = "", ""
    if directory.is_dir():
        if not os.access(directory, os.W_OK | os.X_OK):
            found, suggestion = "a directory that the broker may not write in", "change its owner or mode"
        elif directory.stat().st_mode & stat.S_IWOTH:
            found = "a directory that everybody may write in, and so make links plain"
            suggestion = "take one that is the broker's alone: mode 0700"
    elif directory.exists() or directory.is_symlink():
        found = "something that is no directory"
    elif not directory.parent.is_dir():
        found, suggestion = "no such directory, nor the one above it", "make it"
    elif not os.access(directory.parent, os.W_OK | os.X_OK):
        found, suggestion = "no such directory, and the broker may not make it", "make it"
    if found:
        raise StartError(str(Problem(str(directory), found, "a directory to write in", suggestion)))


def _load(file: Path) -> tuple[_Stamp, dict[_Key, Finding]] | None:
    """The file's stamp and pins; None: there is none. `StartError` for what is not the broker's own."""
    try:
        with open(file, "rb", opener=_without_waiting) as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _unusable(file, "something that is no file")
            data = opened.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(file, f"a file that cannot be read ({error.strerror})") from None
    if len(data) > LIMIT:
        raise _unusable(file, f"more than {LIMIT} bytes")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"{'nothing' if not data else 'what is not JSON'} ({error})") from None
    if not isinstance(said, dict) or not isinstance(said.get("pools"), dict):
        raise _unusable(file, "JSON without a table of pools")
    if said.get("version") != _VERSION:
        raise _unusable(file, f"version {said.get('version')!r}")
    pins: dict[_Key, Finding] = {}
    for pool, servers in said["pools"].items():
        for address, word in _table(file, pool, servers).items():
            if word not in ("tls", "plain"):
                raise _unusable(file, f'{word!r} for server "{address}" of pool "{pool}"')
            pins[_key(pool, address)] = Finding(word)
    return _stamp(status), pins


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe of that name would hold the whole broker


def _table(file: Path, pool: str, servers: object) -> Mapping[str, Any]:
    if not isinstance(servers, dict):
        raise _unusable(file, f'no table of servers for pool "{pool}"')
    return servers


def _unusable(file: Path, found: str) -> StartError:
    expected = (
        f'version {_VERSION} of what the broker keeps there: "tls" or "plain" for each server it found out'
    )
    suggestion = (
        "put a copy back; or remove the file while no broker runs: then every server is found out anew, and "
        "for that moment one that pretends to speak no TLS is believed"
    )
    return StartError(str(Problem(str(file), found, expected, suggestion)))


def _text(pins: Mapping[_Key, Finding]) -> bytes:
    pools: dict[str, dict[str, str]] = {}
    for (pool, address), finding in sorted(pins.items()):
        pools.setdefault(pool, {})[address] = finding.value
    return json.dumps({"version": _VERSION, "pools": pools}, indent=1).encode() + b"\n"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """No other process writes meanwhile. `BlockingIOError` when one does; nobody is waited for."""
    with suppress(FileExistsError):
        file.parent.mkdir(mode=0o700)
    lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _replace(file: Path, data: bytes) -> None:
    """The whole new file or the whole old one, whatever happens, even to the machine."""
    new = file.with_suffix(".new")  # one name, under the lock: nothing piles up
    with suppress(FileNotFoundError):
        new.unlink()
    try:
        with open(new, "xb", opener=_private) as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(new, file)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
