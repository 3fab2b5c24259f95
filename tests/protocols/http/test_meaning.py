"""What the fields of framing, routing and the connection say. How they fail is in the vectors, too."""

from __future__ import annotations

import pytest

from sslbroker.errors import FramingError
from sslbroker.protocols.http.meaning import (
    LENGTH_DIGITS,
    OPTIONS,
    host_of,
    meanings_of,
    said_by_request,
    said_by_response,
)
from sslbroker.protocols.http.message import Framing

from .written import fields


def test_only_fields_with_a_meaning_are_looked_at_and_each_keeps_all_its_values() -> None:
    assert meanings_of(fields("Host: a", "X-Own: 1", "TE: trailers", "host: b")) == {
        b"host": [b"a", b"b"],
        b"te": [b"trailers"],
    }


def test_a_request_has_one_host_unless_it_is_an_old_one() -> None:
    assert host_of({b"host": [b"a:80"]}, 1) == b"a:80"
    assert host_of({}, 0) is None
    for hosts, minor in (({}, 1), ({b"host": [b"a", b"a"]}, 1), ({b"host": [b"a b"]}, 0)):
        with pytest.raises(FramingError, match="Host"):
            host_of(hosts, minor)


def test_a_request_without_a_length_has_no_body_and_a_response_ends_with_its_connection() -> None:
    assert said_by_request({}, 1)[:3] == (Framing.NONE, 0, False)
    assert said_by_response({}, 1)[:3] == (Framing.UNTIL_CLOSE, 0, False)


@pytest.mark.parametrize(
    ("minor", "value", "close"), [(1, b"close", True), (0, b"keep-alive", False), (0, b"x", True)]
)
def test_a_connection_goes_on_unless_one_says_close_or_an_old_one_says_nothing(
    minor: int, value: bytes, close: bool
) -> None:
    meanings = {b"connection": [value]}
    assert said_by_request(meanings, minor)[2:4] == (close, (value,))
    assert said_by_response(meanings, minor)[2:4] == (close, (value,))


def test_a_request_asks_for_an_upgrade_only_without_content_and_where_connection_lists_it() -> None:
    asked = {b"upgrade": [b"a", b"b"], b"connection": [b"upgrade"]}
    assert said_by_request(asked, 1)[4] == b"a, b"
    assert said_by_request(asked, 0)[4] == b""
    assert said_by_request({**asked, b"content-length": [b"0"]}, 1)[4] == b"a, b"
    assert said_by_request({**asked, b"content-length": [b"1"]}, 1)[4] == b""
    assert said_by_request({**asked, b"transfer-encoding": [b"chunked"]}, 1)[4] == b""
    assert said_by_request({b"upgrade": [b"a"]}, 1)[4] == b""
    assert said_by_response(asked, 1)[4] == b"a, b"
    assert said_by_response({b"upgrade": [b"a"]}, 1)[4] == b""


def test_a_request_waits_for_100_only_with_content_and_never_an_old_one() -> None:
    expecting = {b"expect": [b"100-Continue"]}
    assert said_by_request({**expecting, b"content-length": [b"1"]}, 1)[5]
    assert not said_by_request({**expecting, b"content-length": [b"1"]}, 0)[5]
    assert not said_by_request(expecting, 1)[5]
    with pytest.raises(FramingError) as caught:
        said_by_request({b"expect": [b"more"]}, 1)
    assert caught.value.status == 417


def test_trailers_are_taken_by_who_says_so() -> None:
    assert said_by_request({b"te": [b"gzip", b"Trailers"]}, 1)[6]
    assert not said_by_request({b"te": [b"gzip"]}, 1)[6]


def test_numbers_and_lists_are_bounded() -> None:
    assert said_by_request({b"content-length": [b"9" * LENGTH_DIGITS]}, 1)[1] == 10**LENGTH_DIGITS - 1
    with pytest.raises(FramingError, match="Content-Length"):
        said_by_request({b"content-length": [b"0" * (LENGTH_DIGITS + 1)]}, 1)
    assert len(said_by_request({b"connection": [b"a," * OPTIONS]}, 1)[3]) == OPTIONS
    with pytest.raises(FramingError) as caught:
        said_by_response({b"connection": [b"a," * OPTIONS, b"a"]}, 1)
    assert caught.value.status == 431
