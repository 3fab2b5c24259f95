"""The kinds of values that hold others: tables, tables named by the operator, lists.

Decides what a key that nobody knows may have meant, and what is missing.
Invariant: a table always gives an object of its class, with holes where something was wrong, so
that reading goes on. In TOML a key's presence counts; in an object, a value other than the default.
Refuses to know any key: `schema` has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from .report import Place, meant, shown
from .values import Kind, either


class Items(Kind):
    """A list of values of one kind; a tuple in an object. `least`: how many it needs."""

    hole = ()

    def __init__(self, item: Kind, what: str, *, least: int = 0, alone: object = None) -> None:
        self.item = item
        self.least = least
        self.alone = alone  # a value that stands for all others, so never beside them
        self.expected = f"a list of {what}"
        self.in_python = f"a tuple of {what}"

    def read(self, found: object, at: Place) -> object:
        if not isinstance(found, list if at.in_toml else tuple):
            at.refuse(found, self.expectation(at), self._wrapped(found, at))
            return self.hole
        if len(found) < self.least:
            at.refuse(found, f"{self.expectation(at)} with at least {self.least}")
        if self.alone in found and len(found) > 1:
            at.refuse(found, f"{shown(self.alone)} alone, or {self.expectation(at)} without it")
        return tuple(self.item.read(value, at.item(index)) for index, value in enumerate(found))

    def _wrapped(self, found: object, at: Place) -> str:
        if at.in_toml:
            return f'write ["{found}"]' if isinstance(found, str) and len(found) <= 60 else ""
        return "a tuple of one needs a comma: (…,)"


class Table(Kind):
    """The settings of one class; `shorthand`: the one that a text in place of the table gives."""

    def __init__(self, made: type[Any], what: str, /, shorthand: str = "", **kinds: Kind) -> None:
        self.made = made
        self.kinds = kinds
        self.shorthand = shorthand
        self.expected = what
        self.in_python = f"settings.{made.__name__}"
        self.settings: dict[str, Field[Any]] = {field.name: field for field in fields(made)}

    def default(self, key: str) -> object:
        """The setting's default; `MISSING` where there is none."""
        factory = self.settings[key].default_factory
        return self.settings[key].default if factory is MISSING else factory()

    def read(self, found: object, at: Place, **known: object) -> object:
        values: dict[str, object] = {}
        if at.in_toml and self.shorthand and isinstance(found, str):
            values[self.shorthand] = self.kinds[self.shorthand].read(found, at)
        elif not isinstance(found, Mapping if at.in_toml else self.made):
            at.refuse(found, self.expectation(at))
            at.reading.doubt(at.path)
        else:
            written = self._from_toml(found, at) if at.in_toml else self._from_object(found)
            values = {key: self.kinds[key].read(value, at.key(key)) for key, value in written}
        for key in self.kinds:
            if key not in values and self.default(key) is MISSING:
                values[key] = self.kinds[key].hole
                if at.key(key).sound():
                    at.key(key).missing(self.kinds[key].expectation(at))
        return self.made(**known, **values)

    def _from_object(self, found: object) -> Iterator[tuple[str, object]]:
        for key in self.kinds:
            value, default = getattr(found, key), self.default(key)
            if value is not default and (type(value) is not type(default) or value != default):
                yield key, value

    def _from_toml(self, found: Mapping[object, object], at: Place) -> Iterator[tuple[str, object]]:
        for key, value in found.items():
            if isinstance(key, str) and key in self.kinds:
                yield key, value
            else:
                self._refuse_unknown(key, value, at)

    def _refuse_unknown(self, key: object, value: object, at: Place) -> None:
        suggestion = "" if meant(key, self.kinds, 0.75) else _belongs(key, at)
        if not suggestion and (word := meant(key, self.kinds)):
            suggestion = f"did you mean '{word}'?"
            at.reading.doubt(at.key(word).path)  # so that it is not told as missing too
        at.key(key).refuse(value, f"a setting of this table: {either(list(self.kinds))}", suggestion)


class Named(Kind):
    """Tables with names of the operator's own: a tuple of objects that have a `name`."""

    hole = ()

    def __init__(self, table: Table, name: Kind, *, required: bool = False) -> None:
        self.table = table
        self.name = name
        self.required = required
        self.expected = table.expected.replace("a table", "at least one table")
        self.in_python = f"a tuple of at least one {table.in_python}"

    def read(self, found: object, at: Place) -> object:
        if self.required and found in ({}, ()):
            at.refuse(found, self.expectation(at))
        elif at.in_toml and isinstance(found, Mapping):
            return tuple(self._from_toml(found, at))
        elif not at.in_toml and isinstance(found, tuple):
            return tuple(self._from_objects(found, at))
        else:
            at.refuse(found, self.expectation(at))
        return self.hole

    def _from_toml(self, found: Mapping[object, object], at: Place) -> Iterator[object]:
        for name, table in found.items():
            self.name.read(name, at.named(name))
            yield self.table.read(table, at.named(name), name=name)

    def _from_objects(self, found: tuple[object, ...], at: Place) -> Iterator[object]:
        seen: set[str] = set()
        for index, value in enumerate(found):
            name = getattr(value, "name", None)
            if isinstance(value, self.table.made) and isinstance(name, str) and name not in seen:
                seen.add(name)
                self.name.read(name, at.named(name).key("name"))
                yield self.table.read(value, at.named(name), name=name)
                continue
            if isinstance(value, self.table.made):
                at.item(index).key("name").refuse(name, "a name of its own, as text")
            self.table.read(value, at.item(index), name=name)
            at.reading.doubt(at.path)  # what refers to it by name is not wrong


def _belongs(key: object, at: Place) -> str:
    """Where a key that is known, but not here, belongs: the nearest tables that have it."""
    homes = at.reading.homes.get(key, ()) if isinstance(key, str) else ()
    here, names = at.pattern.split("."), at.path.split(".")
    shared = {home: _shared(home.split("."), here) for home in homes}
    nearest = [home for home in homes if shared[home] == max(shared.values())]
    if not 1 <= len(nearest) <= 3:
        return ""
    return "it belongs in " + either([_filled(home, here, names) for home in nearest])


def _shared(a: list[str], b: list[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _filled(home: str, here: list[str], names: list[str]) -> str:
    """A table's pattern with the operator's own names where they are the same, else NAME."""
    steps = home.split(".")
    same = _shared(steps, here)
    filled = names[:same] + [step.replace("*", "NAME") if step == "*" else step for step in steps[same:]]
    path = ".".join(filled).replace("[*]", "[…]")
    return f"[{path}]" if path and not path.endswith("]") else path or "the top of the file"
