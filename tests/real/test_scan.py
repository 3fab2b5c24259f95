"""The scanners find nothing above low in the broker's TLS; `tls_scan` runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .programs import HERE, client_python
from .site import DIRECT, Site


@pytest.mark.skipif(DIRECT, reason="it is the broker's TLS that is scanned")
def test_sslyze_and_testssl_find_nothing_above_low(site: Site) -> None:
    script = HERE / "tls_scan.py"
    # Before the origin: nginx compresses, and BREACH is about compressed pages, not about the broker.
    address = site.front(secure=True).origin.removeprefix("https://")
    sslyze = Path(client_python()).parent / "sslyze"
    argv = [sys.executable, str(script), address, "--sslyze", str(sslyze)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout, file=sys.stderr)
    if done.returncode == 3:
        pytest.skip("; ".join(line for line in done.stdout.splitlines() if line.startswith("NOT RUN")))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
