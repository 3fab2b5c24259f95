"""A server that is killed is not noticed: by no request of three hundred, by no download under way."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .programs import find, until
from .site import DIRECT, Front, Site

pytestmark = pytest.mark.skipif(DIRECT, reason="only the broker fails over")


def curl_words(front: Front, *words: str) -> list[str]:
    authority = str(front.certificates.authority)
    return [
        find("curl"),
        "-q",
        "--noproxy",
        "*",
        "--silent",
        "--show-error",
        "--fail",
        "--cacert",
        authority,
        *words,
    ]


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_no_request_of_300_fails_when_a_server_is_killed(secure: bool, own_site: Site) -> None:
    front = own_site.front(secure)
    hashes, errors = set(), []
    for number in range(300):
        if number == 100:
            log = own_site.directory / "nginx-1.access.log"
            assert "small.txt" in log.read_text(), "the server to kill had nothing to do"
            own_site.nginx["nginx-1"].kill()
        done = subprocess.run(
            curl_words(front, f"{front.files}/small.txt"), capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            errors.append((number, done.stderr))
        else:
            hashes.add(hashlib.sha256(done.stdout).hexdigest())
    assert errors == []
    assert hashes == {own_site.files.hashes["small.txt"]}


def test_all_servers_dead_is_said_with_a_503_or_502_and_not_with_silence(own_site: Site) -> None:
    front = own_site.front(secure=True)
    for server in own_site.nginx.values():
        server.kill()
    words = curl_words(front, "-w", "%{http_code}", "-o", "/dev/null", f"{front.files}/small.txt")
    words.remove("--fail")
    done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert done.stdout in (b"502", b"503"), done


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_a_download_whose_server_is_killed_goes_on_at_another(secure: bool, own_site: Site) -> None:
    front = own_site.front(secure)
    head, body = own_site.directory / "head", own_site.directory / "body"
    words = curl_words(front, "--limit-rate", "30M", "-D", str(head), "-o", str(body))
    with subprocess.Popen([*words, f"{front.files}/big.bin"], stderr=subprocess.PIPE) as child:
        assert until(lambda: body.exists() and body.stat().st_size > 5_000_000, 30)
        server = re.search(r"^x-server: (\S+)", head.read_text(), re.M | re.I)
        assert server
        own_site.nginx[server[1]].kill()
        error = child.communicate(timeout=60)[1]
    assert child.returncode == 0, error
    assert hashlib.sha256(body.read_bytes()).hexdigest() == own_site.files.hashes["big.bin"]
    (entry,) = access_log(own_site.directory / "access.log", 1)
    assert [attempt.get("next") for attempt in entry["tries"]] == ["resume", None]


def test_the_access_log_tells_of_the_tries(own_site: Site) -> None:
    front = own_site.front(secure=True)
    own_site.nginx["nginx-0"].kill()
    own_site.nginx["nginx-1"].kill()
    for _ in range(6):
        subprocess.run(curl_words(front, f"{front.files}/small.txt"), stdout=subprocess.DEVNULL, check=True)
    entries = access_log(own_site.directory / "access.log", 6)
    assert {entry["end"] for entry in entries} == {"ok"}
    assert {entry["secure"] for entry in entries} == {True}
    assert any(len(entry["tries"]) > 1 for entry in entries)
    last = {entry["tries"][-1]["server"] for entry in entries}
    assert last == {f"127.0.0.1:{own_site.nginx_ports[2]['port']}"}


def access_log(path: Path, count: int) -> list[dict[str, Any]]:
    """The entries of a log, once there are `count`: the broker may write them a little later."""
    assert until(lambda: path.exists() and path.read_text().count("\n") >= count, 10)
    return [json.loads(line) for line in path.read_text().splitlines()]
