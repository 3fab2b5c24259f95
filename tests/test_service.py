"""Configuration → a broker that starts, stops and says what is wrong; on real loopback sockets."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from sslbroker import application
from sslbroker import service as service_module
from sslbroker.announce import explain
from sslbroker.errors import ConfigurationError, StartError
from sslbroker.interfaces import IBalancer, IObserver, IResponseClassifier
from sslbroker.net import heap, ports
from sslbroker.net.tls import ListenerContexts
from sslbroker.net.transports import StockTransports
from sslbroker.protocols.http.backend import HTTPProtocol
from sslbroker.service import BrokerService, broker, demo
from sslbroker.settings import (
    Admin,
    Broker,
    Configuration,
    Group,
    Health,
    Listener,
    ListenerTLS,
    Log,
    Pool,
    Server,
)

from .files import folder

LOOPBACK = "tcp:0:interface=127.0.0.1"


def configuration(server: str = "127.0.0.1:9", **changes: Any) -> Configuration:
    values: dict[str, Any] = {
        "listeners": (Listener("plain", LOOPBACK, "shop"),),
        "pools": (Pool("shop", (Server(server),)),),
        "broker": Broker(drain_timeout=0.2),
    }
    return Configuration(**{**values, **changes})


class Client(Protocol):
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.received = b""
        self.lost: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.data)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(self.received)


class Answering(Protocol):
    """A server that answers when it is told to."""

    answer: Callable[[Answering], None] = staticmethod(lambda server: server.say_ok())

    def dataReceived(self, data: bytes) -> None:
        self.answer(self)

    def say_ok(self) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Wrong(SynchronousTestCase):
    """What cannot start says why, and nothing listens."""

    def test_every_address_that_cannot_be_had_at_once(self) -> None:
        taken = ports.bind(LOOPBACK)
        self.addCleanup(taken.close)
        taken._socket.listen()
        endpoint = f"tcp:{taken.port}:interface=127.0.0.1"
        listeners = (Listener("free", LOOPBACK, "shop"), Listener("taken", endpoint, "shop"))
        admin = Admin("tcp:1:interface=203.0.113.1")
        wrong = configuration(listeners=listeners, admin=admin)
        error = self.assertRaises(StartError, broker, wrong, reactor)
        lines = str(error).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(
            lines[0],
            f"listeners.taken: endpoint '{endpoint}': cannot listen: Address already in use "
            "(something listens there already)",
        )
        self.assertTrue(lines[1].startswith("admin: endpoint "))

    def test_an_access_log_that_cannot_be_written(self) -> None:
        wrong = configuration(log=Log("/nowhere/access.log"))
        self.assertIn(
            "/nowhere/access.log", str(self.assertRaises(StartError, BrokerService, wrong, reactor))
        )

    def test_objects_of_a_tac_file_are_checked_like_a_file(self) -> None:
        wrong = configuration(pools=(Pool("shop", ()),))
        self.assertRaises(ConfigurationError, broker, wrong, reactor)

    def test_objects_that_lack_something_are_told_before_an_address_is_taken(self) -> None:
        error = self.assertRaises(StartError, broker, configuration(), reactor, observers=[object()])
        self.assertIn("observers[0]: builtins.object does not say @implementer(IObserver)", str(error))

    def test_a_tac_file_ends_with_a_message_for_people(self) -> None:
        wrong = configuration(log=Log("/nowhere/access.log"))
        error = self.assertRaises(SystemExit, application, wrong)
        self.assertTrue(str(error).startswith("sslbroker: configuration: log.access: "), str(error))

    def test_each_line_for_a_terminal_names_the_program(self) -> None:
        self.assertEqual(explain(StartError("a\nb")), "sslbroker: a\nsslbroker: b")


class Running(TestCase):
    def start(self, made: Configuration, **given: Any) -> BrokerService:
        service = broker(made, reactor, **given)
        assert isinstance(service, BrokerService)
        service.privilegedStartService()
        service.startService()
        self.service = service
        self.addCleanup(lambda: service.running and service.stopService())
        return service

    def serve(self, answer: Callable[[Answering], None] = lambda server: server.say_ok()) -> str:
        factory = Factory.forProtocol(type("Server", (Answering,), {"answer": staticmethod(answer)}))
        factory.noisy = False
        port = ports.bind(LOOPBACK)
        listening = port.listen(StockTransports(reactor), factory)

        async def stop() -> None:
            await listening.stopListening()  # type: ignore[misc]
            port.close()

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return port.address

    async def ask(self, address: str, data: bytes) -> bytes:
        client = Client(data)
        host, _, port = address.rpartition(":")
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: client  # type: ignore[method-assign]
        reactor.connectTCP(host, int(port), factory)
        return await client.lost

    async def test_it_serves_and_watches(self) -> None:
        log = str(folder(self) / "access.log")
        service = self.start(configuration(self.serve(), admin=Admin(LOOPBACK), log=Log(log)))
        address, admin = service.address("plain"), service.admin_address
        answer = await self.ask(address, b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertTrue(answer.endswith(b"\r\n\r\nok"), answer)
        page = await self.ask(admin, b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        state = json.loads(page.partition(b"\r\n\r\n")[2])
        self.assertEqual(state["listening"], {"plain": address})
        self.assertEqual(state["listeners"][0]["transactions"], 1)
        (server,) = state["pools"][0]["servers"]
        self.assertEqual((server["state"], server["open"], server["link"]), ("up", True, "plain"))
        page = await self.ask(admin, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        labels = f'pool="shop",server="{server["address"]}"'.encode()
        self.assertIn(b"\nsslbroker_server_open{%b} 1.0\n" % labels, page)
        await service.stopService()
        self.assertEqual(json.loads(Path(log).read_text())["target"], "/x")

    async def test_objects_of_a_tac_file_decide_each_at_its_own_pace(self) -> None:
        def apologize(server: Answering) -> None:
            assert server.transport is not None
            server.transport.write(b"HTTP/1.1 200 OK\r\nX-Sorry: yes\r\nContent-Length: 0\r\n\r\n")

        @implementer(IBalancer)
        class Last:
            async def choose(self, members: Any, origin: Any, key: bytes, now: float) -> Any:
                await deferLater(reactor, 0.01)
                return members[-1]

        @implementer(IResponseClassifier)
        class Apologies:
            def failing(self, response: Any) -> bool:
                return any(name == b"x-sorry" for name, _, _ in response.fields)

            def status(self, response: Any) -> int:
                return int(response.status)

        heard: Deferred[Any] = Deferred()

        @implementer(IObserver)
        class Slow:
            async def transaction_ended(self, record: Any) -> None:
                await deferLater(reactor, 0.01)
                heard.callback(record)

        good, sorry = self.serve(), self.serve(apologize)
        pool = Pool("shop", (Server(good), Server(sorry)))
        service = self.start(
            configuration(pools=(pool,)),
            balancers={"shop": Last()},
            classifiers={"shop": Apologies()},
            observers=[Slow()],
        )
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        self.assertTrue((await self.ask(service.address("plain"), request)).endswith(b"ok"))
        tries = [(one["server"], one["outcome"]) for one in (await heard)["tries"]]
        self.assertEqual(tries, [(sorry, "status"), (good, "ok")])

    async def test_servers_are_checked_from_the_start_to_the_stop(self) -> None:
        pool = Pool("shop", (Server(self.serve()), Server(self.serve(lambda server: None))),
                    health=Health("/up", interval=0.1, timeout=0.5, fall=1))  # fmt: skip
        service = self.start(configuration(pools=(pool,)))
        well, silent = service.pools["shop"].members
        while not (well.figures.checks and silent.bars):
            await deferLater(reactor, 0.01)
        self.assertEqual((well.bars, well.figures.last_check), ({}, "/up: status 200"))
        self.assertIn("no whole answer within 0.5 s", silent.bars["unhealthy"])
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        self.assertTrue((await self.ask(service.address("plain"), request)).endswith(b"ok"))
        await service.stopService()  # and nothing is left in the reactor

    async def test_a_server_may_have_a_name(self) -> None:
        port = self.serve().rpartition(":")[2]
        service = self.start(configuration(f"localhost:{port}"))
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        self.assertTrue((await self.ask(service.address("plain"), request)).endswith(b"ok"))
        self.assertIn("127.0.0.1", service.servers()["shop"][f"localhost:{port}"]["addresses"])

    async def test_twisteds_own_lines_name_listeners_as_their_operator_does(self) -> None:
        with capturedLogs() as events:
            service, _ = demo(reactor, https=0, http=0, admin=0)
            service.startService()
            await service.stopService()
        said = [str(event.get("log_text", "")) for event in events]
        names = [line.partition(" starting on ")[0] for line in said if " starting on " in line]
        servers = [f"demo server-{number}" for number in (1, 2, 3)]
        listeners = ["listener https (TLS)", "listener http", "admin pages"]
        self.assertEqual(names, [*servers, "demo control site", *listeners])

    async def test_with_groups_time_is_looked_at_until_the_stop(self) -> None:
        service = self.start(configuration(self.serve(), groups=(Group("gold", (), 5),)))
        (pool,) = service.pools.values()
        pool.figures.plain_share = 0.0
        while pool.figures.plain_share != 1.0:
            await deferLater(reactor, 0.01)
        await service.stopService()  # no timer is left, else this fails

    async def test_a_stop_waits_for_what_is_under_way(self) -> None:
        asked: list[Answering] = []
        service = self.start(configuration(self.serve(asked.append), broker=Broker(drain_timeout=30)))
        answer = Deferred.fromCoroutine(
            self.ask(service.address("plain"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        )
        while not asked:
            await deferLater(reactor, 0.005)
        stopping = service.stopService()
        await deferLater(reactor, 0.01)
        self.assertFalse(stopping.called)
        asked[0].say_ok()
        self.assertIn(b"\r\nConnection: close\r\n", await answer)
        await stopping

    def test_a_start_that_loses_the_race_for_an_address_ends_the_process(self) -> None:
        service = broker(configuration(), reactor)
        faster = socket.socket()
        self.addCleanup(faster.close)
        faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, _, port = service.address("plain").rpartition(":")
        faster.bind((host, int(port)))
        faster.listen()
        error = self.assertRaises(SystemExit, service.startService)
        self.assertRegex(
            str(error),
            r"^sslbroker: listeners\.plain: endpoint 'tcp:0\S+': cannot listen: Address already in use ",
        )

    async def test_who_comes_while_it_stops_is_refused_at_once(self) -> None:
        asked: list[Answering] = []
        service = self.start(configuration(self.serve(asked.append), broker=Broker(drain_timeout=30)))
        host, _, port = service.address("plain").rpartition(":")
        answer = Deferred.fromCoroutine(
            self.ask(service.address("plain"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        )
        while not asked:
            await deferLater(reactor, 0.005)
        stopping = service.stopService()
        await deferLater(reactor, 0.01)
        self.assertEqual(service.state()["listening"], {})
        with socket.socket() as late:
            self.assertEqual(late.connect_ex((host, int(port))), errno.ECONNREFUSED)
        asked[0].say_ok()
        await answer
        await stopping

    async def test_a_unix_socket_is_served_and_nothing_is_logged(self) -> None:
        path = folder(self) / "broker.sock"
        listeners = (Listener("unix", f"unix:{path}", "shop"),)
        self.start(configuration(self.serve(), listeners=listeners))
        client = Client(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: client  # type: ignore[method-assign]
        reactor.connectUNIX(str(path), factory)  # type: ignore[attr-defined]
        self.assertTrue((await client.lost).endswith(b"ok"))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_stop_ends_at_its_deadline(self) -> None:
        service = self.start(configuration(self.serve(lambda server: None)))
        answer = Deferred.fromCoroutine(
            self.ask(service.address("plain"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        )
        while not service.frontends[0].figures.transactions:
            await deferLater(reactor, 0.005)
        await service.stopService()
        self.assertEqual(await answer, b"")
        self.assertEqual(service.frontends[0].figures.ends, {"watch:shutdown": 1})

    async def test_ticket_keys_are_new_each_day_and_not_at_the_start(self) -> None:
        renewed: list[object] = []
        self.patch(ListenerContexts, "renew_ticket_keys", lambda contexts: renewed.append(contexts))
        self.patch(service_module, "DAY", 0.05)
        listener = Listener("secure", LOOPBACK, "shop", tls=ListenerTLS((Path("throwaway"),)))
        service = self.start(configuration(listeners=(listener,)))
        self.assertEqual(renewed, [])
        while len(renewed) < 2:
            await deferLater(reactor, 0.005)
        await service.stopService()

    async def test_asked_twice_it_ends_at_once(self) -> None:
        service = self.start(configuration(self.serve(lambda server: None), broker=Broker(drain_timeout=600)))
        answer = Deferred.fromCoroutine(
            self.ask(service.address("plain"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        )
        while not service.frontends[0].figures.transactions:
            await deferLater(reactor, 0.005)
        stopping = service.stopService()
        service._stop_now()
        await stopping
        await answer

    async def test_the_demo_serves_its_shop(self) -> None:
        service, lines = demo(reactor, https=0, http=0, admin=0)
        assert isinstance(service, BrokerService)
        self.service = service
        service.privilegedStartService()
        service.startService()
        try:
            self.assertIn(service.address("https"), "\n".join(lines))
            request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            for number in (1, 2, 3):
                answer = await self.ask(service.address("http"), request)
                self.assertIn(b"server-%d is well" % number, answer)
        finally:
            await service.stopService()


class TacFile(SynchronousTestCase):
    def setUp(self) -> None:
        self.settling: list[Any] = []  # the process of these tests is no broker's
        self.patch(heap, "settle_when_running", self.settling.append)

    def test_a_tac_file_gets_an_application_with_the_broker_in_it(self) -> None:
        made = application(configuration())
        (service,) = list(IService(made))  # type: ignore[call-overload]
        self.assertIsInstance(service, BrokerService)
        service.addresses.close()
        self.assertEqual(self.settling, [reactor])

    def test_a_toml_file_may_name_what_the_tac_file_gives(self) -> None:
        file = folder(self) / "broker.toml"
        file.write_text(
            '[listeners.http]\nendpoint = "tcp:0:interface=127.0.0.1"\npool = "shop"\n'
            '[pools.shop]\nservers = ["127.0.0.1:9001"]\nprotocol = "lines"\n'
        )

        class Lines(HTTPProtocol):
            name = "lines"

        lines = Lines(time.time)
        made = application(file, protocols=[lines])
        (service,) = list(IService(made))  # type: ignore[call-overload]
        self.addCleanup(service.addresses.close)
        self.assertIs(service.pools["shop"].protocol, lines)

    def test_a_wrong_toml_file_is_told_without_a_traceback(self) -> None:
        file = folder(self) / "broker.toml"
        file.write_text("[listeners.http]\n")
        error = self.assertRaises(SystemExit, application, file)
        self.assertIn(f"sslbroker: {file}: listeners.http.endpoint: found nothing", str(error))
