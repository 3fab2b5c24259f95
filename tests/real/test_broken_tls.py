"""Clients that break TLS at every moment, by real sockets: the broker forgets them, and serves the others.

After each attack nothing of it is left (no connection, no try, no descriptor), and after all of them the
broker's log has no traceback. OpenSSL stands between two pieces of memory here, so that each byte can be cut.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from .programs import Program, free_ports, until
from .site import DIRECT, LISTENER, TLS, TRANSPORT, Certificates, start_broker
from .traffic import Client, counting, get, state, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker's TLS that is attacked")

RESET = struct.pack("ii", 1, 0)
BIG = b"GET /bytes/3000000 HTTP/1.1\r\nHost: a\r\n\r\n"
SMALL = b"GET /bytes/1000 HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /once/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
ALERT_CLOSE = b"\x15\x03\x03\x00\x02\x01\x00"
ALERT_FATAL = b"\x15\x03\x03\x00\x02\x02\x50"
NONE_OF_TLS = b"\x17\x03\x03\x00\x20" + b"x" * 32
TOO_LARGE = b"\x17\x03\x03\xff\xff" + b"x" * 70_000
MANY = 400

ATTACKED = """
[listeners.https.limits]
handshake = "2s"
head = "2s"
close = "1s"
[pools.shop]
servers = ["127.0.0.1:{server}"]
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
"""


class Attacker:
    """One connection to the broker, and its TLS beside it."""

    def __init__(self, port: int, version: int = SSL.TLS1_3_VERSION) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()

    def says(self) -> bytes:
        """What OpenSSL wants to send."""
        said = b""
        with suppress(SSL.WantReadError):
            while True:
                said += self.tls.bio_read(65536)
        return said

    def send(self, data: bytes) -> None:
        with suppress(ConnectionError):  # the broker has had enough
            self.socket.sendall(data)

    def flush(self) -> None:
        self.send(self.says())

    def hello(self) -> bytes:
        with suppress(SSL.WantReadError):
            self.tls.do_handshake()
        return self.says()

    def shake(self) -> Attacker:
        """A whole handshake."""
        while True:
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self.flush()
                self._take()
            else:
                self.flush()
                return self

    def _take(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("cut")
        self.tls.bio_write(data)

    def write(self, data: bytes) -> None:
        self.tls.sendall(data)
        self.flush()

    def end(self) -> None:
        """A close_notify."""
        self.tls.shutdown()
        self.flush()

    def read(self) -> bytes:
        """Everything until the broker's end."""
        got = []
        while True:
            try:
                got.append(self.tls.recv(65536))
            except SSL.WantReadError:
                self._take()
            except SSL.ZeroReturnError:
                return b"".join(got)

    def told(self) -> bytes:
        """What comes, raw, until the end or a reset."""
        got = b""
        with suppress(ConnectionError):
            while data := self.socket.recv(65536):
                got += data
        return got

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


