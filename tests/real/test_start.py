"""Starting and ending the broker as an operator does: clear refusals, clean ends, no cut downloads."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import nginx
from .nginx import Files
from .programs import ROOT, Program, curl_words, free_ports, listens, until
from .site import DIRECT, LISTENER, POOL, TLS, TWISTD, Certificates, issue, plugin_problem, start_broker

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that is started here")


class Setup:
    """A configuration with a secure and a plain listener, to be spoilt in one way."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.certificate = certificates.server
        self.secure_port, self.plain_port, self.server_port = free_ports(3)

    def text(self) -> str:
        listeners = LISTENER.format(name="https", port=self.secure_port, pool="shop")
        listeners += TLS.format(name="https", certificate=self.certificate)
        listeners += LISTENER.format(name="http", port=self.plain_port, pool="shop")
        return listeners + POOL.format(name="shop", servers=f'"127.0.0.1:{self.server_port}"', secure="false")

    def refused(self, text: str) -> str:
        """Try to start the broker; check how it refuses, and give what it said."""
        if plugin_problem():
            pytest.skip(plugin_problem())
        file = self.directory / "sslbroker.toml"
        file.write_text(text)
        done = subprocess.run(
            [TWISTD, "-n", "--pidfile=", "sslbroker", "--config", file],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stdout
        assert not listens(self.secure_port)
        return done.stdout


@pytest.fixture
def setup(tmp_path: Path, certificates: Certificates) -> Setup:
    return Setup(tmp_path, certificates)


def said(output: str, *words: str) -> None:
    """One line, and only one, holds all these words."""
    lines = [line for line in output.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, output


def test_a_taken_port_ends_the_start(setup: Setup) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", setup.plain_port))
        taken.listen()
        said(setup.refused(setup.text()), str(setup.plain_port))


def test_a_missing_certificate_ends_the_start(setup: Setup) -> None:
    setup.certificate = setup.directory / "missing.pem"
    said(setup.refused(setup.text()), "missing.pem")
    assert not listens(setup.plain_port)


def test_a_key_of_another_certificate_ends_the_start(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = issue(tmp_path / "other").server.read_text()
    mine = setup.certificate.read_text()
    end = "PRIVATE KEY-----\n"
    mixed = tmp_path / "mixed.pem"
    mixed.write_text(other[: other.rindex(end) + len(end)] + mine[mine.rindex(end) + len(end) :])
    setup.certificate = mixed
    said(setup.refused(setup.text()), "mixed.pem", "key")
    assert not listens(setup.plain_port)


def test_an_unknown_setting_ends_the_start_with_a_suggestion(setup: Setup) -> None:
    output = setup.refused(setup.text().replace("certificates", "certificatse"))
    said(output, "certificatse", "certificates")
    assert not listens(setup.plain_port)


def test_every_mistake_is_told_at_once(setup: Setup) -> None:
    text = setup.text().replace("certificates", "certificatse") + '[storage]\nmaximum = "huge"\n'
    output = setup.refused(text)
    said(output, "certificatse")
    said(output, "storage.maximum")


@pytest.fixture
def shop(setup: Setup, files: Files, certificates: Certificates) -> Iterator[Program]:
    """One nginx behind `setup`."""
    ports = dict.fromkeys(("origin", "socket"), 9)
    names = ("secure_port", "origin_port", "secure_origin_port", "socket_port", "secure_socket_port")
    ports.update(zip(names, free_ports(len(names)), strict=True))
    ports["port"] = setup.server_port
    with nginx.start("shop", setup.directory, files, certificates.server, **ports) as program:
        yield program


def download(setup: Setup, *words: str) -> subprocess.Popen[bytes]:
    argv = curl_words(*words, patience=60)
    return subprocess.Popen([*argv, f"http://127.0.0.1:{setup.plain_port}/big.bin"], stderr=subprocess.PIPE)


@pytest.mark.usefixtures("shop")
def test_sigterm_lets_a_download_finish_and_then_ends_it(setup: Setup, files: Files) -> None:
    ports = [setup.secure_port, setup.plain_port]
    text = setup.text() + '[broker]\ndrain_timeout = "30s"\n'
    body = setup.directory / "body"
    with start_broker(setup.directory, text, ports) as broker:
        with download(setup, "--limit-rate", "30M", "-o", str(body)) as child:
            assert until(lambda: body.exists() and body.stat().st_size > 5_000_000, 30)
            broker.child.send_signal(signal.SIGTERM)
            assert until(lambda: not any(map(listens, ports)), 10), "it still accepts clients"
            error = child.communicate(timeout=60)[1]
        assert child.returncode == 0, (error, broker.output())
        assert hashlib.sha256(body.read_bytes()).hexdigest() == files.hashes["big.bin"]
        assert broker.child.wait(20) in (0, -signal.SIGTERM)
        assert "Traceback" not in broker.output()


@pytest.mark.usefixtures("shop")
def test_a_drain_ends_at_its_deadline(setup: Setup) -> None:
    text = setup.text() + '[broker]\ndrain_timeout = "1s"\n'
    body = setup.directory / "body"
    with start_broker(setup.directory, text, [setup.plain_port]) as broker:
        with download(setup, "--limit-rate", "1M", "-o", str(body)) as child:
            assert until(lambda: body.exists() and body.stat().st_size > 100_000, 30)
            broker.child.send_signal(signal.SIGTERM)
            broker.child.wait(20)
            child.communicate(timeout=60)
        assert child.returncode != 0, "a cut download looked whole"


@pytest.mark.usefixtures("shop")
def test_sighup_does_not_end_it(setup: Setup) -> None:
    words = ("--range", "0-9", "-o", "/dev/null", "--fail")
    with start_broker(setup.directory, setup.text(), [setup.plain_port]) as broker:
        broker.child.send_signal(signal.SIGHUP)
        for _ in range(20):
            with download(setup, *words) as child:
                error = child.communicate(timeout=60)[1]
            assert child.returncode == 0, error
        assert broker.child.poll() is None


def test_sighup_takes_a_renewed_certificate_and_keeps_it_when_the_next_is_broken(setup: Setup) -> None:
    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", setup.secure_port), timeout=10)

    pem = setup.directory / "mine.pem"
    pem.write_bytes(setup.certificate.read_bytes())
    setup.certificate = pem
    with start_broker(setup.directory, setup.text(), [setup.secure_port]) as broker:
        first = shown()
        (setup.directory / "renewed").mkdir()
        pem.write_bytes(issue(setup.directory / "renewed").server.read_bytes())
        assert shown() == first
        broker.child.send_signal(signal.SIGHUP)
        assert until(lambda: shown() != first, 10), broker.output()
        second = shown()
        pem.write_text("nothing of use")
        broker.child.send_signal(signal.SIGHUP)
        assert until(lambda: "kept as it was: listeners.https.tls: " in broker.output(), 10), broker.output()
        assert shown() == second
        assert "Traceback" not in broker.output()


@pytest.mark.usefixtures("shop")
def test_daemonized_it_keeps_a_pidfile_and_sigterm_ends_both(setup: Setup) -> None:
    if plugin_problem():
        pytest.skip(plugin_problem())
    file, pidfile, log = (setup.directory / name for name in ("sslbroker.toml", "pid", "log"))
    file.write_text(setup.text())
    argv: list[str | Path] = [
        TWISTD,
        f"--pidfile={pidfile}",
        f"--logfile={log}",
        "sslbroker",
        "--config",
        file,
    ]
    done = subprocess.run(argv, cwd=setup.directory, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert until(pidfile.exists, 10)
    pid = int(pidfile.read_text())
    try:
        assert until(lambda: listens(setup.plain_port), 20), log.read_text()
        with download(setup, "--range", "0-9", "-o", "/dev/null", "--fail") as child:
            error = child.communicate(timeout=60)[1]
        assert child.returncode == 0, error
    finally:
        os.kill(pid, signal.SIGTERM)
    assert until(lambda: not pidfile.exists(), 40), log.read_text()
    assert not listens(setup.plain_port)
    assert "Traceback" not in log.read_text()


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("form", ["-ny", "--config"])
def test_the_configurations_in_etc_work_as_they_are(form: str, setup: Setup) -> None:
    if plugin_problem():
        pytest.skip(plugin_problem())
    admin_port, *dead = free_ports(3)
    # Only the ports are changed: those in the files may be taken here.
    ports = {"8443": setup.secure_port, "8080": setup.plain_port, "9100": admin_port}
    ports |= dict(zip(("9001", "9002", "9003"), (setup.server_port, *dead), strict=True))
    name = "sslbroker.tac" if form == "-ny" else "sslbroker.toml"
    text = (ROOT / "etc" / name).read_text()
    assert all(port in text for port in ports)
    # In one go: a free port may have another one's digits.
    text = re.sub("|".join(ports), lambda port: str(ports[port[0]]), text)
    file = setup.directory / name
    file.write_text(text)
    argv: list[str | Path] = [TWISTD, "-n", "--pidfile="]
    argv += ["-y", file] if form == "-ny" else ["sslbroker", "--config", file]
    listening = [setup.secure_port, setup.plain_port, admin_port]
    with Program("etc", argv, setup.directory, ports=listening) as broker:
        with download(setup, "--range", "0-9", "-o", "/dev/null", "--fail") as child:
            error = child.communicate(timeout=60)[1]
        assert child.returncode == 0, error
        broker.end()
        assert "Traceback" not in broker.output()
