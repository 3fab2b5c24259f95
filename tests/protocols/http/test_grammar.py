"""What is well spelt: tokens, lists, hosts, and the names that may follow a body."""

from __future__ import annotations

import pytest

from sslbroker.protocols.http.fields import CLAIMS, HOP_BY_HOP, NEVER_SENT, WRITTEN
from sslbroker.protocols.http.grammar import (
    BARE_LINE_END,
    MINOR,
    REQUEST_LINE,
    may_be_asked,
    may_be_trailer,
    same_authority,
    split_authority,
    tokens,
)


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"", []),
        (b" \t", []),
        (b"Close", [b"close"]),
        (b" keep-alive ,\tUpgrade", [b"keep-alive", b"upgrade"]),
        (b",, a ,,", [b"a"]),
    ],
)
def test_a_list_has_its_members_in_lower_case_and_no_empty_ones(value: bytes, members: list[bytes]) -> None:
    assert tokens(value) == members


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        (b"a", (b"a", b"")),
        (b"a:", (b"a", b"")),
        (b"", (b"", b"")),
        (b"a.b-c_d~:65535", (b"a.b-c_d~", b"65535")),
        (b"[::1]", (b"[::1]", b"")),
        (b"[::ffff:192.0.2.1]:80", (b"[::ffff:192.0.2.1]", b"80")),
        (b"a:65536", None),
        (b"a:+80", None),
        (b"a@b", None),
        (b"[::1", None),
        (b"[::1]x", None),
        (b"[1:2]", None),
        (b"[v1.a]", None),
        (b"%zz", None),
        (b"a" * 255 + b":65535", (b"a" * 255, b"65535")),
        (b"a" * 262, None),
    ],
)
def test_an_authority_is_a_host_and_perhaps_a_port(
    authority: bytes, parts: tuple[bytes, bytes] | None
) -> None:
    assert split_authority(authority) == parts


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"a", b"A", True),
        (b"a", b"a:80", True),
        (b"a:", b"a:080", True),
        (b"a", b"a:81", False),
        (b"a", b"b", False),
        (b"[::A]", b"[::a]:80", True),
    ],
)
def test_authorities_are_compared_without_case_and_with_the_default_port(
    one: bytes, other: bytes, same: bool
) -> None:
    assert same_authority(one, other, b"80") is same


def test_fields_of_framing_routing_and_access_are_no_trailers() -> None:
    refused = (b"content-length", b"content-anything", b"host", b"trailer", b"authorization", b"via")
    assert not any(map(may_be_trailer, refused))
    assert may_be_trailer(b"server-timing")
    assert may_be_trailer(b"grpc-status")


@pytest.mark.parametrize("name", sorted(CLAIMS | HOP_BY_HOP | NEVER_SENT | WRITTEN | {b"idempotency-key"}))
def test_what_a_head_may_not_say_no_trailer_says_in_any_spelling(name: bytes) -> None:
    for sign in (b"-", b"_", b".", b"!"):
        assert not may_be_trailer(name.replace(b"-", sign))


@pytest.mark.parametrize("name", [b"x-forwarded-by", b"x_forwarded_ssl", b"content.digest", b"x.real_ip"])
def test_a_whole_family_of_names_and_its_disguises_are_no_trailers(name: bytes) -> None:
    assert not may_be_trailer(name)


def test_a_line_end_that_may_still_become_whole_is_not_bare() -> None:
    assert BARE_LINE_END.search(b"a\r") is None
    assert BARE_LINE_END.search(b"a\r\nb\r\n") is None
    assert BARE_LINE_END.search(b"a\r\n\n") is not None
    assert BARE_LINE_END.search(b"a\rb\n") is not None
    # What was looked at before still counts for the byte that comes next.
    assert BARE_LINE_END.search(b"a\r\n", 2) is None


@pytest.mark.parametrize(
    ("method", "targets"),
    [
        (b"GET", (b"/", b"/a?b", b"*", b'/"', b"http://a/", b"", b"/#a", b"/ a", b"/\x7f", b"/\xff", b"/\t")),
        (b"A" * 32, (b"/", b"")),
        (b"A" * 33, (b"/",)),
        (b"G@T", (b"/",)),
        (b"", (b"/",)),
        (b"get", (b"/",)),
    ],
)
def test_a_method_and_a_target_may_be_asked_where_a_request_line_can_have_them(
    method: bytes, targets: tuple[bytes, ...]
) -> None:
    for target in targets:
        line = REQUEST_LINE.fullmatch(b"%b %b HTTP/1.1" % (method, target))
        assert may_be_asked(method, target) == (line is not None)


def test_every_later_minor_version_is_read_as_1() -> None:
    assert MINOR[b"HTTP/1.0"] == 0
    assert {MINOR[b"HTTP/1.%d" % digit] for digit in range(1, 10)} == {1}
    assert len(MINOR) == 10
