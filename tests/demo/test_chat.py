"""Clients that talk to each other, on different servers."""

# Twisted's test helpers have few annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json

import pytest

from sslbroker.demo import shop as shop_module
from sslbroker.demo.chat import BACKLOG, PING
from sslbroker.demo.shop import Shop
from sslbroker.demo.websocket import frame

from .test_websocket import closing, masked
from .wire import Answer, Client, ask, ask_head, new_server

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def said(author: str, text: str) -> bytes:
    return json.dumps({"author": author, "text": text}).encode()


def texts(answer: Answer) -> list[str]:
    return [message["text"] for message in answer.json["messages"]]


# --- long polling --------------------------------------------------------------------------------


def test_a_waiting_client_hears_what_is_said_on_another_server() -> None:
    shop = Shop()
    (one, clock), (two, _) = new_server("server-1", shop), new_server("server-2", shop)
    waiting = Client(one)
    waiting.request("GET /chat/messages?after=0")
    assert waiting.received == b""
    answer = ask(two, "POST /chat/messages", said("Ada", "<hello>"), Content_Type=JSON)
    assert (answer.status, answer.json["number"]) == (201, 1)
    (heard,) = waiting.answers()
    assert heard.json == {
        "messages": [{"number": 1, "author": "Ada", "text": "<hello>", "taken_by": "server-2"}],
        "latest": 1,
    }
    waiting.leave()
    assert clock.getDelayedCalls() == []


def test_waiting_ends_when_patience_does() -> None:
    server, clock = new_server()
    client = Client(server)
    client.request("GET /chat/messages?after=0")
    clock.advance(19.9)
    assert client.received == b""
    clock.advance(0.2)
    assert client.answers()[0].json == {"messages": [], "latest": 0}
    assert server.shop._listeners == {}


def test_a_client_may_have_less_patience_but_not_more() -> None:
    server, clock = new_server()
    server.patience = 5
    short, long = Client(server), Client(server)
    short.request("GET /chat/messages?after=0&wait=1")
    long.request("GET /chat/messages?after=0&wait=100")
    clock.advance(1)
    assert len(short.answers()) == 1
    assert long.received == b""
    clock.advance(4)
    assert len(long.answers()) == 1


@pytest.mark.parametrize("query", ["after=0&wait=0", "after=0", "after=99"])
def test_what_is_there_comes_at_once(query: str) -> None:
    server, _ = new_server()
    server.shop.say("Ada", "first", "key", "server-1")
    assert texts(ask(server, f"GET /chat/messages?{query}")) == ["first"]


def test_head_does_not_wait() -> None:
    server, _ = new_server()
    assert ask_head(server, "/chat/messages").status == 200


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=0&wait=soon"])
def test_a_question_that_is_no_number_is_refused(query: str) -> None:
    server, _ = new_server()
    answer = ask(server, f"GET /chat/messages?{query}")
    assert answer.status == 422
    assert "expected a whole number" in answer.json["error"]


def test_a_client_that_leaves_is_forgotten() -> None:
    server, clock = new_server()
    client = Client(server)
    client.request("GET /chat/messages?after=0")
    client.leave()
    assert server.shop._listeners == {}
    assert clock.getDelayedCalls() == []


def test_too_many_waiting_clients_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_module, "MAXIMUM_LISTENERS", 0)
    server, _ = new_server()
    answer = ask(server, "GET /chat/messages?after=0")
    assert (answer.status, answer.fields["retry-after"]) == (503, "1")


def test_a_message_that_is_repeated_is_said_once() -> None:
    server, _ = new_server()
    for _ in range(2):
        answer = ask(
            server, "POST /chat/messages", said("Ada", "once"), Content_Type=JSON, Idempotency_Key="key"
        )
        assert (answer.status, answer.json["number"]) == (201, 1)
    assert server.shop.latest == 1


def test_a_message_without_an_author_is_refused() -> None:
    server, _ = new_server()
    answer = ask(server, "POST /chat/messages", b'{"text": "x"}', Content_Type=JSON)
    assert (answer.status, answer.json) == (422, {"error": "author: found nothing, expected text"})


def test_a_page_without_scripts_comes_back_to_the_chat() -> None:
    server, _ = new_server()
    answer = ask(server, "POST /chat/messages", b"author=Ada&text=hello", Content_Type=FORM)
    assert (answer.status, answer.fields["location"]) == (303, "/chat")
    assert server.shop.latest == 1


# --- WebSocket -----------------------------------------------------------------------------------


def connect(client: Client, target: str = "/chat/socket", **fields: str) -> None:
    """Upgrade, and take the answer."""
    client.request(f"GET {target}", **{**UPGRADE, **fields})
    head, _, rest = client.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    client.wire.clear()
    client.wire.write(rest)


def take(client: Client) -> bytes:
    data = client.received
    client.wire.clear()
    return data


def message(number: int, author: str, text: str, server: str = "server-1") -> bytes:
    value = {"message": {"number": number, "author": author, "text": text, "taken_by": server}}
    return frame(1, json.dumps(value, ensure_ascii=False).encode())


def test_the_handshake_is_the_one_of_the_standard() -> None:
    server, _ = new_server()
    client = Client(server)
    client.request("GET /chat/socket", **UPGRADE)
    head = client.received.decode()
    assert "Upgrade: websocket\r\nConnection: Upgrade\r\n" in head
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert "Served-By: server-1\r\n" in head


