"""Settings are what the specification's example says, cannot be changed, and are compared by value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from sslbroker import settings
from sslbroker.settings import (
    Configuration,
    Ejection,
    Failover,
    Health,
    KiB,
    Limits,
    Listener,
    ListenerTLS,
    MiB,
    Pacing,
    Pool,
    Queue,
    RetryBudget,
    Server,
    Storage,
)

KINDS = [kind for kind in vars(settings).values() if isinstance(kind, type) and is_dataclass(kind)]


def configuration() -> Configuration:
    return Configuration(
        listeners=(Listener("https", "tcp:8443", "shop", trusted=(ip_network("127.0.0.1/32"),)),),
        pools=(Pool("shop", (Server("10.0.0.1:80"),)), Pool("chat", (Server("10.0.0.2:80"),))),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_cannot_be_changed_nor_added(kind: type[Any]) -> None:
    one: object = object.__new__(kind)
    for name in [*(field.name for field in fields(kind)), "added"]:
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(one, name, 1)


def test_two_configurations_that_say_the_same_are_equal_and_a_change_is_seen() -> None:
    one = configuration()
    assert one == configuration()
    pool = replace(one.pools[0], failover=Failover(tries=4))
    assert one != replace(one, pools=(pool, one.pools[1]))


def test_a_pool_is_found_by_its_name() -> None:
    assert configuration().pool("chat").servers == (Server("10.0.0.2:80"),)
    with pytest.raises(KeyError, match="shpo"):
        configuration().pool("shpo")


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:9001", "127.0.0.1", 9001),
        ("shop.internal:80", "shop.internal", 80),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
    ],
)
def test_an_address_is_host_and_port(address: str, host: str, port: int) -> None:
    assert (Server(address).host, Server(address).port) == (host, port)


def test_a_listener_is_secure_when_it_has_a_tls_table() -> None:
    plain = Listener("http", "tcp:8080", "shop")
    assert not plain.secure
    assert replace(plain, tls=ListenerTLS((Path("shop.pem"),))).secure


# --- the defaults that the specification names (§4, §5, §6) ---


def test_failing_statuses_are_5xx_and_6xx() -> None:
    assert Failover().statuses == ((500, 599), (600, 699))


def test_idempotent_methods_are_repeated_on_three_servers_at_most() -> None:
    failover = Failover()
    assert failover.methods == ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")
    assert (failover.tries, failover.response_timeout, failover.connect_timeout) == (3, 30.0, 2.0)
    assert failover.idempotency_header == "Idempotency-Key"
    assert (failover.reuse_for_unsafe, failover.hedge, failover.resume) == (False, False, True)
    assert failover.budget == RetryBudget(share=0.1, minimum=3.0)


def test_a_client_has_ten_seconds_for_a_head_and_a_minute_for_the_rest() -> None:
    limits = Limits()
    assert (limits.handshake, limits.head, limits.idle, limits.read, limits.close) == (10, 10, 60, 60, 5)
    assert (limits.head_size, limits.headers) == (32 * KiB, 100)


def test_storage_grows_above_95_percent_and_shrinks_below_40() -> None:
    assert Storage() == Storage(4 * MiB, 1 * MiB, 256 * MiB, 0.95, 0.40, 2.0, 0.5, 1 * MiB)


def test_health_ejection_queue_and_pacing_are_as_specified() -> None:
    assert Health() == Health("", 2.0, 2.0, 2, 3, ((200, 299), (300, 399)))
    assert Ejection() == Ejection(5, 10.0, 0.5)
    assert Queue() == Queue(1000, 5.0)
    assert Pacing() == Pacing(1, 0.1, 0.05, 1000, 5.0, ())


def test_links_are_plain_unless_the_operator_says_otherwise() -> None:
    pool = configuration().pools[0]
    assert pool.continue_secure_link is False
    assert pool.servers[0].continue_secure_link is None
    assert pool.protocol == "http"


def test_servers_are_chosen_by_time_unless_the_operator_says_otherwise() -> None:
    assert configuration().pools[0].balance == "least-time"
