"""The same file has the same bytes, time and ETag everywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.faults import content


def test_each_folder_has_the_same_files_with_the_same_strong_etag(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    hashes = content.write(folders, seed=1, count=3)
    assert list(hashes) == ["00", "01", "02"]
    assert len(set(hashes.values())) == 3
    for name, digest in hashes.items():
        one, other = (folder / name for folder in folders)
        assert hashlib.sha256(one.read_bytes()).hexdigest() == digest
        assert one.read_bytes() == other.read_bytes()
        assert content.etag(one) == content.etag(other) == '"6553f100-10000"'
