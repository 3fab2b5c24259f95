"""The kinds of values that need no look at the world: amounts, counts, choices, words.

Decides for one value at a time what TOML may write, what its object holds, and what is plausible.
Invariant: `Kind.read` gives a value that `hold` accepts, or tells one problem and gives the kind's
`hole`; TOML and Python objects pass the same `hold`, so they keep the same rules. Refuses to look
at any other setting: what two settings must agree on is in `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import text
from .report import Place, Unfit, did_you_mean, same, shown


class Kind:
    """What a setting may be; `expected` says it for TOML, `in_python` for objects if it differs."""

    expected: str
    in_python: str = ""
    hole: object = ""  # stands in for what was wrong; rules leave unsound places alone

    def parse(self, found: object, at: Place) -> object:
        """The value of what TOML gave. Raises `Unfit`."""
        return found

    def hold(self, value: object, at: Place) -> None:
        """Raises `Unfit` unless a setting may have this value."""
        raise NotImplementedError

    def read(self, found: object, at: Place) -> object:
        """The value; or the hole, after telling what is wrong."""
        try:
            value = self.parse(found, at) if at.in_toml else found
            self.hold(value, at)
        except Unfit as unfit:
            suggestion = unfit.suggestion or ("" if at.in_toml else self._converted(found, at))
            at.refuse(found, unfit.expected or self.expectation(at), suggestion)
            return self.hole
        return value

    def expectation(self, at: Place) -> str:
        return self.expected if at.in_toml else self.in_python or self.expected

    def _converted(self, found: object, at: Place) -> str:
        """Where an object has a text as TOML would write it: the value to write instead."""
        try:
            value = self.parse(found, at)
            self.hold(value, at)
        except Unfit:
            return ""
        return f"write {shown(value)}"


class Duration(Kind):
    """Seconds."""

    def __init__(self, low: str = "1ms", high: str = "24h") -> None:
        self.low, self.high = text.duration(low), text.duration(high)
        self.expected = f'a duration such as "10s", from {low} to {high}'
        self.in_python = f"seconds as a number, from {self.low:g} to {self.high:g}"

    def parse(self, found: object, at: Place) -> object:
        return text.duration(found)

    def hold(self, value: object, at: Place) -> None:
        _between(value, self.low, self.high, (int, float))


class DurationOr(Duration):
    """Seconds, or a word in place of them."""

    def __init__(self, word: str, low: str = "1ms", high: str = "24h") -> None:
        super().__init__(low, high)
        self.word = word
        self.expected += f', or "{word}"'
        self.in_python += f', or "{word}"'

    def parse(self, found: object, at: Place) -> object:
        return found if found == self.word else super().parse(found, at)

    def hold(self, value: object, at: Place) -> None:
        if value != self.word:
            super().hold(value, at)


class Size(Kind):
    """Bytes."""

    def __init__(self, low: str, high: str) -> None:
        self.low, self.high = text.size(low), text.size(high)
        self.expected = f'a size such as "64KiB", from {low} to {high}'
        self.in_python = f"bytes as an integer, from {self.low} to {self.high}"

    def parse(self, found: object, at: Place) -> int:
        return text.size(found)

    def hold(self, value: object, at: Place) -> None:
        _between(value, self.low, self.high, (int,))


class Count(Kind):
    """An integer."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.expected = f"an integer from {low} to {high}"

    def hold(self, value: object, at: Place) -> None:
        _unquoted(value)
        _between(value, self.low, self.high, (int,))


class Number(Kind):
    """A number from `low` to `high`; these two themselves only if `closed`."""

    def __init__(self, low: float, high: float, *, closed: bool = True) -> None:
        self.low, self.high, self.closed = low, high, closed
        self.expected = f"a number from {low:g} to {high:g}" + ("" if closed else ", neither of them")

    def parse(self, found: object, at: Place) -> object:
        return float(found) if isinstance(found, int) and type(found) is int and abs(found) < 1e9 else found

    def hold(self, value: object, at: Place) -> None:
        _unquoted(value)
        _between(value, self.low, self.high, (int, float))
        if not self.closed and value in (self.low, self.high):
            raise Unfit()


class Choice(Kind):
    """One of some words, with true and false among them where they are; or else of kind `other`."""

    def __init__(self, *choices: object, other: Kind | None = None, advice: str = "") -> None:
        self.choices = choices
        self.other = other
        self.advice = advice  # in place of a guess

    def hold(self, value: object, at: Place) -> None:
        if same(value, self.choices):
            return
        if self.other is not None and not isinstance(value, str):
            self.other.hold(value, at)
            return
        texts = [choice for choice in self.choices if isinstance(choice, str)]
        unquoted = _unquotable(value, self.choices, at)
        raise Unfit(suggestion=self.advice or unquoted or did_you_mean(value, texts))

    def expectation(self, at: Place) -> str:
        words = [written(choice, at) for choice in self.choices]
        return either(words if self.other is None else [*words, self.other.expectation(at)])


class Flag(Choice):
    """True or false."""

    def __init__(self) -> None:
        super().__init__(True, False)


class Word(Kind):
    """A text that matches a pattern as a whole; or the empty one, if that has a meaning."""

    def __init__(self, pattern: str | re.Pattern[str], expected: str, *, empty: bool = False) -> None:
        self.pattern = re.compile(pattern)
        self.expected = f'{expected}, or ""' if empty else expected
        self.empty = empty

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, str) or not (self.pattern.fullmatch(value) or (self.empty and value == "")):
            raise Unfit()


def either(words: Sequence[str]) -> str:
    """ "a, b or c"."""
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def written(value: object, at: Place) -> str:
    """A choice as the operator would write it."""
    if isinstance(value, bool) and at.in_toml:
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _unquotable(found: object, choices: Sequence[object], at: Place) -> str:
    word = found.lower() if isinstance(found, str) else ""
    meant = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(word)
    return f"write {written(meant, at)}, without quotes" if same(meant, choices) else ""


def _unquoted(value: object) -> None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", value):
        raise Unfit(suggestion=f"write {value}, without quotes")


def _between(value: object, low: float, high: float, types: tuple[type, ...]) -> None:
    # bool is an int to Python, never to an operator; nan is between nothing
    if type(value) not in types or not low <= value <= high:  # type: ignore[operator]
        raise Unfit()
