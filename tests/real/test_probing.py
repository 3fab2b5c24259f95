"""What real servers are found to speak: nginx, OpenSSL, Redis, Python's own, and some that say little.

Each server listens on loopback for one test; a probe reaches it as a link would, by `connectTCP`.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sslbroker.interfaces import IProbe
from sslbroker.net import certificates
from sslbroker.net.pins import Finding
from sslbroker.net.probing import Found, probe
from sslbroker.protocols.http.backend import HTTPProtocol
from tests.files import folder

from .programs import Program, find, free_ports

TIMEOUT = 0.5

_reactor: Any = reactor

NGINX = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl; }}
    server {{ listen 127.0.0.1:{picky} ssl; ssl_reject_handshake on; }}
    server {{
        listen 127.0.0.1:{mutual} ssl;
        ssl_client_certificate {certificate};
        ssl_verify_client on;
        ssl_protocols TLSv1.2;
    }}
}}
"""


@implementer(IOpenSSLClientConnectionCreator)
class Creator:
    def __init__(self) -> None:
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.context.set_min_proto_version(SSL.TLS1_2_VERSION)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self.context, None)


@implementer(IProbe)
class Resp:
    """As a protocol for Redis would ask."""

    name = "resp"
    server_first = False

    def probe(self, host: str) -> bytes:
        return b"*1\r\n$4\r\nPING\r\n"

    def answers(self, received: bytes) -> bool | None:
        return received[:1] in (b"+", b"-")


class Stream:
    name = "tcp"
    server_first = True


class Saying(Protocol):
    """Greets, ends, or is silent."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        assert isinstance(self.factory, Says)
        self.transport.write(self.factory.greeting)
        if self.factory.ends:
            self.transport.loseConnection()


class Says(Factory[Saying]):
    noisy = False
    protocol = Saying

    def __init__(self, greeting: bytes = b"", ends: bool = False) -> None:
        self.greeting, self.ends = greeting, ends


class ProbingCase(TestCase):
    def setUp(self) -> None:
        self.directory = folder(self)
        self.certificate = self.directory / "server.pem"
        self.certificate.write_bytes(certificates.throwaway(("localhost", "127.0.0.1")))

    def runs(self, name: str, *words: str | Path, ports: list[int]) -> Program:
        program = Program(name, [find(str(words[0])), *words[1:]], self.directory, ports=ports)
        self.addCleanup(program.end)
        return program

    def nginx(self, connections: int = 100) -> dict[str, int]:
        names = ("plain", "secure", "picky", "mutual")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        file = self.directory / "nginx.conf"
        file.write_text(
            NGINX.format(
                directory=self.directory, certificate=self.certificate, connections=connections, **ports
            )
        )
        self.runs("nginx", "nginx", "-p", self.directory, "-c", file, ports=list(ports.values()))
        return ports

    def says(self, greeting: bytes = b"", ends: bool = False) -> int:
        port: Any = _reactor.listenTCP(0, Says(greeting, ends), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def probe(self, port: int, protocol: Any) -> Deferred[Found]:
        def connect(factory: Any, timeout: float) -> Any:
            return _reactor.connectTCP("127.0.0.1", port, factory, timeout)

        return probe(connect, Creator(), protocol, "localhost", TIMEOUT, _reactor)

    async def finds(self, finding: Finding, port: int, *protocols: Any) -> None:
        for protocol in protocols:
            found = await self.probe(port, protocol)
            self.assertIs(found.finding, finding, f"{protocol.name}: {found.detail}")


class RealServers(ProbingCase):
    async def test_nginx(self) -> None:
        ports = self.nginx()
        await self.finds(Finding.PLAIN, ports["plain"], HTTPProtocol(), Stream())
        for name in ("secure", "picky", "mutual"):
            await self.finds(Finding.TLS, ports[name], HTTPProtocol(), Stream(), Resp())

    async def test_nginx_that_has_no_room_is_never_plain(self) -> None:
        ports = self.nginx(connections=8)
        findings: list[Finding] = []
        held: list[socket.socket] = []
        # Whom it has not heard yet when it has no more room, nginx lets go.
        while findings.count(Finding.UNKNOWN) < 2 and len(held) < 30:
            findings.append((await self.probe(ports["secure"], HTTPProtocol())).finding)
            held.append(socket.create_connection(("127.0.0.1", ports["plain"])))
            held[-1].sendall(b"GET / HTTP/1.1\r\nHost:")
        for each in held:
            each.close()
        self.assertIn(Finding.UNKNOWN, findings, "it had room for everybody: the test shows nothing")
        self.assertNotIn(Finding.PLAIN, findings)

    async def test_openssl(self) -> None:
        (port,) = free_ports(1)
        words = ("s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-cert", self.certificate)
        self.runs("openssl", "openssl", *words, ports=[port])
        await self.finds(Finding.TLS, port, HTTPProtocol(), Stream())

    async def test_http_server(self) -> None:
        (port,) = free_ports(1)
        words = ("-m", "http.server", "--bind", "127.0.0.1", str(port))
        self.runs("http.server", sys.executable, *words, ports=[port])
        await self.finds(Finding.PLAIN, port, HTTPProtocol(), Stream())

    async def test_redis(self) -> None:
        plain, secure = free_ports(2)
        words: list[str | Path] = ["--bind", "127.0.0.1", "--port", str(plain), "--tls-port", str(secure)]
        for word in ("cert", "key", "ca-cert"):
            words += [f"--tls-{word}-file", self.certificate]
        words += ["--save", "", "--dir", self.directory]
        self.runs("redis", "redis-server", *words, ports=[plain, secure])
        await self.finds(Finding.PLAIN, plain, Resp())
        await self.finds(Finding.TLS, secure, Resp(), Stream())


class LittleSaid(ProbingCase):
    async def test_a_mail_server(self) -> None:
        port = self.says(b"220 mail.test ESMTP\r\n")
        await self.finds(Finding.PLAIN, port, Stream())

    async def test_a_silent_server(self) -> None:
        await self.finds(Finding.UNKNOWN, self.says(), HTTPProtocol(), Stream(), Resp())

    async def test_a_server_that_closes_at_once(self) -> None:
        await self.finds(Finding.UNKNOWN, self.says(ends=True), HTTPProtocol(), Stream(), Resp())

    async def test_a_port_where_nobody_listens(self) -> None:
        (port,) = free_ports(1)
        await self.finds(Finding.UNKNOWN, port, HTTPProtocol(), Stream())
