"""How many workers there are, and what each of them has of what the configuration allows the broker.

Decides the division: what is counted or stored by each worker for itself is divided among them, rounded so
that their sum is not above the whole where that is possible. Invariant: with one worker it is the
configuration itself. Refuses to divide places at servers and in pools, which are leased: `leases` does that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace

from ..config.report import steps
from ..errors import Problem
from ..settings import Configuration, Listener, Pool, Storage


def count(configuration: Configuration) -> int:
    """The number of workers; "auto": one for each core that this process may use."""
    wanted = configuration.broker.workers
    if wanted != "auto":
        return int(wanted)
    if not sys.platform.startswith("linux"):
        return 1
    return len(os.sched_getaffinity(0))


def problems(configuration: Configuration) -> Iterator[Problem]:
    """Why this configuration cannot be that of so many workers."""
    workers = count(configuration)
    if workers == 1:
        return
    shown = f"{workers}" if configuration.broker.workers == workers else f'{workers} ("auto" on this machine)'
    if not sys.platform.startswith("linux"):
        yield Problem("broker.workers", shown, "1", "only Linux gives each of them a share of the clients")
    for place, limit in _limits(configuration):
        if 0 < limit < workers:
            expected = f"a place for each worker, of whom there are {shown}, or 0"
            yield Problem(place, str(limit), expected, "or set broker.workers lower")


def _limits(configuration: Configuration) -> Iterator[tuple[str, int]]:
    """What is leased to workers: where the configuration says it, and how many there are."""
    for pool in configuration.pools:
        place = steps("pools", pool.name)
        yield f"{place}.maximum_transactions", pool.maximum_transactions
        for index, server in enumerate(pool.servers):
            yield f"{place}.servers[{index}].maximum_transactions", server.maximum_transactions
            yield f"{place}.servers[{index}].maximum_links", server.maximum_links


def of_worker(configuration: Configuration, workers: int) -> Configuration:
    """What one of so many workers goes by."""
    if workers == 1:
        return configuration
    return replace(
        configuration,
        listeners=tuple(_listener(one, workers) for one in configuration.listeners),
        pools=tuple(_pool(one, workers) for one in configuration.pools),
        storage=_storage(configuration.storage, workers),
        admin=None,
    )


def _listener(listener: Listener, workers: int) -> Listener:
    limits = listener.limits
    return replace(listener, limits=replace(limits, connections=max(1, limits.connections // workers)))


def _pool(pool: Pool, workers: int) -> Pool:
    links, queue, pacing = pool.links, pool.queue, pool.pacing
    return replace(
        pool,
        links=replace(links, idle=-(-links.idle // workers)),
        queue=replace(queue, length=-(-queue.length // workers)),
        pacing=replace(pacing, queue=-(-pacing.queue // workers)),
    )


def _storage(storage: Storage, workers: int) -> Storage:
    """All of it in parts; but what one transaction may store, one worker must be able to."""
    maximum = max(storage.maximum // workers, storage.per_transaction)
    return replace(
        storage,
        initial=min(max(1, storage.initial // workers), maximum),
        minimum=max(1, storage.minimum // workers),
        maximum=maximum,
    )
