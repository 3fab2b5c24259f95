"""docs/configuration.md agrees with the program: every setting, its default, its bounds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from sslbroker import config, settings
from sslbroker.config.report import Extensions, Form, Place, Reading
from sslbroker.config.schema import CONFIGURATION
from sslbroker.config.tables import Items, Named, Table
from sslbroker.config.values import Kind
from tests.config.support import MINIMAL, refused

DOCUMENT = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
SEE_BELOW = "see below"


class Row(NamedTuple):
    """A setting as the document tells it."""

    meaning: str
    form: str
    default: str


def documented() -> dict[str, Row]:
    """The rows of the tables of settings, by the pattern of the setting."""
    rows = {}
    for section in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE):
        heading = re.match(r"`\[?([a-zN]\S*?)\]?`\n", section.replace("[…]", "(…)"))
        if heading is None:
            continue
        table = heading[1].replace("NAME", "*").replace("(…)", "[*]")
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if line.startswith("| `"):
                rows[f"{table}.{cells[0].strip('`')}"] = Row(*cells[1:])
    return rows


def settings_of(kind: Kind = CONFIGURATION, pattern: str = "") -> Iterator[tuple[str, Kind, object]]:
    """Every setting below the top: its pattern, its kind, its default."""
    if isinstance(kind, Named):
        yield from settings_of(kind.table, f"{pattern}.*")
    elif isinstance(kind, Items):
        yield from settings_of(kind.item, f"{pattern}[*]")
    elif isinstance(kind, Table):
        for key, inner in kind.kinds.items():
            path = f"{pattern}.{key}".lstrip(".")
            if pattern:
                yield path, inner, kind.default(key)
            yield from settings_of(inner, path)


SETTINGS = {pattern: (kind, default) for pattern, kind, default in settings_of()}
ROWS = documented()
TOML = Place(Reading(Form.TOML, Path("/"), Extensions(), {})).key("it")


def test_the_document_has_every_setting_and_no_other() -> None:
    assert set(ROWS) == set(SETTINGS)


@pytest.mark.parametrize("pattern", SETTINGS)
def test_the_default_in_the_document_is_that_of_the_program(pattern: str) -> None:
    kind, default = SETTINGS[pattern]
    cell = ROWS[pattern].default
    if default is MISSING:
        assert cell == "required"
    elif default is None:
        assert cell == "none"
    elif isinstance(kind, Table):
        assert cell == SEE_BELOW
    else:
        data = tomllib.loads(f"it = {cell.strip('`')}")
        assert kind.read(data["it"], TOML) == default


@pytest.mark.parametrize("pattern", SETTINGS)
def test_the_bounds_in_the_document_are_those_of_the_program(pattern: str) -> None:
    kind, _ = SETTINGS[pattern]
    if hasattr(kind, "low"):
        bounds = re.search("from .*", kind.expected)
        assert bounds is not None
        assert ROWS[pattern].form.endswith(bounds[0])


def test_the_document_has_every_class_of_objects() -> None:
    classes = [name for name, value in vars(settings).items() if hasattr(value, "__dataclass_fields__")]
    assert [name for name in classes if f"| `{name}`" not in DOCUMENT] == []


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)


def test_every_toml_example_is_toml_with_known_keys() -> None:
    assert len(examples("toml")) > 15
    for example in examples("toml"):
        if not example.startswith("["):
            example = (
                "[pools.shop.failover]\n" + example if "budget" in example else "[pools.shop]\n" + example
            )
        data = tomllib.loads(example)
        for problem in refused(partial(config.from_dict, data, base=Path("/"), source="example")):
            known = problem.found == "nothing" or "that can be read" in problem.expected
            assert known or "a folder that exists" in problem.expected


def test_the_python_example_is_python_that_knows_its_names() -> None:
    (example,) = examples("python")
    names = re.search(r"from sslbroker\.settings import (.*)", example)
    assert names is not None
    assert all(hasattr(settings, name) for name in names[1].split(", "))
    compile(example, "example", "exec")


def test_every_message_in_the_document_is_one_that_the_program_gives() -> None:
    text = (
        MINIMAL
        + """
[listeners.https]
endpoint = "tcp:8443"
pool = "shpo"
certificates = ["a.pem"]
[listeners.https.limits]
handshake = 10
"""
    )
    data = tomllib.loads(text)
    given = [str(each) for each in refused(lambda: config.from_dict(data, base=Path("/"), source="x"))]
    shown = [
        line.removeprefix("broker.toml: ")
        for line in DOCUMENT.splitlines()
        if line.startswith("broker.toml: ")
    ]
    assert len(shown) == 3
    assert sorted(shown) == sorted(given)
