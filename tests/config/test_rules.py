"""What settings must agree on among themselves, in TOML and in objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from sslbroker import config
from sslbroker.settings import Admin, Listener, Pool, Server, Storage
from tests.config.support import LISTENER, MINIMAL, OBJECTS, POOL, only, problems, refused, told


@pytest.mark.parametrize("same", ["tcp:8080", "tcp:port=8080", "tcp:08080:backlog=9"])
def test_two_listeners_on_one_endpoint(same: str) -> None:
    assert told(MINIMAL + f'[listeners.other]\nendpoint = "{same}"\npool = "shop"') == [
        f"listeners.other.endpoint: found {same!r}, expected one that is not used yet "
        "(listeners.web.endpoint has it)"
    ]


def test_a_listener_and_the_admin_page_on_one_endpoint() -> None:
    problem = only(problems(MINIMAL + '[admin]\nendpoint = "tcp:8080"'))
    assert (problem.path, problem.suggestion) == ("admin.endpoint", "listeners.web.endpoint has it")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:8080", "tcp:8081"),
        ("tcp:8080", "unix:/run/8080"),
        ("tcp:8080", r"tcp6:8080:interface=\\:\\:1"),
        ("tcp:8080:interface=127.0.0.1", "tcp:8080:interface=127.0.0.2"),
        ("tcp:8080:interface=127.0.0.1", r"tcp6:8080:interface=\\:\\:1"),
        ("tcp6:8080", "tcp:8081"),
        ("unix:/run/8080", "systemd:domain=INET:index=0"),
    ],
)
def test_listeners_on_different_endpoints(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        text = MINIMAL.replace("tcp:8080", first)
        assert told(text + f'[admin]\nendpoint = "{second}"') == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:8080", "tcp:8080:interface=127.0.0.1"),
        ("tcp:8080", "tcp:8080:interface=0.0.0.0"),
        ("tcp6:8080", "tcp:8080"),
        ("tcp6:8080", "tcp:8080:interface=127.0.0.1"),
        ("tcp6:8080", r"tcp6:8080:interface=\\:\\:1"),
        (r"tcp:8080:interface=\\:\\:", "tcp:8080"),
    ],
)
def test_an_endpoint_for_all_addresses_leaves_its_port_to_nobody(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        problem = only(problems(MINIMAL.replace("tcp:8080", first) + f'[admin]\nendpoint = "{second}"'))
        assert (problem.path, problem.suggestion) == (
            "admin.endpoint",
            "listeners.web.endpoint has it: one is for all addresses of this port, "
            "tcp6 for those of IPv4 too",
        )


def test_any_free_port_is_never_the_same() -> None:
    text = MINIMAL.replace("8080", "0")
    assert told(text + '[admin]\nendpoint = "tcp:0"') == []


def test_endpoints_that_are_wrong_are_told_once() -> None:
    text = LISTENER.replace("tcp", "ssl") + '[admin]\nendpoint = "ssl:8080"' + POOL
    assert [problem.path for problem in problems(text)] == ["listeners.web.endpoint", "admin.endpoint"]


def test_a_pool_that_is_not_there() -> None:
    assert told(MINIMAL.replace('pool = "shop"', 'pool = "shpo"')) == [
        "listeners.web.pool: found 'shpo', expected the name of a pool (did you mean 'shop'?)"
    ]
    assert told(MINIMAL.replace('pool = "shop"', 'pool = "x"')) == [
        "listeners.web.pool: found 'x', expected the name of a pool (the pools are ['shop'])"
    ]


def test_a_pool_with_problems_of_its_own_is_there() -> None:
    assert [problem.path for problem in problems(LISTENER + "[pools]\nshop = 3")] == ["pools.shop"]


def test_a_listener_without_a_pool_is_told_once() -> None:
    assert len(problems('[listeners.web]\nendpoint = "tcp:80"' + POOL)) == 1


@pytest.mark.parametrize(
    ("one", "two"),
    [("127.0.0.1:80", "127.0.0.1:80"), ("Shop:80", "shop.:80"), ("[::1]:80", "[0::1]:80")],
)
def test_a_server_twice_in_a_pool(one: str, two: str) -> None:
    assert told(LISTENER + f'[pools.shop]\nservers = ["{one}", "b:1", {{ address = "{two}" }}]') == [
        f"pools.shop.servers[2]: found {two!r}, expected one that is not used yet "
        "(pools.shop.servers[0] has it)"
    ]


def test_a_server_in_two_pools_is_fine() -> None:
    assert told(MINIMAL + '[pools.other]\nservers = ["127.0.0.1:9001"]') == []


def test_a_server_twice_is_told_beside_other_problems_of_it() -> None:
    found = problems(LISTENER + '[pools.shop]\nservers = ["a:1", { address = "a:1", weight = 0 }, 3, 3]')
    assert [problem.path for problem in found] == [
        "pools.shop.servers[1].weight",
        "pools.shop.servers[2]",
        "pools.shop.servers[3]",
        "pools.shop.servers[1]",
    ]


def test_a_network_in_two_groups() -> None:
    groups = """
