"""The list of settings agrees with the objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from sslbroker import settings
from sslbroker.config.report import Extensions, Form, Place, Reading
from sslbroker.config.schema import CONFIGURATION, homes
from sslbroker.config.tables import Items, Named, Table
from sslbroker.config.values import Kind
from tests.config.support import MINIMAL, problems


def tables(kind: Kind = CONFIGURATION) -> Iterator[Table]:
    if isinstance(kind, Named):
        yield from tables(kind.table)
    elif isinstance(kind, Items):
        yield from tables(kind.item)
    elif isinstance(kind, Table):
        yield kind
        for inner in kind.kinds.values():
            yield from tables(inner)


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
        reading = Reading(Form.PYTHON, Path(), Extensions(), {})
        assert kind.read(default, Place(reading).key(key)) == default
        assert reading.problems == []


def test_a_key_is_known_by_its_tables() -> None:
    assert homes()["certificates"] == ("listeners.*.tls", "groups.*")
    assert homes()["weight"] == ("pools.*.servers[*]",)
    assert homes()["verify"] == ("pools.*.servers[*].tls", "pools.*.tls")
    assert homes()["names"] == ("listeners.*.tls", "")
    assert homes()["pools"] == ("",)


def test_a_path_that_is_not_measured_has_no_query() -> None:
    text = MINIMAL + '[pools.shop.pacing]\nexclude = ["/", "/events", "/events?all"]'
    assert [(problem.path, problem.expected) for problem in problems(text)] == [
        ("pools.shop.pacing.exclude[2]", 'a path such as "/events", without a query')
    ]
