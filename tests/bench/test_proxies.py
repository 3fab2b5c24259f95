"""What each proxy is configured with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench.programs import CannotRun
from bench.proxies import DOORS, broker, haproxy, nginx
from bench.site import GROUP, SUITE, Site, write_certificates
from sslbroker.config import load

PORTS = {name: 20_000 + number for number, name in enumerate(DOORS)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write_certificates(tmp_path)
    return Site(tmp_path, (0,), (1,), (20_100, 20_101), (20_200, 20_201))


def test_the_broker_takes_its_configuration(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("".join(broker.toml(broker.configuration(site, tmp_path, PORTS, 1))))
    loaded = load(file)
    assert {listener.name: listener.secure for listener in loaded.listeners} == {
        name: bool(kind) for name, (kind, _) in DOORS.items()
    }
    assert loaded.log.access
    assert loaded.admin is not None
    assert loaded.pool("secure").continue_secure_link is True


def test_a_setting_is_changed_by_its_path() -> None:
    settings = {"broker": {"workers": 1}, "pools": {}}
    for text in ("broker.workers=2", "broker.transport=stock", "pools.a.servers=['b:1']", "log.access = -"):
        broker.override(settings, text)
    assert settings == {
        "broker": {"workers": 2, "transport": "stock"},
        "pools": {"a": {"servers": ["b:1"]}},
        "log": {"access": "-"},
    }
    assert tomllib.loads("".join(broker.toml(settings))) == settings
    with pytest.raises(CannotRun, match="expected a path and a value"):
        broker.override(settings, "broker.workers")


@pytest.mark.parametrize("peer", ["haproxy", "nginx"])
def test_every_door_of_a_peer_has_the_tls_of_all(site: Site, tmp_path: Path, peer: str) -> None:
    if peer == "haproxy":
        text = haproxy.configuration(site, PORTS, 2)
        logs, workers = "option httplog", "nbthread 2"
        curves = text.count(f"curves {GROUP}") == sum(bool(kind) for kind, _ in DOORS.values())
    else:
        text = nginx.configuration(site, tmp_path, PORTS, 2)
        logs, workers = "access_log /", "worker_processes 2;"
        curves = f"ssl_ecdh_curve {GROUP};" in text
    assert curves
    assert {word for word in (SUITE, logs, workers) if word not in text} == set()
    assert all(f"127.0.0.1:{port}" in text for port in (*PORTS.values(), *site.plain, *site.secure))
