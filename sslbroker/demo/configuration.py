"""The demo's configuration: two listeners, a throwaway certificate, the embedded servers as one pool.

Decides what the demo shows: short time limits, so that a silent server is left within a second. Refuses
to start anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..settings import (
    THROWAWAY,
    Admin,
    Broker,
    Configuration,
    Failover,
    Limits,
    Listener,
    ListenerTLS,
    Pool,
    Server,
)

HOST = "127.0.0.1"


def configuration(
    addresses: Sequence[str], *, https: int = 0, http: int = 0, admin: int = 0
) -> Configuration:
    """The demo's broker in front of the servers at `addresses`; a port of 0 is a free one."""
    limits = Limits(connections=200)
    return Configuration(
        listeners=(
            Listener("https", _endpoint(https), "shop", ListenerTLS((THROWAWAY,)), limits),
            Listener("http", _endpoint(http), "shop", limits=limits),
        ),
        pools=(
            Pool(
                "shop",
                tuple(Server(address) for address in addresses),
                balance="round-robin",
                failover=Failover(response_timeout=1.0, connect_timeout=1.0),
            ),
        ),
        admin=Admin(_endpoint(admin)),
        broker=Broker(drain_timeout=1.0),
        source="demo",
    )


def _endpoint(port: int) -> str:
    return f"tcp:{port}:interface={HOST}"
