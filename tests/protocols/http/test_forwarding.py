"""A message on its way through the broker: what goes on, what goes, what is added, in which order."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.interfaces import GroupFields, Origin
from sslbroker.protocols.http.claims import claimed
from sslbroker.protocols.http.fields import CLAIMS, END_TO_END, HOP_BY_HOP, dashed
from sslbroker.protocols.http.forwarding import Forwarding, host_of, offered
from sslbroker.protocols.http.grammar import may_be_trailer
from sslbroker.protocols.http.message import Framing, Request, Response, Trailers
from sslbroker.protocols.http.trailers import for_server
from sslbroker.settings import Failover, HeaderRules

from .written import BROKER, CLIENT, PROXY, SERVER, certified, fields, line, lines, pool, request, response


def sent(message: Request, origin: Origin = CLIENT, rules: HeaderRules | None = None, **more: Any) -> Request:
    return Forwarding(pool(rules, **more), BROKER).to_server(message, origin, SERVER, False)


def answered(message: Response, to: Request | None = None, rules: HeaderRules | None = None) -> Response:
    return Forwarding(pool(rules), BROKER).to_client(message, to or request("GET /", "Host: a"))


# --- a request, as a whole --------------------------------------------------------------------


def test_a_request_from_a_client() -> None:
    message = request(
        "GET /basket?n=1",
        "Host: shop.example",
        "Connection: keep-alive, X-Hop",
        "Keep-Alive: timeout=5",
        "X-Hop: 1",
        "Cookie: a=1",
        "X-Forwarded-For: 6.6.6.6",
        "COOKIE: b=2",
    )
    before = deepcopy(message)
    on = sent(message)
    assert lines(on) == [
        "Cookie: a=1",
        "COOKIE: b=2",
        "X-Forwarded-For: 198.51.100.7",
        "X-Forwarded-Proto: https",
        'Forwarded: for=198.51.100.7;host="shop.example";proto=https',
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 8443",
        f"Via: 1.1 {BROKER}",
    ]
    assert (on.method, on.target, on.host, on.minor) == (b"GET", b"/basket?n=1", b"shop.example", 1)
    assert (on.close, on.options, on.upgrade) == (False, (), b"")
    assert message == before


def test_each_request_of_a_connection_is_told_with_its_own_host() -> None:
    origin = Origin("198.51.100.7", listener_port=8443, secure=True)

    def told(*head: str) -> list[str]:
        return lines(sent(request("GET /", *head), origin))[2:4]

    first = ['Forwarded: for=198.51.100.7;host="a.example";proto=https', "X-Forwarded-Host: a.example"]
    assert told("Host: a.example") == first
    assert told("Host: b.example") == [line.replace("a.ex", "b.ex") for line in first]
    assert told("Host: a.example") == told("Host: a.example") == first
    assert told()[0] == "Forwarded: for=198.51.100.7;proto=https"


def test_what_an_operator_takes_away_is_taken_from_each_request_and_from_no_other_pool() -> None:
    origin = Origin("198.51.100.7", secure=True)
    message = request("GET /", "Host: a")
    rules = HeaderRules(remove=("Forwarded", "X-Forwarded-Host", "Via"))
    without = ["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"]
    for _ in range(2):
        assert lines(sent(message, origin, rules)) == without
        assert len(lines(sent(message, origin))) == 5


def test_framing_and_expectation_are_carried_over_and_left_to_the_codec() -> None:
    message = request(
        "PUT /a",
        "Host: a",
        "Content-Length: 5",
        "Expect: 100-continue",
        "Connection: TE",
        "TE: trailers",
        framing=Framing.LENGTH,
        length=5,
        close=True,
    )
    on = sent(message)
    assert (on.framing, on.length, on.expects_continue, on.accepts_trailers) == (
        Framing.LENGTH,
        5,
        True,
        True,
    )
    assert line(on, "Content-Length") == line(on, "Expect") == line(on, "TE") == []


@pytest.mark.parametrize(("framing", "length"), [(Framing.LENGTH, 2), (Framing.CHUNKED, 0)])
@pytest.mark.parametrize(
    ("method", "reuse", "close"),
    [
        *((method, False, True) for method in ("POST", "PUT", "GET", "BREW")),
        *((method, True, True) for method in ("GET", "HEAD", "DELETE", "OPTIONS")),
        *((method, True, False) for method in ("POST", "PUT", "PATCH", "BREW")),
    ],
)
def test_content_is_the_last_thing_on_a_link_that_a_server_may_take_for_a_request(
    method: str, reuse: bool, close: bool, framing: Framing, length: int
) -> None:
    message = request(f"{method} /", "Host: a", framing=framing, length=length)
    assert sent(message, failover=Failover(reuse_for_unsafe=reuse)).close is close


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.NONE])
def test_a_request_without_content_leaves_its_link_open(method: str, framing: Framing) -> None:
    assert sent(request(f"{method} /", "Host: a", framing=framing, close=True)).close is False


def test_trailer_goes_on_with_trailers_only() -> None:
    assert line(sent(request("PUT /", "Trailer: X-Sum", framing=Framing.CHUNKED)), "Trailer") == ["X-Sum"]
    assert line(sent(request("PUT /", "Trailer: X-Sum", framing=Framing.LENGTH)), "Trailer") == []


# --- what Connection names --------------------------------------------------------------------


def test_connection_cannot_turn_a_conditional_request_into_an_unconditional_one() -> None:
    on = sent(request("PUT /", "Connection: If-Match, Cookie", "If-Match: x", "Cookie: a=1"))
    assert (line(on, "If-Match"), line(on, "Cookie")) == (["x"], ["a=1"])


def test_connection_cannot_take_away_what_the_broker_says() -> None:
    on = sent(request("GET /", "Host: a", "Connection: X-Forwarded-For, Forwarded, Via, X-Forwarded-Proto"))
    assert line(on, "X-Forwarded-For") == ["198.51.100.7"]
    assert line(on, "X-Forwarded-Proto") == ["https"]
    assert line(on, "Via") == [f"1.1 {BROKER}"]


def test_connection_cannot_take_away_the_key_that_makes_a_request_replayable() -> None:
    message = request("POST /", "Connection: Idempotency-Key, X-Key", "Idempotency-Key: 7", "X-Key: 8")
    assert line(sent(message), "Idempotency-Key") == ["7"]
    assert line(sent(message), "X-Key") == []
    other = sent(message, failover=Failover(idempotency_header="X-Key"))
    assert (line(other, "Idempotency-Key"), line(other, "X-Key")) == ([], ["8"])


# --- Upgrade ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "offers"),
    [
        (b"websocket", b"websocket"),
        (b"h2c", b""),
        (b"h2c, websocket", b"websocket"),
        (b"HTTP/2.0, H2C, TLS/1.2, h2, IRC/6.9", b"IRC/6.9"),
        (b" , ,", b""),
        # What is no protocol's name could be one to a server that searches for a word.
        (b"websocket h2c", b""),
        (b"h2c;q=1, websocket", b"websocket"),
        (b'"h2c", x/y/z, /2, h2c/', b""),
        (b"a" * 256, b"a" * 256),
        (b"a" * 257, b""),
    ],
)
def test_an_upgrade_past_the_rules_is_not_offered_to_a_server(asked: bytes, offers: bytes) -> None:
    assert offered(asked) == offers


def test_a_websocket_goes_on_and_the_settings_of_h2c_do_not() -> None:
    on = sent(
        request(
            "GET /chat",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c, websocket",
            "HTTP2-Settings: AAMAAABk",
            "Sec-WebSocket-Key: x",
        )
    )
    assert on.upgrade == b"websocket"
    assert line(on, "Upgrade") == line(on, "HTTP2-Settings") == []
    assert line(on, "Sec-WebSocket-Key") == ["x"]


# --- Host -------------------------------------------------------------------------------------


def test_host_is_kept_or_the_servers() -> None:
    message = request("GET /", "Host: shop.example")
    assert sent(message).host == b"shop.example"
    on = sent(message, rules=HeaderRules(host="server"))
    assert on.host == SERVER.encode()
    assert line(on, "X-Forwarded-Host") == ["shop.example"]
    assert sent(message, rules=HeaderRules(set={"Host": "x.internal"})).host == b"x.internal"


def test_a_request_without_host_gets_the_servers() -> None:
    on = sent(request("GET /", minor=0))
    assert (on.host, on.minor) == (SERVER.encode(), 1)
    assert line(on, "X-Forwarded-Host") == []
    assert line(on, "Forwarded") == ["for=198.51.100.7;proto=https"]
    assert line(on, "Via") == [f"1.0 {BROKER}"]


@pytest.mark.parametrize(
    ("address", "secure", "host"),
    [
        ("a:80", False, b"a"),
        ("a:80", True, b"a:80"),
        ("a:443", True, b"a"),
        ("[::1]:443", True, b"[::1]"),
        ("a:8080", False, b"a:8080"),
    ],
)
def test_the_servers_host_leaves_out_the_port_that_the_scheme_implies(
    address: str, secure: bool, host: bytes
) -> None:
    assert host_of(address, secure) == host


# --- who the client is ------------------------------------------------------------------------


def test_an_ipv6_client_on_a_plain_listener() -> None:
    on = sent(request("GET /", "Host: a:81"), Origin("2001:db8::7", 1))
    assert line(on, "X-Forwarded-For") == ["2001:db8::7"]
    assert line(on, "X-Forwarded-Proto") == ["http"]
    assert line(on, "Forwarded") == ['for="[2001:db8::7]";host="a:81";proto=http']
    assert line(on, "X-Forwarded-Port") == []


def test_a_client_without_an_address_is_unknown() -> None:
    on = sent(request("GET /"), Origin(""))
    assert line(on, "X-Forwarded-For") == ["unknown"]
    assert line(on, "Forwarded") == ["for=unknown;proto=http"]


def test_a_host_cannot_break_out_of_its_quotation_marks() -> None:
    on = sent(request("GET /", 'Host: a";for=6.6.6.6\\'), Origin("1.2.3.4"))
    assert line(on, "Forwarded") == [r'for=1.2.3.4;host="a\";for=6.6.6.6\\";proto=http']


def test_all_claims_of_an_untrusted_client_go() -> None:
    on = sent(
        request(
            "GET /",
            "X-Real-IP: 6.6.6.6",
            "X-Forwarded-Prefix: /admin",
            "Client-Cert: :MII=:",
            "Forwarded: for=6.6.6.6",
            "X_Forwarded_For: 6.6.6.6",
            "X.Real~IP: 6.6.6.6",
            "Proxy: http://6.6.6.6/",
            "X_Innocent: 1",
        ),
        Origin("1.2.3.4"),
    )
    assert lines(on) == [
        "X_Innocent: 1",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: http",
        "Forwarded: for=1.2.3.4;proto=http",
        f"Via: 1.1 {BROKER}",
    ]


def test_a_trusted_peer_is_appended_to_its_own_lists() -> None:
    message = request(
        "GET /",
        "Host: a",
        "X-Forwarded-For: 1.1.1.1",
        "X-Forwarded-For: 203.0.113.5",
        "Forwarded: for=203.0.113.5;proto=https",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 443",
        "X-Real-IP: 203.0.113.5",
        "X_Forwarded_For: 6.6.6.6",
    )
    expected = [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 443",
        "X-Real-IP: 203.0.113.5",
        "X-Forwarded-For: 1.1.1.1, 203.0.113.5, 10.0.0.1",
        'Forwarded: for=203.0.113.5;proto=https, for=10.0.0.1;host="a";proto=http',
        f"Via: 1.1 {BROKER}",
    ]
    assert lines(sent(message, claimed(message.fields, PROXY))) == expected
    assert lines(sent(message, PROXY)) == expected


def test_a_trusted_peer_that_says_nothing_is_the_client() -> None:
    assert lines(sent(request("GET /", "Host: a"), PROXY)) == [
        "X-Forwarded-For: 10.0.0.1",
        'Forwarded: for=10.0.0.1;host="a";proto=http',
        "X-Forwarded-Host: a",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Port: 8080",
        f"Via: 1.1 {BROKER}",
    ]


def test_what_came_in_one_form_goes_on_in_both() -> None:
    old = sent(request("GET /", "X-Forwarded-For: 203.0.113.5", "X-Forwarded-Proto: https"), PROXY)
    assert line(old, "Forwarded") == ["for=203.0.113.5;proto=https, for=10.0.0.1;proto=http"]
    new = sent(request("GET /", "Forwarded: for=203.0.113.5;proto=https"), PROXY)
    assert line(new, "X-Forwarded-For") == ["203.0.113.5, 10.0.0.1"]
    assert line(new, "X-Forwarded-Proto") == ["https"]


def test_no_scheme_goes_on_beside_an_address_that_cannot_be_read() -> None:
    """The broker does not believe it, and the next one must not either."""
    on = sent(request("GET /", "X-Forwarded-For: 203.0.113.5,", "X-Forwarded-Proto: https"), PROXY)
    assert line(on, "X-Forwarded-Proto") == ["http"]


def test_the_listeners_port_is_not_put_beside_another_scheme() -> None:
    on = sent(request("GET /", "Forwarded: for=203.0.113.5;proto=https"), PROXY)
    assert line(on, "X-Forwarded-Port") == []


def test_a_forwarded_that_a_trusted_peer_passed_on_unread_is_made_anew() -> None:
    on = sent(request("GET /", "Forwarded: for=6.6.6.6", "X-Forwarded-For: 203.0.113.5"), PROXY)
    assert line(on, "Forwarded") == ["for=203.0.113.5;proto=http, for=10.0.0.1;proto=http"]
    on = sent(request("GET /", 'Forwarded: for="6.6.6.6'), PROXY)
    assert line(on, "Forwarded") == ["for=10.0.0.1;proto=http"]


def test_a_chain_of_trusted_proxies_goes_on_as_it_came() -> None:
    peer = Origin("10.0.0.1", trusted=True)
    peer.trusts = lambda address: address.startswith("10.")
    chain = ("X-Forwarded-For: 203.0.113.5, 10.0.0.2", "X-Forwarded-Proto: https")
    on = sent(request("GET /", *chain, "Forwarded: for=203.0.113.5;proto=https, for=10.0.0.2"), peer)
    assert line(on, "X-Forwarded-For") == ["203.0.113.5, 10.0.0.2, 10.0.0.1"]
    assert line(on, "Forwarded") == [
        "for=203.0.113.5;proto=https, for=10.0.0.2, for=10.0.0.1;proto=http",
    ]
    on = sent(request("GET /", *chain), peer)
    assert line(on, "Forwarded") == ["for=203.0.113.5;proto=https, for=10.0.0.1;proto=http"]


# --- a client's certificate -------------------------------------------------------------------

CERTIFIED = [
    "Client-Cert: :MIIB//4=:",
    "X-Client-Subject: CN=ann,O=Shop",
    "X-Client-Issuer: CN=Shop CA",
    "X-Client-Serial: 0A2B",
    "X-Client-Fingerprint: c0ffee",
]
FORGED = [
    f"{name}: 6"
    for name in (
        *("Client-Cert", "Client-Cert-Chain", "X-Client-Subject", "X-Client-Issuer", "X-Client-Serial"),
        *("X-Client-Fingerprint", "CLIENT-CERT", "client_cert", "client.cert-chain", "X_Client_Subject"),
        *("X-Client_Issuer", "X.Client~Serial", "x-client_fingerprint"),
    )
]


def told(on: Request) -> list[str]:
    """What stands there of a certificate."""
    begin = (b"client-", b"x-client-")
    return [text for text in lines(on) if dashed(text.lower().encode()).startswith(begin)]


@pytest.mark.parametrize(
    ("setting", "shown"), [("full", CERTIFIED), ("details", CERTIFIED[1:]), ("none", [])]
)
def test_a_server_is_told_of_the_clients_certificate_as_far_as_the_operator_says(
    setting: str, shown: list[str]
) -> None:
    origin = certified(CLIENT)
    for host in ("a", "a", "b"):
        on = sent(request("GET /", f"Host: {host}", *FORGED), origin, HeaderRules(client_certificate=setting))
        assert told(on) == shown


def test_what_a_client_says_of_a_certificate_goes_in_every_spelling() -> None:
    for setting in ("full", "details", "none"):
        assert told(sent(request("GET /", *FORGED), CLIENT, HeaderRules(client_certificate=setting))) == []


def test_a_trusted_proxy_tells_of_its_clients_certificate_and_not_its_own() -> None:
    theirs = ["Client-Cert: :AA==:", "Client-Cert-Chain: :AA==:", "X-Client-Subject: CN=bob"]
    for peer in (PROXY, certified(PROXY)):
        for head in (theirs, ["X-Forwarded-For: 203.0.113.5", *theirs]):
            on = sent(request("GET /", *head, "X_Client_Serial: 6"), peer)
            assert told(on) == theirs


@pytest.mark.parametrize(
    "said",
    [
        "X-Forwarded-For: 203.0.113.5",
        "X-Forwarded-For: unknown",
        "X-Forwarded-For: 203.0.113.5, ",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: a",
        "X-Real-IP: 203.0.113.5",
        "Forwarded: for=203.0.113.5",
        'Forwarded: for="',
        "Forwarded: for=203.0.113.5:x",
    ],
)
def test_a_trusted_proxys_own_certificate_is_nobodys_who_stands_behind_it(said: str) -> None:
    assert told(sent(request("GET /", said), certified(PROXY))) == []


def test_a_trusted_peer_that_speaks_for_nobody_is_the_client() -> None:
    assert told(sent(request("GET /"), certified(PROXY))) == CERTIFIED


def test_what_servers_shall_not_see_of_a_certificate_no_trusted_proxy_shows_them() -> None:
    theirs = ("Client-Cert: :AA==:", "client_cert: :AA==:", "Client-Cert-Chain: :AA==:")
    serial = "X-Client-Serial: 7"
    details = HeaderRules(client_certificate="details")
    assert told(sent(request("GET /", *theirs, serial), PROXY, details)) == [serial]
    # It has said something, so the connection's certificate is not the client's.
    assert told(sent(request("GET /", *theirs), certified(PROXY), details)) == []
    none = HeaderRules(client_certificate="none")
    assert told(sent(request("GET /", *theirs, serial), PROXY, none)) == []


def test_connection_cannot_take_away_the_certificate() -> None:
    on = sent(request("GET /", "Connection: Client-Cert, X-Client-Subject"), certified(CLIENT))
    assert told(on) == CERTIFIED


def test_no_trailer_says_anything_of_a_certificate() -> None:
    assert not any(may_be_trailer(text.partition(":")[0].lower().encode()) for text in FORGED)


# --- groups -----------------------------------------------------------------------------------

NAMED = ["X-Group: gold", "X_Group: gold", "X-Other: gold", "Accept: a"]


def naming(origin: Origin, believed: bytes = b"x-group") -> Origin:
    """An origin like that one, at a listener where this field is believed, of a broker that has two."""
    made = certified(origin, None)
    made.group_fields = GroupFields(believed, frozenset((b"x-group", b"x-other")))
    return made


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        (CLIENT, NAMED),
        (naming(CLIENT), ["Accept: a"]),
        (naming(PROXY), ["X-Group: gold", "Accept: a"]),
        (naming(PROXY, b""), ["Accept: a"]),
    ],
)
def test_a_field_that_names_groups_goes_on_from_whom_it_is_believed(origin: Origin, kept: list[str]) -> None:
    on = sent(request("GET /", *NAMED), origin)
    assert [line for line in lines(on) if line in NAMED] == kept


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (["x-group: gold", "X-Group: silver"], ["silver"]),
        (["X-Group: gold, silver"], ["silver"]),
        (["X-Group: gold,"], []),
        (["X-Group: gold", "X-Group: "], []),
        (["X-Group: "], [""]),
    ],
)
def test_the_server_sees_that_word_only_which_the_broker_believes(came: list[str], goes: list[str]) -> None:
    on = sent(request("GET /", *came), naming(PROXY))
    assert line(on, "X-Group") == goes


def test_connection_cannot_take_away_a_group() -> None:
    on = sent(request("GET /", "Connection: X-Group", "X-Group: gold"), naming(PROXY))
    assert line(on, "X-Group") == ["gold"]


def test_no_trailer_names_a_group() -> None:
    trailers = Trailers(fields("X-Group: gold", "X_Other: gold", "X-Sum: 1"))
    for origin in (naming(CLIENT), naming(PROXY)):
        assert for_server(trailers, sent(request("GET /"), origin)) == Trailers(fields("X-Sum: 1"))


# --- the operator's rules ---------------------------------------------------------------------


def test_the_operator_has_the_last_word() -> None:
    rules = HeaderRules(
        set={"X-Forwarded-Proto": "https", "X-Key": "mine"},
        add={"Via": "1.1 other"},
        remove=("cookie", "Forwarded", "X-Forwarded-Port"),
    )
    on = sent(request("GET /", "Host: a", "Cookie: 1", "x-key: his", "X_Key: his"), rules=rules)
    assert lines(on) == [
        "X-Forwarded-For: 198.51.100.7",
        "X-Forwarded-Host: a",
        f"Via: 1.1 {BROKER}",
        "X-Forwarded-Proto: https",
        "X-Key: mine",
        "Via: 1.1 other",
    ]


def test_the_operator_removes_what_a_trusted_peer_says_too() -> None:
    rules = HeaderRules(remove=("X-Forwarded-For", "X-Forwarded-Proto", "Via"))
    on = sent(request("GET /", "X-Forwarded-For: 1.1.1.1", "Via: 1.1 a"), PROXY, rules)
    assert [name for name, _, _ in on.fields] == [b"forwarded", b"x-forwarded-port"]


def test_via_is_appended_to_what_came_and_can_be_off() -> None:
    message = request("GET /", "Via: 1.0 fred")
    assert line(sent(message), "Via") == ["1.0 fred", f"1.1 {BROKER}"]
    assert line(sent(message, rules=HeaderRules(via=False)), "Via") == ["1.0 fred"]


# --- Max-Forwards -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "came", "goes"),
    [
        ("TRACE", "5", "4"),
        ("OPTIONS", "1", "0"),
        ("OPTIONS", "0", "0"),
        ("TRACE", "1000", "255"),
        ("TRACE", "9" * 5000, "255"),
        ("TRACE", "-5", "-5"),
        ("TRACE", "many", "many"),
        ("GET", "5", "5"),
    ],
)
def test_max_forwards_counts_down_for_trace_and_options(method: str, came: str, goes: str) -> None:
    assert line(sent(request(f"{method} /", f"Max-Forwards: {came}")), "Max-Forwards") == [goes]


# --- responses --------------------------------------------------------------------------------


def test_a_response_to_a_client() -> None:
    message = response(
        "200 OK",
        "Connection: close, X-Hop, Set-Cookie",
        "Keep-Alive: timeout=5",
        "X-Hop: 1",
        "Upgrade: h2c",
        "Content-Length: 5",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        close=True,
    )
    before = deepcopy(message)
    on = answered(message)
    assert lines(on) == ["Set-Cookie: a=1", "Set-Cookie: b=2", f"Via: 1.1 {BROKER}"]
    assert (on.status, on.reason, on.framing, on.length) == (200, b"OK", Framing.LENGTH, 5)
    assert (on.close, on.options, on.upgrade) == (False, (), b"")
    assert message == before


@pytest.mark.parametrize(
    ("start", "kept"), [("200 OK", ["9"]), ("304 Not Modified", ["9"]), ("204 No Content", []), ("103 E", [])]
)
def test_a_length_that_only_states_goes_on(start: str, kept: list[str]) -> None:
    on = answered(response(start, "Content-Length: 9", framing=Framing.NONE, length=0))
    assert line(on, "Content-Length") == kept


def test_trailer_goes_on_to_a_client_that_will_get_trailers() -> None:
    message = response("200 OK", "Trailer: X-Sum", framing=Framing.CHUNKED)
    willing = request("GET /", "Connection: TE", "TE: trailers")
    assert line(answered(message, willing), "Trailer") == ["X-Sum"]
    assert line(answered(message, request("GET /", "TE: trailers", minor=0)), "Trailer") == []
    assert line(answered(message), "Trailer") == []


def test_upgrade_goes_on_with_a_switch_and_with_a_demand_for_one() -> None:
    for start in ("101 Switching Protocols", "426 Upgrade Required"):
        assert answered(response(start, "Upgrade: websocket")).upgrade == b"websocket"
    assert answered(response("200 OK", "Upgrade: websocket")).upgrade == b""


def test_a_response_that_keeps_its_link_loses_nothing_else() -> None:
    message = response("200 OK", "Connection: keep-alive", "ETag: x", "Keep: y")
    assert lines(answered(message, rules=HeaderRules(via=False))) == ["ETag: x", "Keep: y"]


def test_via_of_a_response_says_how_it_came_and_can_be_off() -> None:
    assert line(answered(response("200 OK", minor=0)), "Via") == [f"1.0 {BROKER}"]
    assert line(answered(response("200 OK"), rules=HeaderRules(via=False)), "Via") == []


# --- in whatever spelling ---------------------------------------------------------------------

_FORGED = sorted(CLAIMS | HOP_BY_HOP | {b"x-forwarded-prefix", b"proxy"})


@st.composite
def _spellings(draw: st.DrawFn) -> str:
    """One of the forbidden names, with cases changed and dashes turned to other signs of a token."""
    name = draw(st.sampled_from(_FORGED)).decode()
    other = st.sampled_from("-_.~!*")
    return "".join(
        draw(other) if sign == "-" else draw(st.sampled_from((sign, sign.upper()))) for sign in name
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(_spellings(), max_size=6), st.lists(st.sampled_from(_FORGED + sorted(END_TO_END)), max_size=4)
)
def test_nothing_forged_and_nothing_hop_by_hop_survives(names: list[str], listed: list[bytes]) -> None:
    head = [f"{name}: 6.6.6.6" for name in names]
    connection = "Connection: " + ", ".join(name.decode() for name in listed)
    on = sent(request("GET /", connection, "X-Kept: 1", *head, upgrade=b""))
    assert "6.6.6.6" not in " ".join(line for line in lines(on) if not line.startswith("Via"))
    assert not {dashed(name) for name, _, _ in on.fields} & HOP_BY_HOP
    assert line(on, "X-Kept") == ["1"]
    assert line(on, "X-Forwarded-For") == ["198.51.100.7"]


@settings(max_examples=100, deadline=None)
@given(st.lists(_spellings(), max_size=6))
def test_nothing_hop_by_hop_reaches_a_client(names: list[str]) -> None:
    on = answered(response("200 OK", *(f"{name}: x" for name in names)))
    assert not {name for name, _, _ in on.fields} & HOP_BY_HOP
