"""Clients that never rest, against servers in memory."""

# Twisted's test helpers have few annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface.verify import verifyObject

from sslbroker.demo.server import FulfillmentServer
from sslbroker.demo.shop import Shop
from sslbroker.demo.traffic import FILE, PATIENCE, Body, Reader, Traffic, main, new_agent
from sslbroker.demo.trouble import Trouble

from .wire import Answer, ask


class Response:
    """What an agent gives: a head, and a body that is delivered at once, in two pieces."""

    def __init__(self, answer: Answer, end: Exception | None) -> None:
        self.code = answer.status
        self.headers = Headers({name: [value] for name, value in answer.fields.items()})
        self._body = answer.body
        self._end = end

    def deliverBody(self, protocol: Protocol) -> None:
        stopped: list[None] = []

        def stop(_: object) -> None:
            stopped.append(None)
            if self._end is None:
                protocol.connectionLost(Failure(ConnectionLost()))

        transport = type("Transport", (), {"stopProducing": stop})()
        protocol.makeConnection(transport)
        half = len(self._body) // 2
        for piece in (self._body[:half], self._body[half:]):
            if not stopped:
                protocol.dataReceived(piece)
        if self._end is not None:
            protocol.connectionLost(Failure(ConnectionLost() if stopped else self._end))


class MemoryAgent:
    """An HTTP client whose requests go straight to a server in memory."""

    def __init__(self, server: FulfillmentServer) -> None:
        self.server = server
        self.change: Callable[[Answer], Answer] = lambda answer: answer
        self.end: Exception | None = ResponseDone()
        self.failure: Exception | None = None
        self.silent = False
        self.asked: list[str] = []

    def request(self, method: bytes, uri: bytes, headers: Headers, body: Body | None = None) -> Deferred[Any]:
        self.asked.append(f"{method.decode()} {uri.decode()}")
        if self.silent:
            return Deferred()
        if self.failure is not None:
            return fail(self.failure)
        path = uri.decode().removeprefix("http://shop.example")
        sent: list[bytes] = []
        if body is not None:
            body.startProducing(
                cast(Any, type("Consumer", (), {"write": lambda _, data: sent.append(data)})())
            )
            assert body.length == len(sent[0])
        fields = {
            name.decode().replace("-", "_"): values[0].decode() for name, values in headers.getAllRawHeaders()
        }
        answer = ask(self.server, f"{method.decode()} {path}", b"".join(sent), **fields)
        return succeed(Response(self.change(answer), self.end))


class Run:
    """Traffic of one client that rests a second, so that each second has one transaction."""

    def __init__(self, clients: int = 1, pause: float = 1.0) -> None:
        self.clock = Clock()
        self.server = FulfillmentServer("server-1", Shop(), self.clock)
        self.agent = MemoryAgent(self.server)
        self.lines: list[str] = []
        self.traffic = Traffic(
            IReactorTime(self.clock),
            cast(IAgent, self.agent),
            "http://shop.example/",
            self.lines.append,
            clients=clients,
            pause=pause,
        )

    def go(self, seconds: int) -> None:
        self.traffic.start()
        for _ in range(seconds):
            self.clock.advance(1)
        self.stop()

    def stop(self) -> None:
        stopped: list[object] = []
        self.traffic.stop().addCallback(stopped.append)
        assert stopped
        assert self.clock.getDelayedCalls() == []


def test_clients_buy_read_look_and_fetch() -> None:
    run = Run(clients=4)
    run.go(4)
    whats = {line.split("/")[3] for line in run.agent.asked}
    assert whats == {"", "orders", "images", "bytes"}
    assert run.traffic.errors == 0
    assert run.traffic.purchases == run.server.shop.executed > 1
    assert run.server.shop.repeated == 0


def test_each_second_is_a_line_that_names_the_servers() -> None:
    run = Run(clients=8, pause=0.5)
    run.traffic.start()
    run.clock.advance(0.5)
    run.clock.advance(0.5)
    run.stop()
    assert run.lines[0].split() == [
        "1",
        "s",
        "16",
        "transactions",
        "0",
        "errors",
        "slowest",
        "0",
        "ms",
        "server-1",
        "16",
    ]


def test_the_summary_says_what_clients_noticed() -> None:
    run = Run()
    run.go(2)
    assert run.traffic.summary() == "3 transactions, 1 of them purchases, in 2 s: clients noticed no errors"


def test_an_answer_with_another_status_is_an_error() -> None:
    run = Run()
    run.server.trouble = Trouble.STATUS_500
    run.go(1)
    assert run.lines[1].strip() == "1 times POST /orders: found 500, expected 201"
    assert run.traffic.errors == run.traffic.transactions
    assert run.traffic.purchases == 0
    assert run.traffic.summary().endswith(f"clients noticed {run.traffic.errors} errors")


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("GET /", "GET /: the page ends after"),
        ("GET /images", "GET /images: the picture ends after"),
        ("GET /bytes", f"GET /bytes: {FILE - 1} bytes are not the {FILE} right ones"),
    ],
)
def test_an_answer_that_lacks_its_last_byte_is_an_error(what: str, error: str) -> None:
    run = Run()
    run.agent.change = lambda answer: Answer(answer.status, answer.fields, answer.body[:-1])
    run.go(6)
    assert any(error in line for line in run.lines), run.lines


