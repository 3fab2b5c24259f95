"""A whole site: three nginx servers, the Python origin, a WebSocket server, and the broker before them.

Decides the broker's configuration for real clients, and the addresses they use. Invariant: every
pool is reached by a secure and by a plain listener, over plain links, secure ones, and those that find
out for themselves (`LINKS`); clients verify the broker's certificate, and the broker its servers'.
With ``REAL_DIRECT=1`` nginx takes the broker's place: tests that fail then are wrong themselves.
``SSLBROKER_TRANSPORT`` says what carries the brokers' connections, as for the tests in memory.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate

from . import nginx
from .programs import HERE, Program, client_python, free_ports

DIRECT = os.environ.get("REAL_DIRECT") == "1"
TRANSPORT = os.environ.get("SSLBROKER_TRANSPORT", "own")
TWISTD = Path(sys.executable).parent / "twistd"

LISTENER = """
[listeners.{name}]
endpoint = "tcp:{port}:interface=127.0.0.1"
pool = "{pool}"
"""
TLS = """[listeners.{name}.tls]
certificates = ["{certificate}"]
"""
POOL = """
[pools.{name}]
servers = [{servers}]
continue_secure_link = {secure}
"""
POOL_TLS = """[pools.{name}.tls]
ca = "{authority}"
"""

LINKS = {"plain": "false", "secure": "true", "auto": '"auto"'}


def doors(https: int, http: int, certificate: Path, more: str = "") -> str:
    """The listeners "http" and "https" of the pool "shop"; `more` is what both have beside that."""
    both = (("http", http), ("https", https))
    listeners = [LISTENER.format(name=name, port=port, pool="shop") + more for name, port in both]
    return "".join(listeners) + TLS.format(name="https", certificate=certificate)


@dataclass(frozen=True)
class Certificates:
    authority: Path  # what clients trust
    server: Path  # key and chain of localhost, 127.0.0.1
    pin: str  # base64 SHA-256 of the public key, as browsers pin it


@dataclass(frozen=True)
class Front:
    """Where clients go: base addresses of one kind of listener, without a slash at the end."""

    secure: bool
    files: str
    origin: str
    socket: str
    certificates: Certificates


@functools.cache
def plugin_problem() -> str:
    """Why the broker cannot be started here; empty when it can."""
    done = subprocess.run([TWISTD, "--help"], capture_output=True, text=True, check=False)
    return "" if "sslbroker" in done.stdout else "twistd does not know the sslbroker plugin"


def issue(directory: Path) -> Certificates:
    """A private authority and a certificate for the loopback addresses, as files in `directory`."""
    authority = trustme.CA()
    now = datetime.now(UTC)
    issued = authority.issue_cert(
        "localhost", "127.0.0.1", not_before=now, not_after=now + timedelta(days=90)
    )
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    key = load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    return Certificates(directory / "authority.pem", directory / "server.pem", pin)


def configured(text: str) -> str:
    """This configuration, by the transport under test."""
    table, setting = "[broker]\n", f'transport = "{TRANSPORT}"\n'
    if table not in text:
        return f"{text}\n{table}{setting}"
    return text.replace(table, table + setting, 1)


def start_broker(directory: Path, text: str, ports: list[int]) -> Program:
    """Start the broker with this configuration and wait until it listens; skips when there is none."""
    if plugin_problem():
        pytest.skip(plugin_problem())
    file = directory / "sslbroker.toml"
    file.write_text(configured(text))
    argv: list[str | Path] = [TWISTD, "-n", "--pidfile=", "sslbroker", "--config", file]
    return Program("sslbroker", argv, directory, ports=ports)


class Site:
    """Everything started, in one directory; `close` ends it all."""

    def __init__(self, directory: Path, files: nginx.Files, certificates: Certificates) -> None:
        self.directory = directory
        self.files = files
        self.certificates = certificates
        self._programs = ExitStack()
        try:
            self._start_servers()
            self.broker = None if DIRECT else self._start_broker()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def complaints(self) -> str:
        """The tracebacks in the broker's log; after `close`, so that they are all there."""
        text = "" if self.broker is None else self.broker.log.read_text(errors="replace")
        _, found, rest = text.partition("Traceback")
        return found + rest[:4000]

    def _start_servers(self) -> None:
        self.origin_port, self.secure_origin_port, self.socket_port, self.secure_socket_port = free_ports(4)
        origin, socket = HERE / "origin.py", HERE / "clients" / "websocket_server.py"
        self._start_python("origin", sys.executable, origin, self.origin_port, self.secure_origin_port)
        self._start_python("websocket", client_python(), socket, self.socket_port, self.secure_socket_port)
        names = ["port", "secure_port", "origin_port", "secure_origin_port"]
        names += ["socket_port", "secure_socket_port"]
        self.nginx: dict[str, Program] = {}
        self.nginx_ports: list[dict[str, int]] = []
        for number in range(3):
            ports = dict(zip(names, free_ports(len(names)), strict=True))
            name = f"nginx-{number}"
            others = {"origin": self.origin_port, "socket": self.socket_port}
            server = nginx.start(
                name, self.directory, self.files, self.certificates.server, **ports, **others
            )
            self.nginx[name] = self._keep(server)
            self.nginx_ports.append(ports)

    def _start_python(self, name: str, python: str | Path, file: Path, *ports: int) -> None:
        argv: list[str | Path] = [python, file, *map(str, ports), self.certificates.server]
        self._keep(Program(name, argv, self.directory, ports=list(ports)))

    def _keep(self, program: Program) -> Program:
        return self._programs.enter_context(program)

    def _start_broker(self) -> Program:
        first, *others = self.nginx_ports
        plain = {
            "files": [ports["port"] for ports in self.nginx_ports],
            "origin": [self.origin_port],
            "socket": [self.socket_port],
        }
        secure = {
            "files": [ports["secure_port"] for ports in self.nginx_ports],
            "origin": [self.secure_origin_port],
            "socket": [self.secure_socket_port],
        }
        mixed = {**secure, "files": [first["port"], *(ports["secure_port"] for ports in others)]}
        pools = {
            f"{pool}-{link}": servers
            for link, found in (("plain", plain), ("secure", secure), ("auto", mixed))
            for pool, servers in found.items()
        }
        text = ""
        self._fronts: dict[str, int] = {}
        ports = iter(free_ports(2 * len(pools) + 3))
        for pool, servers in pools.items():
            addresses = ", ".join(f'"127.0.0.1:{port}"' for port in servers)
            link = pool.partition("-")[2]
            text += POOL.format(name=pool, servers=addresses, secure=LINKS[link])
            if link != "plain":
                text += POOL_TLS.format(name=pool, authority=self.certificates.authority)
            for kind in ("https", "http"):
                name = f"{kind}-{pool}"
                self._fronts[name] = next(ports)
                text += LISTENER.format(name=name, port=self._fronts[name], pool=pool)
                if kind == "https":
                    text += TLS.format(name=name, certificate=self.certificates.server)
        self.hasty_port, self.hasty_secure_port, self.admin_port = ports
        for name, port in (("hasty", self.hasty_port), ("hasty-secure", self.hasty_secure_port)):
            text += LISTENER.format(name=name, port=port, pool="origin-plain")
            if port == self.hasty_secure_port:
                text += TLS.format(name=name, certificate=self.certificates.server)
            text += f'[listeners.{name}.limits]\nhead = "1s"\nhandshake = "1s"\n'
        text += f'\n[log]\naccess = "access.log"\n[admin]\nendpoint = "tcp:{self.admin_port}:'
        text += 'interface=127.0.0.1"\n[broker]\ndrain_timeout = "20s"\nstate_directory = "state"\n'
        listening = [*self._fronts.values(), self.hasty_port, self.admin_port]
        return self._keep(start_broker(self.directory, text, listening))

    def front(self, secure: bool, link: str = "plain") -> Front:
        """The addresses of the secure, or of the plain listeners, before links of one kind of `LINKS`."""
        if DIRECT:
            prefix, ports = "secure_" if secure else "", self.nginx_ports[0]
            found = [ports[f"{prefix}{name}"] for name in ("port", "origin_port", "socket_port")]
        else:
            kind = "https" if secure else "http"
            found = [self._fronts[f"{kind}-{pool}-{link}"] for pool in ("files", "origin", "socket")]
        scheme, socket = ("https", "wss") if secure else ("http", "ws")
        return Front(
            secure,
            f"{scheme}://127.0.0.1:{found[0]}",
            f"{scheme}://127.0.0.1:{found[1]}",
            f"{socket}://127.0.0.1:{found[2]}",
            self.certificates,
        )
