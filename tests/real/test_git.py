"""Git over HTTP: clones, fetches and pushes through the broker, from git's own server program.

The server is nginx with git-http-backend behind it (fcgiwrap). Big answers come chunked and gzipped requests
go up, and git checks every object by its hash.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .programs import Program, find, free_ports, until
from .site import LINKS, Certificates, start_broker

NGINX = """
daemon off;
master_process off;
user {user};
pid {directory}/nginx.pid;
error_log {directory}/nginx.error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{secure_port} ssl;
        location / {{
            fastcgi_pass unix:{socket};
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {repositories};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param REMOTE_USER somebody;
        }}
    }}
}}
"""
LISTENER = """
[listeners.{kind}-{link}]
endpoint = "tcp:{port}:interface=127.0.0.1"
pool = "{link}"
"""
POOL = """
[pools.{link}]
servers = ["127.0.0.1:{server}"]
continue_secure_link = {mode}
"""


@dataclass(frozen=True)
class GitSite:
    directory: Path
    ports: dict[str, int]  # by kind of listener and link
    authority: Path

    def git(self, *argv: str | Path, where: Path | None = None) -> str:
        """Run git, which knows the broker's authority and nobody's settings."""
        env = {
            **os.environ,
            "GIT_SSL_CAINFO": str(self.authority),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "no_proxy": "*",
        }
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_NAME": "Somebody", f"GIT_{role}_EMAIL": "somebody@example.test"}
        words = [find("git"), "-c", "safe.directory=*", *map(str, argv)]
        done = subprocess.run(
            words,
            cwd=where or self.directory,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def url(self, way: str) -> str:
        kind = way.partition("-")[0]
        return f"{kind}://127.0.0.1:{self.ports[way]}/shop.git"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[GitSite]:
    backend = Path("/usr/lib/git-core/git-http-backend")
    if not backend.exists():
        pytest.skip("git-http-backend is not installed")
    fcgiwrap, nginx = find("fcgiwrap"), find("nginx")
    directory = tmp_path_factory.mktemp("git")
    ports = {f"{kind}-{link}": port for (kind, link), port in zip(
        [(kind, link) for link in LINKS for kind in ("https", "http")], free_ports(6), strict=True
    )}  # fmt: skip
    git_site = GitSite(directory, ports, certificates.authority)
    _fill(git_site)
    port, secure_port = free_ports(2)
    socket = directory / "fcgi.sock"
    with ExitStack() as programs:
        programs.enter_context(Program("fcgiwrap", [fcgiwrap, "-c", "4", "-s", f"unix:{socket}"], directory))
        assert until(socket.exists, 10.0)
        file = directory / "nginx.conf"
        file.write_text(
            NGINX.format(
                user=_user(),
                directory=directory,
                certificate=certificates.server,
                port=port,
                secure_port=secure_port,
                socket=socket,
                backend=backend,
                repositories=directory / "repositories",
            )
        )
        argv: list[str | Path] = [nginx, "-p", directory, "-c", file]
        programs.enter_context(Program("nginx", argv, directory, ports=[port, secure_port]))
        text = '[broker]\nstate_directory = "state"\n[log]\naccess = "access.log"\n'
        for link, mode in LINKS.items():
            text += POOL.format(link=link, server=port if link == "plain" else secure_port, mode=mode)
            if link != "plain":
                text += f'[pools.{link}.tls]\nca = "{certificates.authority}"\n'
        for way, listening in ports.items():
            kind, _, link = way.partition("-")
            text += LISTENER.format(kind=kind, link=link, port=listening)
            if kind == "https":
                text += f'[listeners.{way}.tls]\ncertificates = ["{certificates.server}"]\n'
        programs.enter_context(start_broker(directory, text, list(ports.values())))
        yield git_site


def _user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def _fill(site: GitSite) -> None:
    """A repository of a thousand small files, one of 20 MB that does not compress, and some history."""
    work = site.directory / "work"
    work.mkdir()
    site.git("init", "-q", "-b", "main", where=work)
    for number in range(1000):
        (work / f"file-{number}.txt").write_text(f"file {number}\n" * 20)
    (work / "big.bin").write_bytes(hashlib.shake_256(b"git").digest(20_000_000))
    site.git("add", ".", where=work)
    site.git("commit", "-q", "-m", "everything", where=work)
    for number in range(20):
        (work / "history.txt").write_text(f"{number}\n")
        site.git("add", ".", where=work)
        site.git("commit", "-q", "-m", f"step {number}", where=work)
    bare = site.directory / "repositories" / "shop.git"
    site.git("clone", "-q", "--bare", work, bare)
    site.git("config", "http.receivepack", "true", where=bare)
    site.git("config", "uploadpack.allowFilter", "true", where=bare)


@pytest.fixture(params=[f"{kind}-{link}" for kind in ("https", "http") for link in LINKS])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_clone_a_push_and_a_fetch(site: GitSite, way: str, tmp_path: Path) -> None:
    url, one, other = site.url(way), tmp_path / "one", tmp_path / "other"
    site.git("clone", "-q", url, one)
    site.git("fsck", "--full", where=one)
    site.git("clone", "-q", url, other)
    (one / f"{way}.bin").write_bytes(hashlib.shake_256(way.encode()).digest(3_000_000))
    site.git("add", ".", where=one)
    site.git("commit", "-q", "-m", way, where=one)
    site.git("push", "-q", "origin", "main", where=one)
    site.git("pull", "-q", "--ff-only", where=other)
    site.git("fsck", "--full", where=other)
    assert site.git("rev-parse", "HEAD", where=one) == site.git("rev-parse", "HEAD", where=other)


def test_a_push_that_git_sends_chunked(site: GitSite, way: str, tmp_path: Path) -> None:
    """Above `http.postBuffer` git does not know the length, and asks first whether it may push."""
    work = tmp_path / "work"
    site.git("clone", "-q", "--depth", "1", site.url(way), work)
    (work / f"chunked-{way}.bin").write_bytes(hashlib.shake_256(way.encode() + b"2").digest(8_000_000))
    site.git("add", ".", where=work)
    site.git("commit", "-q", "-m", "chunked", where=work)
    site.git("-c", "http.postBuffer=65536", "push", "-q", "origin", f"HEAD:refs/heads/{way}", where=work)
    assert site.git("rev-parse", "HEAD", where=work).strip() in site.git("ls-remote", site.url(way))


def test_a_partial_clone_that_fetches_what_it_lacks(site: GitSite, way: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    site.git("clone", "-q", "--filter=blob:none", "--no-checkout", site.url(way), work)
    site.git("checkout", "-q", "main", where=work)
    assert (
        hashlib.sha256((work / "big.bin").read_bytes()).digest()
        == hashlib.sha256(hashlib.shake_256(b"git").digest(20_000_000)).digest()
    )
