"""How many files and sockets the process may have open.

Decides whether that is enough for what the configuration allows, and how many clients there may be when it
is not. Takes what the system grants without asking: the soft limit is raised to what is needed, never above
the hard one. Invariant: clients never take the descriptors that links need to serve them. Refuses to lower
anything.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable

from ..settings import Listener, Pool

#: Beside connections: logs, listening sockets, the admin pages, the reactor's own.
RESERVE = 80

_NO_LIMIT = resource.RLIM_INFINITY


def needed(listeners: Iterable[Listener], pools: Iterable[Pool]) -> int:
    """Descriptors for every client that the limits allow, a link for each, all idle links, and checks."""
    clients = sum(listener.limits.connections for listener in listeners)
    return 2 * clients + _unused(pools) + RESERVE


def clients(granted: int, pools: Iterable[Pool]) -> int:
    """How many clients may be connected at once, so that there is always a descriptor for a link."""
    left = granted - RESERVE
    return max(1, (left - min(_unused(pools), left // 4)) // 2)


def _unused(pools: Iterable[Pool]) -> int:
    return sum((pool.links.idle + (pool.health is not None)) * len(pool.servers) for pool in pools)


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
