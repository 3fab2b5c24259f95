"""Mail as a stream: the server speaks first, every command waits for its answer, and a mail may be big."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .programs import HERE, Program, client_python, find, free_ports
from .site import DIRECT, Certificates
from .streams import Servers, Streams, Way, each_way

pytestmark = pytest.mark.skipif(DIRECT, reason="nginx, as it is set up here, carries no streams")

FROM, TO = "from@mail.test", "to@mail.test"


class Mail:
    """Two mail servers with a plain and a secure port each, and a broker before them."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        self.servers: list[Program] = []
        ports = free_ports(4)
        try:
            for name, own in (("one", ports[:2]), ("two", ports[2:])):
                argv: list[str | Path] = [client_python(), HERE / "clients" / "mail_server.py"]
                argv += [*map(str, own), certificates.server]
                self.servers.append(Program(f"mail-{name}", argv, directory, ports=own))
            self.streams = Streams(directory, certificates, {"mail": Servers(ports[::2], ports[1::2])})
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        for server in self.servers:
            server.end()

    def client(self, way: Way) -> smtplib.SMTP:
        """A connection that has heard the server's greeting."""
        port = self.streams.port("mail", way)
        if not way.secure:
            return smtplib.SMTP("127.0.0.1", port, "client.test", timeout=60)
        context = ssl.create_default_context(cafile=self.certificates.authority)
        return smtplib.SMTP_SSL("127.0.0.1", port, "client.test", timeout=60, context=context)

    def taken(self) -> list[str]:
        """The SHA-256 of each mail that a server has taken."""
        lines = "".join(server.log.read_text() for server in self.servers).splitlines()
        return [line.split()[1] for line in lines if line.startswith("mail ")]


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Mail]:
    mail = Mail(tmp_path_factory.mktemp("mail"), certificates)
    try:
        with mail.streams:
            yield mail
    finally:
        mail.end()


def letter(seed: str, size: int) -> bytes:
    """A mail of about `size` bytes, no two alike."""
    noise = hashlib.shake_256(seed.encode()).hexdigest(size // 2).encode()
    lines = [noise[start : start + 70] for start in range(0, len(noise), 70)]
    return b"\r\n".join([f"Subject: {seed}".encode(), b"", *lines, b""])


@each_way
def test_a_mail_of_10_mb(way: Way, mail: Mail) -> None:
    text = letter(f"big {way}", 10_000_000)
    with mail.client(way) as client:
        client.sendmail(FROM, [TO], text)
        client.sendmail(FROM, [TO], letter(f"small {way}", 100))
    assert hashlib.sha256(text).hexdigest() in mail.taken()
    assert hashlib.sha256(letter(f"small {way}", 100)).hexdigest() in mail.taken()
    (record,) = mail.streams.records(f"mail-{way}", {})
    assert record["bytes_in"] > len(text)


@each_way
def test_many_mails_at_once(way: Way, mail: Mail) -> None:
    texts = [letter(f"{number} of many {way}", 20_000) for number in range(60)]

    def send(text: bytes) -> None:
        with mail.client(way) as client:
            assert client.noop()[0] == 250
            client.sendmail(FROM, [TO], text)

    with ThreadPoolExecutor(20) as people:
        list(people.map(send, texts))
    assert {hashlib.sha256(text).hexdigest() for text in texts} <= set(mail.taken())


def test_tls_begun_within_a_plain_stream(mail: Mail) -> None:
    """STARTTLS: the certificate that the client sees is the mail server's, not the broker's."""
    context = ssl.create_default_context(cafile=mail.certificates.authority)
    text = letter("STARTTLS", 1000)
    with mail.client(Way(False, False)) as client:
        assert client.starttls(context=context)[0] == 220
        client.sendmail(FROM, [TO], text)
    assert hashlib.sha256(text).hexdigest() in mail.taken()


@each_way
def test_swaks(way: Way, mail: Mail) -> None:
    port = str(mail.streams.port("mail", way))
    words = ["--server", "127.0.0.1", "--port", port, "--from", FROM, "--to", TO, "--timeout", "30s"]
    words += ["--helo", "client.test", "--body", f"from swaks {way}"]
    if way.secure:
        words += ["--tls-on-connect", "--tls-ca-path", str(mail.certificates.authority)]
    before = len(mail.taken())
    done = subprocess.run([find("swaks"), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(mail.taken()) == before + 1
