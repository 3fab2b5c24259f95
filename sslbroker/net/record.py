"""The record of a transaction that is over: what the access log writes and observers hear.

Decides the fields (spec §5). Invariant: every transaction has a record, whatever its protocol raises when
it is asked for fields of its own. Refuses to format: an observer does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ..errors import BrokerError
from ..interfaces import Origin

if TYPE_CHECKING:
    from .pool import Pool
    from .relay import Relay

_log = Logger("sslbroker.record")

_NO_TIMINGS: Mapping[str, float] = {}


def record(relay: Relay, identity: str, time: float) -> Mapping[str, Any]:
    """The fields of `relay`'s transaction; `time` is when its head came, in seconds since the epoch."""
    transaction = relay.transaction
    attempts = transaction.attempts
    fields = _fields(
        relay.origin,
        relay.pool,
        identity,
        time,
        transaction.end,
        server=attempts[-1].member.address if attempts else None,
        link=relay.link_kind,
        tries=[attempt.log_fields() for attempt in attempts],
        bytes_in=relay.upload.bytes_in,
        bytes_out=relay.download.bytes_out,
        timings=transaction.timings(),
    )
    fields.update(_of_protocol(relay.pool, relay.request, relay.download.response))
    return fields


def refusal(
    pool: Pool, origin: Origin, error: BrokerError, answer: Any, identity: str, time: float
) -> Mapping[str, Any]:
    """The fields of what a client sent that could not be framed as a request."""
    fields = _fields(origin, pool, identity, time, error.end)
    fields["detail"] = error.detail
    fields.update(_of_protocol(pool, None, answer))
    return fields


def _fields(
    origin: Origin,
    pool: Pool,
    identity: str,
    time: float,
    end: str,
    *,
    server: str | None = None,
    link: str | None = None,
    tries: Sequence[Mapping[str, object]] = (),
    bytes_in: int = 0,
    bytes_out: int = 0,
    timings: Mapping[str, float] = _NO_TIMINGS,
) -> dict[str, Any]:
    """Every field, in the order of spec §5; those of the protocol are empty."""
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
        "server": server,
        "link": link,
        "tries": tries,
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "timings": timings,
        "end": end,
    }


def _of_protocol(pool: Pool, request: Any, response: Any) -> Mapping[str, Any]:
    try:
        fields: Mapping[str, Any] = pool.rules.log_fields(request, response)
    except Exception:  # a line without them is better than none
        _log.failure("The log fields of pool {pool} could not be had", pool=pool.name)
        return {}
    return fields
