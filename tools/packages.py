"""Debian's packages, for who may install them: root, where there is apt-get.

Decides whether a package is installed, and how. Invariant: no package starts its service, and nothing is
asked. Refuses to say that one is missing: who needs it finds out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from subprocess import DEVNULL


def install(names: Iterable[str]) -> None:
    """Install these, where that is allowed; what is said goes to standard error."""
    wanted = sorted(set(names))
    if not wanted or os.geteuid() or not shutil.which("apt-get"):
        return
    # As a virtual machine's or a container's set-up does it: no package may start its service.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    print(f"installing {', '.join(wanted)} …", file=sys.stderr, flush=True)
    for words in (("update",), ("install", "-y", "--no-install-recommends", *wanted)):
        subprocess.run(("apt-get", "-q", *words), env=env, stdin=DEVNULL, stdout=DEVNULL, check=False)
