"""Servers of nginx become unhealthy, die and come back under traffic: no client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .programs import Program, find, free_ports, until
from .site import DIRECT, Certificates, doors, start_broker
from .traffic import Client, expected, state, traffic

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that checks")

#: A server is well while there is a file "healthz" in its folder.
NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format lines '$request_uri $status "$http_user_agent" $http_host $server_protocol $scheme';
    access_log {directory}/access.log lines;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/plain;
    keepalive_requests 100000;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    server {{
        listen 127.0.0.1:{port} {tls};
        root {directory};
        location = / {{ return 200 "a page"; }}
    }}
}}
"""

BROKER = """
[pools.shop]
servers = [{servers}]
continue_secure_link = {secure}
balance = "round-robin"
slow_start = "0s"
[pools.shop.tls]
ca = "{authority}"
server_name = "localhost"
[pools.shop.health]
path = "/healthz"
interval = "200ms"
timeout = "1s"
rise = 2
fall = 2
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
[broker]
workers = {workers}
"""

CLIENTS = 8
SECONDS = 1.0


class Checked:
    """Three servers of nginx, a broker that checks them, and clients."""

    def __init__(self, directory: Path, certificates: Certificates, secure: bool, workers: int) -> None:
        self.directory = directory
        self.certificates = certificates
        self.secure = secure
        self._programs = ExitStack()
        *self.ports, self.https, self.http, self.admin = free_ports(6)
        self.servers: dict[int, Program] = {}
        try:
            for number in range(len(self.ports)):
                self.folder(number).mkdir(mode=0o755)
                self.is_well(number, True)
                self.begin(number)
            text = doors(self.https, self.http, certificates.server)
            text += BROKER.format(
                servers=", ".join(f'"127.0.0.1:{port}"' for port in self.ports),
                secure="true" if secure else "false",
                authority=certificates.authority,
                admin=self.admin,
                workers=workers,
            )
            self.broker = start_broker(directory, text, [self.https, self.http, self.admin])
            self._programs.enter_context(self.broker)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def folder(self, number: int) -> Path:
        return self.directory / f"server-{number}"

    def begin(self, number: int) -> None:
        """Start a server, for the first time or again."""
        folder = self.folder(number)
        file = folder / "nginx.conf"
        words = {"directory": folder, "certificate": self.certificates.server, "port": self.ports[number]}
        file.write_text(NGINX.format(**words, tls="ssl" if self.secure else ""))
        argv: list[str | Path] = [find("nginx"), "-p", folder, "-c", file]
        program = Program(f"nginx-{number}", argv, folder, ports=[self.ports[number]])
        self.servers[number] = self._programs.enter_context(program)

    def is_well(self, number: int, well: bool) -> None:
        file = self.folder(number) / "healthz"
        if well:
            file.write_text("well\n")
        else:
            file.unlink()

    def log(self, number: int) -> list[str]:
        return (self.folder(number) / "access.log").read_text().splitlines()

    def pages(self) -> list[int]:
        """How many requests of clients each server has answered."""
        return [sum(line.startswith("/ ") for line in self.log(number)) for number in range(3)]

    def stands(self, number: int) -> dict[str, Any]:
        server: dict[str, Any] = state(self.admin)["pools"][0]["servers"][number]
        return server

    def until_barred(self, number: int, why: str) -> None:
        """The checks of this server have failed so; "": have passed again."""

        def barred() -> bool:
            found = self.stands(number)["bars"].get("unhealthy", "")
            return why in found if why else not found

        assert until(barred, 20)

    def clients(self) -> list[Client]:
        """Half of them secure."""
        plain = [Client(self.http) for _ in range(CLIENTS // 2)]
        return plain + [Client(self.https, self.certificates.authority) for _ in range(CLIENTS // 2)]


@pytest.fixture(params=["plain-1", "secure-1", "plain-2", "secure-2"])
def checked(request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates) -> Iterator[Checked]:
    for above in (tmp_path, tmp_path.parent):
        above.chmod(0o755)  # nginx drops to another user when root starts it
    link, workers = request.param.split("-")
    checked = Checked(tmp_path, certificates, link == "secure", int(workers))
    yield checked
    checked.close()
    assert "Traceback" not in checked.broker.output()


def page(client: Client, number: int) -> str:
    status, data, _ = client.ask("/")
    return expected(status, data, b"a page")


def test_unhealthy_servers_get_no_requests_until_they_are_healthy_and_no_client_notices(
    checked: Checked,
) -> None:
    with traffic(page, checked.clients()) as running:
        running.during(SECONDS)
        assert all(checked.pages())

        checked.is_well(1, False)
        checked.until_barred(1, "/healthz: status 404")
        running.during(0.3)  # until every worker knows, and what was under way is over
        before = checked.pages()
        running.during(SECONDS)
        one, two, three = (now - then for now, then in zip(checked.pages(), before, strict=True))
        assert two == 0
        assert min(one, three) > 10

        checked.is_well(1, True)
        checked.until_barred(1, "")
        running.during(0.3)
        before = checked.pages()
        running.during(SECONDS)
        assert min(now - then for now, then in zip(checked.pages(), before, strict=True)) > 10

        checked.servers[2].kill()
        checked.until_barred(2, "refused")
        checked.begin(2)
        checked.until_barred(2, "")
        before = checked.pages()
        running.during(SECONDS)
        assert checked.pages()[2] - before[2] > 10
    assert running.errors == []
    words = checked.broker.output()
    for number, why in ((1, "/healthz: status 404"), (2, "refused: ")):
        assert words.count(f"127.0.0.1:{checked.ports[number]} is unhealthy: {why}") == 1
        assert words.count(f"127.0.0.1:{checked.ports[number]} is healthy again: ") == 1
    asked = {line for line in checked.log(0) if line.startswith("/healthz")}
    host = f"{'localhost' if checked.secure else '127.0.0.1'}:{checked.ports[0]}"
    scheme = "https" if checked.secure else "http"
    assert len(asked) == 1
    assert f'(health check)" {host} HTTP/1.1 {scheme}' in asked.pop()
    counted = checked.stands(0)
    assert counted["checks"].keys() == {"ok"}
    assert counted["last_check"] == "/healthz: status 200"
