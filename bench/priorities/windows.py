"""How far the broker holds plain traffic back, asked of its admin page while clients come.

Decides how often: each second, for the answer is made in the turn of a transaction. Invariant: what is asked
and cannot be told is missing in the series, and no reason to end a run.
"""

from __future__ import annotations

import http.client
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..watching import repeated
from .shares import turns

EVERY = 1.0


@contextmanager
def watched(settings: Path, every: float = EVERY) -> Iterator[list[Mapping[str, Any]]]:
    """What the page says of the pool, each second of the block; nothing where there are no settings."""
    found: list[Mapping[str, Any]] = []
    if not settings.exists():
        yield found
        return
    port = int(tomllib.loads(settings.read_text())["admin"]["endpoint"].split(":")[1])

    def look() -> None:
        with suppress(OSError, http.client.HTTPException, ValueError):
            found.append(pool(port))

    with repeated(every, look):
        yield found


def pool(port: int) -> Mapping[str, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as asked:
        asked.request("GET", "/state")
        found: Mapping[str, Any] = json.loads(asked.getresponse().read())["pools"][0]
    return found


def figures(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each server's window, the plain share as the broker tells it, and how often the worst window turned.

    A window turns when it goes by more than one transaction into the other direction. 0: it is not paced.
    Nothing where there are no groups.
    """
    if not said or "plain_share" not in said[0]:
        return {}
    servers = [
        [server["window"] or 0 for server in each]
        for each in zip(*(one["servers"] for one in said), strict=True)
    ]
    minutes = len(said) * EVERY / 60
    return {
        "servers": servers,
        "share": [round(each["plain_share"], 3) for each in said],
        "turns": max(turns(each, 1.0) for each in servers) / minutes,
    }
