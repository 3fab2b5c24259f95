"""Use requests as programs do: ``requests_client.py FILES ORIGIN CA``; prints JSON of what it got.

One session: small requests on a kept connection, a download in pieces, an upload from a file object
and one from a generator.
"""

import hashlib
import json
import sys
from collections.abc import Iterator

import requests

PIECE = hashlib.shake_256(b"piece").digest(1_000_000)


class Noise:
    """A file of 20 MB that is made while it is read, and that tells its length."""

    def __init__(self) -> None:
        self.left = 20_000_000
        self.len = self.left

    def read(self, size: int = -1) -> bytes:
        size = min(self.left, len(PIECE) if size < 0 else size)
        self.left -= size
        return PIECE[:size]


def pieces() -> Iterator[bytes]:
    for _ in range(20):
        yield PIECE


def main() -> None:
    files, origin, authority = sys.argv[1:]
    session = requests.Session()
    session.trust_env = False  # neither a proxy nor authorities from the environment
    session.verify = authority
    found: dict[str, object] = {}
    texts = {session.get(f"{files}/small.txt", timeout=30).text for _ in range(20)}
    found["small"] = hashlib.sha256(texts.pop().encode()).hexdigest()
    found["small_differ"] = len(texts)
    digest = hashlib.sha256()
    with session.get(f"{files}/big.bin", stream=True, timeout=30) as response:
        for data in response.iter_content(65536):
            digest.update(data)
    found["big"] = digest.hexdigest()
    found["sized"] = session.post(f"{origin}/store", data=Noise(), timeout=60).json()["length"]
    found["chunked"] = session.post(f"{origin}/store", data=pieces(), timeout=60).json()["sha256"]
    print(json.dumps(found))


main()
