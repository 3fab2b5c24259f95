"""The networks of all groups, from the configuration and from files, made ready to be looked up.

Decides what a file of networks may have in it: a network on each line, blank lines, and after ``#`` anything.
Invariant: every mistake of all files is told, with its line, up to a bound; with one mistake nothing is used.
No network is in two groups. Reading goes on in small steps, so that a broker that serves can read a hundred
thousand networks anew beside its work. Refuses to know when files are read, and who is in a group.
"""

from __future__ import annotations

import os
import stat
from codecs import BOM_UTF8
from collections.abc import Generator, Iterable, Iterator, Sequence
from heapq import merge
from io import BytesIO
from pathlib import Path

from ..config import text
from ..config.report import Unfit, shown, steps
from ..core.groups import SLICE, GroupNetworks, Span, span
from ..errors import StartError
from ..settings import Group

#: Bytes of a file: about half a million networks.
LARGEST = 16 * 1024 * 1024

#: Mistakes that are told of one file.
MOST = 20

_EXPECTED = 'a network such as "192.0.2.0/24" or "2001:db8::/32"'

Steps = Generator[None, None, GroupNetworks]
"""Work in small steps, which comes to an end with the networks, or with a `StartError`."""

_Read = tuple[Span, int, int]
"""A network, the number of the place that it was read from, and the line there; 0: it is no file."""


def read_now(groups: Sequence[Group]) -> GroupNetworks:
    """All at once, before anybody is served. `StartError` with every mistake."""
    reading = read(groups)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def read(groups: Sequence[Group]) -> Steps:
    """In steps."""
    reading = _Reading()
    # Sorted chunk by chunk, for all of them at once would be too long a step.
    chunks = [reading.written(groups)]
    for group in groups:
        for index, path in enumerate(group.files):
            place = f"{steps('groups', group.name, 'files')}[{index}]: {path}"
            for chunk in reading.file(path, place, group):
                chunks.append(chunk)
                yield
    networks = GroupNetworks()
    yield from networks.fill(reading.each_once(merge(*chunks)))
    if reading.problems:
        raise StartError("\n".join(reading.problems))
    return networks


class _Reading:
    """What has been found so far."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._places: list[tuple[str, Group]] = []

    def written(self, groups: Sequence[Group]) -> list[_Read]:
        """The networks of the configuration, which has been checked, sorted."""
        found: list[_Read] = []
        for group in groups:
            for index, network in enumerate(group.networks):
                place = f"{steps('groups', group.name, 'networks')}[{index}]"
                found.append((span(network), self._place(place, group), 0))
        return sorted(found)

    def file(self, path: Path, place: str, group: Group) -> Iterator[list[_Read]]:
        """The networks of a file, some at a time, each time sorted."""
        try:
            content = _content(path)
        except OSError as error:
            self.problems.append(f"{place}: {error.strerror or error}")
            return
        if len(content) > LARGEST:
            self.problems.append(f"{place}: found more than {LARGEST} bytes, expected at most 16 MiB")
            return
        here, wrong = self._place(place, group), 0
        chunk: list[_Read] = []
        for number, line in enumerate(BytesIO(content.removeprefix(BOM_UTF8)), 1):
            word = line.partition(b"#")[0].strip().decode("utf-8", "replace")
            if word:
                try:
                    chunk.append((span(text.network(word)), here, number))
                except Unfit as unfit:
                    wrong += 1
                    if wrong <= MOST:
                        self._refuse(f"{place}:{number}", shown(word), _EXPECTED, unfit.suggestion)
            if number % SLICE == 0:
                yield sorted(chunk)
                chunk = []
        yield sorted(chunk)
        if wrong > MOST:
            self.problems.append(f"{place}: {wrong - MOST} more lines are wrong")

    def each_once(self, found: Iterable[_Read]) -> Iterator[tuple[Span, Group]]:
        """Whose each one is. What stands in one group twice is no mistake, for lists are often joined."""
        last: _Read = ((-1, 0), 0, 0)
        wrong = 0
        for one in found:
            _, group = self._places[one[1]]
            if one[0] != last[0]:
                last = one
                yield one[0], group
            elif group is not self._places[last[1]][1]:
                wrong += 1
                if wrong <= MOST:
                    word = "a network of another group"
                    self._refuse(self._where(one), word, "each in one group", f"{self._where(last)} has it")
        if wrong > MOST:
            self.problems.append(f"groups: {wrong - MOST} more networks are in two groups")

    def _place(self, place: str, group: Group) -> int:
        self._places.append((place, group))
        return len(self._places) - 1

    def _where(self, one: _Read) -> str:
        place, _ = self._places[one[1]]
        return f"{place}:{one[2]}" if one[2] else place

    def _refuse(self, place: str, found: str, expected: str, hint: str) -> None:
        self.problems.append(f"{place}: found {found}, expected {expected}{hint and f' ({hint})'}")


def _content(path: Path) -> bytes:
    """What is in a file, up to one byte more than it may have. What would wait for others is no file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("found no regular file")
        return file.read(LARGEST + 1)
