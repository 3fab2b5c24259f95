"""Text to settings: what an operator wrote becomes the frozen objects of `sslbroker.settings`.

Decides whether a configuration can be used. Invariant: it is read as a whole, so one
`ConfigurationError` has every mistake, each with its place, what was found, what was expected and,
where it can be guessed, what was meant; no other exception comes out, whatever was written. Refuses
to open sockets, to read certificates and to look up names: a start of the broker does that.

`load` reads a TOML file, `from_dict` what TOML would give, and `check` the objects that a ``.tac``
file builds. All three keep the same rules. `schema` lists the settings, `rules` what they must
agree on, `text` the spelling of durations, sizes and the like.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..errors import ConfigurationError
from ..settings import Configuration
from .files import read
from .outside import THROWAWAY
from .report import Form, Place, Reading
from .rules import RULES
from .schema import CONFIGURATION, NOT_BUILT, homes

__all__ = ["BUILT_IN", "THROWAWAY", "check", "from_dict", "load"]

BUILT_IN = ("http",)
"""The protocols that need no plugin."""

_HOMES = homes()


def load(path: Path, *, protocols: Collection[str] = BUILT_IN) -> Configuration:
    """The configuration in a TOML file; relative paths in it are relative to its folder.

    `protocols` are the names that a pool's `protocol` may have. Raises `ConfigurationError`, also
    for a file that cannot be read, is over 1 MiB or is not TOML.
    """
    return from_dict(read(path), base=path.absolute().parent, source=str(path), protocols=protocols)


def from_dict(
    data: object, *, base: Path, source: str, protocols: Collection[str] = BUILT_IN
) -> Configuration:
    """The configuration in what `tomllib` gives. Raises `ConfigurationError`.

    `base` is the folder of relative paths, `source` the file's name for messages.
    """
    return _read(data, Reading(Form.TOML, base, protocols, NOT_BUILT, _HOMES), source)


def check(configuration: Configuration, *, protocols: Collection[str] = BUILT_IN) -> Configuration:
    """`configuration` itself, built in Python, when it keeps the rules. Raises `ConfigurationError`."""
    source = getattr(configuration, "source", None)
    source = source if isinstance(source, str) else "configuration"
    _read(configuration, Reading(Form.PYTHON, Path(), protocols, NOT_BUILT, _HOMES), source)
    return configuration


def _read(found: object, reading: Reading, source: str) -> Configuration:
    configuration = CONFIGURATION.read(found, Place(reading), source=source)
    assert isinstance(configuration, Configuration)
    for rule in RULES:
        reading.problems += rule(configuration, reading)
    if reading.problems:
        raise ConfigurationError(source, reading.problems)
    return configuration
