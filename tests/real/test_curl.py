"""curl through the broker: what arrives is what was sent, by SHA-256, in every way curl can ask."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from .nginx import BIG
from .programs import curl_words
from .site import Front, Site

NOISE = hashlib.shake_256(b"upload").digest(BIG)
NOISE_HASH = hashlib.sha256(NOISE).hexdigest()


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("noise") / "noise.bin"
    path.write_bytes(NOISE)
    return path


def curl(front: Front, *argv: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run curl, verifying the broker's certificate; the test fails when curl does."""
    authority = str(front.certificates.authority)
    words = curl_words("--cacert", authority, *map(str, argv), patience=120)
    done = subprocess.run(words, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.stderr[-2000:], done.stdout[:500])
    return done


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_get_100_mb(front: Front, site: Site) -> None:
    assert sha256(curl(front, f"{front.files}/big.bin").stdout) == site.files.hashes["big.bin"]


def test_head(front: Front) -> None:
    heads = curl(front, "--head", f"{front.files}/big.bin").stdout.decode().lower()
    assert heads.startswith("http/1.1 200")
    assert f"content-length: {BIG}\r\n" in heads


def test_put_100_mb(front: Front, site: Site, noise: Path) -> None:
    target = f"/up/{'s' if front.secure else 'p'}.bin"
    curl(front, "--fail", "-T", noise, front.files + target)
    assert sha256((site.files.root / target[1:]).read_bytes()) == NOISE_HASH


def test_put_100_mb_chunked_from_standard_input(front: Front, site: Site) -> None:
    target = f"/up/chunked-{'s' if front.secure else 'p'}.bin"
    curl(front, "--fail", "-T", "-", front.files + target, stdin=NOISE)
    assert sha256((site.files.root / target[1:]).read_bytes()) == NOISE_HASH


def test_post_100_mb_after_100_continue(front: Front, noise: Path) -> None:
    done = curl(front, "--verbose", "--data-binary", f"@{noise}", f"{front.origin}/store")
    assert json.loads(done.stdout)["sha256"] == NOISE_HASH
    trace = done.stderr.decode(errors="replace")
    assert "> Expect: 100-continue" in trace
    assert trace.count("< HTTP/1.1 100") == 1
    assert trace.count("< HTTP/1.1 200") == 1


def test_post_100_mb_chunked(front: Front, noise: Path) -> None:
    done = curl(
        front,
        *("-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", f"@{noise}"),
        f"{front.origin}/store",
    )
    told = json.loads(done.stdout)
    assert (told["sha256"], told["method"]) == (NOISE_HASH, "POST")
    assert "content-length" not in told["headers"]


def test_echo_comes_back_while_it_goes(front: Front) -> None:
    done = curl(front, "-T", "-", "-X", "POST", f"{front.origin}/echo", stdin=NOISE[:20_000_000])
    assert done.stdout == NOISE[:20_000_000]


def test_a_chunked_answer(front: Front) -> None:
    # /bytes and /chunked of the same size hold the same bytes
    sized = curl(front, f"{front.origin}/bytes/5000000").stdout
    assert len(sized) == 5_000_000
    assert curl(front, f"{front.origin}/chunked/5000000").stdout == sized


def test_a_single_range(front: Front, site: Site) -> None:
    done = curl(front, "--include", "--range", "1000-1999", f"{front.files}/big.bin")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 206")
    assert f"content-range: bytes 1000-1999/{BIG}" in head.decode().lower()
    assert body == (site.files.root / "big.bin").read_bytes()[1000:2000]


def test_several_ranges(front: Front, site: Site) -> None:
    done = curl(front, "--include", "--range", "0-9,5000-5009", f"{front.files}/big.bin")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    whole = (site.files.root / "big.bin").read_bytes()
    assert head.startswith(b"HTTP/1.1 206")
    assert b"multipart/byteranges" in head.lower()
    assert whole[:10] in body
    assert whole[5000:5010] in body


def test_if_range_with_the_current_validator_gives_the_part(front: Front) -> None:
    heads = curl(front, "--head", f"{front.files}/small.txt").stdout.decode()
    etag = next(
        line.split(": ", 1)[1] for line in heads.splitlines() if line.lower().startswith("etag: ")
    ).strip()
    asked = ("--include", "--range", "0-9", "-H")
    given = curl(front, *asked, f"If-Range: {etag}", f"{front.files}/small.txt").stdout
    assert given.startswith(b"HTTP/1.1 206")
    given = curl(front, *asked, 'If-Range: "another"', f"{front.files}/small.txt").stdout
    assert given.startswith(b"HTTP/1.1 200")


def test_several_requests_use_one_connection(front: Front, site: Site) -> None:
    out = ("-o", "/dev/null", f"{front.files}/small.txt") * 5
    connects = curl(front, "-w", "%{num_connects} ", *out).stdout.split()
    assert connects == [b"1", b"0", b"0", b"0", b"0"]


def test_http_1_0(front: Front, site: Site) -> None:
    done = curl(front, "-0", "--include", f"{front.files}/small.txt")
    _, _, body = done.stdout.partition(b"\r\n\r\n")
    assert sha256(body) == site.files.hashes["small.txt"]


def test_http_1_0_gets_a_chunked_answer_without_chunks(front: Front) -> None:
    done = curl(front, "-0", "--include", f"{front.origin}/chunked/300000")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body == curl(front, f"{front.origin}/bytes/300000").stdout


def test_compressed(front: Front, site: Site) -> None:
    done = curl(front, "--http1.1", "--compressed", "--verbose", f"{front.files}/small.txt")
    assert "< content-encoding: gzip" in done.stderr.decode().lower()
    assert sha256(done.stdout) == site.files.hashes["small.txt"]


def test_an_answer_that_the_server_compressed(front: Front) -> None:
    done = curl(front, "--compressed", f"{front.origin}/gzip")
    assert done.stdout == b"the same line again\n" * 1000


def test_alpn_with_protocols_the_broker_lacks_is_no_reason_to_refuse(front: Front) -> None:
    # curl offers h2 and http/1.1, or refuses to run with --http2 when it was built without
    done = curl(front, "--http2", "-w", "%{http_version}", "-o", "/dev/null", f"{front.files}/small.txt")
    assert done.stdout == b"1.1"
