"""The scanners find nothing above low in the broker's TLS; `tls_scan` runs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .programs import HERE, client_python
from .site import DIRECT, Site


@pytest.mark.skipif(DIRECT, reason="it is the broker's TLS that is scanned")
def test_sslyze_and_testssl_find_nothing_above_low(site: Site) -> None:
    script = HERE / "tls_scan.py"
    if not script.exists():
        pytest.skip("there is no tls_scan.py yet")
    address = site.front(secure=True).files.removeprefix("https://")
    argv = [client_python(), str(script), address]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout, file=sys.stderr)
    if done.returncode == 3:
        pytest.skip(next(line for line in done.stdout.splitlines() if line.startswith("NOT RUN")))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
