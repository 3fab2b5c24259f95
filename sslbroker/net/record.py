"""The record of a transaction that is over: what the access log writes and observers hear.

Decides the fields (spec §5). Invariant: every transaction has a record, whatever its protocol raises when
it is asked for fields of its own. Refuses to format: an observer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ..core.watch import Promise
from ..errors import BrokerError
from ..interfaces import Origin

if TYPE_CHECKING:
    from .fast_path import FastTransaction
    from .pool import Pool
    from .relay import Relay

_log = Logger("sslbroker.record")


def record(relay: Relay, identity: str, time: float, promise: Promise | None) -> Mapping[str, Any]:
    """The fields of `relay`'s transaction; `time` is when its head came, in seconds since the epoch.

    `promise` is None where no groups are configured."""
    transaction, download = relay.transaction, relay.download
    attempts = transaction.attempts
    return _fields(
        time,
        identity,
        relay.origin,
        relay.pool,
        transaction.member.address if transaction.member is not None else None,
        relay.link_kind,
        [attempt.log_fields() for attempt in attempts],
        relay.upload.bytes_in,
        download.bytes_out,
        transaction.timings(),
        transaction.end,
        relay.request,
        download.response,
        promise,
    )


def fast_record(
    transaction: FastTransaction,
    response: Any,
    size: int,
    identity: str,
    time: float,
    promise: Promise | None,
) -> Mapping[str, Any]:
    """The same of a fast transaction, which had this response, with so many bytes of content."""
    tried = transaction.attempt.log_fields()
    return _fields(
        time,
        identity,
        transaction.origin,
        transaction.pool,
        tried["server"],
        "secure" if transaction.link.secure else "plain",
        [tried],
        0,
        size,
        {"choose": 0.0, "link": 0.0, "watch": tried["milliseconds"], "relay": 0.0},
        "ok",
        transaction.request,
        response,
        promise,
    )


def refusal(
    pool: Pool, origin: Origin, error: BrokerError, answer: Any, identity: str, time: float
) -> Mapping[str, Any]:
    """The fields of what a client sent that could not be framed as a request."""
    promise = pool.watch.promise(origin) if pool.watch is not None else None
    fields = _fields(time, identity, origin, pool, None, None, [], 0, 0, {}, error.end, None, answer, promise)
    fields["detail"] = error.detail
    return fields


def _fields(
    time: float,
    identity: str,
    origin: Origin,
    pool: Pool,
    server: Any,
    link: str | None,
    tries: list[dict[str, object]],
    bytes_in: int,
    bytes_out: int,
    timings: dict[str, Any],
    end: str,
    request: Any,
    response: Any,
    promise: Promise | None,
) -> dict[str, Any]:
    group = origin.group
    fields = {
        "time": time,
        "id": identity,
        "client": origin.address,
        "group": None if group is None else group.name,
        "priority": 1 if group is None else group.priority,
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
    if promise is not None:
        threshold, fields["breach"] = promise
        fields["threshold"] = round(threshold * 1e6) / 1e3
    try:
        fields.update(pool.rules.log_fields(request, response))
    except Exception:  # a line without them is better than none
        _log.failure("The log fields of pool {pool} could not be had", pool=pool.name)
    return fields
