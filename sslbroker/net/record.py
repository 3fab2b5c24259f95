"""The record of a transaction that is over: what the access log writes and observers hear.

Decides the fields (spec §5). Refuses to format: an observer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BrokerError
from ..interfaces import Origin

if TYPE_CHECKING:
    from .pool import Pool
    from .relay import Relay


def record(relay: Relay, identity: str, time: float) -> Mapping[str, Any]:
    """The fields of `relay`'s transaction; `time` is when its head came, in seconds since the epoch."""
    transaction = relay.transaction
    attempts = transaction.attempts
    origin = relay.origin
    fields: dict[str, Any] = {
        "time": time,
        "id": identity,
        "client": origin.address,
        "group": None,
        "priority": 1,
        "listener": origin.listener,
        "secure": origin.secure,
        "method": None,
        "target": None,
        "status": None,
        "pool": relay.pool.name,
        "server": attempts[-1].member.address if attempts else None,
        "link": relay.link_kind,
        "tries": [attempt.log_fields() for attempt in attempts],
        "bytes_in": relay.bytes_in,
        "bytes_out": relay.bytes_out,
        "timings": transaction.timings(),
        "end": transaction.end,
    }
    fields.update(relay.pool.rules.log_fields(relay.request, relay.response))
    return fields


def refusal(
    pool: Pool, origin: Origin, error: BrokerError, status: int, identity: str, time: float
) -> Mapping[str, Any]:
    """The fields of what a client sent that could not be framed as a request."""
    fields: dict[str, Any] = {
        "time": time,
        "id": identity,
        "client": origin.address,
        "group": None,
        "priority": 1,
        "listener": origin.listener,
        "secure": origin.secure,
        "method": None,
        "target": None,
        "pool": pool.name,
        "server": None,
        "link": None,
        "tries": [],
        "bytes_in": 0,
        "bytes_out": 0,
        "timings": {},
        "end": error.end,
        "detail": error.detail,
    }
    fields.update(pool.rules.log_fields(None, None))
    fields["status"] = status
    return fields
