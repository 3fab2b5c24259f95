"""nginx as a reverse proxy: one worker, its usual log, links kept.

Decides its configuration. Invariant: what a user would set, plus what keeps it from being slowed by defaults
that the load would hit: no limit of requests on a connection, and no temporary files for large answers.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..programs import Program, find
from ..site import GROUP, NAME, SUITE, Site
from . import DOORS, Running, Setting, new_doors

_CONFIGURATION = """
daemon off; worker_processes {workers}; pid {directory}/nginx.pid; error_log {directory}/nginx.error.log;
events {{ worker_connections 16384; }}
http {{
    access_log {directory}/nginx.access.log;
    keepalive_requests 100000000; keepalive_timeout 60s; client_header_timeout 10s; send_timeout 60s;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {suite}; ssl_ecdh_curve {group};
    proxy_http_version 1.1; proxy_max_temp_file_size 0;
    proxy_connect_timeout 2s; proxy_read_timeout 30s;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_ssl_protocols TLSv1.3; proxy_ssl_conf_command Ciphersuites {suite};
    proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name {name}; proxy_ssl_server_name on;
    {plain}
    {secure}
    {doors}
}}
"""
_UPSTREAM = "upstream {name} {{ least_conn; {servers} keepalive 128; keepalive_requests 100000000; }}"
_DOOR = """
    server {{
        listen 127.0.0.1:{port} {words} backlog=4096;
        {tls}
        location / {{ proxy_pass {to}; }}
    }}
"""


class Nginx:
    name = "nginx"
    lacks = "no active health checks (its free edition has none)"

    def __init__(self, server: str = "") -> None:
        self.server = server  # words for each server

    def version(self) -> str:
        done = subprocess.run([find("nginx"), "-v"], capture_output=True, text=True, check=True)
        return done.stderr.strip().rpartition("/")[2]

    def start(self, site: Site, directory: Path, setting: Setting) -> Running:
        doors = new_doors(site)
        file = directory / "nginx.conf"
        file.write_text(configuration(site, directory, doors, setting.workers, self.server))
        cores = setting.cores or site.proxy_cores
        program = Program(
            self.name,
            [find("nginx"), "-p", directory, "-c", file],
            directory,
            cores=cores,
            ports=[*doors.values()],
        )
        return Running(self.name, program, doors, setting)


def configuration(
    site: Site, directory: Path, doors: Mapping[str, int], workers: int, server: str = ""
) -> str:
    blocks = []
    for name, port in doors.items():
        kind, secure_links = DOORS[name]
        pem = site.certificate(kind)
        tls = f"ssl_certificate {pem}; ssl_certificate_key {pem};" if kind else ""
        to = "https://secure" if secure_links else "http://servers"
        blocks.append(_DOOR.format(port=port, words="ssl" if kind else "", tls=tls, to=to))
    return _CONFIGURATION.format(
        workers=workers,
        directory=directory,
        suite=SUITE,
        group=GROUP,
        ca=site.ca,
        name=NAME,
        plain=upstream("servers", site.plain, server),
        secure=upstream("secure", site.secure, server),
        doors="".join(blocks),
    )


def upstream(name: str, ports: Sequence[int], words: str) -> str:
    """A pool; none where it has no servers."""
    servers = " ".join(f"server 127.0.0.1:{port} {words};" for port in ports)
    return _UPSTREAM.format(name=name, servers=servers) if ports else ""
