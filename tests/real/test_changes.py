"""A broker is changed while clients use it: links, servers, weights, certificates. No client notices."""

from __future__ import annotations

import itertools
import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .programs import Program, free_ports
from .site import DIRECT, TRANSPORT, TWISTD, Certificates
from .traffic import Client, Posts, counting, get, how_often, mixed, state, told, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that is changed")

#: A broker that an operator tells what to change, a line of JSON for each: its method and what that is given.
TAC = """
import json
from pathlib import Path

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IServiceCollection
from twisted.internet import endpoints, protocol, reactor
from twisted.protocols.basic import LineOnlyReceiver

import sslbroker
from sslbroker.settings import (
    Admin, Broker, Configuration, LinkTLS, Listener, ListenerTLS, Log, Pool, Server
)

HERE = Path(__file__).parent
PORTS = json.loads((HERE / "ports.json").read_text())

application = sslbroker.application(Configuration(
    source=__file__,
    listeners=(
        Listener("https", f"tcp:{{PORTS['https']}}:interface=127.0.0.1", "shop",
                 tls=ListenerTLS((Path({certificate!r}),))),
        Listener("http", f"tcp:{{PORTS['http']}}:interface=127.0.0.1", "shop"),
    ),
    pools=(Pool("shop", tuple(Server(f"127.0.0.1:{{port}}") for port in PORTS["servers"]),
                balance="round-robin",  # so that a weight shows, however busy the machine is
                tls=LinkTLS(ca=Path({authority!r}))),),
    log=Log(access=str(HERE / "access.log")),
    admin=Admin(f"tcp:{{PORTS['admin']}}:interface=127.0.0.1"),
    broker=Broker(state_directory=HERE / "state", workers={workers}, transport={transport!r}),
))
broker = IServiceCollection(application).getServiceNamed("broker")


class Told(LineOnlyReceiver):
    delimiter = b"\\n"

    def lineReceived(self, line):
        method, given, named = json.loads(line)
        try:
            getattr(broker, method)(*given, **named)
            said = "done"
        except Exception as error:
            said = repr(error)
        self.sendLine(said.encode())


endpoint = endpoints.TCP4ServerEndpoint(reactor, PORTS["told"], interface="127.0.0.1")
StreamServerEndpointService(endpoint, protocol.Factory.forProtocol(Told)).setServiceParent(application)
"""

CLIENTS = 20
SECONDS = 0.5  # from one change to the next


