"""A client in memory for the demo's servers: text in, answers out, no sockets and no time."""

# StringTransport and HTTPChannel have few annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from sslbroker.demo.channel import Channel, CountingSite
from sslbroker.demo.server import FulfillmentServer
from sslbroker.demo.shop import Shop


@dataclass
class Answer:
    status: int
    fields: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire(StringTransport):
    """A transport that remembers how its connection was ended, and ends it when asked to settle."""

    end = ""

    def loseConnection(self) -> None:
        self.end = self.end or "closed"

    def abortConnection(self) -> None:
        self.end = "aborted"


class Client:
    """One connection to a site."""

    def __init__(self, site: CountingSite) -> None:
        channel = site.buildProtocol(None)
        assert channel is not None
        self.channel: Channel = channel
        self.wire = Wire()
        channel.makeConnection(self.wire)
        self._over = False

    @property
    def received(self) -> bytes:
        """What the site sent and `ask` did not take."""
        sent: bytes = self.wire.value()
        return sent

    @property
    def end(self) -> str:
        """How the site ended the connection: "", "closed" or "aborted"."""
        return self.wire.end

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)
        self.settle()

    def settle(self) -> None:
        if self.wire.end and not self._over:
            self.leave()

    def leave(self) -> None:
        """The connection is gone."""
        self._over = True
        reason = ConnectionAborted() if self.wire.end == "aborted" else ConnectionDone()
        self.channel.connectionLost(Failure(reason))

    def request(self, line: str, body: bytes = b"", /, **fields: str) -> None:
        """Send a request; `Content_Type="…"` becomes a field ``Content-Type``."""
        fields = {"Host": "shop.example", **fields}
        if body:
            fields.setdefault("Content-Length", str(len(body)))
        names = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        self.send(f"{line} HTTP/1.1\r\n{names}\r\n".encode() + body)

    def answers(self) -> list[Answer]:
        """Every whole answer so far, taken away; what is left is not a whole answer."""
        data, found = self.received, []
        while b"\r\n\r\n" in data:
            head, _, rest = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(fields.get("content-length", "0"))
            if len(rest) < length:
                break
            found.append(Answer(int(first.split(" ")[1]), fields, rest[:length]))
            data = rest[length:]
        self.wire.clear()
        self.wire.write(data)
        return found

    def ask(self, line: str, body: bytes = b"", /, **fields: str) -> Answer:
        """Send a request and take its answer."""
        self.request(line, body, **fields)
        (answer,) = self.answers()
        return answer


def new_server(name: str = "server-1", shop: Shop | None = None) -> tuple[FulfillmentServer, Clock]:
    clock = Clock()
    return FulfillmentServer(name, shop or Shop(), clock), clock


def ask(site: CountingSite, line: str, body: bytes = b"", /, **fields: str) -> Answer:
    """One request on a connection of its own."""
    client = Client(site)
    answer = client.ask(line, body, **fields)
    client.leave()
    return answer


def ask_head(site: CountingSite, target: str) -> Answer:
    """A HEAD request: the length that is promised is not sent."""
    client = Client(site)
    client.request(f"HEAD {target}")
    head, _, body = client.received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    client.leave()
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]), fields, body)
