"""What all proxies have in common: certificates, the servers behind them, cores, and the TLS of both sides.

Decides what the servers give (files of nginx: 1 KiB, 64 KiB, 1 MB) and how TLS is spoken. Invariant: every
proxy is given the same certificates, servers, cipher and key exchange; proxies run on one core, servers and
load on the others. Refuses to know any proxy.
"""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from .programs import CannotRun, Program, find, free_ports

NAME = "site.test"
SUITE = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"
SAME_TLS = f"TLS 1.3, {SUITE}, {GROUP}, tickets sent"
FILES = {"1k": 1024, "64k": 65_536, "1m": 1_000_000}
SERVERS = 2

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_NGINX = """
daemon off; master_process off; pid {directory}/servers.pid; error_log {directory}/servers.error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600s;
    open_file_cache max=100;
    ssl_certificate {directory}/ecdsa.pem; ssl_certificate_key {directory}/ecdsa.pem;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {suite}; ssl_ecdh_curve {group};
    server {{ {listen} root {directory}/files; }}
}}
"""


@dataclass(frozen=True)
class Site:
    directory: Path
    proxy_cores: tuple[int, ...]
    load_cores: tuple[int, ...]
    plain: tuple[int, ...]  # the servers' ports
    secure: tuple[int, ...]
    servers: Sequence[int] = ()  # their process

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def certificate(self, kind: str) -> Path:
        """The PEM file with key and certificate: "ecdsa" or "rsa"."""
        return self.directory / f"{kind}.pem"


def cores() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """One core for the proxy, the others for load and servers."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise CannotRun("one core is not enough: proxy and load need a core each")
    return (first,), tuple(others)


def prepared(directory: Path) -> Site:
    """Certificates and cores, without servers."""
    write_certificates(directory)
    for each in (directory, *directory.iterdir()):
        each.chmod(0o755)  # nginx drops to another user when root starts it
    return Site(directory, *cores(), (), ())


@contextmanager
def started(directory: Path) -> Iterator[Site]:
    """Certificates, files and servers; the servers end with the block."""
    site = prepared(directory)
    (directory / "files").mkdir(mode=0o755)
    for name, size in FILES.items():
        (directory / "files" / name).write_bytes(os.urandom(size))
    for each in (directory / "files").iterdir():
        each.chmod(0o755)
    ports = free_ports(2 * SERVERS)
    site = replace(site, plain=tuple(ports[:SERVERS]), secure=tuple(ports[SERVERS:]))
    listen = " ".join(
        [f"listen 127.0.0.1:{port} backlog=4096;" for port in site.plain]
        + [f"listen 127.0.0.1:{port} ssl backlog=4096;" for port in site.secure]
    )
    file = directory / "servers.conf"
    file.write_text(_NGINX.format(directory=directory, suite=SUITE, group=GROUP, listen=listen))
    argv: list[str | Path] = [find("nginx"), "-p", directory, "-c", file]
    with Program("servers", argv, directory, cores=site.load_cores, ports=ports) as servers:
        yield replace(site, servers=(servers.pid,))


def write_certificates(directory: Path) -> None:
    """A CA of our own, and one certificate of it for each kind of key."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _sign("bench CA", ca_key, ca_key, None)
    (directory / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    keys: dict[str, Key] = {"ecdsa": ec.generate_private_key(ec.SECP256R1())}
    keys["rsa"] = rsa.generate_private_key(65537, 2048)
    for kind, key in keys.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / f"{kind}.pem").write_bytes(pem + _sign(NAME, key, ca_key, ca).public_bytes(Encoding.PEM))


def _sign(
    name: str, key: Key, ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate | None
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    if ca is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def machine() -> dict[str, Any]:
    text = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line), "")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}
