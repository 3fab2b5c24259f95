"""Three nginx servers with the same files: the pool that real clients reach through the broker.

Decides the files and the configuration. Invariant: all servers share one document root, so a file
has one modification time and one ETag whichever server answers, and each is a single process, so
that SIGKILL ends it as a crash would. Refuses to be an example of how to configure nginx.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .programs import Program, find

MB = 1_000_000
BIG = 100 * MB
HUGE = 1000 * MB
IMAGES = 50

PAGE = """<!doctype html><title>loading</title><body>{images}<script>
addEventListener("load", () => {{
  const whole = [...document.images].filter(image => image.complete && image.naturalWidth === 4);
  document.title = "loaded " + whole.length;
}});
</script>"""

CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/{name}.pid;
error_log {directory}/{name}.error.log;
events {{ worker_connections 4096; }}
http {{
    types {{ text/html html; text/plain txt; image/svg+xml svg; }}
    default_type application/octet-stream;
    log_format lines '$request_method $request_uri $status $body_bytes_sent';
    access_log {directory}/{name}.access.log lines;
    client_body_temp_path {directory}/{name}.body;
    proxy_temp_path {directory}/{name}.proxy;
    fastcgi_temp_path {directory}/{name}.fastcgi;
    uwsgi_temp_path {directory}/{name}.uwsgi;
    scgi_temp_path {directory}/{name}.scgi;
    client_max_body_size 0;
    keepalive_requests 100000;
    sendfile on;
    gzip on;
    gzip_proxied any;
    gzip_types text/plain;
    add_header X-Server {name} always;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{secure_port} ssl;
        root {files};
        location /fail {{ return 500; }}
        location /up/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
    server {{  # used only when the tests are tried without the broker
        listen 127.0.0.1:{origin_port};
        listen 127.0.0.1:{secure_origin_port} ssl;
        location / {{
            proxy_pass http://127.0.0.1:{origin};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
    server {{
        listen 127.0.0.1:{socket_port};
        listen 127.0.0.1:{secure_socket_port} ssl;
        location / {{
            proxy_pass http://127.0.0.1:{socket};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Files:
    """The document root and the SHA-256 of what is in it."""

    root: Path
    hashes: dict[str, str]


def write_files(root: Path) -> Files:
    """Make the document root: a text, a page with images, 100 MB of noise, 1 GB of (sparse) zeros."""
    (root / "images").mkdir(parents=True)
    (root / "up").mkdir()
    (root / "up").chmod(0o777)  # nginx drops to another user when root starts it
    hashes = {}
    small = b"".join(b"line %d of a text that compresses\n" % number for number in range(2000))
    for name, data in (("small.txt", small), ("big.bin", hashlib.shake_256(b"big").digest(BIG))):
        (root / name).write_bytes(data)
        hashes[name] = hashlib.sha256(data).hexdigest()
    tags = []
    for number in range(IMAGES):
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><!--{number}--></svg>'
        (root / "images" / f"{number}.svg").write_text(svg)
        tags.append(f'<img src="/images/{number}.svg">')
    (root / "page.html").write_text(PAGE.format(images="".join(tags)))
    with (root / "huge.bin").open("wb") as huge:
        huge.truncate(HUGE)
    return Files(root, hashes)


def start(name: str, directory: Path, files: Files, certificate: Path, **ports: int) -> Program:
    """Start one server; `ports` are those of `CONFIGURATION`."""
    program = find("nginx")
    file = directory / f"{name}.conf"
    file.write_text(
        CONFIGURATION.format(
            name=name, directory=directory, files=files.root, certificate=certificate, **ports
        )
    )
    listening = [number for port, number in ports.items() if port.endswith("port")]
    return Program(name, [program, "-p", directory, "-c", file], directory, ports=listening)
