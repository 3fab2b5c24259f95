"""HTTP's answers to the broker's questions."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyClass, verifyObject

from sslbroker.errors import ConfigurationError, LoopDetected, NoServer, RequestRefused
from sslbroker.interfaces import (
    End,
    Head,
    ICascades,
    IExchangeRules,
    IHealthChecks,
    IHosts,
    ILengths,
    IMeasured,
    IResponseClassifier,
    IRests,
    IResumable,
    IStickiness,
    IUndone,
)
from sslbroker.outcome import Replay
from sslbroker.protocols.http.answers import Answers
from sslbroker.protocols.http.claims import claimed
from sslbroker.protocols.http.message import Framing, Request
from sslbroker.protocols.http.rules import HTTPRules, StatusClassifier
from sslbroker.settings import Failover, HeaderRules, Pool, Sticky

from .written import BROKER, CLIENT, PROXY, SERVER, fields, line, lines, pool, request, response

PROXY_SAYS = fields("X-Forwarded-For: 203.0.113.5")
KEY = "0123456789abcdef"


def rules(of: Pool | None = None) -> HTTPRules:
    return HTTPRules(of or pool(), BROKER, Answers(lambda: 0.0))


def refused(message: Request) -> tuple[int, str] | None:
    error = rules().admit(message, CLIENT)
    return None if error is None else (error.status, error.detail)


def test_the_interfaces_are_provided() -> None:
    for interface in (
        IExchangeRules,
        IHealthChecks,
        IHosts,
        ILengths,
        IMeasured,
        IStickiness,
        ICascades,
        IResumable,
    ):
        verifyClass(interface, HTTPRules)
        verifyObject(interface, rules())
    for answered in (IResponseClassifier, IUndone, IRests):
        verifyClass(answered, StatusClassifier)
        verifyObject(answered, StatusClassifier(pool()))


def test_unusable_header_rules_are_told_when_the_rules_are_made() -> None:
    with pytest.raises(ConfigurationError):
        rules(pool(HeaderRules(set={"Content-Length": "1"})))


# --- Date -------------------------------------------------------------------------------------


def test_an_answer_without_a_date_gets_that_of_its_arrival() -> None:
    got = rules().to_client(response("200 OK", "Server: a"), request("GET /"), CLIENT)
    assert line(got, "Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


def test_the_date_of_a_server_stays_and_an_interim_answer_gets_none() -> None:
    dated = response("200 OK", "Date: Fri, 02 Jan 1970 00:00:00 GMT")
    assert line(rules().to_client(dated, request("GET /"), CLIENT), "Date") == [
        "Fri, 02 Jan 1970 00:00:00 GMT"
    ]
    early = response("103 Early Hints", "Link: </a.css>")
    assert line(rules().to_client(early, request("GET /"), CLIENT), "Date") == []


def test_a_broker_without_a_clock_adds_no_date() -> None:
    clockless = HTTPRules(pool(), BROKER, Answers())
    assert line(clockless.to_client(response("200 OK"), request("GET /"), CLIENT), "Date") == []


# --- admit ------------------------------------------------------------------------------------


def test_ordinary_requests_are_carried() -> None:
    for method in ("GET", "POST", "PATCH", "TRACE", "OPTIONS", "BREW"):
        assert refused(request(f"{method} /", "Host: a", "Via: 1.1 fred")) is None


def test_connect_is_not_carried() -> None:
    error = rules().admit(request("CONNECT a:443"), CLIENT)
    assert isinstance(error, RequestRefused)
    assert error.status == 405


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
@pytest.mark.parametrize("value", ["0", "000"])
def test_a_trace_or_options_that_ends_here_is_not_carried(method: str, value: str) -> None:
    assert refused(request(f"{method} /", f"Max-Forwards: {value}")) == (
        405,
        f"Max-Forwards: 0 ends a {method} here",
    )


@pytest.mark.parametrize("value", ["1", "10", "", "no", "-0"])
def test_other_max_forwards_are_carried(value: str) -> None:
    assert refused(request("TRACE /", f"Max-Forwards: {value}")) is None


def test_max_forwards_means_nothing_with_other_methods() -> None:
    assert refused(request("GET /", "Max-Forwards: 0")) is None


def test_a_trace_with_content_is_not_carried() -> None:
    message = request("TRACE /", framing=Framing.LENGTH, length=1)
    assert refused(message) == (400, "a TRACE has no content (RFC 9110 §9.3.8)")


@pytest.mark.parametrize(
    "head",
    [
        (f"Via: 1.1 {BROKER}, 1.0 other, 1.1 {BROKER}",),
        (f"Via: 1.1 {BROKER}", f"Via: HTTP/1.1 {BROKER.upper()} (a comment)"),
    ],
)
def test_a_request_that_passed_here_twice_is_a_loop(head: tuple[str, ...]) -> None:
    error = rules().admit(request("GET /", *head), CLIENT)
    assert isinstance(error, LoopDetected)
    assert error.status == 508


@pytest.mark.parametrize(
    "via",
    [
        f"1.1 {BROKER}",
        f"1.1 {BROKER}, 1.1 {BROKER}-2",
        f"1.1 {BROKER}, 1.1 other ({BROKER})",
        f"1.1 {BROKER}, {BROKER}",
        f"1.1 {BROKER}, {BROKER} other",
    ],
)
def test_one_pass_and_other_names_are_no_loop(via: str) -> None:
    assert refused(request("GET /", f"Via: {via}")) is None


def test_the_host_is_told_as_the_request_has_it() -> None:
    assert rules().host(request("GET /", "Host: A.:80")) == b"A.:80"
    assert rules().host(request("GET /", minor=0)) == b""


# --- origin -----------------------------------------------------------------------------------


def test_only_a_trusted_peer_says_who_the_client_is() -> None:
    message = request("GET /", "X-Forwarded-For: 203.0.113.5")
    assert rules().origin(message, CLIENT) is CLIENT
    assert rules().origin(message, PROXY).address == "203.0.113.5"


# --- replay and hedge -------------------------------------------------------------------------


def replay(message: Request, failover: Failover | None = None, headers: HeaderRules | None = None) -> Replay:
    return rules(pool(headers, failover=failover or Failover())).replay(message)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_idempotent_methods_are_replayable(method: str) -> None:
    assert replay(request(f"{method} /")) is Replay.REPLAYABLE


@pytest.mark.parametrize("method", ["POST", "PATCH", "BREW", "get"])
def test_other_methods_are_not(method: str) -> None:
    assert replay(request(f"{method} /")) is Replay.METHOD


def test_the_operator_names_the_methods() -> None:
    assert replay(request("POST /"), Failover(methods=("POST",))) is Replay.REPLAYABLE
    assert replay(request("GET /"), Failover(methods=("POST",))) is Replay.METHOD
    assert replay(request("BREW /"), Failover(methods=("*",))) is Replay.REPLAYABLE


def test_a_key_makes_a_request_replayable() -> None:
    assert replay(request("POST /", "idempotency-key: 7")) is Replay.REPLAYABLE
    assert replay(request("POST /", "Idempotency-Key:")) is Replay.METHOD
    own = Failover(idempotency_header="X-Key")
    assert replay(request("POST /", "X-KEY: 7"), own) is Replay.REPLAYABLE
    assert replay(request("POST /", "Idempotency-Key: 7"), own) is Replay.METHOD


def test_the_key_can_be_turned_off() -> None:
    assert replay(request("POST /", "Idempotency-Key: 7"), Failover(idempotency_header="")) is Replay.METHOD


def test_a_key_that_the_server_will_not_see_is_none() -> None:
    message = request("POST /", "Idempotency-Key: 7")
    assert replay(message, headers=HeaderRules(remove=("IDEMPOTENCY-KEY",))) is Replay.METHOD
    assert replay(message, headers=HeaderRules(set={"Idempotency-Key": "1"})) is Replay.METHOD


def test_an_upgrade_is_replayable_with_get_only() -> None:
    head = ("Connection: Upgrade", "Upgrade: websocket")
    assert replay(request("GET /", *head)) is Replay.REPLAYABLE
    assert replay(request("OPTIONS /", *head), Failover(methods=("*",))) is Replay.METHOD
    unoffered = request("OPTIONS /", "Connection: Upgrade", "Upgrade: h2c")
    assert replay(unoffered) is Replay.REPLAYABLE


def test_only_safe_requests_without_content_or_upgrade_are_hedged() -> None:
    ask = rules().hedgeable
    assert all(ask(request(f"{method} /")) for method in ("GET", "HEAD", "OPTIONS"))
    assert not any(ask(request(f"{method} /")) for method in ("PUT", "DELETE", "POST", "TRACE"))
    assert ask(request("GET /", framing=Framing.LENGTH, length=0))
    assert not ask(request("GET /", framing=Framing.LENGTH, length=1))
    assert not ask(request("GET /", framing=Framing.CHUNKED))
    assert not ask(request("GET /", "Connection: Upgrade", "Upgrade: websocket"))


# --- affinity, stickiness ---------------------------------------------------------------------


def test_the_hashed_cookies_value_is_the_key() -> None:
    message = request("GET /", "Cookie: a=1; user=ann; SRV=x")
    assert rules(pool(hash_cookie="user")).affinity(message) == b"ann"
    assert rules(pool(hash_cookie="USER")).affinity(message) is None
    assert rules(pool(sticky=Sticky("SRV"))).affinity(message) is None
    assert rules().affinity(message) is None


def sticky() -> HTTPRules:
    return rules(pool(sticky=Sticky("SRV")))


def test_a_client_comes_back_with_the_key_that_it_was_told() -> None:
    made, message = sticky(), request("GET /", "Host: a")
    answer = made.to_client(response("200 OK", "Cache-Control: max-age=60"), message, CLIENT)
    made.stick(answer, KEY, CLIENT)
    assert line(answer, "Set-Cookie") == [f"SRV={KEY}; Path=/; HttpOnly; SameSite=Lax; Secure"]
    assert line(answer, "Cache-Control") == ["max-age=60", "private"]
    assert made.stuck(request("GET /", f"Cookie: SRV={KEY}")) == KEY


def test_a_client_behind_a_trusted_proxy_is_as_secure_as_the_proxy_says() -> None:
    secure = claimed(fields("X-Forwarded-Proto: https"), PROXY)
    for origin, ends in ((PROXY, False), (secure, True)):
        answer = response("200 OK")
        sticky().stick(answer, KEY, origin)
        assert line(answer, "Set-Cookie")[0].endswith("; Secure") is ends


def test_servers_neither_see_nor_set_the_brokers_cookie() -> None:
    message = request("GET /", f"Cookie: a=1; SRV={KEY}")
    before = lines(message)
    assert line(sticky().to_server(message, CLIENT, SERVER, False), "Cookie") == ["a=1"]
    assert lines(message) == before
    answer = response("200 OK", "Set-Cookie: SRV=theirs", "Set-Cookie: a=1")
    assert line(sticky().to_client(answer, message, CLIENT), "Set-Cookie") == ["a=1"]


def test_without_stickiness_every_cookie_is_the_applications() -> None:
    message = request("GET /", f"Cookie: SRV={KEY}")
    answer = response("200 OK", "Set-Cookie: SRV=theirs")
    assert rules().stuck(message) == ""
    assert line(rules().to_server(message, CLIENT, SERVER, False), "Cookie") == [f"SRV={KEY}"]
    assert line(rules().to_client(answer, message, CLIENT), "Set-Cookie") == ["SRV=theirs"]
    rules().stick(answer, KEY, CLIENT)
    assert lines(answer) == ["Set-Cookie: SRV=theirs"]


# --- tries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "tries"),
    [
        (("Sslbroker-Tries: 1",), 1),
        (("SSLBROKER-TRIES: 1000",), 1000),
        ((), 0),
        (("Sslbroker-Tries: 0",), 0),
        (("Sslbroker-Tries: 01",), 0),
        (("Sslbroker-Tries: 1001",), 0),
        (("Sslbroker-Tries: 99999999999",), 0),
        (("Sslbroker-Tries: +1",), 0),
        (("Sslbroker-Tries: 1 1",), 0),
        (("Sslbroker-Tries: \u0661",), 0),
        (("Sslbroker-Tries:",), 0),
        (("Sslbroker-Tries: 2", "Sslbroker-Tries: 3"), 0),
        (("Sslbroker_Tries: 2",), 0),
    ],
)
def test_what_another_broker_says_of_its_tries_is_read_strictly(head: tuple[str, ...], tries: int) -> None:
    assert rules().tried(response("502 x", *head)) == tries


def test_what_was_told_is_what_is_read() -> None:
    for tries, read in ((1, 1), (1000, 1000), (5000, 1000), (0, 0)):
        answer = response("502 x")
        rules().tell_tries(answer, tries)
        assert rules().tried(answer) == read
        assert len(line(answer, "Sslbroker-Tries")) == (read > 0)


def test_what_a_broker_answers_to_a_circle_is_known_by_every_broker_on_the_way_back() -> None:
    asked = request("GET /", "Host: a")
    head, *_ = rules().error_answer(LoopDetected("twice"), asked, 1)
    assert isinstance(head, Head)
    assert rules().looped(head.message)
    passed = rules().to_client(head.message, asked, CLIENT)
    assert rules().looped(passed)
    assert not rules().looped(response("508 Loop Detected"))


def test_what_a_server_says_of_tries_reaches_no_client() -> None:
    answer = rules().to_client(response("502 x", "Sslbroker-Tries: 7"), request("GET /"), CLIENT)
    assert line(answer, "Sslbroker-Tries") == []


# --- go-ahead ---------------------------------------------------------------------------------


def test_a_body_waits_for_the_go_ahead_that_it_expects() -> None:
    assert rules().go_ahead_wait(request("PUT /", "Expect: 100-continue")) == 1.0
    assert rules().go_ahead_wait(request("PUT /")) == 0.0


# --- what others do ---------------------------------------------------------------------------


def test_messages_are_rewritten_and_answers_made() -> None:
    made = rules()
    message = request("GET /", "Host: a")
    assert made.to_server(message, CLIENT, SERVER, True).host == b"a"
    assert line(made.to_client(response("200 OK"), message, CLIENT), "Via") == [f"1.1 {BROKER}"]
    assert made.error_answer(NoServer(), message, 3)[-1] == End(3)


def test_the_secure_link_decides_which_port_goes_without_saying() -> None:
    made = rules(pool(HeaderRules(host="server")))
    assert made.to_server(request("GET /"), CLIENT, "a:443", True).host == b"a"
    assert made.to_server(request("GET /"), CLIENT, "a:443", False).host == b"a:443"


def test_the_log_shows_the_request_and_the_status() -> None:
    message = request("GET /é?x", "Host: shop.example", minor=0)
    assert rules().log_fields(message, response("404 Not Found")) == {
        "method": "GET",
        "target": "/Ã©?x",
        "host": "shop.example",
        "version": "1.0",
        "status": 404,
    }


def test_the_log_shows_what_there_is_within_bounds() -> None:
    assert rules().log_fields(None, None) == {}
    fields = rules().log_fields(request("GET /" + "a" * 5000), None)
    assert len(str(fields["target"])) == 2048
    assert (fields["host"], "status" in fields) == ("", False)


# --- failing ----------------------------------------------------------------------------------


def failing(*ranges: tuple[int, int]) -> list[int]:
    judge = StatusClassifier(pool(failover=Failover(statuses=ranges)))
    return [status for status in range(100, 1000) if judge.failing(response(f"{status} x"))]


def test_the_500s_and_600s_fail_by_default() -> None:
    assert failing(*Failover().statuses) == list(range(500, 700))


def test_the_operator_names_what_fails() -> None:
    assert failing() == []
    assert failing((400, 499), (503, 503)) == [*range(400, 500), 503]


def test_an_answer_is_counted_by_its_status() -> None:
    assert StatusClassifier(pool()).status(response("503 x")) == 503


def test_only_a_misdirected_request_is_known_to_be_undone() -> None:
    judge = StatusClassifier(pool(failover=Failover(statuses=((400, 699),))))
    assert [status for status in range(100, 1000) if judge.nothing_done(response(f"{status} x"))] == [421]


def test_a_server_that_is_not_available_may_ask_to_be_left_alone() -> None:
    judge = StatusClassifier(pool())
    asking = [status for status in range(100, 1000) if judge.rest(response(f"{status} x", "Retry-After: 9"))]
    assert asking == [503]
    assert judge.rest(response("503 x", "Retry-After: 9")) == 9.0
    assert judge.rest(response("503 x")) == 0.0


# --- checks -----------------------------------------------------------------------------------


def test_a_check_is_asked_and_judged_as_the_pool_says() -> None:
    asked = rules().check_request("10.0.0.1:9001", "/healthz", False)
    assert (asked.method, asked.target, asked.host) == (b"GET", b"/healthz", b"10.0.0.1:9001")
    assert rules().healthy(response("200 OK"))
    assert not rules().healthy(response("503 Busy"))