def test_clients_on_two_servers_hear_each_other() -> None:
    shop = Shop()
    (one, _), (two, _) = new_server("server-1", shop), new_server("server-2", shop)
    ada, grace = Client(one), Client(two)
    connect(ada)
    connect(grace)
    ada.send(masked(1, said("Ada", "grüß dich")))
    assert take(grace) == message(1, "Ada", "grüß dich")
    grace.send(masked(1, said("Grace", "hello")))
    assert take(ada) == message(1, "Ada", "grüß dich") + message(2, "Grace", "hello", "server-2")


def test_a_client_that_lost_its_server_continues_on_another_one() -> None:
    shop = Shop()
    (one, _), (two, _) = new_server("server-1", shop), new_server("server-2", shop)
    first = Client(one)
    connect(first)
    shop.say("Ada", "heard", "1", "server-1")
    one.stop()
    first.settle()
    assert first.end == "aborted"
    shop.say("Ada", "missed", "2", "server-2")
    second = Client(two)
    connect(second, "/chat/socket?after=1")
    assert take(second) == message(2, "Ada", "missed", "server-2")


def test_a_new_client_gets_the_newest_messages_only() -> None:
    server, _ = new_server()
    for number in range(BACKLOG + 5):
        server.shop.say("Ada", "text", str(number), "server-1")
    client = Client(server)
    connect(client)
    assert take(client) == b"".join(message(number, "Ada", "text") for number in range(6, BACKLOG + 6))


@pytest.mark.parametrize("text", [b"nonsense", b"[]", b"[" * 4000])
def test_a_text_that_is_no_message_is_refused_and_the_socket_stays(text: bytes) -> None:
    server, _ = new_server()
    client = Client(server)
    connect(client)
    client.send(masked(1, text))
    assert b'"error": "expected {' in take(client)
    client.send(masked(1, said("Ada", "hello")))
    assert take(client) == message(1, "Ada", "hello")


def test_a_message_that_cannot_be_said_is_refused() -> None:
    server, _ = new_server()
    client = Client(server)
    connect(client)
    client.send(masked(1, said("Ada", "")))
    assert b"text: found 0 characters" in take(client)


def test_a_key_makes_a_repetition_harmless() -> None:
    server, _ = new_server()
    client = Client(server)
    connect(client)
    for _ in range(2):
        client.send(masked(1, b'{"author": "Ada", "text": "x", "key": "k"}'))
    assert take(client) == message(1, "Ada", "x")


def test_a_close_is_answered_and_ends_the_connection() -> None:
    server, clock = new_server()
    client = Client(server)
    connect(client)
    client.send(masked(8, b"\x03\xe8"))
    assert (take(client), client.end) == (closing(1000), "closed")
    assert server.shop._listeners == {}
    assert clock.getDelayedCalls() == []


def test_a_client_that_breaks_the_protocol_is_left() -> None:
    server, _ = new_server()
    client = Client(server)
    connect(client)
    client.send(b"\x81\x00")
    assert (take(client), client.end) == (closing(1002), "closed")


def test_a_silent_client_is_pinged_and_then_given_up() -> None:
    server, clock = new_server()
    client = Client(server)
    connect(client)
    clock.advance(PING)
    assert take(client) == frame(9, b"")
    client.send(masked(0xA))
    clock.advance(PING)
    assert (take(client), client.end) == (frame(9, b""), "")
    clock.advance(PING)
    client.settle()
    assert client.end == "aborted"
    assert clock.getDelayedCalls() == []
    assert server.shop._listeners == {}


def test_a_client_that_does_not_read_is_cut_off() -> None:
    server, _ = new_server()
    client = Client(server)
    connect(client)
    client.channel.pauseProducing()
    server.shop.say("Ada", "unread", "1", "server-1")
    client.settle()
    assert (take(client), client.end) == (b"", "aborted")


def test_a_client_that_reads_again_in_time_stays() -> None:
    server, _ = new_server()
    client = Client(server)
    connect(client)
    client.channel.pauseProducing()
    client.channel.resumeProducing()
    server.shop.say("Ada", "read", "1", "server-1")
    assert take(client) == message(1, "Ada", "read")


def test_too_many_sockets_are_closed_politely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_module, "MAXIMUM_LISTENERS", 0)
    server, _ = new_server()
    client = Client(server)
    connect(client)
    assert (take(client), client.end) == (closing(1001), "closed")


@pytest.mark.parametrize("missing", [{"Upgrade": "h2c"}, {"Sec_WebSocket_Version": "8"}])
def test_what_is_no_websocket_is_told_what_to_do(missing: dict[str, str]) -> None:
    server, _ = new_server()
    answer = ask(server, "GET /chat/socket", **{**UPGRADE, **missing})
    assert answer.status == 426
    assert (answer.fields["upgrade"], answer.fields["sec-websocket-version"]) == ("websocket", "13")


def test_a_malformed_key_is_refused() -> None:
    server, _ = new_server()
    answer = ask(server, "GET /chat/socket", **{**UPGRADE, "Sec_WebSocket_Key": "short"})
    assert answer.status == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://shop.example"}, 101),
        ({"Origin": "https://localhost:8443", "X_Forwarded_Host": "localhost:8443"}, 101),
        ({}, 101),
    ],
)
def test_a_page_of_another_site_cannot_listen_in(fields: dict[str, str], status: int) -> None:
    server, _ = new_server()
    client = Client(server)
    client.request("GET /chat/socket", **UPGRADE, **fields)
    assert client.received.startswith(b"HTTP/1.1 %d " % status)
