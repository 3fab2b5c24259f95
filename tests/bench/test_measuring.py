"""What a proxy has cost, and figures of several rounds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from bench.measuring import busy_time, children_time, cost, cpu_time, family, quantile, resident, spread


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_the_time_of_a_process_counts_threads_that_have_ended() -> None:
    before = cpu_time(os.getpid())
    thread = threading.Thread(target=burn, args=(0.03,))
    thread.start()
    thread.join()
    assert cpu_time(os.getpid()) - before >= 0.03e9


def test_a_process_that_is_gone_costs_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert cpu_time(child.pid) == resident(child.pid) == 0


def test_the_family_has_grandchildren() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert len(family(child.pid)) == 2
        assert cost(child.pid).resident > resident(child.pid) > 0
        child.communicate(b"\n")


def test_the_time_of_ended_children_is_read_behind_a_name_with_spaces_and_brackets() -> None:
    stat = "7 (a ) b) S 1 7 7 0 -1 4194304 1 2 3 4 10 20 150 50 20 0 1 0 5 6 7"
    tick = 1e9 / os.sysconf("SC_CLK_TCK")
    assert children_time(stat) == 200 * tick


def test_a_machine_is_busy_with_all_but_idling_and_its_disk() -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    stat = "cpu  1 2 4 1000 2000 8 16 32 500 600\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert busy_time(stat) == pytest.approx(63 * tick)


def test_the_median_is_the_middle_one_or_between_two() -> None:
    odd = spread([3.0, 1.0, 9.0])
    even = spread([4.0, 1.0, 2.0, 9.0])
    assert odd is not None
    assert (odd.low, odd.median, odd.high, odd.count) == (1.0, 3.0, 9.0, 3)
    assert even is not None
    assert even.median == 3.0
    assert spread([]) is None


def test_a_quantile_is_a_value_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)) == (50, 99, 100)
    assert quantile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
