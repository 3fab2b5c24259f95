"""Which server gets a transaction: shares, limits, cookies and hashes, before servers that count."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from .programs import Program, free_ports
from .site import DIRECT, LISTENER, Certificates, start_broker
from .traffic import Client, counting, expected, state, told, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that chooses")

SLOW = 20  # milliseconds that a server takes for one transaction
LAWS = ("least-time", "least-connections", "round-robin", "hash")


class Balanced:
    """Three servers that count, and a broker before them."""

    def __init__(self, directory: Path, certificates: Certificates, programs: ExitStack) -> None:
        self.directory = directory
        self.programs = programs
        *self.ports, self.http, self.admin = free_ports(5)
        self.servers: list[Program] = []
        for number, port in enumerate(self.ports):
            server = counting(f"server-{number}", directory, port, certificates.server)
            self.servers.append(programs.enter_context(server))

    def start(self, law: str, of_pool: str = "", of_servers: tuple[str, str, str] = ("", "", "")) -> None:
        servers = ", ".join(
            f'{{ address = "127.0.0.1:{port}"{more} }}'
            for port, more in zip(self.ports, of_servers, strict=True)
        )
        text = LISTENER.format(name="http", port=self.http, pool="shop") + 'trusted = ["127.0.0.1/32"]\n'
        text += f'[pools.shop]\nbalance = "{law}"\nservers = [{servers}]\n{of_pool}'
        text += f'\n[admin]\nendpoint = "tcp:{self.admin}:interface=127.0.0.1"\n'
        broker = start_broker(self.directory, text, [self.http, self.admin])
        self.programs.enter_context(broker)

    def counts(self, what: str) -> list[int]:
        return [told(port)[what] for port in self.ports]

    def shares(self) -> list[float]:
        done = [sum(told(port)["words"].values()) for port in self.ports]
        return [each / sum(done) for each in done]


@contextmanager
def balanced(directory: Path, certificates: Certificates) -> Iterator[Balanced]:
    with ExitStack() as programs:
        yield Balanced(directory, certificates, programs)


_numbers = itertools.count()


def slow(client: Client, _: int) -> str:
    """One transaction; each is of another client, for "hash"."""
    fields = {"X-Forwarded-For": str(ip_address("10.0.0.0") + next(_numbers))}
    return expected(client.ask(f"/slow/{SLOW}", fields=fields)[0], b"", b"")


@pytest.mark.parametrize("law", LAWS)
def test_limits_are_kept_and_nobody_is_refused(tmp_path: Path, certificates: Certificates, law: str) -> None:
    with balanced(tmp_path, certificates) as site:
        site.start(law, of_servers=(", maximum_transactions = 2", ", maximum_links = 2", ""))
        with traffic(slow, [Client(site.http) for _ in range(30)]) as running:
            running.during(2)
        assert running.errors == []
        most = site.counts("most_transactions")
        assert most[:2] == [2, 2]
        assert most[2] > 2
        assert state(site.admin)["pools"][0]["queued"] == 0


@pytest.mark.parametrize("law", LAWS)
def test_busy_servers_have_their_shares(tmp_path: Path, certificates: Certificates, law: str) -> None:
    with balanced(tmp_path, certificates) as site:
        site.start(law, of_servers=("", "", ", weight = 2"))
        with traffic(slow, [Client(site.http) for _ in range(24)]) as running:
            running.during(3)
        assert running.errors == []
        assert site.shares() == pytest.approx([0.25, 0.25, 0.5], abs=0.1)


def test_a_cookie_keeps_a_client_at_its_server_while_that_lives(
    tmp_path: Path, certificates: Certificates
) -> None:
    with balanced(tmp_path, certificates) as site:
        site.start("round-robin", of_pool='[pools.shop.sticky]\ncookie = "SRV"')
        cookies: dict[str, str] = {}
        client = Client(site.http)
        for _ in range(3):
            status, _, fields = client.ask("/headers")
            assert status == 200
            cookies[fields["X-Server"]] = fields["Set-Cookie"].partition(";")[0]
        assert len(cookies) == 3
        for server, cookie in cookies.items():
            for _ in range(5):
                status, seen, fields = client.ask("/headers", fields={"Cookie": f"a=1; {cookie}; b=2"})
                assert (status, fields["X-Server"], fields["Set-Cookie"]) == (200, server, None)
                assert b"SRV" not in seen
        site.servers[0].kill()
        status, _, fields = client.ask("/headers", fields={"Cookie": cookies["server-0"]})
        assert status == 200
        assert fields["Set-Cookie"].partition(";")[0] == cookies[fields["X-Server"]]
        client.close()


def test_a_hash_keeps_a_client_at_its_server_and_moves_only_those_of_a_dead_one(
    tmp_path: Path, certificates: Certificates
) -> None:
    with balanced(tmp_path, certificates) as site:
        site.start("hash")
        client = Client(site.http)

        def owners() -> dict[int, str]:
            return {
                number: client.ask("/headers", fields={"X-Forwarded-For": f"203.0.113.{number}"})[2][
                    "X-Server"
                ]
                for number in range(1, 91)
            }

        before = owners()
        assert owners() == before
        assert min(Counter(before.values()).values()) > 5
        site.servers[0].kill()
        after = owners()
        client.close()
        assert {number for number in before if before[number] != after[number]} == {
            number for number, server in before.items() if server == "server-0"
        }
        assert set(after.values()) == {"server-1", "server-2"}
