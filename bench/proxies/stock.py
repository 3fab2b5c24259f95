"""Stock Twisted: `stock_relay` over `listenSSL`, the least that one would write with what Twisted has.

Decides how it is started. Invariant: it does no rewriting, logging or limits, so it is a floor for what stock
Twisted can do, and its figures flatter it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ..programs import ROOT, CannotRun, Program
from ..site import NAME, SUITE, Site
from . import DOORS, Running, Setting, new_doors


class Stock:
    name = "stock"
    lacks = "no log, no rewriting, no time limits, no health checks"

    def __init__(self, python: Path) -> None:
        self.python = python

    def version(self) -> str:
        argv = [str(self.python), "-c", "import twisted; print(twisted.__version__)"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"{self.python} has no Twisted")
        return f"Twisted {done.stdout.strip()}"

    def start(self, site: Site, directory: Path, setting: Setting) -> Running:
        if setting.workers > 1:
            raise CannotRun("it has one process")
        doors = new_doors(site)
        settings = {
            "suite": SUITE,
            "ca": str(site.ca),
            "name": NAME,
            "doors": [
                {
                    "port": port,
                    "certificate": str(site.certificate(kind)) if kind else "",
                    "servers": site.secure if secure_links else site.plain,
                    "secure": secure_links,
                }
                for (kind, secure_links), port in ((DOORS[name], port) for name, port in doors.items())
            ],
        }
        argv: list[str | Path] = [self.python, "-m", "bench.proxies.stock_relay", json.dumps(settings)]
        cores = setting.cores or site.proxy_cores
        env = {"PYTHONPATH": str(ROOT)}
        program = Program(self.name, argv, directory, cores=cores, ports=[*doors.values()], env=env)
        return Running(self.name, program, doors, setting)
