"""What the system's administrator says of names: /etc/hosts and /etc/resolv.conf.

Decides how these files are read (hosts(5), resolv.conf(5)). Invariant: a file that has changed is read anew,
another one is not, and no file is read beyond a bound. Refuses to fail: a file that is not there, or a line
that is not understood, says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

#: Bytes of a file that are read.
LONGEST_FILE = 4 * 1024 * 1024

#: As the system's own resolver has them; more are not used.
MOST_SERVERS = 3
MOST_SEARCHED = 32
MOST_DOTS = 15


class WatchedFile:
    """A small text file: its lines without comments, each split into words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None

    def changed(self) -> Iterator[list[str]] | None:
        """The lines, when the file is not what it was at the last call; no lines while it cannot be read."""
        try:
            state = os.stat(self._path)
            seen: tuple[int, ...] = (state.st_mtime_ns, state.st_size, state.st_ino)
        except OSError:
            seen = ()
        if seen == self._seen:
            return None
        self._seen = seen
        return self._lines()

    def _lines(self) -> Iterator[list[str]]:
        try:
            with open(self._path, "rb") as file:
                text = file.read(LONGEST_FILE).decode(errors="replace")
        except OSError:
            return
        for line in text.splitlines():
            words = line.split("#", 1)[0].split()
            if words and not words[0].startswith(";"):
                yield words


class Hosts:
    """/etc/hosts: names that need no question."""

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path)
        self._names: dict[str, list[str]] = {}

    def addresses(self, host: str) -> tuple[str, ...]:
        """Those that the file gives this name, in its order; upper and lower case are one."""
        lines = self._file.changed()
        if lines is not None:
            self._names = {}
            for address, *names in lines:
                if _is_address(address):
                    for name in names:
                        self._names.setdefault(name.lower(), []).append(address)
        return tuple(self._names.get(host.lower(), ()))


@dataclass(frozen=True, slots=True)
class Resolving:
    """What /etc/resolv.conf says."""

    servers: tuple[str, ...] = ("127.0.0.1",)
    search: tuple[str, ...] = ()
    ndots: int = 1


class ResolvConf:
    """/etc/resolv.conf, as it is now."""

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path)
        self._says = Resolving()

    def now(self) -> Resolving:
        lines = self._file.changed()
        if lines is not None:
            self._says = _read(lines)
        return self._says


def _read(lines: Iterator[list[str]]) -> Resolving:
    servers: list[str] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for word, *rest in lines:
        if word == "nameserver" and rest and _is_address(rest[0]):
            servers.append(rest[0])
        elif word in ("search", "domain"):  # the last of either is the one that counts
            names = (name.strip(".") for name in rest[: MOST_SEARCHED if word == "search" else 1])
            search = tuple(name for name in names if name)
        elif word == "options":
            for option in rest:
                name, _, number = option.partition(":")
                if name == "ndots" and number.isdecimal():
                    ndots = min(int(number[:3]), MOST_DOTS)
    return Resolving(tuple(servers[:MOST_SERVERS]) or Resolving().servers, search, ndots)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
