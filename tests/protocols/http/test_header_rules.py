"""The operator's header rules: what they may say, and how a mistake is told."""

from __future__ import annotations

import pytest

from sslbroker.errors import ConfigurationError
from sslbroker.protocols.http.header_rules import own_headers
from sslbroker.settings import HeaderRules

from .written import BROKER, fields, pool


def problems(rules: HeaderRules, name: str = BROKER) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        own_headers(pool(rules), name)
    return [str(problem) for problem in caught.value.problems]


def test_no_rules_change_nothing() -> None:
    own = own_headers(pool(), BROKER)
    assert (own.drop, own.write, own.host) == (frozenset(), (), None)


def test_set_replaces_and_is_written_before_add() -> None:
    rules = HeaderRules(set={"X-A": " one "}, add={"X-B": "zwei é"}, remove=("X-C",))
    own = own_headers(pool(rules), BROKER)
    assert own.drop == {b"x-a", b"x-c"}
    assert list(own.write) == fields("X-A: one", "X-B: zwei é")


def test_what_servers_shall_not_see_of_a_certificate_is_dropped() -> None:
    details = {b"client-cert", b"client-cert-chain"}
    words = {b"x-client-subject", b"x-client-issuer", b"x-client-serial", b"x-client-fingerprint"}
    for setting, dropped in (("full", set()), ("details", details), ("none", details | words)):
        rules = HeaderRules(client_certificate=setting, remove=("X-C",))
        assert own_headers(pool(rules), BROKER).drop == {*dropped, b"x-c"}
    assert problems(HeaderRules(client_certificate="some")) == [
        'pools.shop.headers.client_certificate: found \'some\', expected "full", "details" or "none"'
    ]


def test_a_host_that_is_set_is_kept_apart() -> None:
    own = own_headers(pool(HeaderRules(set={"HOST": "shop.internal:81"})), BROKER)
    assert (own.drop, own.write, own.host) == (frozenset(), (), b"shop.internal:81")


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "Upgrade", "TE"])
@pytest.mark.parametrize("table", ["set", "add"])
def test_what_frames_a_message_cannot_be_written(name: str, table: str) -> None:
    rules = HeaderRules(set={name: "1"}) if table == "set" else HeaderRules(add={name: "1"})
    assert problems(rules) == [
        f"pools.shop.headers.{table}.{name}: found {name}, expected a field that the broker does not "
        "write itself (the connection decides it)"
    ]


def test_host_can_neither_be_added_nor_removed() -> None:
    told = problems(HeaderRules(add={"Host": "a"}, remove=("host",)))
    assert [line.partition(":")[0] for line in told] == [
        "pools.shop.headers.add.Host",
        "pools.shop.headers.remove.host",
    ]
    assert all('use host = "server", or set' in line for line in told)


def test_every_mistake_is_told_at_once() -> None:
    rules = HeaderRules(
        set={"X A": "1", "Host": "a b"},
        add={"X-B": "1\r\nX-C: 2", "X-D": "1", "x-d": "2"},
        remove=("",),
        host="maybe",
    )
    assert len(problems(rules, "edge 1")) == 7


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\r\nX: y", "é"])
def test_a_pseudonym_that_via_cannot_carry_is_refused(name: str) -> None:
    assert problems(HeaderRules(), name)[0].startswith("broker.name: found")


@pytest.mark.parametrize("value", ["\r", "\n", "\x00", "\x7f", "a\x0bb"])
def test_no_control_character_gets_into_a_value(value: str) -> None:
    assert problems(HeaderRules(set={"X-A": value}))[0].startswith("pools.shop.headers.set.X-A: found")


@pytest.mark.parametrize("host", ["", "a/b", "a@b", "a\r\nb", "a b"])
def test_no_sign_gets_into_a_host_that_a_host_has_not(host: str) -> None:
    assert problems(HeaderRules(set={"Host": host}))[0].endswith("expected a host, or host:port")
