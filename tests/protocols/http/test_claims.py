"""What a trusted peer says of the client, and what of it is believed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.interfaces import GroupFields, Origin
from sslbroker.protocols.http.claims import ClaimedOrigin, agrees, claimed, parse_address, parse_forwarded
from sslbroker.settings import Group

from .written import CERTIFICATE, PROXY, certified, fields


def client(*head: str) -> tuple[str, int, bool]:
    origin = claimed(fields(*head), PROXY)
    return origin.address, origin.port, origin.secure


def unchanged(*head: str) -> bool:
    return claimed(fields(*head), PROXY) is PROXY


# --- X-Forwarded-For and -Proto ---------------------------------------------------------------


def test_nothing_said_changes_nothing() -> None:
    assert unchanged("Accept: text/html")


def test_the_rightmost_address_is_the_client() -> None:
    assert client("X-Forwarded-For: 1.1.1.1, 203.0.113.5") == ("203.0.113.5", 0, False)


def test_the_last_field_of_several_is_the_peers() -> None:
    assert client("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.5")[0] == "203.0.113.5"


def test_what_stands_left_of_it_may_be_anything() -> None:
    assert client('X-Forwarded-For: "<script>, 203.0.113.5')[0] == "203.0.113.5"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"203.0.113.5", ("203.0.113.5", 0)),
        (b"203.0.113.5:4711", ("203.0.113.5", 4711)),
        (b"2001:DB8::1", ("2001:db8::1", 0)),
        (b"[2001:db8::1]", ("2001:db8::1", 0)),
        (b"[2001:db8::1]:4711", ("2001:db8::1", 4711)),
        (b"::ffff:203.0.113.5", ("203.0.113.5", 0)),
        (b"203.0.113.5:_hidden", ("203.0.113.5", 0)),
        (b"", None),
        (b"unknown", None),
        (b"203.0.113", None),
        (b"203.0.113.256", None),
        (b"203.0.113.5:65536", None),
        (b"203.0.113.5:", None),
        (b"203.0.113.005", None),
        (b"[203.0.113.5]", None),
        (b"2001:db8:::1", None),
        (b"[2001:db8::1", None),
        (b"fe80::1%eth0", None),
        (b"[::1]:999999", None),
        (b"1" * 5000, None),
        (b"203.0.113.5\n", None),
        (b"203.0.113.5, 1.1.1.1", None),
    ],
)
def test_an_address_is_read_strictly(text: bytes, address: tuple[str, int] | None) -> None:
    assert parse_address(text) == address


def test_the_scheme_is_taken_too() -> None:
    assert client("X-Forwarded-For: 203.0.113.5", "X-Forwarded-Proto: HTTPS") == ("203.0.113.5", 0, True)
    assert client("X-Forwarded-Proto: wss") == (PROXY.address, PROXY.port, True)
    secure = Origin("10.0.0.1", secure=True, trusted=True)
    assert claimed(fields("X-Forwarded-Proto: http"), secure).secure is False


def test_an_address_that_cannot_be_read_makes_the_whole_claim_void() -> None:
    assert unchanged("X-Forwarded-For: 203.0.113.5,", "X-Forwarded-Proto: https")


def test_the_rest_of_the_origin_stays_and_the_peer_is_remembered() -> None:
    peer = certified(PROXY)
    peer.trusts, peer.misdirected = trusted, lambda host: host == b"a"
    origin = claimed(fields("X-Forwarded-For: 203.0.113.5"), peer)
    assert isinstance(origin, ClaimedOrigin)
    assert origin.peer is peer
    assert (origin.listener, origin.listener_port, origin.trusted) == ("http", 8080, True)
    assert (origin.trusts, origin.misdirected) == (peer.trusts, peer.misdirected)


def test_the_certificate_of_the_connection_is_the_peers_and_not_the_clients() -> None:
    assert claimed(fields("X-Forwarded-For: 203.0.113.5"), certified(PROXY)).certificate is None
    assert claimed(fields("Accept: x"), certified(PROXY)).certificate == CERTIFICATE


# --- groups -----------------------------------------------------------------------------------

KNOWN = {name: Group(name) for name in ("gold", "iron")}


def naming(believed: bytes = b"x-group") -> Origin:
    """A proxy that may name groups, whose clients of one network are in one anyway."""
    peer = Origin("10.0.0.1", 50000, trusted=True)
    peer.group_fields = GroupFields(believed, frozenset((b"x-group",)))
    peer.grouping = lambda origin, named: KNOWN.get(named or ("iron" if origin.address[0] == "2" else ""))
    return peer


def group_of(*head: str, peer: Origin | None = None) -> str | None:
    group = claimed(fields(*head), peer or naming()).group
    return None if group is None else group.name


def test_a_client_that_is_told_of_is_asked_for_its_group() -> None:
    assert group_of("X-Forwarded-For: 203.0.113.5") == "iron"
    assert group_of("Forwarded: for=203.0.113.5") == "iron"
    assert group_of("X-Forwarded-For: 198.51.100.1") is None


@pytest.mark.parametrize(
    ("values", "group"),
    [
        (["gold"], "gold"),
        (["iron", "gold"], "gold"),
        (["iron, gold "], "gold"),
        (["gold", "iron,lead"], None),
        (["gold", ""], "iron"),
        (["gold,"], "iron"),
        (["Gold"], None),
        (["g\xf6ld"], None),
        (["gold" * 1000], None),
    ],
)
def test_the_peers_own_word_is_the_last(values: list[str], group: str | None) -> None:
    assert group_of("X-Forwarded-For: 203.0.113.5", *(f"X-Group: {value}" for value in values)) == group


def test_a_group_alone_makes_another_client_at_the_same_address() -> None:
    peer = naming()
    origin = claimed(fields("X-Group: gold"), peer)
    assert isinstance(origin, ClaimedOrigin)
    assert (origin.address, origin.port, origin.secure) == (peer.address, peer.port, peer.secure)
    assert origin.group is KNOWN["gold"]
    assert claimed(fields("X-Group:"), peer) is peer


def test_a_field_that_this_listener_does_not_believe_says_nothing() -> None:
    peer = naming(b"")
    assert claimed(fields("X-Group: gold"), peer) is peer
    assert group_of("X-Group: gold", "X-Forwarded-For: 203.0.113.5", peer=peer) == "iron"
    assert unchanged("X-Group: gold")


# --- several trusted proxies in a row ---------------------------------------------------------


def trusted(address: str) -> bool:
    return address.startswith(("10.", "fd00:"))


def walked(*head: str, secure: bool = False) -> tuple[str, bool]:
    peer = Origin("10.0.0.1", 50000, secure=secure, trusted=True)
    peer.trusts = trusted
    origin = claimed(fields(*head), peer)
    return origin.address, origin.secure


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("203.0.113.5,10.0.0.3:4711,[fd00::2]:80 ,  10.0.0.2", "203.0.113.5"),
        ("10.0.0.9, 203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("6.6.6.6, 10.0.0.3, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.4, 10.0.0.3, 10.0.0.2", "10.0.0.4"),
        ("10.0.0.2", "10.0.0.2"),
        ("203.0.113.5, unknown, 10.0.0.2", "10.0.0.2"),
        ("203.0.113.5,, 10.0.0.2", "10.0.0.2"),
        ("203.0.113.5, 10.0.0.2, ", "10.0.0.1"),
        ("::ffff:10.0.0.2", "10.0.0.2"),
        ("203.0.113.5, ::ffff:10.0.0.2", "203.0.113.5"),
    ],
)
def test_the_first_that_is_not_trusted_from_the_right_is_the_client(chain: str, client: str) -> None:
    assert walked(f"X-Forwarded-For: {chain}")[0] == client


def test_the_walk_goes_on_over_fields() -> None:
    head = (
        "X-Forwarded-For: 203.0.113.5",
        "X-Forwarded-For: 10.0.0.3, 10.0.0.2",
        "X-Forwarded-For: 10.0.0.4",
    )
    assert walked(*head)[0] == "203.0.113.5"


@pytest.mark.parametrize(
    ("schemes", "chain", "secure"),
    [
        ("https", "203.0.113.5", True),
        ("https", "203.0.113.5, 10.0.0.3, 10.0.0.2", True),
        ("https, http", "203.0.113.5, 10.0.0.2", True),
        ("http, https", "203.0.113.5, 10.0.0.2", False),
        ("https, http, http", "203.0.113.5, 10.0.0.2", False),
        ("https, http", "203.0.113.5", False),
        ("https, http", "203.0.113.5, 10.0.0.3, 10.0.0.2", True),
        ("gopher, https", "6.6.6.6, 203.0.113.5", True),
        ("https, http", "unknown, 10.0.0.2", False),
    ],
)
def test_the_scheme_stands_as_far_from_the_right_as_the_client(
    schemes: str, chain: str, secure: bool
) -> None:
    head = (f"X-Forwarded-For: {chain}", f"X-Forwarded-Proto: {schemes}")
    assert walked(*head, secure=not secure)[1] is secure


def test_without_addresses_the_last_scheme_counts() -> None:
    assert walked("X-Forwarded-Proto: https, http", secure=True) == ("10.0.0.1", False)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    "head",
    [
        ("X-Forwarded-For: 203.0.113.5", "X-Forwarded-Proto: gopher"),
        ("X-Forwarded-For: 203.0.113.5, 10.0.0.2", "X-Forwarded-Proto: gopher, https"),
        ("X-Forwarded-For: 203.0.113.5", "X-Forwarded-Proto:"),
        ("Forwarded: for=203.0.113.5;proto=gopher",),
        ('Forwarded: for=203.0.113.5;proto=""',),
    ],
)
def test_a_client_whose_proxy_passes_its_scheme_on_cannot_pass_for_the_proxy(
    head: tuple[str, ...], secure: bool
) -> None:
    assert walked(*head, secure=secure) == ("203.0.113.5", secure)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("for=203.0.113.5;proto=https, for=10.0.0.2;proto=http", ("203.0.113.5", True)),
        ("for=6.6.6.6;proto=http, for=203.0.113.5;proto=https, for=10.0.0.2", ("203.0.113.5", True)),
        ('for=203.0.113.5, for="[fd00::2]";proto=https', ("203.0.113.5", True)),
        ("for=10.0.0.3;proto=https, for=10.0.0.2;proto=http", ("10.0.0.3", True)),
        ("for=_hidden;proto=https, for=10.0.0.2;proto=http", ("10.0.0.2", True)),
        ("proto=https, for=10.0.0.2;proto=http", ("10.0.0.2", True)),
        ("for=6.6.6.6, for=unknown;proto=https, for=10.0.0.2", ("10.0.0.2", True)),
        ("for=999;proto=https, for=10.0.0.2;proto=http", ("10.0.0.2", False)),
        ("for=203.0.113.5;proto=gopher, for=10.0.0.2;proto=https", ("203.0.113.5", True)),
        ("for=6.6.6.6;proto=gopher, for=203.0.113.5, for=10.0.0.2", ("203.0.113.5", False)),
        ("for=203.0.113.5 oops, for=10.0.0.2", ("10.0.0.1", False)),
    ],
)
def test_elements_are_walked_as_well_and_each_has_its_scheme(chain: str, client: tuple[str, bool]) -> None:
    assert walked(f"Forwarded: {chain}") == client


def test_a_walk_is_no_longer_than_any_chain_of_proxies() -> None:
    asked: list[str] = []

    def trusts(address: str) -> bool:
        asked.append(address)
        return True

    peer = Origin("10.0.0.1", trusted=True)
    peer.trusts = trusts
    hostile = ", ".join(f"10.1.{n // 250}.{n % 250}" for n in range(2000))
    assert claimed(fields(f"X-Forwarded-For: {hostile}"), peer).address == "10.1.7.150"
    assert len(asked) == 100
    asked.clear()
    claimed(fields("X-Forwarded-For: 10.0.0.5" + ", 10.0.0.2" * 100), peer)
    assert asked == ["10.0.0.2"] * 100


# --- Forwarded (RFC 7239) ---------------------------------------------------------------------


def test_x_forwarded_wins_over_forwarded_which_proxies_pass_on_unread() -> None:
    said = ("Forwarded: for=6.6.6.6;proto=https", "X-Forwarded-For: 203.0.113.5")
    assert client(*said) == ("203.0.113.5", 0, False)


def test_the_rightmost_element_is_the_client() -> None:
    assert client("Forwarded: for=1.1.1.1, For=203.0.113.5;Proto=https;by=_me") == ("203.0.113.5", 0, True)


def test_an_ipv6_address_comes_quoted_with_a_port() -> None:
    assert client('Forwarded: for="[2001:db8::1]:4711"')[:2] == ("2001:db8::1", 4711)


@pytest.mark.parametrize("node", ["unknown", "Unknown", "_hidden", ""])
def test_a_hidden_client_leaves_the_peers_address_but_the_scheme_counts(node: str) -> None:
    said = f"Forwarded: for={node};proto=https" if node else "Forwarded: proto=https"
    assert client(said) == (PROXY.address, PROXY.port, True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " , ,",
        "for",
        "for=",
        "for=2001:db8::1",
        'for="203.0.113.5',
        'for="203.0.113.5"x',
        'for="2001:db8::1"',
        "for=203.0.113.5;for=203.0.113.6",
        "for=203.0.113.5;FOR=203.0.113.5",
        "for = 203.0.113.5",
        "for=203.0.113.5 proto=https",
        "for=203.0.113.999",
        "for=203.0.113.5, =x",
        "for=203.0.113.5;proto=ht tp",
    ],
)
def test_a_malformed_field_is_ignored_as_a_whole(value: str) -> None:
    assert unchanged(f"Forwarded: {value}")


@pytest.mark.parametrize(
    "invented",
    [
        ['Forwarded: for="'],
        ["Forwarded: for=1.1.1.1;proto=ht tp", "Forwarded: for=2.2.2.2"],
        ["Forwarded: " + ",".join(["for=10.0.0.9"] * 101)],
        ["Forwarded: for=10.0.0.9" + ";" * 400],
        ["Forwarded: for=10.0.0.9" + ";" * 100] * 100,
    ],
)
def test_nothing_that_a_client_invents_before_it_hides_what_its_proxy_says(invented: list[str]) -> None:
    assert walked(*invented, "Forwarded: for=203.0.113.5;proto=https") == ("203.0.113.5", True)


def test_a_malformed_field_of_the_peers_own_makes_all_void() -> None:
    assert unchanged("Forwarded: for=203.0.113.5", 'Forwarded: for="')
    assert unchanged("Forwarded: for=203.0.113.5", "Forwarded:" + ";" * 401)


def test_a_walk_over_many_fields_is_no_longer_than_any_chain_of_proxies() -> None:
    chain = ["Forwarded: for=203.0.113.5", *["Forwarded: for=10.0.0.9"] * 100]
    assert walked(*chain) == ("10.0.0.9", False)
    assert walked(*chain[:-1]) == ("203.0.113.5", False)


def test_empty_parts_blanks_and_escapes_are_read() -> None:
    assert parse_forwarded([rb' , for=a ; host="a\"b,c";; , by=d,']) == [
        {b"for": b"a", b"host": b'a"b,c'},
        {b"by": b"d"},
    ]


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (rb"\a", b"a"),
        (rb"\\", b"\\"),
        (rb"\\\"", b'\\"'),
        (rb"\\\\a\\\a", rb"\\a\a"),
        (rb"\"\\\"", b'"\\"'),
        (b"\\\xe9\\\t", b"\xe9\t"),
    ],
)
def test_an_escape_stands_for_the_sign_behind_it(quoted: bytes, text: bytes) -> None:
    assert parse_forwarded([b'host="' + quoted + b'"']) == [{b"host": text}]


def test_more_elements_than_any_chain_of_proxies_has_are_malformed() -> None:
    assert len(parse_forwarded([b",".join([b"for=a"] * 100)]) or []) == 100
    assert parse_forwarded([b",".join([b"for=a"] * 101)]) is None


def test_a_field_too_long_to_be_honest_is_not_read() -> None:
    assert parse_forwarded([b"for=a" + b";" * 400]) == [{b"for": b"a"}]
    assert parse_forwarded([b"for=a;", b";" * 400]) is None


def test_a_forwarded_that_names_another_client_than_x_forwarded_for_is_not_passed_on() -> None:
    told = [b"1.1.1.1", b"7.7.7.7, 203.0.113.5:80"]
    assert agrees([b"for=1.1.1.1, for=203.0.113.5"], told)
    assert not agrees([b"for=203.0.113.5, for=1.1.1.1"], told)
    assert not agrees([b"for=_hidden"], told)
    assert not agrees([b"for=_hidden"], [b"unknown"])
    assert not agrees([b"for=203.0.113.5"], [b"203.0.113.5, unknown"])
    assert not agrees([b'for="'], told)
    assert not agrees([], [])
    assert agrees([b"for=_hidden"], [])


# --- what nobody thought of -------------------------------------------------------------------

_SIGNS = st.text(alphabet='for=;,"\\ 1.:[]a_-%\tpt\xe9', max_size=60)


@settings(max_examples=150, deadline=None)
@given(_SIGNS, _SIGNS, _SIGNS)
def test_no_spelling_makes_it_fail_or_gives_more_than_an_address(one: str, two: str, three: str) -> None:
    for head in ([f"X-Forwarded-For: {one}", f"X-Forwarded-Proto: {two}"], [f"Forwarded: {three}"]):
        origin = claimed(fields(*head), PROXY)
        assert parse_address(origin.address.encode()) == (origin.address, 0)
        assert 0 <= origin.port <= 65535


def test_an_address_seen_before_is_read_with_its_own_port() -> None:
    for port in (80, 81, 80):
        assert parse_address(b"192.0.2.1:%d" % port) == ("192.0.2.1", port)
        assert parse_address(b"[2001:DB8::1]:%d" % port) == ("2001:db8::1", port)
    for _ in range(2):
        assert parse_address(b"192.0.2.256") is None
        assert parse_address(b"2001:db8::1::2") is None
