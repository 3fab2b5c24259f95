"""sslbroker: a TLS broker on Twisted.

What a ``.tac`` file needs is here, in ten lines of a transaction's life: a listener accepts a client and
shakes hands (`net.client`, `net.tls`); a codec frames its request (`protocols`); the rules admit it;
storage keeps what it sent (`core.storage`); the pool's balancer chooses a server (`core.balancing`); its
links give a connection (`net.links`); the relay sends the request on (`net.relay`); the monitor judges
what comes back (`net.monitor`); failover decides whether another server is tried (`core.failover`); and
the observers hear how it ended (`observe`). `core.transaction` has the table of these steps.
"""

from __future__ import annotations

from typing import Any

from .settings import Configuration
from .version import __version__

__all__ = ["Configuration", "__version__", "application"]


def application(configuration: Configuration) -> Any:
    """For the end of a ``.tac`` file: ``application = sslbroker.application(Configuration(…))``."""
    from .service import application as build

    return build(configuration)
