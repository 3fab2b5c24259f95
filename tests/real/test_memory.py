"""Backpressure in figures: a slow reader, or a slow server, of 1 GB costs the broker little memory.

``REAL_MEMORY_SECONDS`` is how long each transfer is watched (30 unless set; 1100 sees the whole
gigabyte at 1 MB/s). The figures are printed; see them with ``pytest -s``.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .nginx import HUGE, MB
from .programs import find, memory, until
from .site import DIRECT, Site

SECONDS = float(os.environ.get("REAL_MEMORY_SECONDS", "30"))
LIMIT = 150 * MB

pytestmark = pytest.mark.skipif(DIRECT, reason="it is the broker's memory that is measured")


def watch(site: Site, name: str, words: list[str], *, whole: bool = False) -> None:
    """Run curl for `SECONDS`, or until it is done, and look at the broker's memory all the while.

    `whole`: it must be done within 120 s.
    """
    assert site.broker is not None
    pid = site.broker.pid
    before, _ = memory(pid)
    now = [before]

    def look() -> bool:
        now.append(memory(pid)[0])
        return child.poll() is not None or max(now) > LIMIT

    words = [
        find("curl"),
        "-q",
        "--noproxy",
        "*",
        "--silent",
        "--cacert",
        str(site.certificates.authority),
        *words,
    ]
    child = subprocess.Popen([*words, "-o", "/dev/null"])
    try:
        until(look, 120 if whole else SECONDS)
        assert child.returncode in ((0,) if whole else (None, 0)), f"curl ended with {child.returncode}"
    finally:
        child.kill()
        child.wait()
    highest = memory(pid)[1]
    print(
        f"{name}: resident {before / MB:.0f} MB before, {max(now) / MB:.0f} MB at most while it ran "
        f"{SECONDS:.0f} s at most, {highest / MB:.0f} MB high-water mark",
        file=sys.stderr,
    )
    assert highest < LIMIT


WAYS = pytest.mark.parametrize(
    ("secure", "link"),
    [(True, "plain"), (False, "plain"), (True, "secure")],
    ids=["https", "http", "encrypted-again"],
)


@WAYS
def test_a_client_that_reads_1_gb_at_1_mb_a_second(secure: bool, link: str, own_site: Site) -> None:
    front = own_site.front(secure, link)
    watch(own_site, f"slow reader, {secure=} {link=}", ["--limit-rate", "1M", f"{front.files}/huge.bin"])


@WAYS
def test_an_upload_of_1_gb_to_a_server_that_reads_slowly(secure: bool, link: str, own_site: Site) -> None:
    front = own_site.front(secure, link)
    huge = own_site.files.root / "huge.bin"
    assert huge.stat().st_size == HUGE
    watch(own_site, f"slow server, {secure=} {link=}", ["-T", str(huge), f"{front.origin}/rate/{20 * MB}"])


def test_1_gb_both_ways_encrypted_again_as_fast_as_it_goes(own_site: Site) -> None:
    front = own_site.front(True, "secure")
    watch(own_site, "download, encrypted again", [f"{front.files}/huge.bin"], whole=True)
    huge = own_site.files.root / "huge.bin"
    watch(own_site, "upload, encrypted again", ["-T", str(huge), f"{front.origin}/"], whole=True)