def test_a_file_with_a_wrong_byte_is_an_error() -> None:
    run = Run()
    run.agent.change = lambda answer: Answer(answer.status, answer.fields, answer.body[:-1] + b"\x00")
    run.go(6)
    assert any(f"GET /bytes: {FILE} bytes are not" in line for line in run.lines)


def test_an_answer_without_end_is_cut_off() -> None:
    run = Run()
    run.agent.change = lambda answer: Answer(answer.status, answer.fields, b"x" * (5 * FILE))
    run.go(1)
    assert any("POST /orders: the answer ended too soon" in line for line in run.lines)


def test_an_answer_that_breaks_off_is_an_error() -> None:
    run = Run()
    run.agent.end = PotentialDataLoss()
    run.go(1)
    assert "POST /orders: the answer ended too soon, after " in run.lines[1]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ConnectionRefusedError(), "POST /orders: Connection was refused by other side."),
        (
            ResponseFailed([Failure(ConnectionLost())]),
            "POST /orders: no whole answer: Connection to the other",
        ),
        (ValueError(), "POST /orders: ValueError"),
    ],
)
def test_a_connection_that_fails_is_an_error(failure: Exception, error: str) -> None:
    run = Run()
    run.agent.failure = failure
    run.go(1)
    assert error in run.lines[1]


def test_no_answer_in_time_is_an_error() -> None:
    run = Run()
    run.agent.silent = True
    run.go(int(PATIENCE))
    assert run.traffic.errors == 1
    assert f"slowest {PATIENCE * 1000:.0f} ms" in run.lines[-2]
    assert "no whole answer within 10 s" in run.lines[-1]


def test_a_body_that_stalls_is_an_error() -> None:
    run = Run()
    run.agent.end = None
    run.go(int(PATIENCE))
    assert run.traffic.errors == 1


def test_a_connection_that_ends_after_its_client_gave_up_is_no_news() -> None:
    reader = Reader()
    left: list[None] = []
    reader.makeConnection(cast(Any, type("Transport", (), {"stopProducing": lambda _: left.append(None)})()))
    reader.done.addErrback(lambda _: None)
    reader.done.cancel()
    reader.connectionLost(Failure(ConnectionLost()))
    assert left == [None]


def test_what_ends_when_the_traffic_is_stopped_is_no_error() -> None:
    run = Run()
    run.agent.silent = True
    run.traffic.start()
    run.stop()
    assert (run.traffic.errors, run.traffic.transactions) == (0, 0)


def test_the_command_runs_until_it_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    reactor = MemoryReactorClock()
    over = main(reactor, "http://127.0.0.1:8080/", "--clients", "1")
    reactor.advance(1)
    assert not over.called
    ((function, _, _),) = reactor.triggers["before"]["shutdown"]
    function()
    assert "in 1 s: clients noticed no errors" in capsys.readouterr().out


def test_stopping_twice_is_harmless() -> None:
    run = Run()
    run.go(1)
    run.stop()


def test_the_agent_hides_no_failure() -> None:
    agent: Any = new_agent(MemoryReactorClock(), 5, insecure=True)
    assert (agent._pool.retryAutomatically, agent._pool.maxPersistentPerHost) == (False, 5)


def test_a_certificate_can_be_trusted(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    agent: Any = new_agent(MemoryReactorClock(), 1, ca=file)
    assert agent._endpointFactory._policyForHTTPS._trustRoot is not None


def test_a_body_is_a_body() -> None:
    body = Body(b"x")
    verifyObject(IBodyProducer, body)
    for method in (body.pauseProducing, body.resumeProducing, body.stopProducing):
        method()
    assert body.length == 1


def test_an_unreadable_certificate_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        new_agent(MemoryReactorClock(), 1, ca=tmp_path / "nothing.pem")


def test_the_command_runs_for_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    reactor = MemoryReactorClock()
    ends: list[object] = []
    arguments = ("https://127.0.0.1:8443/", "--insecure", "--clients", "2", "--seconds", "3")
    main(reactor, *arguments).addCallback(ends.append)
    assert [call[:2] for call in reactor.tcpClients] == [("127.0.0.1", 8443)] * 2
    reactor.advance(1)
    reactor.advance(1)
    assert not ends
    reactor.advance(1)
    assert ends
    ((function, _, _),) = reactor.triggers["before"]["shutdown"]
    function()
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("   1 s      0 transactions")
    assert out[-1].startswith("0 transactions, 0 of them purchases, in 2 s")
