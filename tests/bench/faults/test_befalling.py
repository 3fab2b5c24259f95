"""Servers are away in turns, at moments that a seed decides, and run when it is over."""

from __future__ import annotations

import random
import time
from itertools import islice
from pathlib import Path

import pytest

from bench.faults.befalling import Fault, befalling, moments
from bench.faults.servers import Server


class Noted(Server):
    """A server that only notes what is done to it."""

    def __init__(self, name: str, notes: list[str], broken: bool = False) -> None:
        super().__init__(name, 1, [], Path(), ())
        self.notes = notes
        self.broken = broken

    def start(self) -> None:
        self.notes.append(f"start {self.name}")
        if self.broken:
            raise OSError("does not start")

    def kill(self) -> None:
        self.notes.append(f"kill {self.name}")

    def stop(self) -> None:
        self.notes.append(f"stop {self.name}")

    def go_on(self) -> None:
        self.notes.append(f"go on {self.name}")


def test_the_moments_are_those_of_the_seed_and_do_not_drift() -> None:
    fault = Fault("kill", every=1.0, away=0.2)
    first = list(islice(moments(fault, random.Random(7)), 50))
    assert first == list(islice(moments(fault, random.Random(7)), 50))
    assert 48 < sum(first) + 50 * fault.away < 52
    assert all(each > 0.6 for each in first)


def test_one_after_the_other_is_killed_and_started_again() -> None:
    notes: list[str] = []
    servers = [Noted(name, notes) for name in "abc"]
    with befalling(Fault("kill", every=0.02, away=0.005), servers, 1) as told:
        time.sleep(0.15)
    assert notes[:4] == ["kill a", "start a", "kill b", "start b"]
    assert len(notes) == 2 * told.count == 2 * len(told.away)


def test_several_together_and_none_is_left_stopped() -> None:
    notes: list[str] = []
    servers = [Noted(name, notes) for name in "ab"]
    with befalling(Fault("stop", every=0.01, away=60, together=2), servers, 1) as told:
        time.sleep(0.1)
    assert told.count == 1
    assert notes == ["stop a", "stop b", "go on a", "go on b"]


def test_nothing_befalls_them_where_there_is_no_fault() -> None:
    with befalling(Fault(""), [], 1) as told:
        pass
    assert told.count == 0


def test_a_server_that_does_not_start_again_is_told() -> None:
    servers = [Noted("a", [], broken=True)]
    with pytest.raises(OSError, match="does not start"), befalling(Fault("kill", 0.01, 0.0), servers, 1):
        time.sleep(0.1)
