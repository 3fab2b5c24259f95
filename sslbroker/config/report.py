"""What is wrong with a configuration, gathered until everything has been seen.

Decides how a mistake is told: where (`Place`), what was found (`shown`, never longer than a line),
and which word was probably meant (`meant`). Invariant: reading goes on after a mistake, so one run
finds them all, and a place with a mistake is not `sound`, so no mistake is told twice in other
words. Refuses to know any setting.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ..errors import Problem

FOUND_LENGTH = 60
"""Characters of what was found that a message repeats."""

BUILT_IN = ("http", "tcp")
"""The protocols that need no plugin."""

BALANCING = ("round-robin", "least-connections", "least-time", "hash")
"""The ways of balancing that need no plugin."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")  # TOML 1.0, "Keys"


class Unfit(Exception):
    """A value does not fit. Empty `expected`: what its kind says of itself."""

    def __init__(self, expected: str = "", suggestion: str = "") -> None:
        super().__init__(expected, suggestion)
        self.expected = expected
        self.suggestion = suggestion


def same(found: object, values: Collection[object]) -> bool:
    """Is `found` one of `values`, in type too? (1 == True == 1.0)"""
    return any(type(value) is type(found) and value == found for value in values)


class Form(Enum):
    """In which form the operator wrote."""

    TOML = "toml"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Extensions:
    """The names that a configuration may use for what can be extended: built-in ones, then plugins'."""

    protocols: Collection[str] = BUILT_IN
    balancing: Collection[str] = BALANCING
    classification: Collection[str] = ()
    observers: Collection[str] = ()
    grouping: Collection[str] = ()


@dataclass(slots=True)
class Reading:
    """One reading of a configuration: its circumstances, and the problems so far."""

    form: Form
    base: Path  # the folder of relative paths
    extensions: Extensions
    homes: Mapping[str, Collection[str]]  # a key → the patterns of the tables that have it
    problems: list[Problem] = field(default_factory=list)
    _doubted: set[str] = field(default_factory=set)
    _around: set[str] = field(default_factory=set)  # the doubted places and all that they are in

    def tell(self, path: str, found: str, expected: str, suggestion: str = "") -> None:
        self.problems.append(Problem(path, found, expected, suggestion))
        self.doubt(path)

    def doubt(self, path: str) -> None:
        """Something else that is wrong explains this place: tell nothing of it."""
        self._doubted.add(path)
        self._around.update(_outwards(path))

    def doubted(self, path: str) -> bool:
        """True when something is wrong at this place or above it; what is inside does not count."""
        return not self._doubted.isdisjoint(_outwards(path))

    def sound(self, *paths: str) -> bool:
        """True when nothing is wrong at these places, above them or inside them."""
        return not any(path in self._around or self.doubted(path) for path in paths)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a configuration a value stands; `pattern` has ``*`` for the operator's own names."""

    reading: Reading
    path: str = ""
    pattern: str = ""

    def key(self, name: object) -> Place:
        """The place of a setting of this table."""
        return self._below(f".{_key(name)}", f".{_key(name)}")

    def named(self, name: object) -> Place:
        """The place of a table that has the operator's own name."""
        return self._below(f".{_key(name)}", ".*")

    def item(self, index: int) -> Place:
        """The place of a list's item, counted from 0."""
        return self._below(f"[{index}]", "[*]")

    def _below(self, step: str, pattern: str) -> Place:
        return Place(self.reading, (self.path + step).lstrip("."), (self.pattern + pattern).lstrip("."))

    @property
    def in_toml(self) -> bool:
        return self.reading.form is Form.TOML

    def sound(self) -> bool:
        return self.reading.sound(self.path)

    def refuse(self, found: object, expected: str, suggestion: str = "") -> None:
        self.reading.tell(self.path or "configuration", shown(found), expected, suggestion)

    def missing(self, expected: str) -> None:
        self.reading.tell(self.path, "nothing", expected)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = FOUND_LENGTH
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = 3
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write very long integers in decimal; TOML can give them in hexadecimal.
        return f"an integer of {x.bit_length()} bits" if x.bit_length() > 256 else super().repr_int(x, level)

    def repr_PosixPath(self, x: Path, level: int) -> str:
        return f"Path({str(x)!r})"  # the name that a .tac file imports


_short = _Short()


def shown(found: object) -> str:
    """`found` as Python writes it, at most `FOUND_LENGTH` characters."""
    text = _short.repr(found)
    return text if len(text) <= FOUND_LENGTH else f"{text[: FOUND_LENGTH - 1]}…"


def meant(found: object, words: Collection[str], closeness: float = 0.6) -> str:
    """The one of `words` that a mistyped `found` most resembles, or ""."""
    if not isinstance(found, str) or len(found) > 80 or len(words) > 200:  # difflib is slow
        return ""
    by_lower = {word.lower(): word for word in words if isinstance(word, str)}
    close = difflib.get_close_matches(found.lower(), by_lower, 1, closeness)
    return by_lower[close[0]] if close else ""


def did_you_mean(found: object, words: Collection[str]) -> str:
    """A suggestion, or ""."""
    word = meant(found, words)
    return f"did you mean '{word}'?" if word else ""


def steps(*names: object) -> str:
    """The path of a place by its keys."""
    return ".".join(map(_key, names))


def _key(name: object) -> str:
    return name if isinstance(name, str) and _BARE_KEY.fullmatch(name) else shown(name)


def _outwards(path: str) -> Iterator[str]:
    """`path`, what it is in, what that is in, and so on to the whole configuration."""
    yield path
    for index in range(len(path) - 1, 0, -1):
        if path[index] in ".[":
            yield path[:index]
    yield ""
