"""A browser loads a page with fifty images through the broker, and every image is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .nginx import IMAGES
from .programs import find
from .site import Front


def test_chromium_loads_a_page_with_fifty_images(front: Front, tmp_path: Path) -> None:
    argv = [
        *(
            find("chromium"),
            "--headless=new",
            "--no-proxy-server",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ),
        f"--user-data-dir={tmp_path}",
        f"--ignore-certificate-errors-spki-list={front.certificates.pin}",
        *("--virtual-time-budget=20000", "--dump-dom", f"{front.files}/page.html"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    assert title[1] == f"loaded {IMAGES}"
