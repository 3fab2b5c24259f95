"""Who is in which group: networks compared with a naive search, names by their rules."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.groups import SLICE, GroupNames, GroupNetworks, is_subject, span
from sslbroker.core.networks import LONGEST
from sslbroker.settings import Group, Network

GOLD, SILVER, IRON = Group("gold", (), 5), Group("silver", (), 3), Group("iron", (), 1)


def looked_up(*groups: tuple[Group, Sequence[Network]]) -> GroupNetworks:
    owned = [(span(network), group) for group, networks in groups for network in networks]
    found = GroupNetworks()
    for _ in found.fill(sorted(owned, key=lambda one: one[0])):
        pass
    return found


def of_texts(gold: Sequence[str], silver: Sequence[str] = ()) -> GroupNetworks:
    return looked_up(
        (GOLD, [ip_network(text) for text in gold]), (SILVER, [ip_network(text) for text in silver])
    )


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("9.255.255.255", None),
        ("10.0.0.0", GOLD),
        ("10.0.255.255", GOLD),
        ("10.1.0.0", SILVER),
        ("10.1.2.2", SILVER),
        ("10.1.2.3", GOLD),
        ("10.1.2.4", SILVER),
        ("10.1.255.255", SILVER),
        ("10.2.0.0", GOLD),
        ("10.255.255.255", GOLD),
        ("11.0.0.0", None),
        ("255.255.255.255", None),
        ("2001:db8::", SILVER),
        ("2001:DB8::1", SILVER),
        ("2001:db9::", None),
        ("::", None),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
    ],
)
def test_the_longest_prefix_wins(address: str, group: Group | None) -> None:
    networks = of_texts(["10.0.0.0/8", "10.1.2.3"], ["10.1.0.0/16", "2001:db8::/32"])
    assert networks.of(address) is group


def test_networks_that_touch_and_end_together_are_told_apart() -> None:
    networks = of_texts(["10.0.0.0/9", "10.128.0.0/10"], ["10.192.0.0/10", "10.224.0.0/11"])
    assert [networks.of(f"10.{second}.0.1") for second in (0, 128, 192, 255)] == [GOLD, GOLD, SILVER, SILVER]
    assert networks.of("11.0.0.0") is None


def test_all_addresses_of_one_version() -> None:
    networks = of_texts(["0.0.0.0/0"], ["::/0"])
    assert networks.of("0.0.0.0") is networks.of("255.255.255.255") is GOLD
    assert networks.of("::") is networks.of("ffff::") is SILVER
    assert networks.of("::ffff:192.0.2.1") is GOLD


def test_an_ipv4_network_in_ipv6_is_one_of_ipv4() -> None:
    assert of_texts(["::ffff:192.0.2.0/120"]).of("192.0.2.7") is GOLD


@pytest.mark.parametrize("text", ["", "unix", "unknown", "10.0.0.01", "10.0.0.1:80", "10.0.0.1" * LONGEST])
def test_what_is_no_address_is_in_no_group(text: str) -> None:
    assert of_texts(["0.0.0.0/0"], ["::/0"]).of(text) is None


def test_without_networks_nobody_is_in_a_group() -> None:
    assert GroupNetworks().of("192.0.2.1") is None


def test_many_are_taken_in_steps() -> None:
    networks = [IPv4Network((number << 8, 24)) for number in range(3 * SLICE)]
    owned = [(span(network), (GOLD, SILVER)[number % 2]) for number, network in enumerate(networks)]
    found = GroupNetworks()
    assert len(list(found.fill(owned))) == 3
    assert found.of("0.0.1.255") is SILVER


def v4() -> st.SearchStrategy[Network]:
    # Few bits that differ, so that networks are in one another, and touch.
    return st.builds(
        lambda bits, prefix: IPv4Network((bits << 24 | 0x00A0B0C0, prefix), strict=False),
        st.integers(0, 7),
        st.integers(0, 32),
    )


def v6() -> st.SearchStrategy[Network]:
    return st.builds(
        lambda bits, prefix: IPv6Network((bits << 120 | 0xFFFF_0A0B0C0D, prefix), strict=False),
        st.integers(0, 3),
        st.integers(0, 128).filter(lambda prefix: not 80 <= prefix < 96),  # half IPv4 and half not
    )


def around(network: Network) -> list[int]:
    first = int(network.network_address)
    return [first - 1, first, first + network.num_addresses - 1, first + network.num_addresses]


@given(st.dictionaries(v4() | v6(), st.sampled_from([GOLD, SILVER, IRON]), max_size=12))
def test_it_finds_what_a_naive_search_finds(owners: dict[Network, Group]) -> None:
    found = looked_up(*((group, [network]) for network, group in owners.items()))
    for network in owners:
        version: type[IPv4Address] | type[IPv6Address] = type(network.network_address)
        for number in around(network):
            if not 0 <= number < 1 << network.max_prefixlen:
                continue
            address = version(number)
            meant = getattr(address, "ipv4_mapped", None) or address
            fitting = [one for one in map(as_ipv4, owners) if meant in one[0]]
            longest = max(fitting, key=lambda one: one[0].prefixlen, default=None)
            expected: list[Group | None] = [
                owners[one[1]] for one in fitting if longest and one[0] == longest[0]
            ]
            assert found.of(str(address)) in (expected or [None]), address


def as_ipv4(network: Network) -> tuple[Network, Network]:
    """The network as it counts, and as it stands."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network, network
    return ip_network((int(mapped), network.prefixlen - 96)), network


