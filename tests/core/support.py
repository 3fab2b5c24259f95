"""Storages of a handy size, and transactions that have sent and not sent so much."""

from __future__ import annotations

from sslbroker.core.storage import Storage, Stored
from sslbroker.settings import Storage as StorageSettings


def storage(
    maximum: int = 1000, *, minimum: int = 100, initial: int = 100, per_transaction: int = 500
) -> Storage:
    return Storage(StorageSettings(initial, minimum, maximum, per_transaction=per_transaction))


def stored(house: Storage, sent: int = 0, unsent: int = 0) -> Stored:
    """A transaction that has sent and not sent so many bytes."""
    one = house.open()
    if sent:
        one.append(b"s" * sent)
        one.take()
    if unsent:
        one.append(b"u" * unsent)
    return one
