"""The rows, and what the broker is to reach in each: the table that docs/performance.md explains.

Decides which rows there are. Invariant: every row of the table is here, also one that this version of the
broker cannot run yet: it then says why.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import Aim, Row
from .arriving import Arriving
from .idle import Idle
from .slow import SlowReaders
from .throughput import Throughput
from .workers import Workers


def _cost(limit: float) -> Sequence[Aim]:
    return (Aim("cpu_us", limit, relative=True),)


ROWS: Sequence[Row] = (
    Throughput("1k", "1 KiB over TLS, kept alive", "ecdsa", "1k", _cost(2.5)),
    Throughput("64k", "64 KiB over TLS, kept alive", "ecdsa", "64k", _cost(1.5)),
    Throughput("1m", "1 MB over TLS, kept alive", "ecdsa", "1m", _cost(1.5), connections=16),
    Throughput("new-ecdsa", "new TLS connection + 1 KiB, ECDSA P-256", "ecdsa", "1k", _cost(1.3), close=True),
    Throughput("new-rsa", "new TLS connection + 1 KiB, RSA-2048", "rsa", "1k", _cost(1.3), close=True),
    Throughput(
        "resumed", "resumed TLS connection + 1 KiB, ECDSA P-256", "ecdsa", "1k", close=True, resume=True
    ),
    Throughput("reencrypted", "1 KiB over TLS, link TLS too, kept alive", "reencrypted", "1k", _cost(2.5)),
    Throughput("plain", "1 KiB without TLS, kept alive", "plain", "1k"),
    Idle("idle", "10,000 idle TLS connections: memory each", 10_000, (Aim("memory_kib", 60.0),)),
    SlowReaders(),
    Workers(),
    Arriving("600-ecdsa", "600 new TLS connections a second, ECDSA P-256", "ecdsa"),
    Arriving("600-rsa", "600 new TLS connections a second, RSA-2048", "rsa"),
)
