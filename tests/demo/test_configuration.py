"""The demo's configuration keeps the rules of every other."""

from __future__ import annotations

from sslbroker.config import check
from sslbroker.demo.configuration import configuration


def test_it_can_be_used_as_it_is() -> None:
    made = configuration(["127.0.0.1:1001", "127.0.0.1:1002"], https=8443)
    assert check(made) is made
    assert [server.address for server in made.pools[0].servers] == ["127.0.0.1:1001", "127.0.0.1:1002"]


def test_it_listens_on_loopback_only() -> None:
    made = configuration(["127.0.0.1:1001"], https=8443, http=8080, admin=9100)
    assert made.admin is not None
    endpoints = [*(listener.endpoint for listener in made.listeners), made.admin.endpoint]
    assert endpoints == [f"tcp:{port}:interface=127.0.0.1" for port in (8443, 8080, 9100)]
