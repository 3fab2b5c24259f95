"""A plugin of pytest, for redis-py's own tests: their connections are those of TLS, as their URL says.

Without it they ignore the ``rediss`` of ``--redis-url``: they name the class of their connections themselves.
"""

from __future__ import annotations

import importlib

import pytest
from redis.connection import SSLConnection


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    importlib.import_module("tests.conftest").Connection = SSLConnection  # type: ignore[attr-defined]
