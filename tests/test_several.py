"""One broker of several processes, started by a program of its own, on real loopback sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.errors import ConfigurationError, StartError
from sslbroker.net import ports
from sslbroker.service import BrokerService, broker
from sslbroker.settings import Admin, Broker, Configuration, Listener, Log, Pool, Server
from sslbroker.several import Several

from .files import folder

LOOPBACK = "tcp:0:interface=127.0.0.1"
PATIENCE = 20.0

#: A program with a broker of two workers, its servers in the same process, and an operator on its input.
PROGRAM = """
import json, sys
from pathlib import Path
from twisted.internet import reactor, stdio
from twisted.internet.utils import getProcessValue
from zope.interface import implementer
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.protocols.basic import LineOnlyReceiver
from sslbroker.errors import ConfigurationError, StartError
from sslbroker.net import ports
from sslbroker.net.transports import StockTransports
from sslbroker.interfaces import IObserver
from sslbroker.service import broker
from sslbroker.settings import *

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"

class Answering(Protocol):
    def dataReceived(self, data):
        if b"/silent" not in data:
            self.transport.write(ANSWER * data.count(b"\\r\\n\\r\\n"))

class Other(Protocol):
    def dataReceived(self, data):
        if b"/up " in data and (here / "ill").exists():
            self.transport.write(ANSWER.replace(b"200 OK", b"503 Ill"))
        else:
            self.transport.write(ANSWER.replace(b"ok", b"no"))

@implementer(IObserver)
class Asks:
    async def transaction_ended(self, record):
        while record["target"] == "/loop":
            pass
        if record["target"] == "/program":
            (here / "program").write_text(str(await getProcessValue(sys.executable, ["-c", "exit(7)"])))

class Operator(LineOnlyReceiver):
    delimiter = b"\\n"
    def lineReceived(self, line):
        name, *given = json.loads(line)
        try:
            said = getattr(made, name)(*given)
            self.sendLine(json.dumps(["done", said], default=str).encode())
        except Exception as error:
            self.sendLine(json.dumps([type(error).__name__, str(error)]).encode())
    def connectionLost(self, reason):
        if reactor.running: reactor.stop()

server, other = (ports.bind("tcp:0:interface=127.0.0.1") for _ in range(2))
here = Path(sys.argv[1])
(here / "gold.txt").write_text("192.0.2.0/24")
made = broker(Configuration(
    listeners=(Listener("http", "tcp:0:interface=127.0.0.1", "shop"),
               Listener("local", f"unix:{here / 'local'}:mode=600", "shop"),
               Listener("checked", "tcp:0:interface=127.0.0.1", "checked")),
    pools=(Pool("shop", (Server(server.address), Server("127.0.0.1:9"))),
           Pool("checked", (Server(server.address), Server(other.address)), balance="round-robin",
                slow_start=0.0, health=Health("/up", interval=0.1, rise=1, fall=1))),
    groups=(Group("gold", (), 5, files=(here / "gold.txt",)),),
    log=Log(str(here / "access.log")),
    admin=Admin("tcp:0:interface=127.0.0.1"),
    broker=Broker(workers=2, drain_timeout=2.0, worker_timeout=float(sys.argv[2]),
                  state_directory=here / "state"),
), reactor, observers=[Asks()])
made.set_server("shop", "127.0.0.1:9", "down")  # before the start: every worker is so from the beginning
made.startService()
for bound, answering in ((server, Answering), (other, Other)):
    factory = Factory.forProtocol(answering)
    factory.noisy = False
    bound.listen(StockTransports(reactor), factory)
