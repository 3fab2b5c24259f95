"""Git as a stream: clone, push and shallow clones by git:// and by ssh, and what else ssh carries."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .programs import Program, find, free_ports
from .site import DIRECT, Certificates
from .streams import WAYS, Account, Servers, Streams, Way, account, each_way, from_tls, to_tls

pytestmark = pytest.mark.skipif(DIRECT, reason="nginx, as it is set up here, carries no streams")

MB = 1_000_000
COMMITS = 20


class Home:
    """A repository with some history, git's own server and an ssh server for it, and a broker before both."""

    def __init__(self, who: Account, certificates: Certificates) -> None:
        self.who, self.certificates = who, certificates
        self.directory = who.directory
        self._programs: list[Program] = []
        try:
            self._make_repository()
            git_port, ssh_port = free_ports(2)
            self._git_daemon(git_port)
            self._ssh_daemon(ssh_port)
            inside = [
                from_tls(name, who.directory, certificates, port)
                for name, port in (("before-git", git_port), ("before-ssh", ssh_port))
            ]
            self._programs += inside
            pools = {"git": Servers([git_port], inside[0].ports), "ssh": Servers([ssh_port], inside[1].ports)}
            self.streams = Streams(who.directory, certificates, pools)
            self._programs.append(self.streams.broker)
            self._git_ports: dict[Way, int] = {}
            for way in WAYS:
                port = self._git_ports[way] = self.streams.port("git", way)
                if way.secure:  # git:// has no TLS of its own
                    outside = to_tls(f"git-{way}", who.directory, certificates, port)
                    self._programs.append(outside)
                    (self._git_ports[way],) = outside.ports
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        for program in reversed(self._programs):
            program.end()

    def run(self, *words: str | Path, env: dict[str, str] | None = None, given: bytes = b"") -> bytes:
        """Run a program as the account whose files these are; its output."""
        done = subprocess.run(
            [*self.who.words, *map(str, words)],
            cwd=self.directory,
            env={**os.environ, **(env or {}), **self._git_env()},
            input=given,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def git(self, way: Way, *words: str | Path) -> bytes:
        """Git, with an ssh that passes the broker by this way."""
        env = {"GIT_SSH_COMMAND": shlex.join(self.ssh(way))}
        return self.run(find("git"), *words, env=env)

    def address(self, scheme: str, way: Way) -> str:
        port = self._git_ports[way] if scheme == "git" else self.streams.port(scheme, way)
        return f"{scheme}://127.0.0.1:{port}{self.repository if scheme == 'ssh' else '/home.git'}"

    def ssh(self, way: Way) -> list[str]:
        """An ssh that knows the server's key, and nothing else."""
        options = {
            "IdentityFile": self.directory / "key",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.directory / "known",
            "HostKeyAlias": "home.test",
            "User": self.who.name,
            "BatchMode": "yes",
        }
        if way.secure:
            options["ProxyCommand"] = shlex.join(self._tls(way))
        words = [find("ssh"), "-F", "none"]
        return words + [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def _tls(self, way: Way) -> list[str]:
        """A program that joins its standard input and output to a stream over TLS."""
        words = ["-quiet", "-verify_quiet", "-verify_return_error", "-verify_ip", "127.0.0.1"]
        words += ["-CAfile", str(self._authority), "-connect", f"127.0.0.1:{self.streams.port('ssh', way)}"]
        return [find("openssl"), "s_client", *words]

    @property
    def _authority(self) -> Path:
        """Where the account can read it."""
        path = self.directory / "authority.pem"
        if not path.exists():
            path.write_bytes(self.certificates.authority.read_bytes())
        return path

    def _git_env(self) -> dict[str, str]:
        """No settings of this machine's, and somebody who commits."""
        env = {
            f"GIT_{who}_{what}": f"{who}@git.test"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        return {
            **env,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self.directory),
        }

    def _make_repository(self) -> None:
        git, work = find("git"), self.directory / "work"
        self.repository = self.directory / "home.git"
        self.run(git, "init", "-q", "-b", "main", work)
        for number in range(COMMITS):
            file = work / f"{number}.bin"
            file.write_bytes(hashlib.shake_256(b"%d" % number).digest(MB))
            self.run(git, "-C", work, "add", file)
            self.run(git, "-C", work, "commit", "-q", "-m", f"commit {number}")
        self.run(git, "clone", "-q", "--bare", work, self.repository)
        self.head = self.run(git, "-C", work, "rev-parse", "HEAD")

    def _git_daemon(self, port: int) -> None:
        words = [f"--base-path={self.directory}", "--export-all", "--enable=receive-pack", "--reuseaddr"]
        words += ["--listen=127.0.0.1", f"--port={port}"]
        argv = [*self.who.words, find("git"), "daemon", *words]
        self._programs.append(Program("git-daemon", argv, self.directory, ports=[port], env=self._git_env()))

    def _ssh_daemon(self, port: int) -> None:
        """Run by the account itself, so that nobody else can log in."""
        keygen = find("ssh-keygen")
        for name in ("key", "host"):
            self.run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name)
        host = (self.directory / "host.pub").read_text()
        (self.directory / "known").write_text(f"home.test {host}")
        settings = {
            "ListenAddress": f"127.0.0.1:{port}",
            "HostKey": self.directory / "host",
            "AuthorizedKeysFile": self.directory / "key.pub",
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
            "PasswordAuthentication": "no",
        }
        file = self.directory / "sshd.conf"
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        argv = [*self.who.words, find("sshd"), "-D", "-e", "-f", str(file)]
        self._programs.append(Program("sshd", argv, self.directory, ports=[port]))


@pytest.fixture(scope="module")
def home(certificates: Certificates) -> Iterator[Home]:
    with account() as who:
        home = Home(who, certificates)
        yield home
        home.end()
        assert "Traceback" not in home.streams.broker.log.read_text(errors="replace")


each_scheme = pytest.mark.parametrize("scheme", ["git", "ssh"])


@each_way
@each_scheme
def test_clone_and_push(scheme: str, way: Way, home: Home) -> None:
    name = f"{scheme}-{way}"
    clone = home.directory / name
    home.git(way, "clone", "-q", home.address(scheme, way), clone)
    home.git(way, "-C", clone, "fsck", "--full", "--strict")
    assert home.git(way, "-C", clone, "rev-parse", "HEAD") == home.head
    data = hashlib.shake_256(name.encode()).digest(10 * MB)
    home.run("/bin/dd", f"of={clone / name}", "status=none", given=data)
    home.git(way, "-C", clone, "add", name)
    home.git(way, "-C", clone, "commit", "-q", "-m", name)
    home.git(way, "-C", clone, "push", "-q", "origin", f"HEAD:refs/heads/{name}")
    assert home.run(find("git"), "-C", home.repository, "show", f"{name}:{name}") == data


@each_way
@each_scheme
def test_a_shallow_clone(scheme: str, way: Way, home: Home) -> None:
    clone = home.directory / f"shallow-{scheme}-{way}"
    home.git(way, "clone", "-q", "--depth", "3", home.address(scheme, way), clone)
    assert home.git(way, "-C", clone, "rev-list", "--count", "HEAD") == b"3\n"
    home.git(way, "-C", clone, "fetch", "-q", "--deepen", "5")
    assert home.git(way, "-C", clone, "rev-list", "--count", "HEAD") == b"8\n"


@each_way
def test_20_mb_through_ssh_both_ways(way: Way, home: Home) -> None:
    data = hashlib.shake_256(b"ssh").digest(20 * MB)
    port = str(home.streams.port("ssh", way))
    assert home.run(*home.ssh(way), "-p", port, "127.0.0.1", "cat", given=data) == data
