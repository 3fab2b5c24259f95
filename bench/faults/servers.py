"""Three fulfillment servers, each on a port that it keeps for the run, to be killed, stopped, started again.

Decides how each kind is started: "good" and "weak" are nginx, one process each, so that SIGKILL ends it as a
crash would, and sends a body in four pieces in some 30 ms, so that many are under way when it is killed. The
other kinds are `server`. Invariant: a server that is started again is the same as before. Refuses to wait for
one that is stopped.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..programs import Program, find, free_ports
from . import content

_SERVER = Path(__file__).with_name("server.py")
_RATE = "1600k"  # of one body, a second
_WEAK = 'etag off; add_header ETag W/"$uri";'
_NGINX = """
daemon off; master_process off; pid {directory}/{name}.pid; error_log {directory}/{name}.error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
    sendfile on; sendfile_max_chunk 16k; limit_rate {rate};
    default_type application/octet-stream;
    client_body_temp_path {directory}/{name}.body; proxy_temp_path {directory}/{name}.proxy;
    fastcgi_temp_path {directory}/{name}.fastcgi; uwsgi_temp_path {directory}/{name}.uwsgi;
    scgi_temp_path {directory}/{name}.scgi;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; {more} }}
}}
"""


@dataclass
class Server:
    """One of the three."""

    name: str
    port: int
    argv: Sequence[str | Path]
    directory: Path
    cores: Sequence[int]
    program: Program | None = field(default=None, repr=False)

    def start(self) -> None:
        self.program = Program(self.name, self.argv, self.directory, cores=self.cores, ports=[self.port])

    def kill(self) -> None:
        """End it as a crash does."""
        if self.program is not None:
            self.program.child.kill()
            self.program.child.wait()

    def stop(self) -> None:
        if self.program is not None:
            self.program.child.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self.program is not None:
            self.program.child.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self.program is not None:
            with suppress(ProcessLookupError):
                self.go_on()
            self.program.end()


@dataclass(frozen=True)
class Trio:
    """The three, and what is known of what they give."""

    servers: Sequence[Server]
    hashes: Mapping[str, str]
    directory: Path

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(each.port for each in self.servers)


@contextmanager
def started(
    kinds: Sequence[str],
    directory: Path,
    cores: Sequence[int],
    *,
    size: int = content.SIZE,
    places: int = 0,
    service: float = 0.0,
) -> Iterator[Trio]:
    """Servers of these kinds with files of this `size`; they have ended when the block does."""
    names = [f"s{number}" for number in range(len(kinds))]
    folders = [directory / f"{name}.files" for name in names]
    count = max(1, content.COUNT * content.SIZE // size)  # as many as need the same room
    hashes = content.write(folders, 1, count, size)
    servers = []
    for name, kind, port, folder in zip(names, kinds, free_ports(len(kinds)), folders, strict=True):
        if kind in ("good", "weak"):
            file = directory / f"{name}.conf"
            words = {"directory": directory, "name": name, "port": port, "folder": folder, "rate": _RATE}
            file.write_text(_NGINX.format(**words, more=_WEAK if kind == "weak" else ""))
            argv: list[str | Path] = [find("nginx"), "-p", directory, "-c", file]
        else:
            etags = {each: content.etag(folder / each) for each in hashes}
            where = directory if kind in ("once", "forgetful") else folder
            said = {"kind": kind, "port": port, "folder": str(where), "etags": etags, "seed": port}
            said |= {"places": places, "service": service}
            argv = [sys.executable, "-I", "-S", _SERVER, json.dumps(said)]
        servers.append(Server(name, port, argv, directory, cores))
    try:
        for server in servers:
            server.start()
        yield Trio(servers, hashes, directory)
    finally:
        for server in servers:
            server.end()
