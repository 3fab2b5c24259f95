"""Short cuts: what is sent, and what becomes of the codecs, is as if every message had come alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.core.steps import Steps
from sslbroker.interfaces import Body, End, Head, Origin
from sslbroker.outcome import After
from sslbroker.protocols.http.backend import HTTP
from sslbroker.protocols.http.client_codec import ClientCodec
from sslbroker.protocols.http.repeats import RequestHeads, ResponseHeads
from sslbroker.protocols.http.rules import HTTPRules
from sslbroker.protocols.http.server_codec import ServerCodec
from sslbroker.protocols.http.short_cuts import ShortCutRules
from sslbroker.settings import HeaderRules, Pool, Server

from .test_repeats import lines, request_lines, status_lines

SIZE, FIELDS = 200, 6
END = b"\r\n\r\n"

request_lines = request_lines | st.just(b"GET /" + b"x" * (SIZE - 40) + b" HTTP/1.1")
plain = st.sampled_from((b"\r\nHost: a", b"\r\nHost: a\r\nX-A: 1"))
requests = st.tuples(
    st.sampled_from((b"GET / HTTP/1.1", b"GET /b HTTP/1.1", b"HEAD / HTTP/1.1")) | request_lines,
    plain | lines,
)
answered = st.sampled_from(
    (
        b"\r\nContent-Length: 7\r\nDate: now",
        b"\r\nContent-Length: 7",
        b"\r\nDate: x\r\nContent-Length: 7\r\nUpgrade: h",
    )
)
responses = st.tuples(st.just(b"HTTP/1.1 200 OK") | status_lines, answered | lines)


class Way:
    """One client's connection and two links, by the rules' short cuts or step by step."""

    def __init__(self, short: bool, host: str) -> None:
        pool = Pool("shop", (Server("10.0.0.1:80"),), headers=HeaderRules(host=host))
        rules = HTTP.rules(pool, "broker")
        assert isinstance(rules, ShortCutRules)
        self.short = short
        self.rules: Any = rules if short else Steps(rules)
        self.origins = [Origin("192.0.2.1", 5), Origin("192.0.2.2", 6, secure=True, trusted=True)]
        self.client = ClientCodec(SIZE, FIELDS)
        self.servers = [ServerCodec(SIZE, FIELDS), ServerCodec(SIZE, FIELDS)]

    def forget(self) -> None:
        """Whoever goes step by step remembers no head, either."""
        if not self.short:
            self.client._heads = RequestHeads(FIELDS)
            for server in self.servers:
                server._heads = ResponseHeads(FIELDS)

    def exchange(
        self, request: bytes, response: bytes, who: bool, link: int, secure: bool, stops: int
    ) -> list[object]:
        """One exchange, as far as it goes; what was seen of it."""
        self.forget()
        client, server, origin = self.client, self.servers[link], self.origins[who]
        events: Any = client.receive(request)
        seen: list[object] = [repr(events)]
        if [type(event) for event in events] != [Head, End] or events[1].trailers is not None:
            self.client = ClientCodec(SIZE, FIELDS)
            return seen
        exchange, message = events[0].exchange, events[0].message
        carried = self.rules.carried(message, origin)
        seen.append(carried and (carried.address, carried.secure, carried.trusted))
        if carried is None:
            self.client = ClientCodec(SIZE, FIELDS)
            return seen
        if stops == 1:
            client.drain()
        if stops == 2:
            server.drain()
        number = server.open()
        seen.append(self.rules.send_request(server, number, message, carried, f"10.0.0.{link}:80", secure))
        events = cast("Sequence[Any]", server.receive(response))
        seen.append(repr(events))
        kinds = [type(event) for event in events]
        if kinds not in ([Head, Body, End], [Head, End]):
            self.servers[link] = ServerCodec(SIZE, FIELDS)
            self.client = ClientCodec(SIZE, FIELDS)
            return seen
        content = events[1].data if kinds[1] is Body else b""
        seen.append(self.rules.send_response(client, exchange, events[0].message, content, message, carried))
        seen += [server.after(number), client.after(exchange)]
        if server.after(number) is After.REUSABLE:
            server.release(number)
        else:
            self.servers[link] = ServerCodec(SIZE, FIELDS)
        if client.after(exchange) is After.REUSABLE:
            client.release(exchange)
        else:
            self.client = ClientCodec(SIZE, FIELDS)
        return seen


exchanges = st.lists(
    st.tuples(requests, responses, st.booleans(), st.integers(0, 1), st.booleans(), st.integers(0, 12)),
    min_size=3,
    max_size=9,
)


@settings(max_examples=500, deadline=None)
@given(exchanges, st.sampled_from(("keep", "server")), st.booleans())
def test_same_as_step_by_step(all_of_them: list[Any], host: str, alike: bool) -> None:
    short, steps = Way(True, host), Way(False, host)
    for (line, fields), (status, more), who, link, secure, stops in all_of_them:
        if alike:  # so that heads repeat
            fields, more = all_of_them[0][0][1], all_of_them[0][1][1]
        answer = (
            status
            + more
            + END
            + (b"content" if b"Length: 7" in more and not line.startswith(b"HEAD") else b"")
        )
        given = line + fields + END, answer, who, link, secure, stops
        assert short.exchange(*given) == steps.exchange(*given)


def count(part: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    right: Callable[..., Any] = getattr(part, name)

    def counted(*given: Any, **more: Any) -> Any:
        calls.append(1)
        return right(*given, **more)

    monkeypatch.setattr(part, name, counted)
    return calls


def test_what_repeats_is_neither_rewritten_nor_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [
        count(HTTPRules, name, monkeypatch)
        for name in ("to_server", "to_client", "admit", "replay", "origin")
    ]
    calls += [count(ClientCodec, "_read_head", monkeypatch), count(ServerCodec, "_read_head", monkeypatch)]
    way = Way(True, "keep")
    answer = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 7\r\n\r\ncontent"
    for number in range(9):
        way.exchange(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number, answer, False, 0, False, 0)
    # The first two are read, the second is remembered, and what becomes of it is worked out.
    assert [len(made) for made in calls] == [2] * 7


def test_an_answer_without_a_date_gets_the_time_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    dated = count(HTTPRules, "to_client", monkeypatch)
    way = Way(True, "keep")
    for _ in range(5):
        way.exchange(
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            False,
            0,
            False,
            0,
        )
    assert len(dated) == 5


def test_what_one_method_may_repeat_is_not_sent_for_one_that_counts() -> None:
    way = Way(True, "keep")
    head = b" / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    for method in (b"GET", b"GET", b"GET", b"OPTIONS", b"TRACE", b"GET"):
        sent = way.exchange(method + head, answer, False, 0, False, 0)[2]
        assert isinstance(sent, bytes)
        assert b"\r\nMax-Forwards: %d\r\n" % (3 if method == b"GET" else 2) in sent


def test_other_rules_have_no_short_cuts() -> None:
    with pytest.raises(TypeError, match="make a subclass of HTTPRules"):
        type("Mine", (ShortCutRules,), {})
