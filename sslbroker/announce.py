"""What a broker says when it begins, and when it cannot.

Decides the wording, which is the same for one process and for several. Invariant: each line says which
program or which place it is about. Refuses to know what has begun.
"""

from __future__ import annotations

from twisted.logger import Logger

from .errors import ConfigurationError, StartError
from .settings import Listener

_log = Logger("sslbroker")


def explain(error: ConfigurationError | StartError) -> str:
    """The error for a terminal: each line says which program it comes from."""
    return "\n".join(f"sslbroker: {line}" for line in str(error).splitlines())


def listening(listener: Listener, address: str) -> None:
    """A listener has begun."""
    _log.info(
        "listening on {address} for pool {pool} ({kind})",
        address=address,
        pool=listener.pool,
        kind="secure" if listener.secure else "plain",
    )


def admin(address: str) -> None:
    """The admin pages have begun."""
    url = f"the UNIX socket {address}" if address.startswith("/") else f"http://{address}/"
    _log.info("admin pages on {url}", url=url)
