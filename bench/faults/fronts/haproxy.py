"""HAProxy under faults: another server for each retry, everything retried that it can, servers watched.

Decides its configuration. A server is marked down by a failed check or a refused connection, and comes back
with the first good check, a quarter of a second later. (`observe layer7` marked all servers down when all
answered 503; `leastconn` went to the server that ends its bodies early every other time.) Invariant: what
must not be sent twice is not (`disable-l7-retry`): HAProxy knows no methods.
"""

from __future__ import annotations

from pathlib import Path

from ...programs import Program, find, free_ports
from ...proxies import Running, haproxy
from ...site import GROUP, SUITE, Site
from . import DOOR, Situation

_CONFIGURATION = """
global
    nbthread 1
    maxconn 15000
    no strict-limits
    log stdout format raw local0
    ssl-default-bind-ciphersuites {suite}
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    log global
    option httplog
    option forwardfor
    http-reuse always
    balance roundrobin
    retries 3
    option redispatch 1
    retry-on all-retryable-errors
    timeout connect 1s
    timeout client 60s
    timeout server {response_timeout}s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 5s
    timeout check 500ms
frontend secure
    bind 127.0.0.1:{port} backlog 4096 ssl crt {certificate} curves {group}
    http-request set-header X-Forwarded-Proto https
    default_backend servers
backend servers
    option httpchk GET /00
    http-request disable-l7-retry if METH_POST {unless_keyed}
    default-server check inter 1s fastinter 250ms downinter 250ms fall 1 rise 1
    default-server observe layer4 error-limit 1 on-error mark-down
{servers}
"""


class HAProxy:
    name = "haproxy"

    def version(self) -> str:
        return haproxy.HAProxy().version()

    def start(self, site: Site, directory: Path, situation: Situation) -> Running:
        (port,) = free_ports(1)
        file = directory / "haproxy.cfg"
        file.write_text(configuration(site, port, situation))
        argv: list[str | Path] = [find("haproxy"), "-db", "-f", file]
        program = Program(self.name, argv, directory, cores=site.proxy_cores, ports=[port])
        return Running(self.name, program, {DOOR: port})


def configuration(site: Site, port: int, situation: Situation) -> str:
    return _CONFIGURATION.format(
        suite=SUITE,
        group=GROUP,
        port=port,
        certificate=site.certificate("ecdsa"),
        response_timeout=situation.response_timeout,
        unless_keyed="!{ req.hdr(Idempotency-Key) -m found }" if situation.keyed else "",
        servers="\n".join(
            f"    server s{number} 127.0.0.1:{each}" for number, each in enumerate(situation.ports)
        ),
    )
