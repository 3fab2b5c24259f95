"""HAProxy, the yardstick: one thread, its usual log, checks of the servers' health.

Decides its configuration; `Words` are what a bench adds to it. Invariant: it reuses links as freely as it
can (`http-reuse always`), which is in its favour. Its log goes to standard output, which is a file: one
write a transaction, as to a log daemon.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..programs import Program, find
from ..site import GROUP, NAME, SUITE, Site
from . import DOORS, Running, Setting, new_doors

_CONFIGURATION = """
global
    nbthread {workers}
    maxconn 15000
    no strict-limits
    log stdout format raw local0
    ssl-default-bind-ciphersuites {suite}
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-server-ciphersuites {suite}
    ssl-default-server-options ssl-min-ver TLSv1.3
defaults
    mode http
    log global
    option httplog
    option forwardfor
    http-reuse always
    balance leastconn
    timeout connect 2s
    timeout client 60s
    timeout server 30s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 5s
"""
_FRONT = """
frontend {name}
    bind 127.0.0.1:{port} backlog 4096 {tls}
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    {words}
    default_backend {back}
"""


@dataclass(frozen=True)
class Words:
    """What is added where."""

    secure: str = ""  # to what comes over TLS
    back: str = ""
    server: str = ""


class HAProxy:
    name = "haproxy"
    lacks = ""

    def __init__(self, words: Words = Words()) -> None:
        self.words = words

    def version(self) -> str:
        done = subprocess.run([find("haproxy"), "-v"], capture_output=True, text=True, check=True)
        return done.stdout.split()[2]

    def start(self, site: Site, directory: Path, setting: Setting) -> Running:
        doors = new_doors(site)
        file = directory / "haproxy.cfg"
        file.write_text(configuration(site, doors, setting.workers, self.words))
        cores = setting.cores or site.proxy_cores
        program = Program(
            self.name, [find("haproxy"), "-db", "-f", file], directory, cores=cores, ports=[*doors.values()]
        )
        return Running(self.name, program, doors, setting)


def configuration(site: Site, doors: Mapping[str, int], workers: int, words: Words = Words()) -> str:
    parts = [_CONFIGURATION.format(workers=workers, suite=SUITE)]
    for name, port in doors.items():
        kind, secure_links = DOORS[name]
        tls = f"ssl crt {site.certificate(kind)} curves {GROUP}" if kind else ""
        back = "secure" if secure_links else "servers"
        scheme = "https" if kind else "http"
        more = words.secure if kind else ""
        parts.append(_FRONT.format(name=name, port=port, tls=tls, scheme=scheme, words=more, back=back))
    verified = f"ssl verify required ca-file {site.ca} sni str({NAME}) check-sni {NAME}"
    for back, ports, tls in (("servers", site.plain, ""), ("secure", site.secure, verified)):
        parts.append(f"\nbackend {back}\n    option httpchk GET /1k\n    {words.back}\n")
        for number, port in enumerate(ports):
            parts.append(f"    server s{number} 127.0.0.1:{port} check inter 2s {tls} {words.server}\n")
    return "".join(parts)
