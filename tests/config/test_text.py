"""The small languages: what each spelling means, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.config import text
from sslbroker.config.report import Unfit


def advice(read: Callable[[object], object], found: object) -> str:
    with pytest.raises(Unfit) as caught:
        read(found)
    return caught.value.suggestion


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0s", 0), ("100ms", 0.1), ("300ms", 0.3), ("10s", 10), ("1.5s", 1.5), ("5m", 300), ("1h", 3600)],
)
def test_a_duration_is_seconds(written: str, seconds: float) -> None:
    assert text.duration(written) == seconds


@pytest.mark.parametrize(
    ("found", "suggestion"),
    [
        (10, 'write "10s"'),
        (0.5, 'write "0.5s"'),
        ("10", 'write "10s"'),
        ("10 s", 'write "10s"'),
        ("10sec", 'write "10s"'),
        ("5 minutes", 'write "5m"'),
        ("10S", 'write "10s"'),
        ("2d", 'write "48h"'),
        ("10parsec", "the units are ms, s, m and h"),
        ("-10s", ""),
        ("1m30s", ""),
        ("", ""),
        (True, ""),
        (10**30, ""),
        (float("nan"), ""),
        (["10s"], ""),
    ],
)
def test_a_wrong_duration_is_corrected_where_it_can_be(found: object, suggestion: str) -> None:
    assert advice(text.duration, found) == suggestion


@pytest.mark.parametrize(
    ("written", "count"),
    [("0B", 0), ("512B", 512), ("32KiB", 32768), ("1MiB", 1048576), ("1.5KiB", 1536), ("2GiB", 2**31)],
)
def test_a_size_is_bytes(written: str, count: int) -> None:
    assert text.size(written) == count


@pytest.mark.parametrize(
    ("found", "suggestion"),
    [
        (1024, 'write "1024B"'),
        ("1024", 'write "1024B"'),
        ("64KB", 'write "64KiB"'),
        ("64k", 'write "64KiB"'),
        ("1 MiB", 'write "1MiB"'),
        ("0.3B", "that is not a whole number of bytes"),
        ("1TiB", "the units are B, KiB, MiB and GiB"),
        ("much", ""),
        (None, ""),
    ],
)
def test_a_wrong_size_is_corrected_where_it_can_be(found: object, suggestion: str) -> None:
    assert advice(text.size, found) == suggestion


@pytest.mark.parametrize("written", ["192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::1/128", "0.0.0.0/0"])
def test_a_network_is_of_either_family(written: str) -> None:
    assert text.network(written) == ip_network(written)


def test_a_network_with_bits_outside_its_mask_is_corrected() -> None:
    assert 'write "10.0.0.0/8"' in advice(text.network, "10.1.2.3/8")
    assert 'write "2001:db8::/32"' in advice(text.network, "2001:db8::1/32")


@pytest.mark.parametrize("found", ["", "10.0.0.0/33", "shop.internal", 5, None, ["::1"]])
def test_what_is_no_network_is_refused(found: object) -> None:
    assert advice(text.network, found) == ""


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        (404, 404, 404),
        ("404", 404, 404),
        ("5xx", 500, 599),
        ("6XX", 600, 699),
        ("500-503", 500, 503),
    ],
)
def test_a_status_is_a_range(written: object, first: int, last: int) -> None:
    assert text.statuses(written) == (first, last)


@pytest.mark.parametrize("found", ["5x", "50x", "500-", "five", -404, 40404, True, 404.0, None, "٤٠٤"])
def test_what_is_no_status_is_refused(found: object) -> None:
    assert advice(text.statuses, found) == ""


def test_an_integer_that_python_does_not_write_is_no_value() -> None:
    for read in (text.duration, text.size, text.network, text.statuses, text.address, text.endpoint):
        assert advice(read, 1 << 20_000) == ""


def test_a_single_digit_is_taken_for_a_class() -> None:
    assert advice(text.statuses, 5) == 'write "5xx"'


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("127.0.0.1:9001", "127.0.0.1", 9001),
        ("[::1]:80", "::1", 80),
        ("[0:0::1]:80", "::1", 80),
        ("Shop.Internal:65535", "shop.internal", 65535),
        ("shop_1.internal.:1", "shop_1.internal", 1),
    ],
)
def test_an_address_is_a_host_and_a_port(written: str, host: str, port: int) -> None:
    assert text.address(written) == (host, port)


@pytest.mark.parametrize(
    ("found", "suggestion"),
    [
        ("http://shop:80/", 'write "shop:80", without http://'),
        ("::1:80", 'write "[::1]:80"'),
        ("a:b:c", ""),
        ("shop", 'add the port: "shop:80"'),
        ("[::1]", 'add the port: "[::1]:80"'),
        ("shop:0", "a port is a number from 1 to 65535"),
        ("shop:65536", "a port is a number from 1 to 65535"),
        ("shop:http", "a port is a number from 1 to 65535"),
        ("[::1:80", "between [ and ] stands an IPv6 address, without a zone"),
        ("[fe80::1%eth0]:80", "between [ and ] stands an IPv6 address, without a zone"),
        ("[127.0.0.1]:80", "between [ and ] stands an IPv6 address, without a zone"),
        (":80", "the part before the port is neither an address nor a host name"),
        ("127.0.0.256:80", "the part before the port is neither an address nor a host name"),
        ("a b:80", "the part before the port is neither an address nor a host name"),
        ("a" * 300 + ":80", "the part before the port is neither an address nor a host name"),
        ("x" * 100, ""),
        (80, ""),
    ],
)
def test_a_wrong_address_is_explained(found: object, suggestion: str) -> None:
    assert advice(text.address, found) == suggestion


@pytest.mark.parametrize(
    ("written", "occupied"),
    [
        ("tcp:8443", ("tcp", "", "8443")),
        ("tcp:port=08443", ("tcp", "", "8443")),
        ("tcp:8443:interface=127.0.0.1:backlog=50", ("tcp", "127.0.0.1", "8443")),
        ("tcp:8443:127.0.0.1", ("tcp", "127.0.0.1", "8443")),
        (r"tcp6:80:interface=\:\:1", ("tcp6", "::1", "80")),
        ("unix:/run/a.sock:mode=660", ("unix", "/run/a.sock")),
        (r"unix:address=/run/a\=b", ("unix", "/run/a=b")),
        (r"unix:/run/a\=b", ("unix", "/run/a=b")),
        ("systemd:domain=INET:index=0", ("systemd", "domain=INET", "index=0")),
        ("tcp:0", ()),
    ],
)
def test_an_endpoint_occupies_a_place(written: str, occupied: tuple[str, ...]) -> None:
    assert text.endpoint(written) == occupied


@pytest.mark.parametrize(
    ("found", "suggestion"),
    [
        ("8443", 'write "tcp:8443"'),
        (":8443", 'write "tcp:8443"'),
        ("127.0.0.1:8443", 'write "tcp:8443:interface=127.0.0.1"'),
        ("[::1]:8443", r'write "tcp:8443:interface=\:\:1"'),
        ("tpc:8443", "did you mean 'tcp'?"),
        ("quic:what", ""),
        ("fd:3", ""),
        ("ssl:8443", 'TLS is added by the listener\'s tls table: write "tcp:…" here'),
        ("tls:example.org:443", 'TLS is added by the listener\'s tls table: write "tcp:…" here'),
        ("tcp:70000", ""),
        ("tcp:http", ""),
        ("tcp", ""),
        ("unix:run/a.sock", ""),
        ("unix", ""),
        ("tcp:80\n", ""),
        (8443, ""),
    ],
)
def test_a_wrong_endpoint_is_explained(found: object, suggestion: str) -> None:
    assert advice(text.endpoint, found) == suggestion


@given(st.one_of(st.text(), st.from_regex(r"[\[0-9a-fxs:.\]=/-]{1,20}"), st.integers(), st.floats()))
def test_whatever_stands_there_is_a_value_or_unfit(found: object) -> None:
    for read in (text.duration, text.size, text.network, text.statuses, text.address, text.endpoint):
        suggestion = ""
        try:
            read(found)
        except Unfit as unfit:
            suggestion = unfit.suggestion
        assert len(suggestion) < 300


@given(st.integers(0, 10**9))
def test_whole_milliseconds_are_exact(count: int) -> None:
    assert text.duration(f"{count}ms") == count / 1000
