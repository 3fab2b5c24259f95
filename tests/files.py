"""A folder for a test's files, gone when the test is over."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from unittest import TestCase


def folder(case: TestCase) -> Path:
    """A new empty folder; its path is short enough for a UNIX socket in it."""
    made = tempfile.mkdtemp(prefix="sslbroker-")
    case.addCleanup(shutil.rmtree, made, ignore_errors=True)
    return Path(made)
