"""A configuration as a whole: from a file, from plain data, or from objects built in Python.

Decides whether a configuration can be used. Invariant: one `ConfigurationError` has every mistake,
and no other exception comes out, whatever was written. Refuses to know any setting: `schema` has
the settings, `rules` what they must agree on.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigurationError
from ..settings import Configuration
from .files import read
from .report import Extensions, Form, Place, Reading
from .rules import RULES
from .schema import CONFIGURATION, homes

_HOMES = homes()
_NO_PLUGIN = Extensions()


def load(path: Path, *, extensions: Extensions = _NO_PLUGIN) -> Configuration:
    """The configuration in a TOML file; relative paths in it are relative to its folder.

    `extensions` are the names that `protocol`, `balance`, `classifier` and `observers` may have. Raises
    `ConfigurationError`, also for a file that cannot be read, is over 1 MiB or is not TOML.
    """
    data = read(path)
    base = path.absolute().parent
    if ".." in base.parts:
        # The way there may be gone when a log is opened anew. Else symbolic links stay in the path: what
        # they lead to may change.
        base = base.resolve()
    return from_dict(data, base=base, source=str(path), extensions=extensions)


def from_dict(data: object, *, base: Path, source: str, extensions: Extensions = _NO_PLUGIN) -> Configuration:
    """The configuration in what `tomllib` gives. Raises `ConfigurationError`.

    `base` is the folder of relative paths, `source` the file's name for messages.
    """
    return _read(data, Reading(Form.TOML, base, extensions, _HOMES), source)


def check(configuration: Configuration, *, extensions: Extensions = _NO_PLUGIN) -> Configuration:
    """`configuration` itself, built in Python, when it keeps the rules. Raises `ConfigurationError`."""
    source = getattr(configuration, "source", None)
    source = source if isinstance(source, str) else "configuration"
    _read(configuration, Reading(Form.PYTHON, Path(), extensions, _HOMES), source)
    return configuration


def _read(found: object, reading: Reading, source: str) -> Configuration:
    configuration = CONFIGURATION.read(found, Place(reading), source=source)
    assert isinstance(configuration, Configuration)
    for rule in RULES:
        reading.problems += rule(configuration, reading)
    if reading.problems:
        raise ConfigurationError(source, reading.problems)
    return configuration
