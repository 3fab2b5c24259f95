"""The broker's own cookie: who may say it, who sees it, and what else stays as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.protocols.http.cookies import Cookie, StickyCookie
from sslbroker.protocols.http.message import Field

from .written import fields

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"
STICKY = StickyCookie("S.R")


def seen(*head: str) -> list[tuple[str, str]]:
    left = STICKY.kept_from_server(fields(*head))
    return [(spelt.decode(), value.decode()) for _, spelt, value in left]


# --- a cookie for balancing -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "value"),
    [
        ("S.R=a", b"a"),
        ("x=1; S.R=a; y=2", b"a"),
        ("x=1;S.R=a=b", b"a=b"),
        ("S.R=a; S.R=b", b"a"),
        ("S.R=a\t; y=2", b"a"),
        ("s.r=a", None),
        ("SxR=a", None),
        ("xS.R=a", None),
        ("x=S.R=a", None),
        ("S.R=", None),
        ("S.R=" + "a" * 256, b"a" * 256),
        ("S.R=" + "a" * 257, None),
    ],
)
def test_the_cookies_value_is_the_key(cookie: str, value: bytes | None) -> None:
    assert Cookie("S.R").value(fields(f"Cookie: {cookie}")) == value


def test_the_cookie_is_looked_for_in_every_field() -> None:
    cookie = Cookie("S.R")
    assert cookie.value(fields("Cookie: x=1", "X-Cookie: S.R=no", "Cookie: S.R=a")) == b"a"
    assert cookie.value(fields("Set-Cookie: S.R=a")) is None


# --- what a client comes back with ------------------------------------------------------------


@pytest.mark.parametrize(
    "cookie",
    [
        f"S.R={KEY}",
        f"a=1; S.R={KEY} ; b=2",
        f"a=1;S.R={KEY};b",
        f"S.R=no; S.R={KEY}",
        f"S.R={KEY}; S.R={OTHER}",
    ],
)
def test_a_key_is_found(cookie: str) -> None:
    assert STICKY.key(fields("Cookie: x=1", f"Cookie: {cookie}")) == KEY


@pytest.mark.parametrize(
    "cookie",
    [
        f"s.r={KEY}",
        f"SxR={KEY}",
        f"xS.R={KEY}",
        f"x=S.R={KEY}",
        f"S.R={KEY}0",
        f"S.R={KEY[1:]}",
        f"S.R={KEY.upper()}",
        f'S.R="{KEY}"',
        f"S.R= {KEY}",
        f"S.R={KEY[1:]}g",
        f"S.R={KEY}, a",
        "S.R=",
        "S.R",
        "",
    ],
)
def test_nothing_else_is_a_key(cookie: str) -> None:
    assert STICKY.key(fields(f"Cookie: {cookie}", f"X-Cookie: S.R={KEY}")) == ""


# --- what a server sees -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "left"),
    [
        (f"a=1; S.R={KEY}; b=2", "a=1; b=2"),
        (f"S.R={KEY}; b=2", "b=2"),
        (f"S.R={KEY};b=2", "b=2"),
        (f"a=1; S.R={KEY}", "a=1"),
        (f"a=1;S.R=;S.R=x y;S.R={KEY};b=2;", "a=1;b=2"),
        ("; a=1", "; a=1"),
        ("a=1; s.r=2; xS.R=3; S.R; b=S.R=4", "a=1; s.r=2; xS.R=3; S.R; b=S.R=4"),
    ],
)
def test_a_server_sees_the_other_cookies(cookie: str, left: str) -> None:
    assert seen(f"COOKIE: {cookie}") == [("COOKIE", left)]


@pytest.mark.parametrize("cookie", [f"S.R={KEY}", f" ; S.R={KEY};", f"S.R={KEY}; S.R={OTHER}"])
def test_a_field_of_which_nothing_is_left_goes(cookie: str) -> None:
    assert seen("Accept: x", f"Cookie: {cookie}", "Cookie: a=1") == [("Accept", "x"), ("Cookie", "a=1")]


def test_what_looks_like_it_in_other_fields_stays() -> None:
    assert seen(f"X-Cookie: S.R={KEY}") == [("X-Cookie", f"S.R={KEY}")]


_SIGNS = st.lists(st.sampled_from(["S.R=", KEY, "a=1", ";", "; ", " ", "\t", "=", '"', "S.R"]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(_SIGNS)
def test_no_spelling_shows_a_server_what_the_broker_reads(signs: list[str]) -> None:
    came = fields("Cookie:" + "".join(signs))
    left = STICKY.kept_from_server(came)
    assert STICKY.key(left) == ""
    assert Cookie("S.R").value(left) is None
    others = [part for part in _parts(came) if not part.startswith(b"S.R=")]
    assert _parts(left) == others


def _parts(cookies: list[Field]) -> list[bytes]:
    parts = [part.strip(b" \t") for _, _, value in cookies for part in value.split(b";")]
    return [part for part in parts if part]


# --- what a client is told --------------------------------------------------------------------


def test_a_client_is_told_for_a_session_and_shared_caches_keep_out() -> None:
    told: list[Field] = []
    STICKY.set(told, KEY, secure=False)
    assert told == fields(f"Set-Cookie: S.R={KEY}; Path=/; HttpOnly; SameSite=Lax", "Cache-Control: private")


def test_a_secure_client_sends_it_over_tls_only() -> None:
    told: list[Field] = []
    STICKY.set(told, KEY, secure=True)
    assert told[0][2].endswith(b"; SameSite=Lax; Secure")


def test_what_was_set_is_what_comes_back() -> None:
    told: list[Field] = []
    STICKY.set(told, KEY, secure=True)
    assert STICKY.key(fields("Cookie: " + told[0][2].partition(b";")[0].decode())) == KEY


def test_a_server_cannot_set_the_brokers_cookie() -> None:
    sent = fields(
        f"Set-Cookie: S.R={KEY}; Path=/",
        f"set-cookie: S.R ={KEY}",
        f"Set-Cookie: =S.R={KEY}",
        f"Set-Cookie: = S.R={KEY}",
        "Set-Cookie: S.R2=1",
        "Set-Cookie: a=S.R=1",
        "Set-Cookie: s.r=1",
        f"X-Set-Cookie: S.R={KEY}",
    )
    assert STICKY.kept_from_client(sent) == sent[4:]
