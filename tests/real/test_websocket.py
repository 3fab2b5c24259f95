"""A WebSocket through the broker is a tunnel: ten thousand messages come back as they were sent."""

from __future__ import annotations

import subprocess

from .programs import HERE, client_python
from .site import Front

MESSAGES = 10_000


def test_ten_thousand_messages_are_echoed(front: Front) -> None:
    client = HERE / "clients" / "websocket_client.py"
    argv = [client_python(), str(client), front.socket, str(front.certificates.authority), str(MESSAGES)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == str(MESSAGES)
