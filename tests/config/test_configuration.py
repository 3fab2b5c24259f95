"""A whole configuration, from its file to the objects, and from what is no configuration."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import fields, is_dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbroker import config
from sslbroker.errors import ConfigurationError
from sslbroker.settings import (
    Admin,
    Broker,
    Configuration,
    Failover,
    HeaderRules,
    Health,
    Limits,
    LinkLimits,
    LinkTLS,
    Listener,
    ListenerTLS,
    Log,
    NamedClients,
    Names,
    Pool,
    Queue,
    Server,
    Sticky,
    Storage,
)
from tests.config.support import MINIMAL, OBJECTS, configured, only, problems, refused

EVERYTHING_BUILT = """
[listeners.https]
endpoint = "tcp:8443:interface=127.0.0.1"
pool = "shop"
trusted = ["192.0.2.0/24", "2001:db8::/32"]
[listeners.https.tls]
certificates = ["certs/shop.pem", "certs"]
minimum = "TLSv1.3"
ciphers = "ECDHE+AESGCM:!aNULL"
cipher_suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
client_ca = "certs/shop.pem"
client_certificate = "optional"
[listeners.https.tls.names."admin.shop.test"]
client_ca = "certs/shop.pem"
client_certificate = "required"
[listeners.https.tls.names."*.open.test"]
[listeners.https.limits]
handshake = "1s"
head = "2s"
idle = "3s"
read = "4s"
close = "500ms"
tunnel = "2h"
head_size = "16KiB"
headers = 50
connections = 1000

[pools.shop]
protocol = "http"
balance = "hash"
hash_cookie = "user"
slow_start = "0s"
maximum_transactions = 150
continue_secure_link = "auto"
trusted = ["10.0.0.0/8"]
[[pools.shop.servers]]
address = "127.0.0.1:9001"
[[pools.shop.servers]]
address = "[::1]:9002"
weight = 5
maximum_transactions = 100
maximum_links = 50
continue_secure_link = true
tls = { server_name = "old.internal", minimum = "TLSv1.3" }
[pools.shop.tls]
ca = "certs/shop.pem"
certificate = "certs/shop.pem"
verify = false
[pools.shop.queue]
length = 10
timeout = "1s"
[pools.shop.health]
path = "/healthz"
interval = "500ms"
timeout = "300ms"
rise = 1
fall = 5
statuses = [200, "3xx"]
[pools.shop.sticky]
cookie = "SRV"
[pools.shop.failover]
statuses = [404, "5xx", "600-602"]
tries = 5
methods = ["*"]
response_timeout = "10s"
connect_timeout = "100ms"
idempotency_header = ""
reuse_for_unsafe = true
hedge = false
resume = false
[pools.shop.links]
idle = 8
idle_time = "20s"
head_size = "8KiB"
headers = 20
[pools.shop.headers]
set = { X-Shop = "1" }
add = { X-Note = "via broker" }
remove = ["Cookie"]
host = "server"
via = false
client_certificate = "details"
[pools.streams]
protocol = "tcp"
servers = ["db.internal:5432"]
failover = { replay = true }

