"""A broker under attack on loopback: servers that a test plays byte by byte, and a good client beside.

Decides the configuration: listeners, plain and secure, before a hostile server over plain links, one over
secure links, and a good one. Invariant: `good` asks all the while, so whatever an attack costs the others is
seen; `quiet` waits until nothing of an attack is left in the broker's figures.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .programs import free_ports, memory, until
from .site import LISTENER, POOL, POOL_TLS, TLS, Certificates, start_broker

Play = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LIMITS = 'handshake = "1s"\nhead = "1s"\nidle = "2s"\nread = "2s"\nclose = "1s"\n'
FAILOVER = '[pools.{name}.failover]\ntries = 1\nresponse_timeout = "2s"\nconnect_timeout = "1s"\n'
FAILOVER += '[pools.{name}.links]\nidle_time = "1s"\n'


def head_of(connection: socket.socket) -> bytes:
    """A message's head, and what came with it; b"" at an end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answers(connection: socket.socket) -> None:
    """As a good server does."""
    while head_of(connection):
        connection.sendall(OK)


class RawServer:
    """Each connection is played in a thread of its own, by TLS when there is a certificate."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.play: Play = answers
        self.accepted = 0
        self._context = None
        if certificate is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection, self.play), daemon=True).start()

    def _serve(self, connection: socket.socket, play: Play) -> None:
        with suppress(OSError):
            connection.settimeout(30)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                play(connection)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


class Good:
    """A client that asks and asks: how often, how slowly at worst, and what went wrong."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.answered = 0
        self.slowest = 0.0
        self.wrong: list[str] = []
        self._connect = connect
        self._over = False
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over:
            try:
                with self._connect() as connection:
                    for _ in range(20):  # then a new one: others must be accepted too
                        began = time.monotonic()
                        connection.sendall(GET)
                        answer = head_of(connection)
                        if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"ok"):
                            self.wrong.append(repr(answer[:80]))
                        self.answered += 1
                        self.slowest = max(self.slowest, time.monotonic() - began)
                        time.sleep(0.01)
            except OSError as error:
                self.wrong.append(repr(error))
                time.sleep(0.1)

    def end(self) -> None:
        self._over = True
        self._thread.join(20)


class Attacked:
    """The broker, its hostile servers (`plain`, `secure`) and its good one."""

    def __init__(self, directory: Path, certificates: Certificates, more: str = "") -> None:
        self.certificates = certificates
        self.servers = {"plain": RawServer(), "secure": RawServer(certificates.server), "good": RawServer()}
        self._ports = {}
        text = ""
        names = [(kind, link) for link in self.servers for kind in ("http", "https")]
        *ports, self.admin = free_ports(len(names) + 1)
        for (kind, link), port in zip(names, ports, strict=True):
            name = f"{kind}-{link}"
            self._ports[kind, link] = port
            text += LISTENER.format(name=name, port=port, pool=link)
            if kind == "https":
                text += TLS.format(name=name, certificate=certificates.server)
            text += f"[listeners.{name}.limits]\n{LIMITS}"
        for link, server in self.servers.items():
            is_secure = "true" if link == "secure" else "false"
            text += POOL.format(name=link, servers=f'"127.0.0.1:{server.port}"', secure=is_secure)
            if link == "secure":
                text += POOL_TLS.format(name=link, authority=certificates.authority)
            text += FAILOVER.format(name=link)
        text += f'[admin]\nendpoint = "tcp:{self.admin}:interface=127.0.0.1"\n[log]\naccess = "access.log"\n'
        self.log = directory / "access.log"
        self.program = start_broker(directory, text + more, [*ports, self.admin])
        self.pid = self.program.pid

    def close(self) -> None:
        for server in self.servers.values():
            server.close()
        self.program.end()
        assert "Traceback" not in self.program.output()

    def connect(self, link: str = "plain", secure: bool = False, **how: Any) -> socket.socket:
        """A client's connection to the listener before this kind of link."""
        return self.over_tls(self.raw(link, secure, **how)) if secure else self.raw(link, secure, **how)

    def raw(self, link: str, secure: bool, buffer: int = 0) -> socket.socket:
        """The same without TLS's handshake; `buffer` is what the client's kernel takes unread."""
        connection = socket.socket()
        connection.settimeout(20)
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect(("127.0.0.1", self._ports["https" if secure else "http", link]))
        return connection

    def over_tls(self, raw: socket.socket) -> socket.socket:
        context = ssl.create_default_context(cafile=self.certificates.authority)
        return context.wrap_socket(raw, server_hostname="127.0.0.1")

    @property
    def state(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/state", timeout=20) as answer:
            return json.load(answer)

    @property
    def memory(self) -> int:
        return memory(self.pid)[0]

    @property
    def cpu(self) -> float:
        """Seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    @contextmanager
    def good(self) -> Iterator[Good]:
        """Others are served all the while, plain and secure."""
        secure = True

        def connect() -> socket.socket:
            nonlocal secure
            secure = not secure
            return self.connect("good", secure)

        good = Good(connect)
        cpu, before = self.cpu, self.memory
        try:
            yield good
        finally:
            good.end()
            print(
                f"others: {good.answered} answers, slowest {good.slowest * 1000:.0f} ms, {len(good.wrong)} "
                f"wrong; resident {before / 2**20:.0f} -> {self.memory / 2**20:.0f} MiB; "
                f"CPU {self.cpu - cpu:.1f} s"
            )
        assert good.wrong == []
        assert good.answered > 0

    def quiet(self, seconds: float = 10.0) -> None:
        """Nothing of the attack is left: connections, tries, links in use, stored bytes."""

        def left() -> dict[str, int]:
            state = self.state
            servers = [server for pool in state["pools"] for server in pool["servers"]]
            kinds = ("connecting", "idle", "busy", "draining")
            counts = {
                "open": sum(listener["open"] for listener in state["listeners"]),
                "outstanding": sum(server["outstanding"] for server in servers),
                "links": sum(server["links"][kind] for server in servers for kind in kinds),
                "stored": state["storage"]["unsent"] + state["storage"]["replay"],
            }
            return {name: count for name, count in counts.items() if count}

        until(lambda: not left(), seconds)
        assert left() == {}

    def last(self, link: str) -> Any:
        """The last line of the access log that is of this pool."""
        time.sleep(0.5)
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["pool"] == link][-1]
