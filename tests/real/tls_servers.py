"""nginx servers that speak TLS towards the broker, each as one operator or another has set it up.

Decides their certificates, of a private authority, and what is wrong with each. Invariant: a server is one
process and answers every path with its own name. Refuses to be an example of how to configure nginx.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from .programs import Program, find

#: What is in the certificates of good servers.
NAME = "shop.internal"

CONFIGURATION = """
daemon off;
{processes}
pid {directory}/{name}.pid;
error_log {directory}/{name}.error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/{name}.body;
    proxy_temp_path {directory}/{name}.proxy;
    fastcgi_temp_path {directory}/{name}.fastcgi;
    uwsgi_temp_path {directory}/{name}.uwsgi;
    scgi_temp_path {directory}/{name}.scgi;
    server {{
        listen 127.0.0.1:{port} {ssl};
        {tls}
        location / {{
            default_type text/plain;
            return 200 "{name} as '$ssl_server_name' for '$ssl_client_s_dn' over $ssl_protocol";
        }}
    }}
}}
"""

#: The versions and ciphers of servers: as they should be, and as OpenSSL has to be told to allow.
MODERN = "ssl_protocols TLSv1.2 TLSv1.3;"
OLD = 'ssl_protocols TLSv1.1; ssl_ciphers "ALL:@SECLEVEL=0";'


@dataclass(frozen=True)
class Authority:
    """A private authority, its certificate as a file, and where what it issues is written."""

    directory: Path
    ca: trustme.CA
    pem: Path

    def issue(self, file: str, *names: str, days: float = 30) -> Path:
        """Key and chain of a certificate for these names that ends in so many days, as a file."""
        end = datetime.now(UTC) + timedelta(days=days)
        leaf = self.ca.issue_cert(*names, not_before=end - timedelta(days=60), not_after=end)
        path = self.directory / file
        leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


def authority(directory: Path, name: str) -> Authority:
    ca = trustme.CA(organization_name=name)
    path = directory / f"{name}.pem"
    ca.cert_pem.write_to_path(str(path))
    return Authority(directory, ca, path)


#: One process, so that SIGKILL ends it as a crash would. To read its files anew, nginx needs a second one.
ONE_PROCESS = "master_process off;"
RELOADABLE = "user root; worker_processes 1;"


def start(
    name: str,
    directory: Path,
    port: int,
    certificate: Path | None,
    more: str = MODERN,
    processes: str = ONE_PROCESS,
) -> Program:
    """Start one server, plain without a certificate; `more` are words of nginx about its TLS."""
    program = find("nginx")
    tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate}; {more}" if certificate else ""
    file = directory / f"{name}.conf"
    file.write_text(
        CONFIGURATION.format(
            name=name,
            directory=directory,
            port=port,
            ssl="ssl" if certificate else "",
            tls=tls,
            processes=processes,
        )
    )
    return Program(name, [program, "-p", directory, "-c", file], directory, ports=[port])
