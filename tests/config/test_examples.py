"""The configurations in etc/: they can be used as they are, and both say the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from twisted.persisted.sob import loadValueFromFile

import sslbroker
from sslbroker import config
from sslbroker.settings import Configuration

ETC = Path(__file__).parents[2] / "etc"


def test_the_toml_example_can_be_used_as_it_is() -> None:
    configuration = config.load(ETC / "sslbroker.toml")
    assert [listener.name for listener in configuration.listeners] == ["https", "http"]
    assert [server.port for server in configuration.pools[0].servers] == [9001, 9002, 9003]


def test_the_tac_example_builds_the_same_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Configuration] = []
    monkeypatch.setattr(sslbroker, "application", built.append, raising=False)
    loadValueFromFile(str(ETC / "sslbroker.tac"), "application")  # as `twistd -y` does
    (configuration,) = built
    assert config.check(configuration) is configuration
    from_toml = config.load(ETC / "sslbroker.toml")
    assert replace(configuration, source="") == replace(from_toml, source="")
