"""HTTP-dates in their one form, and how long a server asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.protocols.http.dates import LONGEST_REST, date_of, http_date, retry_after

from .written import fields

NOON = "Fri, 27 Nov 2026 12:00:00 GMT"


@given(st.integers(0, 253_402_300_799))  # to the end of the year 9999
def test_every_date_that_is_written_is_read(second: int) -> None:
    assert http_date(formatdate(second, usegmt=True).encode("ascii")) == second


def test_a_date_before_the_epoch_is_one() -> None:
    assert http_date(b"Wed, 31 Dec 1969 23:59:59 GMT") == -1


@given(st.text("FriNovGMT, 0127:", max_size=32))
def test_what_is_nearly_a_date_never_raises(text: str) -> None:
    http_date(text.encode("ascii"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "Friday, 27-Nov-26 12:00:00 GMT",  # obsolete forms
        "Fri Nov 27 12:00:00 2026",
        "Thu, 27 Nov 2026 12:00:00 GMT",  # it was a Friday
        "Fri, 27 Nov 2026 12:00:00 UTC",
        "Fri, 27 Nov 2026 12:00:00 +0000",
        "Fri, 27 nov 2026 12:00:00 GMT",
        "fri, 27 Nov 2026 12:00:00 GMT",
        "Fri, 27 Nov 2026 12:00:00 gmt",
        "Fri, 7 Nov 2026 12:00:00 GMT",
        "Fri,27 Nov 2026 12:00:00 GMT",
        "Fri, 27 Nov 2026 12:00:00 GMT ",
        " Fri, 27 Nov 2026 12:00:00 GMT",
        "Fri, 27 Nov 2026 12:00 GMT",
        "Fri, 27 Nov 2026 24:00:00 GMT",
        "Fri, 27 Nov 2026 12:60:00 GMT",
        "Fri, 27 Nov 2026 12:00:60 GMT",
        "Mon, 30 Feb 2026 12:00:00 GMT",
        "Sat, 00 Nov 2026 12:00:00 GMT",
        "Fri, 27 Nov 0000 12:00:00 GMT",
        "Fri, 27 Nov 2026 12:00:00 GMT, Fri, 27 Nov 2026 12:00:00 GMT",
    ],
)
def test_what_is_no_date(value: str) -> None:
    assert http_date(value.encode("ascii")) is None


def test_the_date_of_a_message_is_in_one_field() -> None:
    noon = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())
    assert date_of(fields(f"Date: {NOON}", "Expires: 0"), b"date") == noon
    assert date_of(fields(f"Date: {NOON}", f"Date: {NOON}"), b"date") is None
    assert date_of(fields(f"Expires: {NOON}"), b"date") is None


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        ([], 0.0),
        (["Retry-After: 0"], 0.0),
        (["Retry-After: 7"], 7.0),
        (["Retry-After: 3600"], 3600.0),
        (["Retry-After: 3601"], LONGEST_REST),
        (["Retry-After: " + "9" * 5000], LONGEST_REST),
        (["Retry-After: -7"], 0.0),
        (["Retry-After: +7"], 0.0),
        (["Retry-After: 7.5"], 0.0),
        (["Retry-After: 7s"], 0.0),
        (["Retry-After:"], 0.0),
        (["Retry-After: soon"], 0.0),
        (["Retry-After: 7", "Retry-After: 7"], 0.0),
        ([f"Date: {NOON}", "Retry-After: Fri, 27 Nov 2026 12:00:20 GMT"], 20.0),
        ([f"Date: {NOON}", "Retry-After: Fri, 27 Nov 2026 11:59:59 GMT"], 0.0),
        ([f"Date: {NOON}", "Retry-After: Sat, 28 Nov 2026 12:00:00 GMT"], LONGEST_REST),
        ([f"Date: {NOON}", "Retry-After: Fri Nov 27 12:00:20 2026"], 0.0),
        (["Date: today", "Retry-After: Fri, 27 Nov 2026 12:00:20 GMT"], 0.0),
        ([f"Date: {NOON}", f"Date: {NOON}", "Retry-After: Fri, 27 Nov 2026 12:00:20 GMT"], 0.0),
        (["Retry-After: Fri, 27 Nov 2026 12:00:20 GMT"], 0.0),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(head: list[str], seconds: float) -> None:
    assert retry_after(fields(*head)) == seconds
