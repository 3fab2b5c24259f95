"""Servers found by name: a name server that an operator changes, and clients that notice nothing of it.

The name server is Twisted's, which reads its file of hosts anew for each question.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .programs import Program, free_ports, until
from .site import DIRECT, LISTENER, TWISTD, Certificates, start_broker
from .traffic import Client, counting, get, state, told, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that looks names up")

ONE, TWO, SIX = "127.0.0.2", "127.0.0.3", "::1"

POOL = """
[pools.shop]
servers = ["shop.test:{port}"]
[names]
servers = ["127.0.0.1:{dns}"]
maximum = "1s"
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
"""


class Named:
    """One server of that name behind the broker, at as many addresses as there are programs."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self._programs = ExitStack()
        self.http, self.port, self.dns, self.admin = free_ports(4)
        self.hosts = directory / "hosts"
        self.says()
        try:
            for address in (ONE, TWO, SIX):
                server = counting(f"server-{address}", directory, self.port, certificates.server, address)
                self._programs.enter_context(server)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def says(self, *addresses: str) -> None:
        """What the name server says from now on; nothing: that there is no such name."""
        fresh = self.hosts.with_suffix(".new")
        fresh.write_text("".join(f"{address} shop.test\n" for address in addresses))
        fresh.replace(self.hosts)

    def start_dns(self) -> None:
        argv: list[str | Path] = [TWISTD, "-n", "--pidfile=", "dns", "--port", str(self.dns)]
        argv += ["--interface", "127.0.0.1", "--hosts-file", self.hosts]
        self._programs.enter_context(Program("dns", argv, self.directory, ports=[self.dns]))

    def start_broker(self) -> None:
        text = LISTENER.format(name="http", port=self.http, pool="shop")
        text += POOL.format(port=self.port, dns=self.dns, admin=self.admin)
        self._programs.enter_context(start_broker(self.directory, text, [self.http, self.admin]))

    @property
    def addresses(self) -> list[str]:
        """Where the broker believes the server to be."""
        found: list[str] = state(self.admin)["pools"][0]["servers"][0]["addresses"]
        return found

    def finds(self, *addresses: str) -> bool:
        return until(lambda: sorted(self.addresses) == sorted(addresses), 20)

    def status(self) -> int:
        client = Client(self.http)
        try:
            return client.ask("/bytes/10")[0]
        finally:
            client.close()

    def done(self, address: str) -> int:
        """Transactions at this address so far."""
        found: int = told(self.port, address)["words"].get("bytes", 0)
        return found


@pytest.fixture
def named(tmp_path: Path, certificates: Certificates) -> Iterator[Named]:
    running = Named(tmp_path, certificates)
    try:
        yield running
    finally:
        running.close()


def test_a_server_that_moves_takes_its_traffic_along(named: Named) -> None:
    named.says(ONE)
    named.start_dns()
    named.start_broker()
    assert named.finds(ONE)
    with traffic(get(1000), [Client(named.http) for _ in range(8)]) as running:
        for before, after in ((ONE, TWO), (TWO, ONE)):
            named.says(after)
            assert named.finds(after)
            running.during(0.5)  # what was under way has ended
            left, begun = named.done(before), named.done(after)
            running.during(0.5)
            assert named.done(before) == left, f"{before} is gone from the name"
            assert named.done(after) > begun
    assert running.errors == []
    assert running.done > 100


def test_all_addresses_of_a_name_share_its_traffic(named: Named) -> None:
    named.says(ONE, TWO, SIX)
    named.start_dns()
    named.start_broker()
    assert named.finds(ONE, TWO, SIX)
    with traffic(get(1000), [Client(named.http) for _ in range(12)]) as running:
        running.during(1)
    assert running.errors == []
    assert all(named.done(address) for address in (ONE, TWO, SIX))


def test_a_name_that_does_not_resolve_is_a_server_that_is_down_until_it_does(named: Named) -> None:
    named.start_broker()  # and there is no name server at all
    assert named.status() in (502, 503)
    named.start_dns()
    named.says(ONE)
    assert named.finds(ONE)
    assert named.status() == 200
    named.says()
    assert named.finds()
    assert named.status() == 503
    named.says(TWO)
    assert named.finds(TWO)
    assert named.status() == 200
