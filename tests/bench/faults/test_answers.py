"""A response is read strictly: what is not surely whole and right is an error, as the oracle h11 says too."""

from __future__ import annotations

import h11
import pytest

from bench.faults.answers import MOST_HEAD, Answer, Cut, Malformed, read

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = {
    "length": OK + b"Content-Length: 5\r\n\r\nhello",
    "none": OK + b"content-length:0\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n",
    "no reason": b"HTTP/1.1 503 \r\nContent-Length: 3\r\n\r\nbad",
}
BAD = {
    "version": b"HTTP/9.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status": b"HTTP/1.1 two hundred OK\r\nContent-Length: 2\r\n\r\nok",
    "noise": b"\x00\xff\xfe\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "both": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space in a name": OK + b"Content Length: 2\r\n\r\nok",
    "hexadecimal": OK + b"Content-Length: 0x2\r\n\r\nok",
    "control character": OK + b"A: \x00\r\nContent-Length: 0\r\n\r\n",
    "no length": OK + b"Server: x\r\n\r\nuntil the end",
    "size of a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "end of a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "more": OK + b"Content-Length: 2\r\n\r\nhi there",
}
#: What h11 lets through, and a client that compares hashes may not.
STRICTER = {"version", "no length", "both", "more"}


def heard(data: bytes, step: int) -> tuple[Answer | None, bytes]:
    """The answer, if these bytes in such pieces are one, and its body."""
    body: list[bytes] = []
    reading = read(body.append)
    next(reading)
    for begin in range(0, len(data), step):
        try:
            reading.send(data[begin : begin + step])
        except StopIteration as end:
            assert begin + step >= len(data)
            return end.value, b"".join(body)
    return None, b"".join(body)


def oracle(data: bytes) -> tuple[int, bytes]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.InformationalResponse):
            return status, body


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("name", GOOD)
def test_a_good_response_is_read_however_it_comes(name: str, step: int) -> None:
    answer, body = heard(GOOD[name], step)
    assert answer is not None
    assert (answer.status, body) == oracle(GOOD[name])


@pytest.mark.parametrize("name", GOOD)
def test_a_response_that_ends_early_is_cut_wherever_that_is(name: str) -> None:
    data = GOOD[name]
    for length in range(len(data)):
        reading = read(lambda body: None)
        next(reading)
        if length:
            reading.send(data[:length])
        with pytest.raises(Cut) as cut:
            reading.send(b"")
        assert cut.value.begun is bool(length)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_response_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        heard(BAD[name], 10_000)
    if name not in STRICTER:
        with pytest.raises(h11.RemoteProtocolError):
            oracle(BAD[name])


def test_a_head_that_never_ends_is_given_up() -> None:
    with pytest.raises(Malformed, match="endless"):
        heard(OK + b"A: b\r\n" * MOST_HEAD, 4096)


def test_a_response_says_whether_another_may_follow() -> None:
    answer, _ = heard(OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", 100)
    assert answer is not None
    assert answer.close
