"""What each proxy is told of groups and limits."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench.priorities.fronts import GROUP, fronts, limited, versions
from bench.programs import CannotRun
from bench.proxies import broker, haproxy, new_doors, nginx
from bench.site import Site, write_certificates
from sslbroker.config import load


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write_certificates(tmp_path)
    return Site(tmp_path, (0,), (1,), (20_100, 20_101), ())


def test_a_door_without_servers_is_not_opened(site: Site, tmp_path: Path) -> None:
    doors = new_doors(site)
    assert list(doors) == ["plain", "ecdsa", "rsa"]
    assert "upstream secure" not in nginx.configuration(site, tmp_path, doors, 1)
    assert list(broker.configuration(site, tmp_path, doors, 1)["pools"]) == ["servers"]


def test_the_broker_is_told_how_much_each_server_can_do(site: Site, tmp_path: Path) -> None:
    settings = broker.configuration(site, tmp_path, new_doors(site), 1)
    for each in limited(site.plain):
        broker.override(settings, each)
    file = tmp_path / "broker.toml"
    file.write_text("".join(broker.toml(settings)))
    servers = load(file).pool("servers").servers
    assert [(each.address, each.maximum_transactions) for each in servers] == [
        ("127.0.0.1:20100", 4),
        ("127.0.0.1:20101", 4),
    ]


def test_the_group_is_the_address_from_which_secure_clients_come() -> None:
    settings: dict[str, object] = {}
    for each in GROUP:
        broker.override(settings, each)
    gold = tomllib.loads("".join(broker.toml(settings)))["groups"]["gold"]
    assert gold == {"networks": ["127.0.0.2/32"], "priority": 5, "threshold": "40ms"}


def test_what_comes_over_tls_goes_first_in_haproxys_queue(site: Site) -> None:
    words = haproxy.Words(secure="http-request set-priority-class int(-100)", server="maxconn 4")
    text = haproxy.configuration(site, new_doors(site), 1, words)
    assert text.count("maxconn 4\n") == len(site.plain)
    fronts = {part.split("\n", 1)[0]: part for part in text.split("\nfrontend ")[1:]}
    assert {name: "set-priority-class" in part for name, part in fronts.items()} == {
        "plain": False,
        "ecdsa": True,
        "rsa": True,
    }


def test_one_that_is_absent_is_no_reason_not_to_run_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: object) -> str:
        raise CannotRun("no HAProxy")

    monkeypatch.setattr(haproxy.HAProxy, "version", absent)
    monkeypatch.setattr(nginx.Nginx, "version", lambda self: "1.0")
    there = fronts(Path("python"), ())
    wanted = {name: there[name] for name in ("haproxy", "haproxy-limits", "nginx")}
    assert versions(wanted) == {"nginx": "1.0"}