operator = Operator()
stdio.StandardIO(operator)
operator.sendLine(json.dumps([made.address("http"), made.admin_address, made.address("checked")]).encode())
reactor.addSystemEventTrigger("before", "shutdown", made.stopService)
reactor.run()
"""


class Started(SynchronousTestCase):
    """The program runs; what its broker logs is in the file `log`."""

    worker_timeout = 60.0

    def setUp(self) -> None:
        self.folder = folder(self)
        self.program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.folder), str(self.worker_timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "log").open("wb"),
            process_group=0,
        )
        self.addCleanup(self.end)
        self.address, self.admin, self.checked = self.hear()
        self.until(lambda: len(self.serving()) == 2)

    def end(self) -> None:
        """Nothing is left, whatever happened."""
        for stream in (self.program.stdin, self.program.stdout):
            assert stream is not None
            stream.close()
        try:
            self.program.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.program.pid, signal.SIGKILL)
            self.program.wait()

    def hear(self) -> Any:
        assert self.program.stdout is not None
        return json.loads(self.program.stdout.readline())

    def operate(self, *call: Any) -> Any:
        """Call a method of the broker; its answer, or which error it raised."""
        assert self.program.stdin is not None
        self.program.stdin.write(json.dumps(call).encode() + b"\n")
        self.program.stdin.flush()
        return self.hear()

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > deadline:
                self.fail((self.folder / "log").read_text()[-3000:])
            time.sleep(0.02)

    def get(self, address: str, target: str, host: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        try:
            connection.request("GET", target, headers={} if host is None else {"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, times: int = 1) -> list[int]:
        return [self.get(self.address, "/")[0] for _ in range(times)]

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get(self.admin, "/state")[1])
        return found

    def serving(self) -> list[dict[str, Any]]:
        return [worker for worker in self.state()["workers"] if worker["state"] == "serving"]

    def pids(self) -> set[int]:
        return {worker["pid"] for worker in self.serving()}

    def living(self) -> list[int]:
        """All processes of the program that are no zombies."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self.program.pid and fields[0] != "Z":
                found.append(int(entry.name))
        return found

    def where(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host, int(port)


class Running(Started):
    def test_both_serve_and_the_figures_are_those_of_both(self) -> None:
        self.assertEqual(self.ask(60), [200] * 60)
        state = self.state()
        shares = [worker["transactions"] for worker in state["workers"]]
        self.assertEqual(sum(shares), 60)
        self.assertTrue(all(shares), shares)
        listener = state["listeners"][0]
        self.assertEqual((listener["transactions"], listener["ends"]), (60, {"ok": 60}))
        self.assertEqual(state["pools"][0]["servers"][0]["outcomes"], {"ok": 60})
        self.assertEqual(state["listening"]["http"], self.address)
        metrics = self.get(self.admin, "/metrics")[1].decode()
        self.assertIn('sslbroker_listener_transactions_total{listener="http"} 60.0', metrics)
        self.assertIn("sslbroker_access_log_lines_total 60.0", metrics)
        self.until(lambda: len((self.folder / "access.log").read_text().splitlines()) == 60)
        lines = [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]
        self.assertEqual(len({line["id"] for line in lines}), 60)

    def test_who_is_killed_is_replaced_and_a_unix_socket_goes_on(self) -> None:
        self.ask(20)
        before = self.pids()
        for number in (signal.SIGKILL, signal.SIGTERM):
            victim = min(self.pids())
            os.kill(victim, number)
            self.until(lambda victim=victim: len(self.pids() - {victim}) == 2)  # type: ignore[misc]
            self.assertEqual(self.ask(20), [200] * 20)
            for _ in range(5):
                self.assertEqual(self.ask_locally(), 200)
        self.assertTrue(before - self.pids())
        state = self.state()
        self.assertEqual(sum(worker["restarts"] for worker in state["workers"]), 2)
        mode = (self.folder / "local").stat().st_mode & 0o777
        self.assertEqual(mode, 0o600)
        self.assertGreaterEqual(state["listeners"][0]["transactions"], 40)

    def ask_locally(self) -> int:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(self.folder / "local"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return int(client.makefile("rb").readline().split()[1])

    def test_what_an_operator_says_holds_in_every_worker_and_in_later_ones(self) -> None:
        server = next(iter(self.state()["pools"][0]["servers"]))["address"]
        self.assertEqual(self.operate("set_server", "shop", "nowhere", "down")[0], "KeyError")
        self.assertEqual(self.ask(20), [200] * 20)
        self.assertEqual(self.operate("set_server", "shop", server, "down"), ["done", None])
        self.assertEqual(set(self.ask(20)), {503})
        os.kill(min(self.pids()), signal.SIGKILL)
        self.until(lambda: len(self.pids()) == 2 and sum(w["restarts"] for w in self.serving()) == 1)
        self.assertEqual(set(self.ask(20)), {503})
        self.operate("set_server", "shop", server, "up")
        self.assertEqual(self.ask(20), [200] * 20)
        self.assertEqual(self.operate("clear_pin", "shop", server), ["done", None])
        self.assertEqual(self.operate("reload_certificates"), ["done", None])

    def test_groups_are_read_anew_by_every_worker_and_for_later_ones(self) -> None:
        log = self.folder / "access.log"

        def groups() -> set[Any]:
            before = len(log.read_text().splitlines())
            self.ask(20)
            self.until(lambda: len(log.read_text().splitlines()) == before + 20)
            return {json.loads(line)["group"] for line in log.read_text().splitlines()[before:]}

        self.assertEqual(groups(), {None})
        (self.folder / "gold.txt").write_text("127.0.0.0/8")
        self.assertEqual(self.operate("reload_groups")[0], "done")
        self.until(lambda: groups() == {"gold"})
        os.kill(min(self.pids()), signal.SIGKILL)
        self.until(lambda: len(self.pids()) == 2 and sum(w["restarts"] for w in self.serving()) == 1)
        self.assertEqual(groups(), {"gold"})
        (self.folder / "gold.txt").write_text("everybody")
        os.kill(self.program.pid, signal.SIGHUP)
        self.until(lambda: "kept as it was: groups.gold.files[0]: " in (self.folder / "log").read_text())
        self.assertEqual(groups(), {"gold"})
        self.assertEqual((self.folder / "log").read_text().count("kept as it was"), 1)

    def test_observers_of_the_program_are_in_each_worker_with_all_that_a_reactor_does(self) -> None:
        self.get(self.address, "/program")
        self.until(lambda: (self.folder / "program").exists() and (self.folder / "program").read_text())
        self.assertEqual((self.folder / "program").read_text(), "7")

    def test_logs_are_opened_anew_by_all(self) -> None:
        self.ask(10)
        old = self.folder / "old.log"
        (self.folder / "access.log").rename(old)
        os.kill(self.program.pid, signal.SIGUSR1)
        self.until((self.folder / "access.log").exists)
        self.until(lambda: len(old.read_text().splitlines()) == 10)
        os.kill(min(self.pids()), signal.SIGKILL)  # whoever comes now begins in the new one, too
        self.until(lambda: sum(worker["restarts"] for worker in self.serving()) == 1)
        self.ask(20)
        self.until(lambda: len((self.folder / "access.log").read_text().splitlines()) == 20)
        self.assertEqual(len(old.read_text().splitlines()), 10)

    def test_a_signal_ends_all_of_them(self) -> None:
        self.assertEqual(len(self.living()), 4)
        os.kill(self.program.pid, signal.SIGTERM)
        self.program.wait(PATIENCE)
        self.assertEqual(self.living(), [])
        self.assertFalse((self.folder / "local").exists())
        with self.assertRaises(ConnectionRefusedError):
            self.ask()

    def test_ctrl_c_reaches_all_and_ends_all(self) -> None:
        os.killpg(self.program.pid, signal.SIGINT)
        self.assertEqual(self.program.wait(PATIENCE), 0)
        self.assertEqual(self.living(), [])

    def test_a_second_signal_ends_what_is_left_now(self) -> None:
        with socket.create_connection(self.where()) as waiting:
            waiting.sendall(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n")
            self.until(lambda: self.state()["listeners"][0]["transactions"] == 1)
            began = time.monotonic()
            os.kill(self.program.pid, signal.SIGTERM)
            self.until(lambda: self.state()["draining"])
            os.kill(self.program.pid, signal.SIGTERM)
            self.program.wait(PATIENCE)
        self.assertLess(time.monotonic() - began, 1.9)  # of a drain of 2 seconds

    def test_when_the_parent_is_killed_nothing_is_left(self) -> None:
        os.kill(self.program.pid, signal.SIGKILL)
        self.program.wait()
        self.until(lambda: not self.living())


class Checked(Started):
    """The parent checks, and every worker goes by what it finds."""

    def answers(self) -> set[bytes]:
        """Who has answered twenty clients: the first server says "ok", the other one "no"."""
        found = [self.get(self.checked, "/") for _ in range(20)]
        self.assertEqual({status for status, _ in found}, {200})
        return {body for _, body in found}

    def other(self) -> dict[str, Any]:
        server: dict[str, Any] = self.state()["pools"][1]["servers"][1]
        return server

    def test_a_verdict_holds_in_every_worker_in_later_ones_and_over_a_reload(self) -> None:
        self.assertEqual(self.answers(), {b"ok", b"no"})
        (self.folder / "ill").touch()
        self.until(lambda: self.answers() == {b"ok"})
        server = self.other()
        self.assertEqual(server["bars"], {"unhealthy": "/up: status 503"})
        for number in (signal.SIGKILL, signal.SIGTERM):
            victim = min(self.pids())
            os.kill(victim, number)
            self.until(lambda victim=victim: len(self.pids() - {victim}) == 2)  # type: ignore[misc]
            self.assertEqual(self.answers(), {b"ok"})
        os.kill(self.program.pid, signal.SIGHUP)
        self.until(lambda: "certificates are read anew" in (self.folder / "log").read_text())
        self.assertEqual(self.answers(), {b"ok"})
        self.assertEqual(self.other()["bars"], {"unhealthy": "/up: status 503"})
        (self.folder / "ill").unlink()
        self.until(lambda: self.answers() == {b"ok", b"no"})
        self.assertEqual(self.other()["bars"], {})
        log = (self.folder / "log").read_text()
        self.assertEqual(log.count("is unhealthy: /up: status 503 (checks failed in a row: 1)"), 1)
        self.assertEqual(log.count("is healthy again: /up: status 200 (checks passed in a row: 1)"), 1)

    def test_checks_are_those_of_one_process_and_no_transactions(self) -> None:
        before = self.other()
        began = time.monotonic()
        self.until(lambda: self.other()["checks"].get("ok", 0) >= 10 + before["checks"].get("ok", 0))
        self.assertGreater(time.monotonic() - began, 0.75)  # of ten checks, a tenth of a second apart
        server = self.other()
        self.assertEqual(server["last_check"], "/up: status 200")
        self.assertEqual((server["outcomes"], server["links_opened"]), ({}, 0))


class Hanging(Started):
    worker_timeout = 2.0

    def test_an_observer_that_never_returns_costs_its_worker_only_and_it_is_told_where_it_was(self) -> None:
        before = self.pids()
        self.get(self.address, "/loop")
        self.until(lambda: before - self.pids() and len(self.serving()) == 2)
        self.assertEqual(self.ask(20), [200] * 20)
        log = (self.folder / "log").read_text()
        self.assertIn("hangs: it has not answered for 2 s, and is ended", log)
        self.assertIn("in transaction_ended", log)
        self.assertIn("was killed by SIGABRT", log)


def configuration(**changes: Any) -> Configuration:
    values: dict[str, Any] = {
        "listeners": (Listener("plain", LOOPBACK, "shop"),),
        "pools": (Pool("shop", (Server("127.0.0.1:9"),)),),
        "broker": Broker(workers=2),
    }
    return Configuration(**{**values, **changes})


class Wrong(SynchronousTestCase):
    """What cannot start says why, and nothing listens and nobody is forked."""

    def test_every_address_that_cannot_be_had_at_once(self) -> None:
        taken = ports.bind(LOOPBACK)
        self.addCleanup(taken.close)
        taken.listen_early()  # as another broker with workers does
        endpoint = f"tcp:{taken.port}:interface=127.0.0.1"
        listeners = (Listener("free", LOOPBACK, "shop"), Listener("taken", endpoint, "shop"))
        wrong = configuration(listeners=listeners, admin=Admin("tcp:1:interface=203.0.113.1"))
        lines = str(self.assertRaises(StartError, broker, wrong, reactor)).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("something listens there already", lines[0])

    def test_an_address_that_is_taken_between_binding_and_listening(self) -> None:
        made = broker(configuration(), reactor)
        other = ports.bind(f"tcp:{made.address('plain').rpartition(':')[2]}:interface=127.0.0.1")
        self.addCleanup(other.close)
        other.listen_early()
        with capturedLogs():
            error = self.assertRaises(SystemExit, made.startService)
        self.assertIn("something listens there already", str(error))

    def test_a_limit_that_is_too_small_for_so_many(self) -> None:
        wrong = configuration(pools=(Pool("shop", (Server("127.0.0.1:9", maximum_links=1),)),))
        error = self.assertRaises(StartError, broker, wrong, reactor)
        self.assertIn("pools.shop.servers[0].maximum_links", str(error))

    def test_an_access_log_that_cannot_be_written(self) -> None:
        wrong = configuration(log=Log("/nowhere/access.log"))
        self.assertIn(
            "/nowhere/access.log", str(self.assertRaises(ConfigurationError, broker, wrong, reactor))
        )


class Before(SynchronousTestCase):
    def test_one_worker_is_one_process(self) -> None:
        for workers in (1, "auto"):
            with mock.patch("os.sched_getaffinity", return_value={0}):
                made = broker(configuration(broker=Broker(workers=workers)), reactor)
            self.addCleanup(made.stopService)
            self.assertIsInstance(made, BrokerService)

    def test_what_it_says_before_it_starts(self) -> None:
        made = broker(configuration(), MemoryReactorClock())
        assert isinstance(made, Several)
        self.assertEqual(made.state()["listening"], {})
        self.assertEqual([worker.state for worker in made.workers()], ["starting", "starting"])
        self.assertEqual(made.admin_address, "")
        self.assertEqual(made.figures.listeners[0].transactions, 0)
        made.bind()  # again is no harm
        self.successResultOf(made.stopService())
        self.assertRaises(KeyError, made.address, "plain")
