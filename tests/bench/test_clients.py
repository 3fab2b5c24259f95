"""When clients ask, and what of an answer is still to come."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from bench.clients import Seen, due_times, pace
from bench.connecting import Target, body_left
from bench.turns import READ, At, Gone, Loop, Ready, Turns


def test_users_come_at_random_but_the_same_times_for_every_proxy() -> None:
    times = due_times(100, 2, regular=False)
    assert times == sorted(due_times(100, 2, regular=False))
    assert len(times) == 200
    assert 0 <= times[0] <= times[-1] < 2
    assert due_times(4, 1, regular=True) == [0, 0.25, 0.5, 0.75]


def test_what_is_left_of_a_body() -> None:
    assert body_left(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 10\r\n\r\nabc") == 7
    with pytest.raises(OSError, match="status 503"):
        body_left(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")


def test_each_client_has_its_turn_in_the_order_of_their_times() -> None:
    said: list[str] = []

    def client(name: str, *steps: float) -> Turns:
        for step in steps:
            yield At(now + step)
            said.append(name)

    now = time.perf_counter()
    loop = Loop()
    loop.start(client("a", 0.002, 0.006))
    loop.start(client("b", 0.004))
    loop.run()
    assert said == ["a", "b", "a"]


def test_a_client_that_sleeps_is_not_woken_by_its_socket() -> None:
    near, far = socket.socketpair()
    said: list[str] = []

    def client() -> Turns:
        yield Ready(near.fileno(), READ)
        said.append("ready")
        yield At(time.perf_counter() + 0.005)
        said.append("slept")
        yield Gone(near.fileno())

    with near, far:
        loop = Loop()
        loop.start(client())
        far.send(b"something to read")
        loop.run()
    assert said == ["ready", "slept"]


def test_a_late_answer_delays_no_other_question() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket, number: int) -> None:
        with sock:
            while sock.recv(4096):
                time.sleep(0.05 if number == 0 else 0)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def accept() -> None:
        for number in range(2):
            threading.Thread(target=serve, args=(listening.accept()[0], number), daemon=True).start()

    with listening:
        threading.Thread(target=accept, daemon=True).start()
        seen = Seen()
        target = Target(listening.getsockname()[1], "1k", None)
        pace(Loop(), seen, target, 2, [0.0, 0.001, 0.002, 0.003])
    assert len(seen.times) == 4
    assert seen.errors.total() == 0
    assert sum(each >= 45 for each in seen.times) <= 2
