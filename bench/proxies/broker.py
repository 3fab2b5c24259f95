"""The broker itself, as `twistd` runs it, with everything on that its configuration has.

Decides its configuration: access log to a file, time limits, rewriting, metrics. Invariant: it is run by the
interpreter, reactor and settings that were asked for, and says in its version which these were. A setting
that this version refuses is a `CannotRun` with the broker's own words.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..programs import ROOT, CannotRun, Program, free_ports
from ..site import NAME, SUITE, Site
from . import DOORS, Running, Setting, new_doors

_VERSIONS = """
import OpenSSL.SSL, twisted, sslbroker
from tools.optimized import build, name
openssl = OpenSSL.SSL.SSLeay_version(0).decode().split()[1]
print(f"{sslbroker.__version__} ({name(build())}; Twisted {twisted.__version__}; OpenSSL {openssl})")
"""


class Broker:
    name = "broker"
    lacks = "its health checks are off"

    def __init__(self, python: Path, sets: Sequence[str] = (), reactor: str = "") -> None:
        self.python = python
        self.sets = sets
        self.reactor = reactor

    def version(self) -> str:
        argv = [str(self.python), "-c", _VERSIONS]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise CannotRun(f"{self.python} does not run the broker: {done.stderr.strip()[-500:]}")
        added = [*self.sets, f"reactor {self.reactor}" if self.reactor else ""]
        return done.stdout.strip() + "".join(f", {each}" for each in added if each)

    def start(self, site: Site, directory: Path, setting: Setting) -> Running:
        doors = new_doors(site)
        settings = configuration(site, directory, doors, setting.workers)
        for each in self.sets:
            override(settings, each)
        file = directory / "broker.toml"
        file.write_text("".join(toml(settings)))
        self.check(file)
        # As the console script does it, but under this interpreter whatever is on PATH.
        run = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from twisted.scripts.twistd import run; run()"
        argv: list[str | Path] = [self.python, "-c", run, "-n", "--pidfile", ""]
        if setting.profile is not None:
            argv += ["--profile", setting.profile, "--profiler", "cprofile", "--savestats"]
        argv += ["-r", self.reactor] if self.reactor else []
        argv += ["sslbroker", "--config", file]
        cores = setting.cores or site.proxy_cores
        program = Program(self.name, argv, directory, cores=cores, ports=[*doors.values()])
        return Running(self.name, program, doors, setting)

    def check(self, file: Path) -> None:
        """`CannotRun` with the broker's own words when it refuses its configuration."""
        argv = [str(self.python), "-m", "sslbroker.cli", "check", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise CannotRun((done.stderr or done.stdout).strip().replace(f"{file}: ", ""))


def configuration(site: Site, directory: Path, doors: Mapping[str, int], workers: int) -> dict[str, Any]:
    listeners: dict[str, Any] = {}
    for name, port in doors.items():
        kind, secure_links = DOORS[name]
        listeners[name] = {
            "endpoint": f"tcp:{port}:interface=127.0.0.1",
            "pool": "secure" if secure_links else "servers",
        }
        if kind:
            tls = {"certificates": [str(site.certificate(kind))], "minimum": "TLSv1.3"}
            listeners[name]["tls"] = {**tls, "cipher_suites": SUITE}
    pools: dict[str, Any] = {"servers": {"servers": [f"127.0.0.1:{port}" for port in site.plain]}}
    if site.secure:
        pools["secure"] = {
            "servers": [f"127.0.0.1:{port}" for port in site.secure],
            "continue_secure_link": True,
            "tls": {"ca": str(site.ca), "server_name": NAME, "minimum": "TLSv1.3"},
        }
    return {
        "listeners": listeners,
        "pools": pools,
        "log": {"access": str(directory / "broker.access.log")},
        "admin": {"endpoint": f"tcp:{free_ports(1)[0]}:interface=127.0.0.1"},
        "broker": {"drain_timeout": "1s", **({"workers": workers} if workers > 1 else {})},
    }


def override(settings: dict[str, Any], text: str) -> None:
    """Apply one "a.b.c=value"; the value is TOML where it can be read as such, else a text."""
    path, equals, value = text.partition("=")
    *tables, key = path.strip().split(".")
    if not equals or not key:
        raise CannotRun(f"found --set {text}, expected a path and a value, as in broker.transport=stock")
    for table in tables:
        settings = settings.setdefault(table, {})
    try:
        settings[key] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        settings[key] = value.strip()


def toml(table: Mapping[str, Any], path: str = "") -> list[str]:
    """A nested dict as TOML."""
    plain = [f"{key} = {written(value)}\n" for key, value in table.items() if not isinstance(value, dict)]
    lines = [f"[{path}]\n", *plain] if path and plain else plain
    for key, value in table.items():
        if isinstance(value, dict):
            lines += toml(value, f"{path}.{key}" if path else key)
    return lines


def written(value: Any) -> str:
    """One value as TOML; a table in a list is written inline, and what is no table or list is as in JSON."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {written(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value)
