"""Whether an address is in some networks: compared with the standard library's own slow answer."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.networks import LONGEST, Networks, place


def networks(*texts: str) -> Networks:
    return Networks([ip_network(text) for text in texts])


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.1.255", False),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.6", False),
        ("198.51.100.8", False),
        ("2001:db8::", True),
        ("2001:DB8:0:ffff::1", True),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", True),
        ("2001:db9::", False),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", False),
        ("::1", True),
        ("::2", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("::", False),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ],
)
def test_an_address_is_in_a_network_from_its_first_to_its_last(address: str, inside: bool) -> None:
    assert (address in networks("192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "::1/128")) is inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "192.0.2.7:80",
        "[2001:db8::1]",
        "192.0.2",
        "192.0.2.07",
        "192.0.2.256",
        "192.0.2.7 ",
        "192.0.2.7%eth0",
        "\uff11\uff19\uff12.0.2.7",
        "3221225991",
        "1:2:3:4:5:6:7:8:9",
        "::ffff:192.0.2.256",
        "::1%",
        "\0",
        "localhost",
    ],
)
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert text not in networks("0.0.0.0/0", "::/0")


def test_a_text_that_is_far_too_long_is_not_even_kept() -> None:
    everywhere = networks("::/0")
    assert "fe80::1%" + "x" * (LONGEST - 8) in everywhere
    before = place.cache_info().currsize
    assert "fe80::1%" + "y" * (LONGEST - 7) not in everywhere
    assert place.cache_info().currsize == before


def test_a_zone_is_ignored() -> None:
    assert "fe80::1%eth0" in networks("fe80::/10")
    assert "fe80::1%eth0" not in networks("fec0::/10")


def test_an_ipv4_address_in_an_ipv6_one_counts_as_ipv4() -> None:
    inside = networks("192.0.2.0/24")
    assert "::ffff:192.0.2.7" in inside
    assert "::ffff:c000:207" in inside
    assert "::ffff:192.0.3.7" not in inside
    assert "::192.0.2.7" not in inside
    assert "::ffff:192.0.2.7%eth0" in inside


def test_a_network_of_such_addresses_is_an_ipv4_network() -> None:
    inside = networks("::ffff:192.0.2.0/120")
    assert "192.0.2.7" in inside
    assert "::ffff:192.0.2.7" in inside
    assert "192.0.3.7" not in inside


def test_all_ipv6_addresses_are_not_all_addresses() -> None:
    assert "2001:db8::1" in networks("::/0")
    for address in ("192.0.2.7", "::ffff:192.0.2.7"):
        assert address not in networks("::/0")
        assert address not in networks("::fffe:0:0/95")
        assert address in networks("0.0.0.0/0")
        assert address in networks("::ffff:0:0/96")
    assert "2001:db8::1" not in networks("0.0.0.0/0")


def test_no_networks_have_no_address() -> None:
    assert "192.0.2.7" not in Networks([])
    assert "::1" not in Networks(())


def test_thousands_of_networks_that_touch_or_overlap_are_one() -> None:
    many = Networks(
        ip_network(f"10.{a}.{b}.0/24") for a in range(16) for b in range(256) if (a, b) != (7, 100)
    )
    assert "10.7.100.1" not in many
    assert "10.7.101.0" in many
    assert "10.7.99.255" in many
    assert len(many._bounds) == 4
    assert len(networks("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8")._bounds) == 2


# Few numbers, so that networks meet, touch and hold each other.
NUMBERS = st.integers(0, 63) | st.integers(2**32 - 64, 2**32 - 1)
IPV4 = NUMBERS.map(IPv4Address)
IPV6 = st.builds(lambda high, low: IPv6Address(high << 32 | low), st.sampled_from([0, 1, 0xFFFF]), NUMBERS)
IPV4_NETWORKS = st.builds(lambda *given: IPv4Network(given, strict=False), IPV4, st.integers(25, 32))
IPV6_NETWORKS = st.builds(lambda *given: IPv6Network(given, strict=False), IPV6, st.integers(121, 128))


def as_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@given(given=st.lists(IPV4_NETWORKS | IPV6_NETWORKS, max_size=12), address=IPV4 | IPV6)
def test_it_says_what_a_search_through_all_of_them_says(
    given: list[IPv4Network | IPv6Network], address: IPv4Address | IPv6Address
) -> None:
    expected = any(as_ipv4(each) == as_ipv4(address) for network in given for each in network)
    assert (str(address) in Networks(given)) is expected
