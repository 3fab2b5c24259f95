"""Groups of real clients: curl from several addresses, before two workers, and files that are read anew."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .programs import curl_words, free_ports, until
from .site import DIRECT, Certificates, doors, start_broker
from .traffic import counting, log_of

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker that has groups")

CONFIGURATION = """
[pools.shop]
servers = ["127.0.0.1:{server}"]
[groups.gold]
networks = ["127.0.0.2"]
priority = 5
[groups.silver]
files = ["silver.txt"]
priority = 3
[log]
access = "access.log"
[admin]
endpoint = "tcp:{admin}:interface=127.0.0.1"
[broker]
workers = 2
"""

#: Whoever comes from here is a proxy.
PROXY = "127.0.0.9"
BELIEVED = f'trusted = ["{PROXY}"]\ngroup_header = "X-Client-Group"\n'

#: Connections until each of two workers has almost certainly had some.
ENOUGH = 16


class Grouped:
    """A server, and a broker that has groups."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.certificates = certificates
        self._programs = ExitStack()
        self.asked = 0
        self.list("127.0.0.3")
        server, self.https, self.http, self.admin = free_ports(4)
        try:
            self._programs.enter_context(counting("server", directory, server, certificates.server))
            text = doors(self.https, self.http, certificates.server, BELIEVED)
            text += CONFIGURATION.format(server=server, admin=self.admin)
            self.broker = start_broker(directory, text, [self.https, self.http, self.admin])
            self._programs.enter_context(self.broker)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._programs.close()

    def list(self, *lines: str) -> None:
        (self.directory / "silver.txt").write_text("".join(f"{line}\n" for line in lines))

    def reload(self, said: str, times: int) -> None:
        """Send SIGHUP, and wait until the log has said this so often."""
        self.broker.child.send_signal(signal.SIGHUP)
        assert until(lambda: self.broker.output().count(said) == times, 20), self.broker.output()

    def groups(
        self, source: str, *argv: str, secure: bool = False, times: int = 1
    ) -> set[tuple[str | None, int]]:
        """In which groups the log has clients who come from this address, each on a connection of its own."""
        url = f"https://localhost:{self.https}/1" if secure else f"http://127.0.0.1:{self.http}/1"
        where = ["--cacert", str(self.certificates.authority), "--ipv4", "--interface", source]
        words = curl_words("--fail", *where, *argv, url)
        for _ in range(times):
            subprocess.run(words, check=True, capture_output=True)
        self.asked += times
        log = self.directory / "access.log"
        assert until(lambda: len(log_of(log)) == self.asked, 20), self.broker.output()
        last = log_of(log)[-times:]
        return {(entry["group"], entry["priority"]) for entry in last}


@pytest.fixture
def grouped(tmp_path: Path, certificates: Certificates) -> Iterator[Grouped]:
    grouped = Grouped(tmp_path, certificates)
    yield grouped
    grouped.close()
    assert "Traceback" not in grouped.broker.output()


def test_clients_are_in_groups_by_their_address_and_the_list_is_read_anew(grouped: Grouped) -> None:
    gold, silver, none = ("gold", 5), ("silver", 3), (None, 1)
    for secure in (False, True):
        assert grouped.groups("127.0.0.1", secure=secure) == {none}
        assert grouped.groups("127.0.0.2", secure=secure) == {gold}
        assert grouped.groups("127.0.0.3", secure=secure) == {silver}
    grouped.list("# moved", "127.0.0.4/31")
    grouped.reload("networks of groups are read anew", 1)
    # The workers were told; that they have done it shows.
    assert until(lambda: grouped.groups("127.0.0.5", times=ENOUGH) == {silver}, 20)
    assert grouped.groups("127.0.0.3", times=ENOUGH) == {none}
    assert grouped.groups("127.0.0.2") == {gold}
    grouped.list("127.0.0.3", "127.0.0.2/32", "127.0.0.5/24")
    grouped.reload("kept as it was: groups.", 2)
    output = grouped.broker.output()
    assert "silver.txt:3: found '127.0.0.5/24'" in output
    assert "silver.txt:2: found a network of another group" in output
    assert grouped.groups("127.0.0.5", times=ENOUGH) == {silver}
    assert grouped.groups("127.0.0.2", times=ENOUGH) == {gold}


def test_what_a_trusted_proxy_says_of_its_clients(grouped: Grouped) -> None:
    def said(source: str, *fields: str) -> set[tuple[str | None, int]]:
        return grouped.groups(source, *(word for field in fields for word in ("--header", field)))

    assert said(PROXY) == {(None, 1)}
    assert said(PROXY, "X-Forwarded-For: 127.0.0.3") == {("silver", 3)}
    assert said(PROXY, "X-Forwarded-For: 127.0.0.3", "X-Client-Group: gold") == {("gold", 5)}
    assert said(PROXY, "X-Client-Group: none", "X-Forwarded-For: 127.0.0.3") == {("silver", 3)}
    assert said("127.0.0.1", "X-Client-Group: gold", "X-Forwarded-For: 127.0.0.2") == {(None, 1)}
