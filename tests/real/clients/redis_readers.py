"""Readers with redis-py that try nothing twice: ``redis_readers.py PORT AUTHORITY SECONDS``; JSON on stdout.

Each says READING once on stderr, when it has read, so that whoever breaks a server knows when.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

READERS = 8


def read(port: int, authority: str, until: float, found: dict[str, object]) -> None:
    client = redis.Redis("127.0.0.1", port, ssl=True, ssl_ca_certs=authority, retry=Retry(NoBackoff(), 0))
    reads = 0
    try:
        while time.monotonic() < until:
            number = reads % 100
            assert client.get(f"key:{number}") == b"%d" % number
            with client.pipeline(transaction=False) as pipeline:
                for each in range(10):
                    pipeline.get(f"key:{each}")
                assert pipeline.execute() == [b"%d" % each for each in range(10)]
            reads += 1
            if reads == 5:
                sys.stderr.write("READING\n")  # in one write: others write, too
    except Exception as error:
        found["errors"].append(repr(error))  # type: ignore[attr-defined]
    found["reads"] += reads  # type: ignore[operator]


def main() -> None:
    port, authority, seconds = sys.argv[1:]
    found: dict[str, object] = {"reads": 0, "errors": []}
    until = time.monotonic() + float(seconds)
    threads = [
        threading.Thread(target=read, args=(int(port), authority, until, found)) for _ in range(READERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(found))


main()