[storage]
initial = "2MiB"
minimum = "512KiB"
maximum = "1GiB"
grow_above = 0.9
shrink_below = 0.3
grow_by = 3
shrink_by = 0.25
per_transaction = "64KiB"
[log]
access = "access.log"
[admin]
endpoint = "tcp:9100:interface=127.0.0.1"
[broker]
name = "edge-1"
workers = 1
drain_timeout = "1m"
worker_timeout = "2m"
transport = "stock"
state_directory = "state"
[names]
servers = ["192.0.2.53"]
minimum = "2s"
maximum = "1m"
timeout = "1s"
"""


def everything_built(base: Path) -> Configuration:
    return Configuration(
        listeners=(
            Listener(
                name="https",
                endpoint="tcp:8443:interface=127.0.0.1",
                pool="shop",
                tls=ListenerTLS(
                    certificates=(base / "certs/shop.pem", base / "certs"),
                    minimum="TLSv1.3",
                    ciphers="ECDHE+AESGCM:!aNULL",
                    cipher_suites="TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
                    client_ca=base / "certs/shop.pem",
                    client_certificate="optional",
                    names=(
                        NamedClients("admin.shop.test", base / "certs/shop.pem", "required"),
                        NamedClients("*.open.test"),
                    ),
                ),
                limits=Limits(
                    handshake=1,
                    head=2,
                    idle=3,
                    read=4,
                    close=0.5,
                    tunnel=7200,
                    head_size=16384,
                    headers=50,
                    connections=1000,
                ),
                trusted=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
            ),
        ),
        pools=(
            Pool(
                name="shop",
                balance="hash",
                hash_cookie="user",
                slow_start=0,
                maximum_transactions=150,
                continue_secure_link="auto",
                trusted=(ip_network("10.0.0.0/8"),),
                servers=(
                    Server("127.0.0.1:9001"),
                    Server(
                        "[::1]:9002",
                        weight=5,
                        maximum_transactions=100,
                        maximum_links=50,
                        continue_secure_link=True,
                        tls=LinkTLS(server_name="old.internal", minimum="TLSv1.3"),
                    ),
                ),
                tls=LinkTLS(base / "certs/shop.pem", verify=False, certificate=base / "certs/shop.pem"),
                health=Health("/healthz", 0.5, 0.3, 1, 5, ((200, 200), (300, 399))),
                queue=Queue(length=10, timeout=1),
                sticky=Sticky("SRV"),
                failover=Failover(
                    statuses=((404, 404), (500, 599), (600, 602)),
                    tries=5,
                    methods=("*",),
                    response_timeout=10,
                    connect_timeout=0.1,
                    idempotency_header="",
                    reuse_for_unsafe=True,
                    resume=False,
                ),
                links=LinkLimits(idle=8, idle_time=20, head_size=8192, headers=20),
                headers=HeaderRules(
                    set={"X-Shop": "1"},
                    add={"X-Note": "via broker"},
                    remove=("Cookie",),
                    host="server",
                    via=False,
                    client_certificate="details",
                ),
            ),
            Pool(
                "streams",
                (Server("db.internal:5432"),),
                protocol="tcp",
                failover=Failover(replay=True),
            ),
        ),
        storage=Storage(
            initial=2 * 2**20,
            minimum=2**19,
            maximum=2**30,
            grow_above=0.9,
            shrink_below=0.3,
            grow_by=3.0,
            shrink_by=0.25,
            per_transaction=2**16,
        ),
        log=Log(access=str(base / "access.log")),
        admin=Admin("tcp:9100:interface=127.0.0.1"),
        broker=Broker(
            name="edge-1",
            drain_timeout=60,
            worker_timeout=120,
            state_directory=base / "state",
            transport="stock",
        ),
        names=Names(("192.0.2.53",), minimum=2, maximum=60, timeout=1),
        source=str(base / "broker.toml"),
    )


def folder(path: Path) -> Path:
    (path / "certs").mkdir()
    (path / "certs/shop.pem").touch()
    (path / "broker.toml").write_text(EVERYTHING_BUILT)
    return path


def test_a_file_becomes_the_same_objects_that_python_builds(tmp_path: Path) -> None:
    base = folder(tmp_path)
    assert config.load(base / "broker.toml") == everything_built(base)


def test_objects_that_keep_the_rules_come_back_as_they_are(tmp_path: Path) -> None:
    built = everything_built(folder(tmp_path))
    assert config.check(built) is built


def test_what_is_left_out_has_its_default() -> None:
    assert configured(MINIMAL) == OBJECTS


def test_the_way_to_the_file_may_be_gone_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broker.toml").write_text(MINIMAL + '[log]\naccess = "access.log"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    configuration = config.load(Path("../broker.toml"))
    assert configuration.log.access == str(tmp_path.resolve() / "access.log")


def test_a_link_to_a_folder_stays_in_paths_for_it_may_lead_elsewhere_later(tmp_path: Path) -> None:
    (tmp_path / "release-1").mkdir()
    (tmp_path / "release-1" / "broker.toml").write_text(MINIMAL + '[log]\naccess = "access.log"')
    (tmp_path / "current").symlink_to("release-1")
    configuration = config.load(tmp_path / "current" / "broker.toml")
    assert configuration.log.access == str(tmp_path / "current" / "access.log")


def test_relative_paths_do_not_follow_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    configuration = config.load(Path("broker.toml"))
    assert configuration.source == "broker.toml"
    assert configuration.log.access == str(tmp_path / "access.log")


def test_every_mistake_is_told_at_once_and_each_on_a_line_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(MINIMAL + 'blance = 1\n[log]\naccess = 3\n[admin]\n[listeners.b]\nendpoint = "x"')
    with pytest.raises(ConfigurationError) as caught:
        config.load(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": found")[0] for line in lines] == [
        f"{path}: listeners.b.endpoint",
        f"{path}: listeners.b.pool",
        f"{path}: pools.shop.blance",
        f"{path}: log.access",
        f"{path}: admin.endpoint",
    ]


def test_objects_are_told_their_own_source() -> None:
    with pytest.raises(ConfigurationError, match=r"^etc/sslbroker\.tac: admin\.endpoint: found 'x'"):
        config.check(replace(OBJECTS, admin=Admin("x"), source="etc/sslbroker.tac"))


def test_a_plugins_protocol_is_known_when_its_name_is_given() -> None:
    text = MINIMAL + 'protocol = "smtp"'
    known = config.Extensions(protocols=("http", "smtp"))
    assert only(problems(text)).expected == '"http" or "tcp", or the name of a protocol plugin'
    assert problems(text, extensions=known) == []
    smtp = replace(OBJECTS, pools=(replace(OBJECTS.pools[0], protocol="smtp"),))
    assert only(refused(lambda: config.check(smtp))).path == "pools.shop.protocol"
    assert config.check(smtp, extensions=known) is smtp


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10s", "1MiB", "http", "tcp:80", "::1/128", "throwaway", "a:1", "5xx", "*", "auto"])
    | st.dates()
    | st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from(["tls", "name", "address", "path"]) | SCALARS, inner, max_size=3)
    ),
    max_leaves=5,
)
COMPLETE = tomllib.loads(
    EVERYTHING_BUILT
    + """
