"""How requests are taken in and answers go out."""

# Twisted's test helpers have few annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import hashlib

import pytest
from twisted.internet.testing import StringTransport

from sslbroker.demo.answers import MAXIMUM_BODY, number_field, text_field
from sslbroker.demo.content import BLOCK, Noise
from sslbroker.demo.shop import Refused

from .wire import Client, ask, ask_head, new_server

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def test_every_answer_names_its_server_and_keeps_scripts_of_others_out() -> None:
    server, _ = new_server("server-7")
    for target in ("/", "/products", "/nothing", "/bytes/5"):
        fields = ask(server, f"GET {target}").fields
        assert fields["served-by"] == "server-7"
        assert fields["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert fields["x-content-type-options"] == "nosniff"
        assert "content-length" in fields


def test_a_body_of_any_length_costs_its_hash_and_its_beginning() -> None:
    server, _ = new_server()
    client = Client(server)
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
    for _ in range(30):
        client.send(b"x" * 100_000)
        (request,) = client.channel.requests or [None]
        if request is not None:
            assert len(request.kept.getvalue()) <= MAXIMUM_BODY
    (answer,) = client.answers()
    assert answer.json == {"length": 3_000_000, "sha256": hashlib.sha256(b"x" * 3_000_000).hexdigest()}


def test_a_chunked_body_is_measured_too() -> None:
    server, _ = new_server()
    client = Client(server)
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.send(b"2\r\nde\r\n0\r\n\r\n")
    assert client.answers()[0].json == {"length": 5, "sha256": hashlib.sha256(b"abcde").hexdigest()}


def test_a_body_that_is_too_long_to_understand_is_refused() -> None:
    server, _ = new_server()
    answer = ask(server, "POST /orders", b" " * (MAXIMUM_BODY + 1), Content_Type=JSON)
    assert answer.status == 413
    assert answer.json == {"error": "body: found 65537 bytes, expected at most 65536"}


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[1]", b'"text"', b"\xff\xfe", b"[" * 60_000, b'{"product":' + b"9" * 5000 + b"}"],
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    server, _ = new_server()
    answer = ask(server, "POST /orders", body, Content_Type=JSON)
    assert answer.status == 400
    assert "expected a JSON object" in answer.json["error"]


def test_a_form_with_too_many_fields_is_refused() -> None:
    server, _ = new_server()
    assert ask(server, "POST /orders", b"a=1&" * 30, Content_Type=FORM).status == 400


def test_what_curl_calls_a_form_may_be_json() -> None:
    server, _ = new_server()
    assert ask(server, "POST /orders", b'{"product": 2}', Content_Type=FORM).status == 201


@pytest.mark.parametrize("value", [None, 5, ["x"]])
def test_a_text_field_must_be_text(value: object) -> None:
    with pytest.raises(Refused, match=r"author: found .*, expected text"):
        text_field({"author": value}, "author")
    assert text_field({"author": "Ada"}, "author") == "Ada"


@pytest.mark.parametrize("value", [None, "x", "", "-1", "9" * 10, 1.5, True, "٣"])
def test_a_number_field_must_be_a_whole_number(value: object) -> None:
    with pytest.raises(Refused, match=r"product: found .*, expected a whole number"):
        number_field({"product": value}, "product")


def test_a_number_field_may_be_digits_or_left_out() -> None:
    assert number_field({"product": "12"}, "product") == 12
    assert number_field({"product": 12}, "product") == 12
    assert number_field({}, "product", 5) == 5


def test_a_range_is_answered_with_its_place() -> None:
    server, _ = new_server()
    whole = ask(server, "GET /bytes/1000")
    assert (whole.status, whole.fields["accept-ranges"]) == (200, "bytes")
    part = ask(server, "GET /bytes/1000", Range="bytes=900-", If_Range=whole.fields["etag"])
    assert (part.status, part.fields["content-range"]) == (206, "bytes 900-999/1000")
    assert part.body == whole.body[900:]
    assert part.fields["etag"] == whole.fields["etag"]


def test_a_range_beyond_the_end_is_refused_with_the_length() -> None:
    server, _ = new_server()
    answer = ask(server, "GET /bytes/1000", Range="bytes=1000-")
    assert (answer.status, answer.fields["content-range"], answer.body) == (416, "bytes */1000", b"")


def test_a_client_that_has_the_page_gets_304() -> None:
    server, _ = new_server()
    etag = ask(server, "GET /").fields["etag"]
    answer = ask(server, "GET /", If_None_Match=etag)
    assert (answer.status, answer.fields["etag"], answer.body) == (304, etag, b"")
    assert "content-length" not in answer.fields


def test_head_has_the_length_and_no_content() -> None:
    server, _ = new_server()
    head, get = ask_head(server, "/bytes/1000000"), ask(server, "GET /bytes/1000000")
    assert (head.status, head.body) == (200, b"")
    assert head.fields["content-length"] == get.fields["content-length"] == "1000000"
    assert head.fields["etag"] == get.fields["etag"]


def test_an_empty_content_has_an_answer() -> None:
    server, _ = new_server()
    assert ask(server, "GET /bytes/0").fields["content-length"] == "0"


def test_a_part_across_two_blocks_is_whole() -> None:
    server, _ = new_server()
    part = ask(server, "GET /bytes/200000", Range=f"bytes={BLOCK - 10}-{BLOCK + 9}")
    assert part.body == Noise(BLOCK).read(BLOCK - 10, BLOCK) + Noise(2 * BLOCK).read(BLOCK, BLOCK + 10)


def noise(length: int) -> bytes:
    content = Noise(length)
    return b"".join(content.read(start, length) for start in range(0, length, BLOCK))


def pausing_client(blocks: int) -> tuple[Client, StringTransport]:
    """A client whose connection takes this many blocks and then no more, until it is resumed."""
    server, _ = new_server()
    client = Client(server)
    write, taken = client.wire.write, 0

    def write_and_pause(data: bytes) -> None:
        nonlocal taken
        write(data)
        taken += 1
        if taken % blocks == 0:
            client.channel.pauseProducing()

    client.wire.write = write_and_pause  # type: ignore[method-assign]
    return client, client.wire


def test_a_reader_that_stalls_costs_a_block() -> None:
    client, _ = pausing_client(1)
    client.request("GET /bytes/1073741824")
    assert len(client.received) < 2 * BLOCK
    client.channel.resumeProducing()
    assert BLOCK < len(client.received) < 3 * BLOCK


def test_a_reader_that_goes_on_gets_the_rest() -> None:
    client, _ = pausing_client(1)
    client.request("GET /bytes/200000")
    for _ in range(3):
        client.channel.resumeProducing()
    (answer,) = client.answers()
    assert len(answer.body) == 200_000
    assert client.ask("GET /healthz").status == 200


def test_a_connection_that_is_free_again_at_once_is_used_at_once() -> None:
    client, _ = pausing_client(1)
    pause = client.channel.pauseProducing

    def pause_and_resume() -> None:
        pause()
        client.channel.resumeProducing()

    client.channel.pauseProducing = pause_and_resume  # type: ignore[method-assign]
    client.request("GET /bytes/40000000")  # more blocks than Python lets calls nest
    (answer,) = client.answers()
    assert len(answer.body) == 40_000_000
    assert answer.body[:200_000] == noise(200_000)


def test_a_reader_that_leaves_ends_the_stream() -> None:
    client, wire = pausing_client(1)
    client.request("GET /bytes/1073741824")
    producer = wire.producer
    assert producer is not None
    producer.stopProducing()
    client.leave()
    client.channel.resumeProducing()
    assert len(client.received) < 2 * BLOCK


def test_a_connection_serves_one_request_after_another() -> None:
    server, _ = new_server()
    client = Client(server)
    client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert [answer.status for answer in client.answers()] == [200, 200, 200]


def test_what_is_not_there_says_what_is() -> None:
    server, _ = new_server()
    answer = ask(server, "GET /nothing/here?x=1")
    assert answer.status == 404
    assert answer.json["error"].startswith("/nothing/here: nothing is here. There are /, /gallery")
