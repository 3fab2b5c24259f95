"""HTTP libraries through the broker: requests, aiohttp with 100 requests at once, Node's fetch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from .programs import HERE, client_python, find
from .site import DIRECT, Front, Site

CLIENTS = HERE / "clients"


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a client; what it printed as JSON."""
    done = subprocess.run(
        argv, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def python_client(name: str, front: Front) -> dict[str, Any]:
    authority = str(front.certificates.authority)
    return run([client_python(), str(CLIENTS / name), front.files, front.origin, authority])


def test_requests_streams_up_and_down(front: Front, site: Site) -> None:
    found = python_client("requests_client.py", front)
    piece = hashlib.shake_256(b"piece").digest(1_000_000)
    assert found == {
        "small": site.files.hashes["small.txt"],
        "small_differ": 0,
        "big": site.files.hashes["big.bin"],
        "sized": 20_000_000,
        "chunked": hashlib.sha256(piece * 20).hexdigest(),
    }


def test_aiohttp_with_100_requests_at_once(front: Front, site: Site) -> None:
    found = python_client("aiohttp_client.py", front)
    assert found["small"] == [site.files.hashes["small.txt"]]
    assert len(found["chunked"]) == 1
    assert found["posted"] == 100


def test_fetch_of_node_with_streams_both_ways(front: Front, site: Site) -> None:
    env = {"NODE_EXTRA_CA_CERTS": str(front.certificates.authority)}
    # nginx as a proxy stops reading an upload that is answered meanwhile; it is spared the echo.
    echo = f"http://127.0.0.1:{site.origin_port}" if DIRECT else front.origin
    found = run([find("node"), str(CLIENTS / "fetch.mjs"), front.files, front.origin, echo], env)
    assert found["big"] == site.files.hashes["big.bin"]
    assert found["stored"] == found["echoed"] == found["sent"]
    assert found["many"] == 50
