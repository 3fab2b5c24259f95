"""Client certificates with curl and OpenSSL's own client, made by the commands that docs/tls.md gives."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .programs import HERE, ROOT, Program, curl_words, find, free_ports
from .site import DIRECT, LISTENER, TLS, Certificates, start_broker

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that asks for certificates here")

CLIENTS = """client_ca = "clients-ca.pem"
client_certificate = "optional"
[listeners.https.tls.names."admin.shop.test"]
client_ca = "clients-ca.pem"
client_certificate = "required"
[listeners.https.tls.names."open.shop.test"]
"""
SHOP, ADMIN, OPEN = "shop.test", "admin.shop.test", "open.shop.test"
VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


@dataclass
class Broker:
    directory: Path
    port: int
    authority: Path
    program: Program

    def curl(self, name: str, who: str = "", *more: str) -> tuple[int, str]:
        """Exit code and body (or what curl complained of) of a request to this name."""
        words = curl_words("--insecure", "--resolve", f"*:{self.port}:127.0.0.1", *more)
        if who:
            words += ["--cert", f"{who}.pem", "--key", f"{who}.key"]
        done = self.run([*words, f"https://{name}:{self.port}/"])
        return done.returncode, done.stdout or done.stderr

    def fields(self, name: str, who: str, *more: str) -> dict[str, str]:
        """What the server was told."""
        code, text = self.curl(name, who, *more)
        assert code == 0, text
        headers: dict[str, str] = json.loads(text)["headers"]
        return headers

    def s_client(self, name: str, who: str, version: str, *more: str, host: str = "") -> str:
        """All that OpenSSL's client says and gets, for one request."""
        words = [find("openssl"), "s_client", "-connect", f"127.0.0.1:{self.port}", "-ign_eof"]
        words += ["-servername", name, f"-tls{version.replace('.', '_')}", *more]
        if who:
            words += ["-cert", f"{who}.pem", "-key", f"{who}.key"]
        request = f"GET / HTTP/1.1\r\nHost: {host or name}\r\nConnection: close\r\n\r\n"
        done = self.run(words, request)
        return done.stdout + done.stderr

    def run(self, words: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=self.directory,
            timeout=30,
            check=False,
        )


def documented() -> list[str]:
    """The commands of docs/tls.md that make an authority and a certificate for Alice."""
    text = (ROOT / "docs" / "tls.md").read_text()
    lines = text.partition("### Try it\n")[2].partition("\n###")[0].replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith(("openssl req", "openssl x509"))]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Broker]:
    directory = tmp_path_factory.mktemp("clients")
    commands = documented()
    assert len(commands) == 3
    others = [each.replace("clients-ca", "others-ca").replace("alice", "mallory") for each in commands]
    for command in (*commands, *others):
        words = [find("openssl"), *shlex.split(command)[1:]]
        subprocess.run(words, cwd=directory, check=True, capture_output=True, timeout=30)
    port, plain, server, unused = free_ports(4)
    text = LISTENER.format(name="https", port=port, pool="shop")
    text += TLS.format(name="https", certificate=certificates.server) + CLIENTS
    text += LISTENER.format(name="http", port=plain, pool="shop")
    text += f'[pools.shop]\nservers = ["127.0.0.1:{server}"]\n'
    origin: list[str | Path] = [sys.executable, HERE / "origin.py", str(server), str(unused)]
    origin.append(certificates.server)
    with (
        Program("origin", origin, directory, ports=[server]),
        start_broker(directory, text, [port, plain]) as program,
    ):
        yield Broker(directory, port, certificates.authority, program)
    assert "Traceback" not in program.output()


def told(fields: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if "client" in name}


def test_a_server_is_told_who_alice_is(broker: Broker) -> None:
    for name in (SHOP, ADMIN):
        fields = told(broker.fields(name, "alice", "-H", "X-Client-Subject: CN=root"))
        pem = (broker.directory / "alice.pem").read_text().splitlines()
        shown = broker.run([find("openssl"), "x509", "-in", "alice.pem", "-noout", "-serial"])
        serial = shown.stdout.strip().partition("=")[2]
        shown = broker.run([find("openssl"), "x509", "-in", "alice.pem", "-noout", "-fingerprint", "-sha256"])
        fingerprint = shown.stdout.strip().partition("=")[2].replace(":", "").lower()
        assert fields == {
            "client-cert": f":{''.join(pem[1:-1])}:",
            "x-client-subject": "CN=Alice,O=Shop",
            "x-client-issuer": "CN=Clients of the shop",
            "x-client-serial": serial,
            "x-client-fingerprint": fingerprint,
        }


def test_where_it_is_optional_nobody_in_particular_is_served_too(broker: Broker) -> None:
    assert told(broker.fields(SHOP, "", "-H", "X-Client-Subject: CN=root")) == {}


def test_where_nobody_is_asked_nobody_is_told_of(broker: Broker) -> None:
    assert told(broker.fields(OPEN, "alice")) == {}


@VERSIONS
def test_who_is_not_vouched_for_is_refused_with_an_alert(broker: Broker, version: str) -> None:
    for name in (SHOP, ADMIN):
        code, said = broker.curl(name, "mallory", f"--tlsv{version}", "--tls-max", version)
        assert code in (35, 56), said
        assert "unknown ca" in said
    code, said = broker.curl(ADMIN, "", f"--tlsv{version}", "--tls-max", version)
    assert code in (35, 56), said
    assert ("handshake failure" if version == "1.2" else "certificate required") in said
    assert told(broker.fields(ADMIN, "alice"))


@VERSIONS
@pytest.mark.parametrize("host", [ADMIN, "ADMIN.shop.test.:443", "admin%2eshop.test", "@".join(("a", ADMIN))])
def test_a_host_with_other_rules_is_misdirected(broker: Broker, version: str, host: str) -> None:
    for name, who in ((SHOP, ""), (SHOP, "alice"), (OPEN, "alice")):
        answer = broker.s_client(name, who, version, host=host)
        assert "HTTP/1.1 421 " in answer or "HTTP/1.1 400 " in answer, answer
        assert "x-client" not in answer


@VERSIONS
@pytest.mark.parametrize("who", ["", "alice"])
def test_a_session_brings_nobody_to_a_name_with_other_rules(broker: Broker, version: str, who: str) -> None:
    """Each session that OpenSSL's client can keep, at each name."""
    for began in (SHOP, OPEN, ADMIN) if who else (SHOP, OPEN):
        kept = str(broker.directory / f"{began}-{version}-{who}.session")
        first = broker.s_client(began, who, version, "-sess_out", kept)
        assert "HTTP/1.1 200 " in first, first
        for asked in (SHOP, OPEN, ADMIN):
            answer = broker.s_client(asked, who, version, "-sess_in", kept)
            assert "Reused, TLSv" in answer, answer
            if asked == began:
                assert "HTTP/1.1 200 " in answer, answer
                assert ("CN=Alice" in answer.partition("HTTP/1.1 200")[2]) is bool(who and asked != OPEN)
            else:
                assert ("HTTP/1.1 421 " in answer) is (version == "1.2"), answer
                assert "HTTP/1.1 200 " not in answer


def test_the_log_has_few_words_about_those_who_were_refused(broker: Broker) -> None:
    for _ in range(5):
        broker.curl(ADMIN)
    lines = [line for line in broker.program.output().splitlines() if "for their certificates" in line]
    assert 1 <= len(lines) <= 5
    assert "listener https refused" in lines[0]
