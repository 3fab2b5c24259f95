"""What a server is asked by a check, and which answers are good."""

from __future__ import annotations

import pytest

from sslbroker.protocols.http.checks import StatusChecks
from sslbroker.protocols.http.write import write_request_head
from sslbroker.settings import Health, Pool, Server
from sslbroker.version import __version__

from .written import response


def checks(health: Health | None) -> StatusChecks:
    return StatusChecks(Pool("shop", (Server("a:1"),), health=health))


@pytest.mark.parametrize(
    ("address", "secure", "host"),
    [
        ("10.0.0.1:9001", False, "10.0.0.1:9001"),
        ("shop.internal:80", False, "shop.internal"),
        ("shop.internal:443", True, "shop.internal"),
        ("[2001:db8::1]:443", False, "[2001:db8::1]:443"),
    ],
)
def test_it_asks_for_the_path_in_the_brokers_own_name(address: str, secure: bool, host: str) -> None:
    asked = checks(Health("/healthz?deep=1")).request(address, "/healthz?deep=1", secure)
    assert write_request_head(asked).decode() == (
        "GET /healthz?deep=1 HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        f"User-Agent: sslbroker/{__version__} (health check)\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (302, True), (404, False), (500, False)]
)
def test_a_success_and_a_redirection_are_good_unless_the_operator_says_otherwise(
    status: int, good: bool
) -> None:
    assert checks(Health("/")).healthy(response(f"{status} x")) is good
    assert checks(None).healthy(response(f"{status} x")) is good


def test_the_operator_lists_what_is_good() -> None:
    strict = checks(Health("/", statuses=((200, 200), (404, 404))))
    assert [strict.healthy(response(f"{status} x")) for status in (200, 201, 404)] == [True, False, True]
