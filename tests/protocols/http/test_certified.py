"""What a server reads of a client's certificate: always sendable, always bounded."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker.interfaces import ClientCertificate
from sslbroker.protocols.http.certified import CERTIFICATE_SIZE, NAME_SIZE, certified
from sslbroker.protocols.http.fields import CLAIMS

from .written import CERTIFICATE


def subject(text: str) -> str:
    [value] = [v for n, _, v in certified(replace(CERTIFICATE, subject=text)) if n == b"x-client-subject"]
    return value.decode("ascii")


def test_the_certificate_itself_and_in_words() -> None:
    assert [(spelt, value) for _, spelt, value in certified(CERTIFICATE)] == [
        (b"Client-Cert", b":MIIB//4=:"),
        (b"X-Client-Subject", b"CN=ann,O=Shop"),
        (b"X-Client-Issuer", b"CN=Shop CA"),
        (b"X-Client-Serial", b"0A2B"),
        (b"X-Client-Fingerprint", b"c0ffee"),
    ]


def test_every_field_is_one_that_no_client_can_send() -> None:
    for name, spelt, _ in certified(CERTIFICATE):
        assert name == spelt.lower()
        assert name in CLAIMS


def test_it_is_worked_out_once() -> None:
    assert certified(CERTIFICATE) is certified(replace(CERTIFICATE))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("CN=Jörg\\, Übel", r"CN=J\C3\B6rg\, \C3\9Cbel"),
        ("CN=a\r\nX-Evil: 1\x00\x7f", r"CN=a\0D\0AX-Evil: 1\00\7F"),
        ("CN=a\\ ", r"CN=a\20"),
        ("CN=a\\\\ ", r"CN=a\\\20"),
        (" CN=a b", r"\20CN=a b"),
        ("\\ x\\ ", r"\20x\20"),
        ("CN=\\", "CN=\\"),
        ("\ud800", "?"),
        ("", ""),
        (" ", r"\20"),
    ],
)
def test_a_name_is_ascii_with_escapes_as_rfc_4514_has_them(text: str, told: str) -> None:
    assert subject(text) == told


def test_a_long_name_is_cut_where_it_shows_and_between_signs() -> None:
    assert subject("a" * NAME_SIZE) == "a" * NAME_SIZE
    assert subject("a" * (NAME_SIZE + 1)) == "a" * (NAME_SIZE - 3) + "..."
    for lead in range(6):
        cut = subject("a" * lead + "é" * NAME_SIZE)
        assert NAME_SIZE - 3 < len(cut) <= NAME_SIZE
        assert re.fullmatch(r"a*(\\C3\\A9)*(\\C3)?\.\.\.", cut)
    assert len(subject("x" * 10_000_000)) == NAME_SIZE


def test_a_certificate_too_long_for_a_head_is_told_in_words_only() -> None:
    longest = replace(CERTIFICATE, der=b"x" * CERTIFICATE_SIZE)
    assert b64decode(certified(longest)[0][2].strip(b":")) == longest.der
    names = [name for name, _, _ in certified(replace(longest, der=longest.der + b"x"))]
    assert names == [name for name, _, _ in certified(CERTIFICATE)[1:]]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=1100))
def test_whatever_is_in_a_certificate_can_be_sent(one: str, two: str) -> None:
    for _, _, value in certified(ClientCertificate(one, two, "", "", b"")):
        assert re.fullmatch(rb"([!-~]([ -~]*[!-~])?)?", value)
        assert len(value) <= NAME_SIZE
