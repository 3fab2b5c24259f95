"""sslbroker: a TLS broker on Twisted.

What a ``.tac`` file needs is here, in ten lines of a transaction's life: a listener accepts a client and
shakes hands (`net.client`, `net.tls`); a codec frames its request (`protocols`); the rules admit it;
storage keeps what it sent (`core.storage`); the pool's balancer chooses a server (`core.balancing`); its
links give a connection (`net.links`); the relay sends the request on (`net.relay`); the monitor judges
what comes back (`net.monitor`); failover decides whether another server is tried (`core.failover`); and
the observers hear how it ended (`observe`). `core.transitions` has the table of these steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .settings import Configuration
from .version import __version__

if TYPE_CHECKING:
    from .interfaces import IBackendProtocol, IBalancer, IGroups, IObserver, IResponseClassifier

__all__ = ["Configuration", "__version__", "application"]


def application(
    configuration: Configuration | Path,
    *,
    protocols: Sequence[IBackendProtocol] = (),
    balancers: Mapping[str, IBalancer] | None = None,
    classifiers: Mapping[str, IResponseClassifier] | None = None,
    observers: Sequence[IObserver] = (),
    groups: Sequence[IGroups] = (),
) -> Any:
    """For the end of a ``.tac`` file: ``application = sslbroker.application(Configuration(…))``.

    `configuration` may be the path of a TOML file, too.
    `protocols` can be named in it, beside those of plugins. `balancers` and `classifiers` are for the pools
    that they are given for, by name, in place of what the configuration says. `observers` hear
    of every transaction. `groups` are asked for the group of a client, before plugins. The running broker is
    the application's service of the name "broker".

    Ends the process with one message for each problem and exit code 1 when it cannot start.
    """
    from .service import application as build

    return build(
        configuration,
        protocols=protocols,
        balancers=balancers,
        classifiers=classifiers,
        observers=observers,
        groups=groups,
    )
