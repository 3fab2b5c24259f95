"""A broker for streams: pools of any servers, each reached the four ways that TLS can stand on either side.

Decides the broker's configuration for streams, and how programs that speak no TLS get through it (stunnel).
Invariant: clients verify the broker's certificate, the broker its servers'. Refuses to know what the streams
carry.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .programs import Program, find, free_ports, until
from .site import LISTENER, TLS, Certificates, start_broker

POOL = """
[pools.{name}]
protocol = "tcp"
balance = "round-robin"
servers = [{servers}]
continue_secure_link = {secure_link}
{settings}
"""


@dataclass(frozen=True)
class Way:
    """How a stream passes the broker: over TLS to it, and over TLS from it."""

    secure: bool
    secure_link: bool

    def __str__(self) -> str:
        return "-".join("tls" if end else "plain" for end in (self.secure, self.secure_link))


WAYS = [Way(secure, secure_link) for secure in (False, True) for secure_link in (False, True)]
each_way = pytest.mark.parametrize("way", WAYS, ids=str)


@dataclass(frozen=True)
class Servers:
    """The ports of a pool's servers; `secure` ones where they speak TLS, and more lines of its settings."""

    plain: Sequence[int]
    secure: Sequence[int] = ()
    settings: str = ""


class Streams:
    """A running broker; ends with the `with` block."""

    def __init__(
        self,
        directory: Path,
        certificates: Certificates,
        pools: Mapping[str, Servers],
        *,
        limits: str = "",
        drain_timeout: str = "20s",
    ) -> None:
        """`limits` stands in the table of every listener."""
        self.directory = directory
        self.certificates = certificates
        self._ports: dict[tuple[str, Way], int] = {}
        free = iter(free_ports(len(pools) * len(WAYS)))
        text = f'[log]\naccess = "access.log"\n[broker]\ndrain_timeout = "{drain_timeout}"\n'
        for pool, servers in pools.items():
            for secure_link in (False, True):
                ports = servers.secure if secure_link else servers.plain
                if not ports:
                    continue
                name = f"{pool}-{'tls' if secure_link else 'plain'}"
                text += POOL.format(
                    name=name,
                    servers=", ".join(f'"127.0.0.1:{port}"' for port in ports),
                    secure_link=str(secure_link).lower(),
                    settings=servers.settings,
                )
                if secure_link:
                    text += f'tls = {{ ca = "{certificates.authority}" }}\n'
                for secure in (False, True):
                    way = Way(secure, secure_link)
                    port = self._ports[pool, way] = next(free)
                    text += LISTENER.format(name=f"{pool}-{way}", port=port, pool=name)
                    text += f"limits = {{ {limits} }}\n"
                    if secure:
                        text += TLS.format(name=f"{pool}-{way}", certificate=certificates.server)
        self.broker = start_broker(directory, text, list(self._ports.values()))

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.broker.end()
        assert "Traceback" not in self.broker.log.read_text(errors="replace")

    def port(self, pool: str, way: Way) -> int:
        return self._ports[pool, way]

    def connect(self, pool: str, way: Way, receive_buffer: int = 0) -> socket.socket:
        """A client's connection; the broker's certificate is verified where it is secure."""
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(60)
        plain.connect(("127.0.0.1", self.port(pool, way)))
        if not way.secure:
            return plain
        context = ssl.create_default_context(cafile=self.certificates.authority)
        return context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)

    def records(self, listener: str, where: Mapping[str, object], count: int = 1) -> list[dict[str, Any]]:
        """The transactions of a listener that are like this, once so many are in the log."""
        log = self.directory / "access.log"
        found: list[dict[str, Any]] = []

        def written() -> bool:
            whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
            entries = map(json.loads, whole.splitlines())
            found[:] = (
                each for each in entries if each["listener"] == listener and where.items() <= each.items()
            )
            return len(found) >= count

        until(written, 10)
        return found


def line(stream: socket.socket) -> str:
    """The next line, byte by byte, so that nothing after it is taken."""
    got = b""
    while not got.endswith(b"\n"):
        data = stream.recv(1)
        if not data:
            break
        got += data
    return got.decode()


def rest(stream: socket.socket) -> bytes:
    """Everything until the end; raises what a cut raises."""
    got = bytearray()
    with contextlib.suppress(ssl.SSLZeroReturnError):  # a good end too, as told to who has ended its own side
        while data := stream.recv(65536):
            got += data
    return bytes(got)


def to_tls(name: str, directory: Path, certificates: Certificates, port: int) -> Program:
    """For clients without TLS: a port of this machine whose streams go to `port` over TLS; stunnel."""
    return _stunnel(
        name,
        directory,
        port,
        f"client = yes\nverifyChain = yes\ncheckIP = 127.0.0.1\nCAfile = {certificates.authority}\n",
    )


def from_tls(name: str, directory: Path, certificates: Certificates, port: int) -> Program:
    """For servers without TLS: a secure port of this machine whose streams go to `port`; stunnel."""
    return _stunnel(name, directory, port, f"client = no\ncert = {certificates.server}\n")


def _stunnel(name: str, directory: Path, port: int, words: str) -> Program:
    program = find("stunnel")
    (accept,) = free_ports(1)
    file = directory / f"{name}.conf"
    text = "foreground = yes\nsyslog = no\npid =\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
    file.write_text(f"{text}[{name}]\naccept = 127.0.0.1:{accept}\nconnect = 127.0.0.1:{port}\n{words}")
    return Program(name, [program, file], directory, ports=[accept])


@dataclass(frozen=True)
class Account:
    """Who runs programs that refuse root: its name, the words before a command, a directory of its own."""

    name: str
    words: Sequence[str]
    directory: Path


@contextlib.contextmanager
def account() -> Iterator[Account]:
    """Our own account, or when that is root, the one of Debian's PostgreSQL; skips when there is none."""
    words: list[str] = []
    who = pwd.getpwuid(os.geteuid())
    if not who.pw_uid:
        try:
            who = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("root may not run this, and there is no account postgres (Debian: postgresql)")
        words = [find("setpriv"), f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--init-groups", "--"]
    directory = Path(tempfile.mkdtemp(prefix="streams-"))
    try:
        os.chown(directory, who.pw_uid, who.pw_gid)
        yield Account(who.pw_name, words, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
