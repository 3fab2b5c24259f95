"""The record of a transaction that is over: what the access log writes and observers hear.

Decides the fields (spec §5). Invariant: every transaction has a record, whatever its protocol raises when
it is asked for fields of its own. Refuses to format: an observer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ..errors import BrokerError
from ..interfaces import Origin

if TYPE_CHECKING:
    from .pool import Pool
    from .relay import Relay

_log = Logger("sslbroker.record")


def record(relay: Relay, identity: str, time: float) -> Mapping[str, Any]:
    """The fields of `relay`'s transaction; `time` is when its head came, in seconds since the epoch."""
    transaction, origin, download = relay.transaction, relay.origin, relay.download
    attempts = transaction.attempts
    fields = {
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
        "bytes_in": relay.upload.bytes_in,
        "bytes_out": download.bytes_out,
        "timings": transaction.timings(),
        "end": transaction.end,
    }
    _add_protocol(fields, relay.pool, relay.request, download.response)
    return fields


def refusal(
    pool: Pool, origin: Origin, error: BrokerError, answer: Any, identity: str, time: float
) -> Mapping[str, Any]:
    """The fields of what a client sent that could not be framed as a request."""
    fields = {
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
    _add_protocol(fields, pool, None, answer)
    return fields


def _add_protocol(fields: dict[str, Any], pool: Pool, request: Any, response: Any) -> None:
    try:
        fields.update(pool.rules.log_fields(request, response))
    except Exception:  # a line without them is better than none
        _log.failure("The log fields of pool {pool} could not be had", pool=pool.name)
