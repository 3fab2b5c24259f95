"""``make demo`` as a person uses it: at a terminal, looked at, ended by Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

import pytest

from .programs import ROOT, find, free_ports, listens
from .site import DIRECT, plugin_problem

CTRL_C = b"\x03"


class Terminal:
    """A program at a terminal of its own, with everything it printed."""

    def __init__(self, argv: list[str]) -> None:
        self.text = ""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execv(argv[0], argv)

    def read(self, wanted: str, seconds: float) -> bool:
        """Read until `wanted` was printed; False when the program ended or the time did."""
        deadline = time.monotonic() + seconds
        while wanted not in self.text:
            if not select.select([self.screen], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
            try:
                self.text += os.read(self.screen, 65536).decode(errors="replace")
            except OSError:  # what Linux says when the last program has left the terminal
                return False
        return True

    def code(self) -> int:
        self.read("\0", 60)  # until it ends
        os.close(self.screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.skipif(DIRECT or plugin_problem() != "", reason="the demo needs the broker")
def test_the_demo_starts_serves_and_ends_at_ctrl_c_without_complaint() -> None:
    curl, make = find("curl"), find("make")
    [port] = free_ports(1)
    demo = Terminal([make, "demo", f"DEMO=--http {port}"])
    try:
        started = demo.read(f":{port}", 300)
        assert started, demo.text
        deadline = time.monotonic() + 30
        while not listens(port) and time.monotonic() < deadline:
            demo.read("\0", 0.1)
        page = subprocess.run(
            [curl, "-q", "--silent", "--fail", f"http://127.0.0.1:{port}/"], capture_output=True, check=False
        )
    finally:
        os.write(demo.screen, CTRL_C)
        code = demo.code()
    assert page.returncode == 0, demo.text
    assert b"<html" in page.stdout.lower()
    assert code == 0, demo.text
    assert "***" not in demo.text
    assert "Traceback" not in demo.text
    assert not listens(port)