class Attacked:
    """A server that counts and a broker before it."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        self._programs = ExitStack()
        server, self.https, self.admin = free_ports(3)
        text = LISTENER.format(name="https", port=self.https, pool="shop")
        text += TLS.format(name="https", certificate=certificates.server)
        text += ATTACKED.format(server=server, admin=self.admin)
        keep = self._programs.enter_context
        keep(counting("server", directory, server, certificates.server))
        self.broker: Program = keep(start_broker(directory, text, [self.https, self.admin]))
        self.ask()
        assert until(lambda: self.left()["open"] == 0, 10)
        self.at_first = self.left()

    def ask(self) -> None:
        """Somebody else is served."""
        client = Client(self.https, self.certificates.authority)
        assert get(100_000)(client, 0) == ""
        client.close()

    def left(self) -> dict[str, int]:
        """What the broker has besides its idle links."""
        told = state(self.admin)
        (server,) = (server for pool in told["pools"] for server in pool["servers"])
        links = server["links"]
        return {
            "open": sum(listener["open"] for listener in told["listeners"]),
            "outstanding": server["outstanding"],
            "links": links["connecting"] + links["busy"] + links["draining"],
            "descriptors": len(os.listdir(f"/proc/{self.broker.pid}/fd")) - links["idle"],
            "stored": told["storage"]["unsent"] + told["storage"]["replay"],
        }

    def close(self) -> None:
        self._programs.close()
        assert "Traceback" not in self.broker.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path_factory.mktemp("attacked"), certificates)
    yield attacked
    attacked.close()


@pytest.fixture(autouse=True)
def _forgotten(attacked: Attacked) -> Iterator[None]:
    yield
    now: dict[str, int] = {}

    def forgotten() -> bool:
        now.update(attacked.left())
        return all(count <= attacked.at_first[name] for name, count in now.items())

    assert until(forgotten, 15), (attacked.at_first, now)
    attacked.ask()


Leave = Callable[[Attacker], None]
leaving = pytest.mark.parametrize("leave", [Attacker.reset, Attacker.close], ids=["reset", "end"])


@leaving
def test_it_leaves_after_each_part_of_a_conversation(leave: Leave, attacked: Attacked) -> None:
    """Cut within and between the records of handshake, request and close_notify."""

    def conversation(attacker: Attacker, budget: int) -> None:
        def send(data: bytes) -> bool:
            nonlocal budget
            attacker.send(data[:budget])
            budget -= len(data)
            return budget > 0

        if not send(attacker.hello()):
            return
        while True:
            attacker.tls.bio_write(attacker.socket.recv(65536))
            with suppress(SSL.WantReadError):
                attacker.tls.do_handshake()
                break
            if not send(attacker.says()):
                return
        for data in (BIG, POST % 1 + b"x" * 500):
            attacker.tls.sendall(data)
            if not send(attacker.says()):
                return
        attacker.tls.shutdown()
        send(attacker.says())

    for budget in (*range(30), *range(30, 4000, 61)):
        attacker = Attacker(attacked.https)
        conversation(attacker, budget)
        leave(attacker)


@leaving
@pytest.mark.parametrize("read", [0, 1, 5, 16_000, 100_000, 1_000_000])
def test_it_leaves_within_an_answer(read: int, leave: Leave, attacked: Attacked) -> None:
    for _ in range(10):
        attacker = Attacker(attacked.https).shake()
        attacker.write(BIG)
        got = 0
        while got < read:
            got += len(attacker.socket.recv(min(65536, read - got)))
        leave(attacker)


@leaving
def test_it_leaves_within_a_request(leave: Leave, attacked: Attacked) -> None:
    for size in (0, 1, 16_383, 16_384, 16_385, 99_999):
        attacker = Attacker(attacked.https).shake()
        attacker.write(POST % size + b"x" * size)
        leave(attacker)


@pytest.mark.parametrize(
    "words", [b"", b"\x16\x03\x01\x02\x00\x01", b"hello"], ids=["none", "half", "shaken"]
)
def test_many_that_wait(words: bytes, attacked: Attacked) -> None:
    """All at once: who does not shake hands, and who asks for nothing, is let go at a limit."""
    attackers = []
    for _ in range(MANY):
        attacker = Attacker(attacked.https)
        if words == b"hello":
            attacker.shake()
        else:
            attacker.send(words)
        attackers.append(attacker)
    attacked.ask()
    for number, attacker in enumerate(attackers):
        if number % 2:
            attacker.reset()
        elif words != b"hello":
            attacker.told()
            attacker.close()
        else:
            attacker.close()


def test_a_hello_byte_by_byte(attacked: Attacked) -> None:
    attacker = Attacker(attacked.https)
    attacker.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    hello = attacker.hello()
    for at in range(len(hello)):
        attacker.send(hello[at : at + 1])
    attacker.tls.bio_write(attacker.socket.recv(65536))
    attacker.shake()
    attacker.write(SMALL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert len(attacker.read().partition(b"\r\n\r\n")[2]) == 1000
    attacker.close()


PLAIN = {
    "http": SMALL,
    "an alert": ALERT_FATAL,
    "a close_notify": ALERT_CLOSE,
    "a record of nothing": b"\x16\x03\x01\x00\x00" * 100,
    "a record too large": TOO_LARGE,
    "data": NONE_OF_TLS,
    "noise": bytes(range(256)) * 400,
}


@pytest.mark.parametrize("moment", ["before", "within", "after", "asked", "ended"])
@pytest.mark.parametrize("words", PLAIN.values(), ids=PLAIN)
def test_what_is_not_tls(words: bytes, moment: str, attacked: Attacked) -> None:
    """It ends the connection, and what had been asked is not answered as if it were whole."""
    for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
        attacker = Attacker(attacked.https, version)
        if moment == "within":
            attacker.send(attacker.hello())
            attacker.socket.recv(1)
        elif moment != "before":
            attacker.shake()
            if moment == "asked":
                attacker.write(BIG)
            elif moment == "ended":
                attacker.end()
        attacker.send(words)
        assert len(attacker.told()) < 3_000_000
        attacker.close()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
def test_a_close_notify_ends_one_direction(version: int, attacked: Attacked) -> None:
    for request in (SMALL, BIG):
        attacker = Attacker(attacked.https, version).shake()
        attacker.tls.sendall(request)
        attacker.end()
        if TRANSPORT == "own":
            assert len(attacker.read().partition(b"\r\n\r\n")[2]) == int(request.split()[1][7:])
        else:
            assert attacker.read() == b""
        attacker.close()


def test_data_after_a_close_notify_is_nobodys(attacked: Attacked) -> None:
    attacker = Attacker(attacked.https).shake()
    attacker.tls.sendall(SMALL)
    attacker.tls.shutdown()
    attacker.send(attacker.says() + NONE_OF_TLS * 1000)
    attacker.told()
    attacker.close()


def test_new_keys_are_not_made_for_who_asks(attacked: Attacked) -> None:
    """Renegotiation, of TLS 1.2, would let a client cost much with little."""
    attacker = Attacker(attacked.https, SSL.TLS1_2_VERSION).shake()
    assert attacker.tls.renegotiate()
    with pytest.raises((SSL.Error, EOFError, ConnectionError)):
        attacker.shake()
    attacker.close()


def test_all_at_once_while_others_are_served(attacked: Attacked) -> None:
    clients: list[Any] = [Client(attacked.https, attacked.certificates.authority) for _ in range(4)]
    with traffic(get(50_000), clients) as running:
        for number in range(MANY):
            attacker = Attacker(attacked.https)
            if number % 4 == 0:
                attacker.send(attacker.hello())
            elif number % 4 == 1:
                attacker.shake()
                attacker.write(BIG)
            elif number % 4 == 2:
                attacker.send(SMALL)
            else:
                attacker.shake()
                attacker.write(SMALL)
                attacker.send(NONE_OF_TLS)
            attacker.reset()
    assert running.done
    assert running.errors == []
