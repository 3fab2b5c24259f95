"""The list of settings agrees with the objects, and what is not built yet is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest

from sslbroker import config, settings
from sslbroker.config import configuration
from sslbroker.config.report import Extensions, Form, Place, Reading
from sslbroker.config.schema import CONFIGURATION, NOT_BUILT, homes
from sslbroker.config.tables import Items, Named, Table
from sslbroker.config.values import Kind
from tests.config.support import MINIMAL, OBJECTS, problems, refused


def tables(kind: Kind = CONFIGURATION) -> Iterator[Table]:
    if isinstance(kind, Named):
        yield from tables(kind.table)
    elif isinstance(kind, Items):
        yield from tables(kind.item)
    elif isinstance(kind, Table):
        yield kind
        for inner in kind.kinds.values():
            yield from tables(inner)


def patterns(kind: Kind = CONFIGURATION, pattern: str = "") -> Iterator[str]:
    if isinstance(kind, Named):
        yield from patterns(kind.table, f"{pattern}.*")
    elif isinstance(kind, Items):
        yield from patterns(kind.item, f"{pattern}[*]")
    elif isinstance(kind, Table):
        for key, inner in kind.kinds.items():
            yield f"{pattern}.{key}".lstrip(".")
            yield from patterns(inner, f"{pattern}.{key}".lstrip("."))


def test_every_class_of_settings_has_a_table() -> None:
    classes = {value for value in vars(settings).values() if hasattr(value, "__dataclass_fields__")}
    assert {table.made for table in tables()} == classes


@pytest.mark.parametrize("table", list(tables()), ids=lambda table: table.made.__name__)
def test_every_setting_of_a_class_has_a_kind(table: Table) -> None:
    names = {field.name for field in fields(table.made)}
    own_name = table.made in (settings.Listener, settings.Pool, settings.Group, settings.NamedClients)
    left_out = {"name"} if own_name else {"source"} if table.made is settings.Configuration else set()
    assert set(table.kinds) == names - left_out


@pytest.mark.parametrize("table", list(tables()), ids=lambda table: table.made.__name__)
def test_every_default_fits_its_own_kind(table: Table) -> None:
    for key, kind in table.kinds.items():
        default = table.default(key)
        if default is MISSING or default is None or default == ():
            continue
        reading = Reading(Form.PYTHON, Path(), Extensions(), {}, {})
        assert kind.read(default, Place(reading).key(key)) == default
        assert reading.problems == []


def test_what_is_not_built_is_in_the_schema() -> None:
    assert set(NOT_BUILT) <= set(patterns())


def test_a_key_is_known_by_its_tables() -> None:
    assert homes()["certificates"] == ("listeners.*.tls", "groups.*")
    assert homes()["weight"] == ("pools.*.servers[*]",)
    assert homes()["verify"] == ("pools.*.servers[*].tls", "pools.*.tls")
    assert homes()["names"] == ("listeners.*.tls", "")
    assert homes()["pools"] == ("",)


#: For each part that is not built: a TOML text that asks for it.
WISHES = {
    "pools.*.pacing": MINIMAL + "pacing = { breaches = 1 }",
    "broker.transport": MINIMAL + '[broker]\ntransport = "own"',
}


@pytest.mark.parametrize("pattern", NOT_BUILT)
def test_what_is_not_built_yet_is_refused_with_a_message_that_says_so(pattern: str) -> None:
    (problem,) = problems(WISHES[pattern])
    assert problem.expected.endswith(f"{NOT_BUILT[pattern].what} is not built yet")
    place = (
        pattern.replace("listeners.*", "listeners.web").replace("pools.*", "pools.shop").replace("[*]", "[0]")
    )
    assert problem.path == place


@pytest.mark.parametrize("pattern", NOT_BUILT)
def test_what_is_not_built_yet_is_nothing_else_that_is_wrong(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "NOT_BUILT", {})
    data = tomllib.loads(WISHES[pattern])
    config.from_dict(data, base=Path("/"), source="test")


def pool(**changes: Any) -> settings.Configuration:
    return replace(OBJECTS, pools=(replace(OBJECTS.pools[0], **changes),))


@pytest.mark.parametrize(
    ("path", "wish"),
    [
        ("pools.shop.pacing", pool(pacing=settings.Pacing(breaches=2))),
    ],
)
def test_objects_that_ask_for_what_is_not_built_yet_are_refused_too(
    path: str, wish: settings.Configuration
) -> None:
    problem = refused(lambda: config.check(wish))[-1]
    assert problem.path == path
    assert problem.expected.endswith("is not built yet")
