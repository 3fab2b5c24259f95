"""What the servers give: files of noise, the same from each server, so that a hash tells the truth.

Decides names, sizes and times. Invariant: the same file has the same bytes and the same modification time in
each server's folder, and so the same strong ETag, as nginx makes it of time and size. Refuses to compress:
noise cannot be.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Sequence
from pathlib import Path

COUNT = 50
SIZE = 65_536
_MODIFIED = 1_700_000_000


def name(number: int) -> str:
    return f"{number:02}"


def write(folders: Sequence[Path], seed: int, count: int = COUNT, size: int = SIZE) -> dict[str, str]:
    """Make the files in each folder; the SHA-256 of each, by its name."""
    chance = random.Random(seed)
    hashes = {}
    for number in range(count):
        data = chance.randbytes(size)
        hashes[name(number)] = hashlib.sha256(data).hexdigest()
        for folder in folders:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            file = folder / name(number)
            file.write_bytes(data)
            file.chmod(0o644)
            os.utime(file, (_MODIFIED, _MODIFIED))
    return hashes


def etag(file: Path) -> str:
    """The strong ETag that nginx gives this file."""
    told = file.stat()
    return f'"{int(told.st_mtime):x}-{told.st_size:x}"'
