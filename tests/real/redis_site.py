"""Redis servers and a broker before them: what a deployment with the protocol of examples/sslbroker-resp is.

Decides the configurations: one server alone, and a primary with three replicas whose readers the broker
serves. Invariant: everything is on loopback, keeps nothing on disk that matters, and ends with `close`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from .programs import ROOT, Program, find, free_ports, until
from .site import TWISTD, Certificates, configured

EXAMPLE = ROOT / "examples" / "sslbroker-resp"

LISTENERS = """
[listeners.{name}]
endpoint = "tcp:{port}:interface=127.0.0.1"
pool = "{name}"
[listeners.{name}-tls]
endpoint = "tcp:{secure_port}:interface=127.0.0.1"
pool = "{name}"
[listeners.{name}-tls.tls]
certificates = ["{certificate}"]
[pools.{name}]
protocol = "resp"
servers = [{servers}]
[pools.{name}.failover]
reuse_for_unsafe = true
"""


def plugin_path(directory: Path) -> str:
    """A PYTHONPATH with the example's plugin where the broker looks, as pip would put it."""
    shutil.copytree(EXAMPLE / "plugins", directory / "plugin" / "sslbroker" / "plugins")
    return f"{directory / 'plugin'}:{EXAMPLE / 'src'}"


def ask(port: int, data: bytes) -> bytes:
    """What a server, or the broker, says to these bytes and their end."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


class RedisSite:
    """`alone` is a server by itself, `primary` has the `replicas`.

    The broker's pools are "one", "readers" and "mixed"; `ports` and `secure_ports` are its listeners'.
    """

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.certificates = certificates
        self._programs = ExitStack()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self.alone, self.primary, *self.replica_ports = free_ports(5)
        self._server(self.alone)
        self._server(self.primary)
        self.replicas = [
            self._server(port, "--replicaof", "127.0.0.1", str(self.primary)) for port in self.replica_ports
        ]
        for port in self.replica_ports:
            assert until(partial(_follows, port), 20)
        mixed = [*self.replica_ports[:2], self.primary]
        pools = {"one": [self.alone], "readers": self.replica_ports, "mixed": mixed}
        ports = free_ports(2 * len(pools))
        self.ports = dict(zip(pools, ports, strict=False))
        self.secure_ports = dict(zip(pools, ports[len(pools) :], strict=True))
        text = "".join(
            LISTENERS.format(
                name=name,
                port=self.ports[name],
                secure_port=self.secure_ports[name],
                certificate=self.certificates.server,
                servers=", ".join(f'"127.0.0.1:{port}"' for port in servers),
            )
            for name, servers in pools.items()
        )
        text += '[log]\naccess = "access.log"\n'
        (self.directory / "sslbroker.toml").write_text(configured(text))
        argv: list[str | Path] = [TWISTD, "-n", "--pidfile=", "sslbroker", "--config", "sslbroker.toml"]
        env = {"PYTHONPATH": plugin_path(self.directory)}
        broker = Program("sslbroker", argv, self.directory, ports=ports, env=env)
        self.broker = self._programs.enter_context(broker)

    def _server(self, port: int, *words: str) -> Program:
        argv = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *words]
        name = f"redis-{port}"
        (self.directory / name).mkdir()
        argv += ["--dir", str(self.directory / name), "--repl-diskless-sync-delay", "0"]
        return self._programs.enter_context(Program(name, argv, self.directory, ports=[port]))

    def cli(self, port: int, *words: str) -> str:
        """What redis-cli prints."""
        argv = [find("redis-cli"), "-p", str(port), *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout

    def close(self) -> None:
        self._programs.close()

    def complaints(self) -> str:
        """The tracebacks in the broker's log."""
        _, found, rest = self.broker.log.read_text(errors="replace").partition("Traceback")
        return found + rest[:4000]


def _follows(port: int) -> bool:
    """Does the replica at `port` have its primary?"""
    return b"master_link_status:up" in ask(port, b"INFO replication\r\n")
