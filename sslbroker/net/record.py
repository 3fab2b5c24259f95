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
    transaction = relay.transaction
    attempts = transaction.attempts
    fields = _common(relay.origin, relay.pool, identity, time)
    fields["server"] = attempts[-1].member.address if attempts else None
    fields["link"] = relay.link_kind
    fields["tries"] = [attempt.log_fields() for attempt in attempts]
    fields["bytes_in"] = relay.upload.bytes_in
    fields["bytes_out"] = relay.bytes_out
    fields["timings"] = transaction.timings()
    fields["end"] = transaction.end
    fields.update(_of_protocol(relay.pool, relay.request, relay.response))
    return fields


def refusal(
    pool: Pool, origin: Origin, error: BrokerError, status: int, identity: str, time: float
) -> Mapping[str, Any]:
    """The fields of what a client sent that could not be framed as a request."""
    fields = _common(origin, pool, identity, time)
    fields["timings"] = {}
    fields["end"] = error.end
    fields["detail"] = error.detail
    fields.update(_of_protocol(pool, None, None))
    fields["status"] = status
    return fields


def _common(origin: Origin, pool: Pool, identity: str, time: float) -> dict[str, Any]:
    """Every field, in the order of spec §5; those of a request, an answer and tries are empty."""
    return {
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
        "tries": (),
        "bytes_in": 0,
        "bytes_out": 0,
        "timings": None,
        "end": None,
    }


def _of_protocol(pool: Pool, request: Any, response: Any) -> Mapping[str, Any]:
    try:
        fields: Mapping[str, Any] = pool.rules.log_fields(request, response)
    except Exception:  # a line without them is better than none
        _log.failure("The log fields of pool {pool} could not be had", pool=pool.name)
        return {}
    return fields
