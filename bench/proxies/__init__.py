"""The proxies that are measured, a file for each: how a user would configure it, and how it is started.

Decides who takes part, and the doors that each one opens (`DOORS`). Invariant: each proxy has the same doors,
logs each transaction to a file, adds the client's address and scheme to a request, and has like time limits;
what one of them cannot do is in its `lacks`, and shown. A door whose servers the site has not is not opened.
Refuses to tune one for a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..programs import Program, free_ports
from ..site import Site

#: Door → (certificate, "" for plain; whether links are secure).
DOORS: Mapping[str, tuple[str, bool]] = {
    "plain": ("", False),
    "ecdsa": ("ecdsa", False),
    "rsa": ("rsa", False),
    "reencrypted": ("ecdsa", True),
}


@dataclass(frozen=True)
class Setting:
    """What can differ between two starts of one proxy."""

    workers: int = 1
    profile: Path | None = None  # where the broker leaves its profile
    cores: tuple[int, ...] = ()  # where it runs; empty: on the core for proxies


@dataclass(frozen=True)
class Running:
    """A started proxy; `doors` are its ports."""

    proxy: str
    program: Program
    doors: Mapping[str, int]
    setting: Setting = field(default_factory=Setting)

    @property
    def pid(self) -> int:
        return self.program.pid

    def url(self, door: str, file: str) -> str:
        scheme = "https" if DOORS[door][0] else "http"
        return f"{scheme}://127.0.0.1:{self.doors[door]}/{file}"


class Proxy(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def lacks(self) -> str:
        """What the others do and this one does not; "" when it does everything."""

    def version(self) -> str:
        """`CannotRun` when it is not there."""

    def start(self, site: Site, directory: Path, setting: Setting) -> Running:
        """Start it, with its files in `directory`; `CannotRun` when it cannot be, or not so."""


def new_doors(site: Site) -> dict[str, int]:
    """A port for each door that has servers behind it."""
    there = [name for name, (_, secure_links) in DOORS.items() if site.secure or not secure_links]
    return dict(zip(there, free_ports(len(there)), strict=True))