[groups.gold]
networks = ["192.0.2.0/24", "192.0.2.0/25", "x"]
priority = 5
[groups.silver]
networks = ["2001:db8::/32", "192.0.2.0/24", "x"]
priority = 4
"""
    problem = problems(MINIMAL + groups)[-1]
    assert problem.path == "groups.silver.networks[1]"
    assert problem.suggestion == "groups.gold.networks[0] has it"


def test_an_ipv4_network_written_as_an_ipv6_one_is_the_same() -> None:
    groups = """
[groups.gold]
networks = ["192.0.2.0/24", "::ffff:192.0.2.0/120", "::ffff:192.0.2.0/121"]
"""
    problem = only(problems(MINIMAL + groups))
    assert (problem.path, problem.suggestion) == (
        "groups.gold.networks[1]",
        "groups.gold.networks[0] has it",
    )


ASKING = LISTENER + """
[listeners.web.tls]
certificates = ["throwaway"]
client_ca = "ca.pem"
client_certificate = "optional"
""" + POOL  # fmt: skip


def test_what_a_certificate_names_leads_to_one_group(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    groups = '[groups.gold]\ncertificates = ["ann", "bob"]\n[groups.iron]\ncertificates = ["bob"]\n'
    problem = only(problems(ASKING + groups, base=tmp_path))
    assert problem.path == "groups.iron.certificates[0]"
    assert problem.suggestion == "groups.gold.certificates[1] has it"


def test_nobody_is_found_by_a_certificate_that_nobody_is_asked_for() -> None:
    groups = '[groups.gold]\ncertificates = ["ann", "bob"]\n'
    problem = only(problems(MINIMAL + groups))
    assert problem.path == "groups.gold.certificates[0]"
    assert problem.expected == "a listener that asks clients for certificates"
    assert only(problems(MINIMAL.replace("[pools", "tls = 3\n[pools") + groups)).path == "listeners.web.tls"


def test_for_some_names_is_enough(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    named = ASKING.replace("client_ca", '[listeners.web.tls.names."a.test"]\nclient_ca')
    assert told(named + '[groups.gold]\ncertificates = ["ann"]', base=tmp_path) == []


def test_a_field_that_names_groups_is_believed_from_somebody() -> None:
    header = MINIMAL.replace('"shop"', '"shop"\ngroup_header = "X-Group"', 1)
    assert told(header) == [
        "listeners.web.group_header: found 'X-Group', "
        "expected listeners.web.trusted to say from whom it is believed"
    ]
    assert told(header.replace("group_header", 'trusted = ["192.0.2.1"]\ngroup_header')) == []


def test_a_field_that_names_groups_is_none_by_which_requests_are_repeated() -> None:
    header = MINIMAL.replace('"shop"', '"shop"\ntrusted = ["192.0.2.1"]\ngroup_header = "X-Key"', 1)
    assert told(header + '[pools.shop.failover]\nidempotency_header = "x-key"') == [
        "listeners.web.group_header: found 'X-Key', expected another field than "
        "pools.shop.failover.idempotency_header"
    ]


def test_a_plugin_is_asked_once() -> None:
    known = config.Extensions(grouping=("a", "b"))
    problem = only(problems(MINIMAL + '[grouping]\nplugins = ["a", "b", "b"]', extensions=known))
    assert (problem.path, problem.suggestion) == ("grouping.plugins[2]", "grouping.plugins[1] has it")


def test_an_observer_hears_once() -> None:
    known = config.Extensions(observers=("a", "b"))
    problem = only(problems(MINIMAL + '[log]\nobservers = ["a", "b", "a"]', extensions=known))
    assert (problem.path, problem.suggestion) == ("log.observers[2]", "log.observers[0] has it")


def test_a_header_field_is_removed_once() -> None:
    found = problems(MINIMAL + '[pools.shop.headers]\nremove = ["X-A", "Host", "x-a", "Host", 3]')
    assert [problem.path.removeprefix("pools.shop.headers.") for problem in found] == [
        "remove[1]",
        "remove[3]",
        "remove[4]",
        "remove[2]",
    ]
    assert found[-1].suggestion == "pools.shop.headers.remove[0] has it"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            'minimum = "8MiB"',
            "storage.minimum: found 8MiB, expected at most storage.initial, which is 4MiB",
        ),
        (
            'maximum = "2MiB"',
            "storage.initial: found 4MiB, expected at most storage.maximum, which is 2MiB "
            "(that is the default: set it too)",
        ),
        (
            'minimum = "1GiB"\ninitial = "1GiB"',
            "storage.minimum: found 1GiB, expected at most storage.maximum, which is 256MiB",
        ),
        (
            'per_transaction = "1GiB"',
            "storage.per_transaction: found 1GiB, expected at most storage.maximum, which is 256MiB",
        ),
        (
            "shrink_below = 0.95",
            "storage.shrink_below: found 0.95, expected less than storage.grow_above, which is 0.95",
        ),
        (
            'initial = "4097B"\nminimum = "5KiB"',
            "storage.minimum: found 5KiB, expected at most storage.initial, which is 4097B",
        ),
    ],
)
def test_storage_out_of_order(settings: str, expected: str) -> None:
    assert expected in told(MINIMAL + f"[storage]\n{settings}")


def test_storage_may_have_one_size_for_ever() -> None:
    sizes = "\n".join(f'{name} = "1MiB"' for name in ("minimum", "initial", "maximum", "per_transaction"))
    assert told(MINIMAL + f"[storage]\n{sizes}") == []


def test_storage_with_a_wrong_size_is_not_compared() -> None:
    assert [problem.path for problem in problems(MINIMAL + '[storage]\nmaximum = "1"')] == ["storage.maximum"]


def test_times_of_names_are_ordered() -> None:
    assert told(MINIMAL + '[names]\nminimum = "10m"') == [
        "names.minimum: found 600s, expected at most names.maximum, which is 300s"
    ]
    assert told(MINIMAL + '[names]\nminimum = "1s"\nmaximum = "1s"') == []


TLS = '[listeners.web.tls]\ncertificates = ["throwaway"]\n'


def test_who_asks_clients_for_a_certificate_says_whose() -> None:
    assert told(LISTENER + TLS + 'client_certificate = "optional"' + POOL) == [
        "listeners.web.tls.client_ca: found nothing, expected the CA of the clients' certificates "
        "(listeners.web.tls.client_certificate asks for one)"
    ]
    assert told(LISTENER + TLS + 'client_ca = "/dev/null"' + POOL) == [
        'listeners.web.tls.client_certificate: found nothing, expected "optional" or "required" '
        "(listeners.web.tls.client_ca alone asks nobody for a certificate)"
    ]
    assert told(LISTENER + TLS + 'client_ca = "/dev/null"\nclient_certificate = "required"' + POOL) == []


def test_the_same_holds_for_a_name_of_its_own() -> None:
    name = '[listeners.web.tls.names."admin.test"]\n'
    problem = only(problems(LISTENER + TLS + name + 'client_certificate = "required"' + POOL))
    assert problem.path == "listeners.web.tls.names.'admin.test'.client_ca"
    problem = only(problems(LISTENER + TLS + name + 'client_ca = "/dev/null"' + POOL))
    assert problem.path == "listeners.web.tls.names.'admin.test'.client_certificate"
    assert problems(LISTENER + TLS + name + POOL) == []  # nobody is asked for one


def test_a_name_has_one_rule_for_its_clients() -> None:
    names = 'names = { "a.test" = {}, "A.test." = {}, "*.a.test" = {} }'
    problem = only(problems(LISTENER + TLS + names + POOL))
    assert problem.path == "listeners.web.tls.names.'A.test.'"
    assert problem.suggestion == "listeners.web.tls.names.'a.test' has it"


STATE = '[broker]\nstate_directory = "state"\n'


@pytest.mark.parametrize(
    "pool",
    [
        'servers = ["a:1"]\ntls = {}',
        'servers = [{ address = "b:1", tls = {} }]',
        'servers = [{ address = "b:1", tls = {}, continue_secure_link = false }]\n'
        "continue_secure_link = true",
    ],
)
def test_plain_links_may_become_secure_later(pool: str) -> None:
    assert problems(LISTENER + "[pools.shop]\n" + pool) == []


def test_what_is_found_out_has_a_place() -> None:
    text = MINIMAL + 'continue_secure_link = "auto"\n'
    assert told(text) == [
        "broker.state_directory: found nothing, expected a folder for what is found out "
        '(pools.shop.continue_secure_link = "auto" needs it: no restart may forget who spoke TLS)'
    ]
    other = '[pools.other]\nservers = [{ address = "b:1", continue_secure_link = "auto" }]\n'
    assert only(problems(MINIMAL + other)).suggestion.startswith(
        "pools.other.servers[0].continue_secure_link"
    )
    assert len(problems(text + other)) == 1
    assert problems(text + other + STATE) == []


def test_a_cookie_to_hash_by_is_for_hash() -> None:
    text = MINIMAL + 'hash_cookie = "user"\n'
    assert told(text) == [
        "pools.shop.hash_cookie: found 'user', "
        'expected "" unless balance is "hash", and it is \'least-time\''
    ]
    assert told(text + 'balance = "hash"') == []


def test_good_statuses_are_for_checks_that_ask_something() -> None:
    text = MINIMAL + 'health = { statuses = ["2xx"] }'
    problem = only(problems(text))
    assert (problem.path, problem.found) == ("pools.shop.health.statuses", "statuses")
    assert problem.expected == "this to be left out without a path"
    for right in ('{ path = "/", statuses = ["2xx"] }', '{ statuses = ["2xx", "3xx"] }', "{}"):
        assert problems(MINIMAL + f"health = {right}") == []


@pytest.mark.parametrize(
    "setting",
    [
        'failover.statuses = ["4xx"]',
        'failover.methods = ["*"]',
        'failover.idempotency_header = ""',
        "failover.reuse_for_unsafe = true",
        "headers.via = false",
        'hash_cookie = "user"\nbalance = "hash"',
        'trusted = ["10.0.0.0/8"]',
    ],
)
def test_a_stream_has_no_requests(setting: str) -> None:
    assert problems(MINIMAL + setting) == []
    problem = only(problems(MINIMAL + 'protocol = "tcp"\n' + setting))
    assert problem.path == "pools.shop." + setting.partition(" ")[0].partition(".via")[0]
    assert problem.expected == 'this to be left out with protocol = "tcp"'


def test_a_stream_tells_for_nobody() -> None:
    trusted = LISTENER + 'trusted = ["192.0.2.0/24"]\n'
    assert problems(trusted + POOL) == []
    problem = only(problems(trusted + POOL + 'protocol = "tcp"'))
    assert problem.path == "listeners.web.trusted"
    assert [one.path for one in problems(trusted + "[pools]\nshop = 3")] == ["pools.shop"]


def test_a_client_of_a_unix_socket_is_in_no_network() -> None:
    trusted = LISTENER.replace("tcp:8080", "unix:/run/shop.sock") + 'trusted = ["127.0.0.1"]\n'
    problem = only(problems(trusted + POOL))
    assert (problem.path, problem.expected) == (
        "listeners.web.trusted",
        "this to be left out for a UNIX socket",
    )
    assert only(problems(trusted + POOL + 'protocol = "tcp"')).path == "listeners.web.trusted"
    assert [one.path for one in problems(trusted.replace("unix:/", "unix:") + POOL)] == [
        "listeners.web.endpoint"
    ]


def test_replay_is_for_streams() -> None:
    replay = "failover.replay = true\n"
    assert problems(MINIMAL + 'protocol = "tcp"\n' + replay) == []
    assert only(problems(MINIMAL + replay)).suggestion == "failover.methods says what may be repeated"
    known = config.Extensions(protocols=("http", "mine"))
    assert problems(MINIMAL + 'protocol = "mine"\n' + replay, extensions=known) == []


def test_objects_keep_the_same_rules() -> None:
    wrong = replace(
        OBJECTS,
        listeners=(Listener("web", "tcp:8080", "shpo"), Listener("other", "tcp:8080", "shop")),
        pools=(Pool("shop", (Server("a:1"), Server("A:1"))),),
        admin=Admin("tcp:8080"),
        storage=Storage(minimum=8192, initial=4096),
    )
    assert [problem.path for problem in refused(lambda: config.check(wrong))] == [
        "listeners.other.endpoint",
        "admin.endpoint",
        "listeners.web.pool",
        "pools.shop.servers[1]",
        "storage.minimum",
    ]


def test_a_pool_object_that_is_none_is_not_missed_by_its_listeners() -> None:
    wrong = replace(OBJECTS, pools=(cast(Pool, "shop"),))
    assert [problem.path for problem in refused(lambda: config.check(wrong))] == ["pools[0]"]


GROUP = "[groups.gold]\nnetworks = ['192.0.2.0/24']\n"
HEDGE = "[pools.shop.failover]\nhedge = true\n"
EXCLUDE = "[pools.shop.pacing]\nexclude = ['/events']\n"
FLOOR = "[pools.shop.pacing]\nfloor = 0.1\n"


@pytest.mark.parametrize("more", ["", "[pools.shop.pacing]\n", GROUP + FLOOR, HEDGE + EXCLUDE])
def test_pacing_that_has_an_effect_or_is_as_usual_is_right(more: str) -> None:
    assert told(MINIMAL + more) == []


@pytest.mark.parametrize("more", [FLOOR, EXCLUDE, HEDGE + FLOOR])
def test_pacing_without_groups_is_refused(more: str) -> None:
    assert told(MINIMAL + more) == [
        "groups: found nothing, expected at least one table [groups.NAME] "
        "(without groups pools.shop.pacing has no effect)"
    ]


def test_what_is_wrong_itself_has_no_effect_for_no_other_reason() -> None:
    assert [problem.split(":")[0] for problem in told(MINIMAL + "[pools.shop.pacing]\nfloor = 2\n")] == [
        "pools.shop.pacing.floor"
    ]
    assert [problem.split(":")[0] for problem in told("groups = 3\n" + MINIMAL + FLOOR)] == ["groups"]


def test_a_stream_has_no_paths_that_are_not_measured() -> None:
    (problem,) = told(MINIMAL + 'protocol = "tcp"\n' + EXCLUDE + GROUP)
    assert problem.startswith("pools.shop.pacing.exclude: found ('/events',), expected this to be left out ")
