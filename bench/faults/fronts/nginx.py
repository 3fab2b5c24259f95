"""nginx under faults: the next server for every failure that it has a word for.

Decides its configuration. No server is left out after failures (`max_fails=0`): with three failures and one
second all three were left out at once in an outage or an overload, and clients got 502 ten times as often.
`least_conn` went more often to the server that ends its bodies early.
Invariant: what must not be sent twice is sent again only when the situation says that servers know keys. It
has no checks of its own in its free edition, and asks no server again once a response has begun.
"""

from __future__ import annotations

from pathlib import Path

from ...programs import Program, find, free_ports
from ...proxies import Running, nginx
from ...site import GROUP, SUITE, Site
from . import DOOR, Situation

_CONFIGURATION = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx.error.log;
events {{ worker_connections 16384; }}
http {{
    access_log {directory}/nginx.access.log;
    keepalive_requests 100000000; keepalive_timeout 60s; client_header_timeout 10s; send_timeout 60s;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {suite}; ssl_ecdh_curve {group};
    proxy_http_version 1.1; proxy_buffering on; proxy_buffers 16 8k;
    proxy_connect_timeout 1s; proxy_read_timeout {response_timeout}s;
    proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 {keyed};
    proxy_next_upstream_tries 3;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    upstream servers {{ {servers} keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {certificate}; ssl_certificate_key {certificate};
        location / {{ proxy_pass http://servers; }}
    }}
}}
"""


class Nginx:
    name = "nginx"

    def version(self) -> str:
        return nginx.Nginx().version()

    def start(self, site: Site, directory: Path, situation: Situation) -> Running:
        (port,) = free_ports(1)
        file = directory / "nginx.conf"
        file.write_text(configuration(site, directory, port, situation))
        argv: list[str | Path] = [find("nginx"), "-p", directory, "-c", file]
        program = Program(self.name, argv, directory, cores=site.proxy_cores, ports=[port])
        return Running(self.name, program, {DOOR: port})


def configuration(site: Site, directory: Path, port: int, situation: Situation) -> str:
    return _CONFIGURATION.format(
        directory=directory,
        suite=SUITE,
        group=GROUP,
        port=port,
        certificate=site.certificate("ecdsa"),
        response_timeout=situation.response_timeout,
        keyed="non_idempotent" if situation.keyed else "",
        servers=" ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in situation.ports),
    )
