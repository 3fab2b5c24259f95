"""Brokers in front of brokers: what one's rules write is what the next one's rules read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sslbroker.errors import LoopDetected, NoServer
from sslbroker.interfaces import Head, Origin
from sslbroker.protocols.http.answers import Answers
from sslbroker.protocols.http.message import Request, Response
from sslbroker.protocols.http.rules import HTTPRules
from sslbroker.settings import HeaderRules, Sticky

from .written import CERTIFICATE, certified, line, pool, request, response

KEY = "0123456789abcdef"
CLIENT = Origin("203.0.113.5", 40000, listener_port=443, secure=True)


def trusts_ten(address: str) -> bool:
    return address.startswith("10.")


def link_from(address: str) -> Origin:
    """Where a broker at `address` comes from, to the broker behind it that trusts it."""
    origin = Origin(address, listener_port=80, trusted=True)
    origin.trusts = trusts_ten
    return origin


class Broker:
    """The rules of one broker, and where it stands."""

    def __init__(self, name: str, address: str, **settings: object) -> None:
        self.rules = HTTPRules(pool(**settings), name, Answers())  # type: ignore[arg-type]
        self.origin = link_from(address)

    def passes(self, message: Request, origin: Origin) -> Request:
        """What the next one gets; raises when this one refuses."""
        origin = self.rules.origin(message, origin)
        error = self.rules.admit(message, origin)
        if error is not None:
            raise error
        return self.rules.to_server(message, origin, "10.9.9.9:80", False)


def through(message: Request, *brokers: Broker, origin: Origin = CLIENT) -> Request:
    for broker in brokers:
        message = broker.passes(message, origin)
        origin = broker.origin
    return message


def back(answer: Response, message: Request, *brokers: Broker) -> Response:
    for broker in brokers:
        answer = broker.rules.to_client(answer, message, CLIENT)
    return answer


# --- loops ------------------------------------------------------------------------------------


def test_two_brokers_of_different_names_in_a_row_are_no_loop() -> None:
    on = through(request("GET /", "Host: a"), Broker("edge", "10.0.0.1"), Broker("inner", "10.0.0.2"))
    assert line(on, "Via") == ["1.1 edge", "1.1 inner"]


def test_two_brokers_of_one_name_are_none_either_and_three_are() -> None:
    one = Broker("same", "10.0.0.1")
    assert line(through(request("GET /", "Host: a"), one, one), "Via") == ["1.1 same", "1.1 same"]
    with pytest.raises(LoopDetected):
        through(request("GET /", "Host: a"), one, one, one)


@pytest.mark.parametrize("names", [("one",), ("one", "two"), ("one", "two", "three")])
def test_a_request_that_goes_round_is_stopped_in_the_third_round(names: tuple[str, ...]) -> None:
    ring = [Broker(name, f"10.0.0.{at}") for at, name in enumerate(names)]
    message = through(request("GET /", "Host: a"), *ring, *ring)
    with pytest.raises(LoopDetected):
        through(message, ring[0], origin=ring[-1].origin)


def test_what_went_through_brokers_side_by_side_is_no_loop() -> None:
    edge, left, right = Broker("edge", "10.0.0.1"), Broker("left", "10.0.0.2"), Broker("right", "10.0.0.3")
    message = request("GET /", "Host: a")
    # The edge fails over from one to the other: each try starts from the request as it came.
    assert line(through(message, edge, left), "Via") == ["1.1 edge", "1.1 left"]
    assert line(through(message, edge, right), "Via") == ["1.1 edge", "1.1 right"]


# --- who the client is ------------------------------------------------------------------------


def test_every_broker_of_a_row_knows_the_client() -> None:
    brokers = [Broker(f"b{at}", f"10.0.0.{at}") for at in range(4)]
    message, origin = request("GET /", "Host: shop", "X-Forwarded-For: 6.6.6.6"), CLIENT
    for broker in brokers:
        known = broker.rules.origin(message, origin)
        assert (known.address, known.secure) == ("203.0.113.5", True)
        message, origin = broker.passes(message, origin), broker.origin
    assert line(message, "X-Forwarded-For") == ["203.0.113.5, 10.0.0.0, 10.0.0.1, 10.0.0.2"]
    assert line(message, "X-Forwarded-Proto") == ["https"]
    assert len(line(message, "Forwarded")[0].split(", ")) == 4


def test_forwarded_alone_tells_the_same() -> None:
    only = HeaderRules(remove=("X-Forwarded-For", "X-Forwarded-Proto"))
    brokers = [Broker(f"b{at}", f"10.0.0.{at}", headers=only) for at in range(3)]
    on = through(request("GET /", "Host: shop"), *brokers)
    known = Broker("last", "10.0.0.9").rules.origin(on, brokers[-1].origin)
    assert (known.address, known.secure) == ("203.0.113.5", True)


@pytest.mark.parametrize(
    "schemes",
    [
        ["https, http"],
        ["https", "http"],
        ["https", "http, gopher"],
        ["https, "],
        ["http, https"],
        [""],
        ["gopher"],
    ],
)
@pytest.mark.parametrize(
    "chain",
    [
        ["203.0.113.5"],
        ["203.0.113.5, 10.0.0.7"],
        ["203.0.113.5, 10.0.0.7, 10.0.0.6"],
        ["203.0.113.5", ""],
        ["203.0.113.5, unknown", "10.0.0.7"],
        ["", ""],
    ],
)
@pytest.mark.parametrize("secure", [False, True])
def test_every_broker_of_a_row_believes_what_the_first_believes(
    schemes: list[str], chain: list[str], secure: bool
) -> None:
    brokers = [Broker(f"b{at}", f"10.0.0.{at}") for at in range(4)]
    told = [f"X-Forwarded-Proto: {scheme}" for scheme in schemes]
    told += [f"X-Forwarded-For: {addresses}" for addresses in chain]
    message, origin = request("GET /", "Host: shop", *told), link_from("10.0.0.9")
    origin.secure = secure
    first = brokers[0].rules.origin(message, origin)
    for broker in brokers:
        known = broker.rules.origin(message, origin)
        assert (known.address, known.secure) == (first.address, first.secure)
        message, origin = broker.passes(message, origin), broker.origin
        assert line(message, "X-Forwarded-Proto") == ["https" if first.secure else "http"]


def test_the_clients_certificate_reaches_the_server_through_a_row_of_brokers() -> None:
    edge, inner = Broker("edge", "10.0.0.1"), Broker("inner", "10.0.0.2")
    edge.origin = certified(edge.origin, replace(CERTIFICATE, subject="CN=edge"))
    on = through(
        request("GET /", "Host: a", "X-Client-Subject: CN=root"), edge, inner, origin=certified(CLIENT)
    )
    assert line(on, "X-Client-Subject") == [CERTIFICATE.subject]
    assert len(line(on, "Client-Cert")) == 1
    anonymous = through(request("GET /", "Host: a"), edge, inner)
    assert line(anonymous, "X-Client-Subject") == line(anonymous, "Client-Cert") == []


# --- cookies ----------------------------------------------------------------------------------


def test_brokers_with_cookies_of_different_names_both_keep_their_clients() -> None:
    edge = Broker("edge", "10.0.0.1", sticky=Sticky("EDGE"))
    inner = Broker("inner", "10.0.0.2", sticky=Sticky("INNER"))
    message = request("GET /", f"Cookie: EDGE={KEY}; INNER={KEY[::-1]}; a=1")
    assert edge.rules.stuck(message) == KEY
    between = through(message, edge)
    assert inner.rules.stuck(between) == KEY[::-1]
    assert line(through(between, inner, origin=edge.origin), "Cookie") == ["a=1"]
    answer = inner.rules.to_client(response("200 OK"), between, edge.origin)
    inner.rules.stick(answer, KEY, edge.origin)
    assert len(line(back(answer, message, edge), "Set-Cookie")) == 1


def test_with_one_name_the_first_broker_decides_and_the_client_is_told_one_key() -> None:
    edge, inner = (Broker(name, "10.0.0.1", sticky=Sticky("SRV")) for name in ("edge", "inner"))
    message = request("GET /", f"Cookie: SRV={KEY}")
    between = through(message, edge)
    assert inner.rules.stuck(between) == ""
    answer = inner.rules.to_client(response("200 OK"), between, edge.origin)
    inner.rules.stick(answer, KEY[::-1], edge.origin)
    assert line(back(answer, message, edge), "Set-Cookie") == []


# --- tries ------------------------------------------------------------------------------------


def test_tries_are_told_from_broker_to_broker_and_to_no_one_else() -> None:
    edge, inner = Broker("edge", "10.0.0.1"), Broker("inner", "10.0.0.2")
    message = request("GET /", "Host: a")
    head = inner.rules.error_answer(NoServer(), message, 1)[0]
    assert isinstance(head, Head)
    inner.rules.tell_tries(head.message, 3)
    assert edge.rules.tried(head.message) == 3
    assert line(back(head.message, message, edge), "Sslbroker-Tries") == []


def test_what_a_server_invents_of_tries_does_not_pass_an_inner_broker() -> None:
    edge, inner = Broker("edge", "10.0.0.1"), Broker("inner", "10.0.0.2")
    message = request("GET /", "Host: a")
    answer = back(response("500 x", "Sslbroker-Tries: 1000"), message, inner)
    assert edge.rules.tried(answer) == 0
    inner.rules.tell_tries(answer, 2)
    assert edge.rules.tried(answer) == 2
