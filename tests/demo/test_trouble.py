"""What a client of a broken server sees."""

from __future__ import annotations

import pytest

from sslbroker.demo.trouble import CUT_AT_MOST, Trouble

from .wire import Client, ask, new_server

ORDER = b'{"product": 2}'
JSON = "application/json"


def test_a_server_that_is_well_answers() -> None:
    server, _ = new_server()
    assert server.trouble is Trouble.NONE
    assert ask(server, "GET /healthz").body == b"server-1 is well\n"


@pytest.mark.parametrize("line", ["GET /", "GET /healthz", "GET /nothing", "GET /chat/messages?after=0"])
def test_status_500_answers_everything_with_it(line: str) -> None:
    server, _ = new_server()
    server.trouble = Trouble.STATUS_500
    answer = ask(server, line)
    assert answer.status == 500
    assert answer.json == {"error": "server-1 was told to answer 500 to everything"}


def test_status_500_executes_no_order() -> None:
    server, _ = new_server()
    server.trouble = Trouble.STATUS_500
    assert ask(server, "POST /orders", ORDER, Content_Type=JSON).status == 500
    assert server.shop.executed == 0


def test_silence_says_nothing_until_it_ends_and_then_hangs_up() -> None:
    server, clock = new_server()
    server.trouble = Trouble.SILENCE
    client = Client(server)
    client.request("GET /")
    clock.advance(3600)
    assert (client.received, client.end) == (b"", "")
    assert len(server.silent) == 1
    server.trouble = Trouble.NONE
    client.settle()
    assert (client.received, client.end) == (b"", "aborted")
    assert not server.silent
    assert ask(server, "GET /").status == 200


def test_silence_forgets_a_client_that_leaves() -> None:
    server, _ = new_server()
    server.trouble = Trouble.SILENCE
    client = Client(server)
    client.request("GET /")
    client.leave()
    assert not server.silent


def test_a_slow_server_answers_late() -> None:
    server, clock = new_server()
    server.trouble = Trouble.SLOW
    client = Client(server)
    client.request("GET /healthz")
    clock.advance(server.slowness - 0.01)
    assert client.received == b""
    clock.advance(0.02)
    assert [answer.status for answer in client.answers()] == [200]


def test_a_slow_server_forgets_a_client_that_leaves() -> None:
    server, clock = new_server()
    server.trouble = Trouble.SLOW
    client = Client(server)
    client.request("POST /orders", ORDER, Content_Type=JSON)
    client.leave()
    assert clock.getDelayedCalls() == []
    clock.advance(server.slowness)
    assert server.shop.executed == 0


def test_a_slow_server_may_still_be_left_while_it_works() -> None:
    server, clock = new_server()
    server.trouble = Trouble.SLOW
    client = Client(server)
    client.request("GET /chat/messages")
    clock.advance(server.slowness)
    client.leave()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("target", "length"),
    [("/", None), ("/images/3.svg", None), ("/bytes/1000", 500), ("/bytes/9000000", CUT_AT_MOST)],
)
def test_cut_breaks_off_what_another_server_can_finish(target: str, length: int | None) -> None:
    server, _ = new_server()
    whole = ask(server, f"GET {target}")
    server.trouble = Trouble.CUT
    client = Client(server)
    client.request(f"GET {target}")
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(whole.body)}".encode() in head
    assert body == whole.body[: length or len(whole.body) // 2]
    assert client.end == "closed"


def test_the_rest_of_a_cut_answer_comes_from_another_server() -> None:
    broken, _ = new_server("server-1")
    well, _ = new_server("server-2")
    whole = ask(well, "GET /gallery")
    broken.trouble = Trouble.CUT
    client = Client(broken)
    client.request("GET /gallery")
    _, _, body = client.received.partition(b"\r\n\r\n")
    rest = ask(well, "GET /gallery", Range=f"bytes={len(body)}-", If_Range=whole.fields["etag"])
    assert rest.status == 206
    assert body + rest.body == whole.body


@pytest.mark.parametrize("line", ["GET /products", "GET /healthz", "GET /bytes/1", "HEAD /", "GET /nothing"])
def test_cut_drops_any_other_answer_before_its_first_byte(line: str) -> None:
    server, _ = new_server()
    server.trouble = Trouble.CUT
    client = Client(server)
    client.request(line)
    assert (client.received, client.end) == (b"", "aborted")


def test_cut_executes_the_order_whose_answer_it_drops_and_a_repetition_finds_it() -> None:
    broken, _ = new_server("server-1")
    well, _ = new_server("server-2", broken.shop)
    broken.trouble = Trouble.CUT
    client = Client(broken)
    client.request("POST /orders", ORDER, Content_Type=JSON, Idempotency_Key="key")
    assert (client.received, client.end) == (b"", "aborted")
    again = ask(well, "POST /orders", ORDER, Content_Type=JSON, Idempotency_Key="key")
    assert (again.status, again.json["taken_by"]) == (201, "server-1")
    assert again.fields["idempotency-repeated"] == "true"
    assert (broken.shop.executed, broken.shop.stock[2]) == (1, 99_999)


def test_cut_drops_a_websocket() -> None:
    server, _ = new_server()
    server.trouble = Trouble.CUT
    client = Client(server)
    client.request(
        "GET /chat/socket",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert (client.received, client.end) == (b"", "aborted")


def test_a_request_that_began_before_the_trouble_goes_on() -> None:
    server, clock = new_server()
    client = Client(server)
    client.request("GET /chat/messages?after=0")
    server.trouble = Trouble.STATUS_500
    clock.advance(server.patience)
    assert [answer.status for answer in client.answers()] == [200]
