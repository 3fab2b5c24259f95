"""Clients that fail or hang are told as what could not run, and never as figures."""

from __future__ import annotations

import sys

import pytest

from bench.faults.running import clients
from bench.programs import CannotRun


def test_what_the_clients_tell_is_read() -> None:
    assert clients([sys.executable, "-c", "print('[1, 2]')"], 20) == [1, 2]


def test_clients_that_fail_say_why() -> None:
    with pytest.raises(CannotRun, match="no such thing"):
        clients([sys.executable, "-c", "raise SystemExit('no such thing')"], 20)


def test_clients_that_hang_are_given_up() -> None:
    with pytest.raises(CannotRun, match="did not end"):
        clients([sys.executable, "-c", "input()"], 0.0)