class Operated:
    """Three servers that count and speak both plain and TLS, a broker before them, and its operator."""

    def __init__(self, directory: Path, certificates: Certificates, workers: int) -> None:
        self.directory = directory
        self.workers = workers
        self.certificates = certificates
        self._programs = ExitStack()
        self._counting: dict[int, Program] = {}
        *self.servers, self.https, self.http, self.admin, self.operator_port = free_ports(7)
        self.addresses = [f"127.0.0.1:{port}" for port in self.servers]
        try:
            for number in range(len(self.servers)):
                self._start(number)
            self.broker = self._start_broker()
            self._operator = socket.create_connection(("127.0.0.1", self.operator_port), timeout=20)
            self._answers = self._operator.makefile("r")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def _keep(self, program: Program) -> Program:
        return self._programs.enter_context(program)

    def _start(self, number: int) -> None:
        port, certificate = self.servers[number], self.certificates.server
        self._counting[number] = self._keep(counting(f"server-{number}", self.directory, port, certificate))

    def _start_broker(self) -> Program:
        ports = {"servers": self.servers, "https": self.https, "http": self.http, "admin": self.admin}
        (self.directory / "ports.json").write_text(json.dumps({**ports, "told": self.operator_port}))
        file = self.directory / "broker.tac"
        paths = {"certificate": str(self.certificates.server), "authority": str(self.certificates.authority)}
        file.write_text(TAC.format(**paths, workers=self.workers, transport=TRANSPORT))
        argv: list[str | Path] = [TWISTD, "-n", "--pidfile=", "-y", file]
        listening = [self.https, self.http, self.admin, self.operator_port]
        return self._keep(Program("sslbroker", argv, self.directory, ports=listening))

    @contextmanager
    def without(self, number: int) -> Iterator[None]:
        """This server is killed, and started anew at the end of the block."""
        self._counting[number].kill()
        yield
        self._start(number)

    def tell(self, method: str, *given: Any, **named: Any) -> None:
        """Call a method of the broker's service."""
        self._operator.sendall(json.dumps([method, given, named]).encode() + b"\n")
        assert self._answers.readline().strip() == "done"

    def clients(self) -> list[Client]:
        """Half of them secure."""
        plain = [Client(self.http) for _ in range(CLIENTS // 2)]
        return plain + [Client(self.https, self.certificates.authority) for _ in range(CLIENTS // 2)]


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def operated(
    request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates
) -> Iterator[Operated]:
    operated = Operated(tmp_path, certificates, request.param)
    yield operated
    operated.close()
    assert "Traceback" not in operated.broker.output()


def test_links_change_from_plain_to_secure_to_auto_under_traffic(operated: Operated) -> None:
    posts = Posts()
    with traffic(mixed(get(20_000), posts, get(300_000), posts), operated.clients()) as running:
        for mode in itertools.islice(itertools.cycle([True, "auto", False]), 20):
            running.during(SECONDS)
            operated.tell("set_link_mode", "shop", mode)
    assert running.errors == []
    assert running.done > 500
    assert how_often(posts.sent, operated.servers) == {1: len(posts.sent)}
    kinds = [told(port)["connections"] for port in operated.servers]
    assert all(kind["plain"] > 10 and kind["secure"] > 10 for kind in kinds), kinds


def test_servers_come_and_go_under_traffic(operated: Operated) -> None:
    one, two, _ = operated.addresses
    posts = Posts()
    with traffic(mixed(get(20_000), posts), operated.clients()) as running:
        for change in (
            ("set_server", "shop", one, "drain"),
            ("set_server", "shop", two, "down"),
            ("reload_certificates",),
            ("set_link_mode", "shop", True, two),
            ("set_server", "shop", two, "up"),
            ("set_server", "shop", one, "down"),
            ("set_link_mode", "shop", "auto", one),
            ("set_server", "shop", one, "up"),
            ("clear_pin", "shop", one),
            ("reload_certificates",),
        ):
            running.during(SECONDS)
            operated.tell(*change)
        operated.tell("set_server", "shop", one, weight=50)
        running.during(SECONDS)
        before = [server["outcomes"]["ok"] for server in state(operated.admin)["pools"][0]["servers"]]
        running.during(4 * SECONDS)
    after = [server["outcomes"]["ok"] for server in state(operated.admin)["pools"][0]["servers"]]
    assert running.errors == []
    assert how_often(posts.sent, operated.servers) == {1: len(posts.sent)}
    most, *others = (now - then for now, then in zip(after, before, strict=True))
    assert most > sum(others)


def test_a_server_that_is_down_gets_nothing_new(operated: Operated) -> None:
    operated.tell("set_server", "shop", operated.addresses[0], "down")
    with traffic(get(1000), operated.clients()) as running:
        running.during(SECONDS)
    assert running.errors == []
    assert told(operated.servers[0])["words"] == {}


def test_no_get_fails_while_servers_are_killed_and_everything_changes(operated: Operated) -> None:
    one, two, three = operated.addresses
    changes: tuple[tuple[Any, ...], ...] = (
        ("set_link_mode", "shop", True),
        ("set_server", "shop", one, "drain"),
        ("set_link_mode", "shop", "auto", two),
        ("reload_certificates",),
        ("set_link_mode", "shop", False, three),
        ("set_server", "shop", one, "up"),
        ("clear_pin", "shop", two),
        ("set_link_mode", "shop", "auto"),
        ("set_link_mode", "shop", False),
    )
    with traffic(get(20_000), operated.clients()) as running:
        for number, change in enumerate(changes * 2):
            with operated.without(number % 3):
                running.during(SECONDS / 2)
                operated.tell(*change)
                running.during(SECONDS / 2)
    assert running.errors == []
    assert running.done > 500
    outcomes: Counter[str] = Counter()
    for server in state(operated.admin)["pools"][0]["servers"]:
        outcomes.update(server["outcomes"])
    assert outcomes["refused"] > 10, "no try met a killed server"