@given(st.text(max_size=20))
def test_no_text_is_an_error(text: str) -> None:
    of_texts(["10.0.0.0/8"]).of(text)


def test_an_address_is_found_as_the_library_reads_it() -> None:
    assert of_texts(["2001:db8::/32"]).of(str(ip_address("2001:0db8::0001"))) is GOLD


# --- names of certificates ---


def names(*entries: tuple[Group, str]) -> GroupNames:
    return GroupNames(entries)


ALL = names(
    (IRON, "CN=api.partners.test,O=Partners"),
    (SILVER, "spiffe://partners.test/api"),
    (GOLD, "api.partners.test"),
    (SILVER, "*.partners.test"),
    (GOLD, "The Crawler"),
)


@pytest.mark.parametrize(
    ("subject", "certified", "uris", "group"),
    [
        ("CN=api.partners.test,O=Partners", ["api.partners.test"], ["spiffe://partners.test/api"], IRON),
        ("CN=x", ["api.partners.test"], ["spiffe://partners.test/api"], SILVER),
        ("CN=x", ["other.partners.test", "API.Partners.test."], [], GOLD),
        ("CN=x", ["other.partners.test"], [], SILVER),
        ("CN=x", ["*.partners.test"], [], SILVER),
        ("CN=x", ["a.b.partners.test"], [], None),
        ("CN=x", ["partners.test"], [], None),
        ("CN=the crawler", ["the crawler"], [], GOLD),
        ("CN=api.partners.test,o=Partners", [], [], None),
        ("CN=x", [], ["SPIFFE://partners.test/api"], None),
        ("", [], [], None),
    ],
)
def test_the_most_exact_name_wins(
    subject: str, certified: list[str], uris: list[str], group: Group | None
) -> None:
    assert ALL.of(subject, certified, uris) is group


def test_a_uri_is_no_name_and_a_name_is_no_uri() -> None:
    assert ALL.of("CN=x", [], ["http://localhost/a.partners.test"]) is None
    assert ALL.of("CN=x", [], ["the crawler"]) is None
    assert ALL.of("CN=x", ["spiffe://partners.test/api"], []) is None


def test_of_several_groups_the_one_of_the_highest_priority_wins_then_the_first() -> None:
    other = Group("other", (), 3)
    assert names((SILVER, "a"), (GOLD, "b"), (other, "a")).of("", ["a", "b"], []) is GOLD
    assert names((SILVER, "a"), (other, "b")).of("", ["b", "a"], []) is SILVER
    assert names((SILVER, "a"), (other, "a")).of("", ["a"], []) is SILVER


def test_whether_there_is_anything_to_compare() -> None:
    assert ALL
    assert not names()


@pytest.mark.parametrize(
    ("entry", "subject"), [("CN=a", True), ("a", False), ("*.a.test", False), ("https://a/?b=c", False)]
)
def test_what_is_a_whole_subject(entry: str, subject: bool) -> None:
    assert is_subject(entry) is subject
