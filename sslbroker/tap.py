"""The options of ``twistd sslbroker``.

Decides which configuration runs: a file's, or the demo's. Invariant: whatever is wrong is said in plain
lines on standard error, with exit code 1, before the process daemonizes. Refuses to build the broker:
`service` does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from .errors import ConfigurationError, StartError
from .sockets import install_reactor_if_free
from .version import __version__


class Options(usage.Options):
    """``twistd sslbroker --config FILE`` or ``twistd sslbroker --demo``."""

    synopsis = "[--config FILE | --demo [--https PORT] [--http PORT] [--admin PORT]]"
    longdesc = "A TLS broker: accepts TLS, hands transactions to a pool of servers, fails over unseen."
    optParameters = [
        ["https", None, 0, "Demo: port of the secure listener (0: a free one).", int],
        ["http", None, 0, "Demo: port of the plain listener (0: a free one).", int],
        ["admin", None, 0, "Demo: port of the admin pages (0: a free one).", int],
    ]
    optFlags = [["demo", "d", "Run with three embedded servers and a throwaway certificate."]]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["config"] = None

    def opt_config(self, path: str) -> None:
        """The configuration file (TOML)."""
        if self["config"] is not None:
            raise usage.UsageError(f"found --config {self['config']} and --config {path}, expected one")
        self["config"] = path

    opt_c = opt_config

    def opt_version(self) -> None:
        """Tell the version and exit."""
        print(f"sslbroker {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            found = arguments[0]
            raise usage.UsageError(f"found {found!r}, expected options only, as in --config {found}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        # twistd prints its whole help for a wrong option and exits with 0.
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            raise SystemExit(f"sslbroker: {error}; see 'twistd sslbroker --help'") from None

    def postOptions(self) -> None:
        if bool(self["config"]) is bool(self["demo"]):
            raise usage.UsageError("say either --config FILE or --demo")


def makeService(options: Options) -> IService:
    """The broker as a service, its addresses taken; ends the process when it cannot start."""
    install_reactor_if_free()
    from twisted.internet import reactor

    from .announce import explain
    from .net.heap import settle_when_running
    from .service import broker

    try:
        made = _demo(options, reactor) if options["demo"] else broker(Path(options["config"]), reactor)
    except (ConfigurationError, StartError) as error:
        raise SystemExit(explain(error)) from None
    settle_when_running(reactor)
    return made


def _demo(options: Options, reactor: Any) -> IService:
    from .service import demo

    service, lines = demo(reactor, https=options["https"], http=options["http"], admin=options["admin"])
    for line in lines:
        print(line, file=sys.stderr)
    return service
