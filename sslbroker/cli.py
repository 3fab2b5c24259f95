"""The command `sslbroker`: asks about a configuration, never starts a broker (`twistd` does that).

Decides what a user is told and the exit status: 0 for a configuration that can be used, 1 for one
that cannot, 2 for a command that is not understood. Invariant: every problem and every warning is a line
of its own on standard error, and nothing but the answer is on standard output. Refuses to change anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .config import load
from .errors import ConfigurationError, StartError
from .settings import Configuration
from .version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status. `SystemExit` for help and for wrong usage."""
    options = _parser().parse_args(arguments)
    path: Path = options.file
    try:
        configuration, warnings = _examined(path)
    except ConfigurationError as error:
        lines = str(error).splitlines()
        if path.suffix == ".tac":
            lines.append(
                f"{path}: a .tac file is a Python program: `twistd -noy {path}` checks it and runs it"
            )
        return _refused(lines)
    except StartError as error:
        return _refused([f"{path}: {line}" for line in str(error).splitlines()])
    for warning in warnings:
        print(_printable(f"{path}: warning: {warning}"), file=sys.stderr)
    print(_printable(f"{path}: ok: {_summary(configuration)}"))
    return 0


def _examined(path: Path) -> tuple[Configuration, list[str]]:
    """The configuration after all checks that a start makes before it takes addresses; and its warnings."""
    # Imported late: help and version are answered without loading Twisted.
    from .extensions import extensions
    from .prepared import prepare

    known = extensions()
    configuration = load(path, extensions=known.names)
    return configuration, list(prepare(configuration, known).warnings())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslbroker",
        description="A TLS broker on Twisted: `twistd sslbroker` runs it, this checks its configuration.",
    )
    parser.add_argument("--version", action="version", version=f"sslbroker {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="check a configuration file",
        description="Check a configuration as a whole. Exit 0, or print every problem and exit 1.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="a configuration in TOML")
    return parser


def _summary(configuration: Configuration) -> str:
    servers = sum(len(pool.servers) for pool in configuration.pools)
    counts = (
        (len(configuration.listeners), "listener"),
        (len(configuration.pools), "pool"),
        (servers, "server"),
        *([(len(configuration.groups), "group")] if configuration.groups else []),
    )
    return ", ".join(f"{count} {noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts)


def _refused(lines: Sequence[str]) -> int:
    for line in lines:
        print(_printable(line), file=sys.stderr)
    return 1


def _printable(line: str) -> str:
    """`line` without what a terminal would obey or an encoding refuse: a file's name may have it."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


if __name__ == "__main__":
    sys.exit(main())
