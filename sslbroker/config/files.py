"""A configuration file as plain data.

Decides whether a file is TOML at all. Invariant: at most `LARGEST` bytes are read, and whatever is
wrong comes out as one problem that says where. Refuses to know any setting.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from ..errors import ConfigurationError, Problem
from .report import shown

LARGEST = 1024 * 1024
"""Bytes of a configuration file: far more than anybody writes, too little to hurt."""


def read(path: Path) -> dict[str, object]:
    """The content of a TOML file. Raises `ConfigurationError` with one problem."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _unusable(path, "file", reason, "a TOML file that can be read") from None
    if len(content) > LARGEST:
        raise _unusable(path, "file", f"more than {LARGEST} bytes", "a file of at most 1 MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = shown(content[error.start : error.start + 1])
        raise _unusable(path, f"line {line}", found, "text in UTF-8") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unusable(path, "file", "lists or tables nested too deeply", "TOML") from None
    except ValueError as error:  # TOMLDecodeError, and integers that Python refuses to read
        raise _syntax(path, text, str(error)) from None


def _syntax(path: Path, text: str, message: str) -> ConfigurationError:
    """`message` is of `tomllib`: "Expected '=' after a key in a key/value pair (at line 3, column 5)"."""
    lines = text.rstrip().split("\n")
    place, reason = f"line {len(lines)}", message.removesuffix(" (at end of document)")
    match = re.fullmatch(r"(.*) \(at (line ([0-9]+), column [0-9]+)\)", message, re.DOTALL)
    if match is not None:
        reason, place = match[1], match[2]
        lines = text.split("\n")[: int(match[3])]
    elif reason == message:  # not about the syntax: an integer that Python refuses to read
        return _unusable(path, "file", "a value that cannot be read", "TOML", message)
    return _unusable(path, place, shown(lines[-1].strip()), "TOML", reason)


def _unusable(path: Path, place: str, found: str, expected: str, suggestion: str = "") -> ConfigurationError:
    return ConfigurationError(str(path), [Problem(place, found, expected, suggestion)])
