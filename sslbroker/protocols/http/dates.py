"""Points in time, and spans of it, as fields say them.

Decides what an HTTP-date means (RFC 9110 §5.6.7), and how long a server asks to be left alone. Invariant: no
answer depends on a clock of the broker's own; what cannot be read in exactly one way says nothing. Refuses
the two obsolete forms of dates: what is decided here may be left undecided, and they leave the century, the
zone or both to the reader.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from .fields import values_of
from .message import Field

#: No server is believed that asks for more, in seconds.
LONGEST_REST: Final = 3600

_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS: Final = (
    b"Jan",
    b"Feb",
    b"Mar",
    b"Apr",
    b"May",
    b"Jun",
    b"Jul",
    b"Aug",
    b"Sep",
    b"Oct",
    b"Nov",
    b"Dec",
)
_DATE: Final = re.compile(
    rb"(%b), ([0-9]{2}) (%b) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
    % (b"|".join(_DAYS), b"|".join(_MONTHS))
)
_DIGITS: Final = 9  # of a delay that is read at all


def http_date(value: bytes) -> int | None:
    """The seconds since the epoch that an IMF-fixdate says; None for all else, a leap second included."""
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    day_name, day, month, year, hour, minute, second = match.groups()
    try:
        date = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:
        return None
    return int(date.timestamp()) if _DAYS[date.weekday()] == day_name else None


def date_of(fields: list[Field], name: bytes) -> int | None:
    """The date in the one field of that name; None when there is no such field, or several."""
    values = values_of(fields, name)
    return http_date(values[0]) if len(values) == 1 else None


def retry_after(fields: list[Field]) -> float:
    """Seconds that ``Retry-After`` asks for (RFC 9110 §10.2.3), of 0 to `LONGEST_REST`; 0.0: none.

    A date counts from the same message's ``Date``: the clock that has set the one has set the other.
    """
    values = values_of(fields, b"retry-after")
    if len(values) != 1:
        return 0.0
    value = values[0]
    if value.isdigit():
        return float(min(int(value), LONGEST_REST)) if len(value) <= _DIGITS else float(LONGEST_REST)
    until, sent = http_date(value), date_of(fields, b"date")
    if until is None or sent is None:
        return 0.0
    return float(min(max(until - sent, 0), LONGEST_REST))