[groups.gold]
networks = ["192.0.2.0/24"]
priority = 5
[pools.tcp]
protocol = "tcp"
servers = ["a:1"]
health = { path = "/", statuses = ["2xx"] }
sticky = { cookie = "a" }
pacing = { exclude = ["/x"] }
"""
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in nested tables and lists."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path] + [place for key, value in steps for place in places(value, (*path, key))]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(places(COMPLETE)[1:]), VALUES), min_size=1, max_size=3), st.data())
def test_a_mutated_configuration_gives_objects_or_problems(
    changes: list[tuple[tuple[Any, ...], Any]], data: st.DataObject
) -> None:
    mutated = copy.deepcopy(COMPLETE)
    for (*path, key), value in changes:
        table: Any = mutated
        for step in path:
            try:
                table = table[step]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(table, dict):
            table[data.draw(st.just(key) | SCALARS.filter(lambda name: name == name))] = value
        elif isinstance(table, list) and table:
            table[0] = value
    for problem in refused(lambda: config.from_dict(mutated, base=Path("/nowhere"), source="test")):
        assert problem.path
        assert len(str(problem)) < 1000


@settings(deadline=None)
@given(VALUES)
def test_anything_at_all_gives_problems(found: Any) -> None:
    assert refused(lambda: config.from_dict(found, base=Path("/nowhere"), source="test"))


def objects(value: Any) -> list[Any]:
    """All objects inside a configuration, itself included."""
    if isinstance(value, tuple):
        return [found for item in value for found in objects(item)]
    if not is_dataclass(value):
        return []
    return [value] + [found for field in fields(value) for found in objects(getattr(value, field.name))]


def altered(value: Any, target: Any, name: str, new: Any) -> Any:
    """`value` with the field `name` of the object `target` inside it replaced."""
    if isinstance(value, tuple):
        return tuple(altered(item, target, name, new) for item in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    inner = {field.name: altered(getattr(value, field.name), target, name, new) for field in fields(value)}
    return replace(value, **{**inner, name: new} if value is target else inner)


@settings(max_examples=150, deadline=None)
@given(st.data(), VALUES)
def test_altered_objects_are_accepted_or_give_problems(data: st.DataObject, new: Any) -> None:
    built = everything_built(Path("/nowhere"))
    target = data.draw(st.sampled_from(objects(built)))
    name = data.draw(st.sampled_from([field.name for field in fields(target)]))
    for problem in refused(lambda: config.check(altered(built, target, name, new))):
        assert len(str(problem)) < 1000
