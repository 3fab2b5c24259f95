"""Configurations for tests: the least that works, and what is told of one that does not."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from sslbroker import config
from sslbroker.errors import ConfigurationError, Problem
from sslbroker.settings import Configuration, Listener, Pool, Server

LISTENER = """
[listeners.web]
endpoint = "tcp:8080"
pool = "shop"
"""
POOL = """
[pools.shop]
servers = ["127.0.0.1:9001"]
"""
MINIMAL = LISTENER + POOL

NO_PLUGIN = config.Extensions()

OBJECTS = Configuration(
    listeners=(Listener("web", "tcp:8080", "shop"),),
    pools=(Pool("shop", (Server("127.0.0.1:9001"),)),),
    source="test",
)


def configured(toml: str, base: Path = Path("/nowhere")) -> Configuration:
    """What this TOML configures."""
    return config.from_dict(tomllib.loads(toml), base=base, source="test")


def refused(read: Callable[[], object]) -> list[Problem]:
    """The problems that `read` raises; none when it goes well."""
    try:
        read()
    except ConfigurationError as error:
        return error.problems
    return []


def problems(
    toml: str, *, base: Path = Path("/nowhere"), extensions: config.Extensions = NO_PLUGIN
) -> list[Problem]:
    """What is wrong with this TOML."""
    data = tomllib.loads(toml)
    return refused(lambda: config.from_dict(data, base=base, source="test", extensions=extensions))


def told(toml: str, *, base: Path = Path("/nowhere")) -> list[str]:
    """What is wrong with this TOML, as a user reads it."""
    return [str(problem) for problem in problems(toml, base=base)]


def only(found: list[Problem]) -> Problem:
    """The one problem that there is."""
    assert len(found) == 1, found
    return found[0]
