"""How many files and sockets the process may have open.

Decides whether that is enough for what the configuration allows, and takes what the system grants without
asking: the soft limit is raised to what is needed, never above the hard one. Refuses to lower anything.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable

from ..settings import Listener, Pool

#: Beside connections: logs, listening sockets, the reactor's own, a resolver's threads.
RESERVE = 100

_NO_LIMIT = resource.RLIM_INFINITY


def needed(listeners: Iterable[Listener], pools: Iterable[Pool]) -> int:
    """Descriptors for every client that the limits allow, a link for each, and all idle links."""
    clients = sum(listener.limits.connections for listener in listeners)
    idle = sum(pool.links.idle * len(pool.servers) for pool in pools)
    return 2 * clients + idle + RESERVE


def provide(wanted: int) -> int:
    """Make room for `wanted` descriptors as far as the system lets us; how many there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == _NO_LIMIT or soft >= wanted:
        return wanted
    most = wanted if hard == _NO_LIMIT else min(wanted, hard)
    if most > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):  # a limit of the whole system, below the hard one
            return soft
    return max(soft, most)
