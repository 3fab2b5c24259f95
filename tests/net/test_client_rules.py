"""What an operator wrote of clients' certificates: which rules hold for a name, and what is wrong with it."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sslbroker.net.client_rules import ClientRules, Clients, read
from sslbroker.settings import THROWAWAY, ListenerTLS, NamedClients

from . import authorities

NOW = time.time()
CA = authorities.root("the shop's CA")
OTHER = authorities.root("the bank's CA")
BUNDLE = "expected a PEM file with the certificates of authorities"


def reading(*names: NamedClients, **settings: Any) -> tuple[Clients, list[str], list[str]]:
    problems: list[str] = []
    warnings: list[str] = []
    clients = read(ListenerTLS((THROWAWAY,), names=names, **settings), NOW, problems, warnings)
    return clients, problems, warnings


def good(*names: NamedClients, **settings: Any) -> Clients:
    clients, problems, warnings = reading(*names, **settings)
    assert (problems, warnings) == ([], [])
    return clients


def ca(directory: Path, authority: authorities.Authority = CA) -> Path:
    return authority.write(directory / f"{authority.certificate.serial_number}.pem")


# --- which rules hold --------------------------------------------------------------------------


def test_a_listener_that_says_nothing_asks_nobody() -> None:
    clients = good()
    assert clients.everybody == ClientRules()
    assert (clients.asked, clients.differ) == (False, False)


@pytest.mark.parametrize("wish", ["optional", "required"])
def test_a_listener_asks_everybody(tmp_path: Path, wish: str) -> None:
    clients = good(client_ca=ca(tmp_path), client_certificate=wish)
    assert clients.everybody == clients.of(b"any.test") == ClientRules(wish, (CA.certificate,))
    assert (clients.asked, clients.differ) == (True, False)


def test_a_name_has_its_own_rules_instead_of_the_listeners(tmp_path: Path) -> None:
    clients = good(
        NamedClients("open.test"),
        NamedClients("*.bank.test", ca(tmp_path, OTHER), "required"),
        NamedClients("Shop.Bank.Test.", ca(tmp_path, OTHER), "optional"),
        client_ca=ca(tmp_path),
        client_certificate="required",
    )
    everybody, nobody = clients.everybody, ClientRules()
    bank, shop = (ClientRules(wish, (OTHER.certificate,)) for wish in ("required", "optional"))
    for asked, rules in {
        b"": everybody,
        b"other.test": everybody,
        b"open.test": nobody,
        b"OPEN.test.": nobody,
        b"open.test..": everybody,
        b"x.open.test": everybody,
        b"a.bank.test": bank,
        b"A.BANK.TEST.": bank,
        b"shop.bank.test": shop,
        b"bank.test": everybody,
        b".bank.test": everybody,
        b"a.b.bank.test": everybody,
        b"\xff\0": everybody,
    }.items():
        assert clients.of(asked) == rules, asked
    assert (clients.asked, clients.differ) == (True, True)


def test_names_with_the_listeners_own_rules_do_not_differ(tmp_path: Path) -> None:
    same = tmp_path / "same.pem"
    same.write_bytes(CA.pem)
    rules = {"client_ca": ca(tmp_path), "client_certificate": "optional"}
    assert not good(NamedClients("a.test", same, "optional"), **rules).differ
    assert good(NamedClients("a.test", same, "required"), **rules).differ
    assert good(NamedClients("a.test", ca(tmp_path, OTHER), "optional"), **rules).differ


def test_several_authorities_come_from_one_file_each_once(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(b"the shop\n" + CA.pem + OTHER.pem + b"again\n" + CA.pem)
    rules = good(client_ca=path, client_certificate="required").everybody
    assert rules.authorities == (CA.certificate, OTHER.certificate)
    assert len(rules.trusted) == 2


def test_an_authority_may_be_below_another(tmp_path: Path) -> None:
    below = CA.authority()
    rules = good(client_ca=ca(tmp_path, below), client_certificate="required").everybody
    assert rules.authorities == (below.certificate,)


def test_a_file_for_many_names_is_held_once(tmp_path: Path) -> None:
    path = ca(tmp_path)
    names = [NamedClients(f"{number}.test", path, "required") for number in range(3)]
    clients = good(*names, client_ca=path, client_certificate="optional")
    trusted = {id(each) for rules in clients.named.values() for each in rules.trusted}
    assert trusted == {id(clients.everybody.trusted[0])}


# --- what is wrong -----------------------------------------------------------------------------


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    leaf, empty, lone = tmp_path / "leaf.pem", tmp_path / "empty.pem", tmp_path / "lone.pem"
    leaf.write_bytes(CA.client("alice").pem + CA.pem)
    lone.write_bytes(authorities.lone("bob").pem)
    empty.write_bytes(b"nothing")
    _, problems, _ = reading(
        NamedClients("c.test", tmp_path / "none.pem", "optional"),
        NamedClients("d.test", empty, "optional"),
        NamedClients("e.test", lone, "required"),
        client_ca=leaf,
        client_certificate="required",
    )
    assert problems == [
        f"tls.client_ca: {leaf}: found the certificate of CN=alice, which is no authority, "
        "expected certificates of authorities only (CA:TRUE) (remove it)",
        f'{tmp_path / "none.pem"}: found no such file, {BUNDLE} (correct tls.names."c.test".client_ca)',
        f"{empty}: found no certificate in it, {BUNDLE} (is it the right file?)",
        f'tls.names."e.test".client_ca: {lone}: found the certificate of CN=bob, which is no authority, '
        "expected certificates of authorities only (CA:TRUE) (remove it)",
    ]


def test_a_broken_file_for_many_names_is_one_problem(tmp_path: Path) -> None:
    names = [NamedClients(f"{number}.test", tmp_path, "required") for number in range(3)]
    _, problems, _ = reading(*names)
    assert problems == [f'{tmp_path}: found no regular file, {BUNDLE} (correct tls.names."0.test".client_ca)']


def test_an_authority_that_must_not_sign_is_none(tmp_path: Path) -> None:
    usage = x509.KeyUsage(True, False, False, False, False, False, True, False, False)
    odd = authorities.root("an odd one", usage=False, extensions=[usage])
    _, (problem,), _ = reading(client_ca=ca(tmp_path, odd), client_certificate="required")
    assert "CN=an odd one, which is no authority" in problem
    plain = authorities.root("a plain one", usage=False)
    good(client_ca=ca(tmp_path, plain), client_certificate="required")


def test_a_certificate_that_says_nothing_of_being_an_authority_is_none(tmp_path: Path) -> None:
    private = authorities.key()
    old = x509.CertificateBuilder(
        authorities.name("old"),
        authorities.name("old"),
        private.public_key(),
        1,
        CA.certificate.not_valid_before_utc,
        CA.certificate.not_valid_after_utc,
    )
    path = tmp_path / "old.pem"
    path.write_bytes(
        authorities.Shown(private, old.sign(private, CA.certificate.signature_hash_algorithm)).pem  # type: ignore[arg-type]
    )
    _, (problem,), _ = reading(client_ca=path, client_certificate="required")
    assert "CN=old, which is no authority" in problem


def test_an_expired_authority_is_warned_of(tmp_path: Path) -> None:
    old = authorities.root("old", begins=timedelta(-3), ends=timedelta(-1))
    path = ca(tmp_path, old)
    _, problems, warnings = reading(client_ca=path, client_certificate="required")
    end = old.certificate.not_valid_after_utc
    assert problems == []
    assert warnings == [
        f"tls.client_ca: {path}: CN=old expired on {end:%Y-%m-%d %H:%M} UTC: whom it certified is refused"
    ]
