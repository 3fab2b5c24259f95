"""What is told of a table's keys: unknown ones, misplaced ones, missing ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from sslbroker import config
from sslbroker.settings import Admin, Listener, ListenerTLS, Pool, Server
from tests.config.support import LISTENER, MINIMAL, OBJECTS, POOL, only, problems, refused, told


def objects(**changes: Any) -> list[str]:
    """What is wrong with the least configuration of objects after these changes."""
    return [str(problem) for problem in refused(lambda: config.check(replace(OBJECTS, **changes)))]


def test_a_mistyped_key_is_guessed() -> None:
    problem = only(problems(MINIMAL + "[broker]\ndrain_timout = '3s'"))
    assert problem.path == "broker.drain_timout"
    assert problem.found == "'3s'"
    assert problem.expected.startswith("a setting of this table: name, workers")
    assert problem.suggestion == "did you mean 'drain_timeout'?"


def test_a_mistyped_table_is_guessed_and_not_told_as_missing() -> None:
    (problem,) = told(POOL + LISTENER.replace("listeners", "listners"))
    assert problem.startswith("listners: ")
    assert problem.endswith("(did you mean 'listeners'?)")


def test_a_mistyped_required_key_is_not_told_as_missing() -> None:
    (problem,) = told(MINIMAL.replace("endpoint", "endpont"))
    assert problem.startswith("listeners.web.endpont: ")


def test_listeners_do_not_miss_the_pools_of_a_mistyped_table() -> None:
    (problem,) = told(MINIMAL.replace("pools", "pols"))
    assert problem.startswith("pols: ")


def test_a_known_key_in_the_wrong_table_is_told_its_place() -> None:
    text = MINIMAL + '[listeners.other]\nendpoint = "tcp:81"\npool = "shop"\ncertificates = ["throwaway"]'
    assert only(problems(text)).suggestion == "it belongs in [listeners.other.tls]"


def test_a_key_of_another_top_level_table_is_told_its_place() -> None:
    assert only(problems(MINIMAL + "tries = 3")).suggestion == "it belongs in [pools.shop.failover]"
    assert only(problems("certificates = []" + MINIMAL)).suggestion == (
        "it belongs in [listeners.NAME.tls] or [groups.NAME]"
    )
    assert only(problems("tries = 3" + MINIMAL)).suggestion == "it belongs in [pools.NAME.failover]"


def test_a_table_of_the_top_level_inside_another_is_told_its_place() -> None:
    problem = only(problems(MINIMAL + '[pools.shop.log]\naccess = "-"'))
    assert problem.path == "pools.shop.log"
    assert problem.suggestion == "it belongs in the top of the file"


def test_a_key_of_a_server_is_told_its_place() -> None:
    assert only(problems(MINIMAL + "weight = 3")).suggestion == "it belongs in pools.shop.servers[…]"


def test_a_key_that_several_tables_have_is_told_the_nearest() -> None:
    (problem,) = problems(MINIMAL + '[listeners.web.tls]\ncertificates = ["throwaway"]\nheaders = 3')
    assert problem.suggestion == "it belongs in [listeners.web.limits]"
    assert only(problems(MINIMAL + "timeout = '1s'")).suggestion == (
        "it belongs in [pools.shop.health], [pools.shop.queue] or [pools.shop.pacing]"
    )


def test_a_key_that_means_nothing_gets_no_guess() -> None:
    assert only(problems(MINIMAL + "zzzz = 1")).suggestion == ""


def test_a_key_that_is_no_text_is_refused() -> None:
    data = {3: 1, "listeners": {"web": {"endpoint": "tcp:80", "pool": "shop"}}}
    found = refused(lambda: config.from_dict(data, base=Path(), source="test"))
    assert [problem.path for problem in found] == ["3", "pools"]


def test_what_is_missing_is_told_with_what_it_should_be() -> None:
    assert told("[listeners.web]") == [
        "listeners.web.endpoint: found nothing, expected an endpoint such as "
        '"tcp:8443" (tcp, tcp6, unix or systemd)',
        "listeners.web.pool: found nothing, expected a name of letters, digits, _ and -, up to 64",
        "pools: found nothing, expected at least one table [pools.NAME]",
    ]


def test_an_empty_file_misses_listeners_and_pools() -> None:
    assert [problem.path for problem in problems("")] == ["listeners", "pools"]
    assert [problem.path for problem in problems("[listeners]\n[pools]")] == ["listeners", "pools"]


def test_a_value_where_a_table_belongs_is_one_problem() -> None:
    assert told(LISTENER + "tls = true" + POOL) == [
        "listeners.web.tls: found True, expected a table [listeners.NAME.tls]"
    ]
    assert told("pools = 3" + LISTENER) == ["pools: found 3, expected at least one table [pools.NAME]"]
    assert told(LISTENER + "[pools]\nshop = 3") == ["pools.shop: found 3, expected a table [pools.NAME]"]


def test_what_is_no_configuration_at_all_is_one_problem() -> None:
    wrongs: tuple[Any, ...] = ([], None, 3, "x")
    for wrong in wrongs:
        problem = only(refused(partial(config.from_dict, wrong, base=Path(), source="test")))
        assert (problem.path, problem.expected) == ("configuration", "tables")
        problem = only(refused(partial(config.check, wrong)))
        assert (problem.path, problem.expected) == ("configuration", "settings.Configuration")


def test_a_name_has_to_be_plain() -> None:
    (problem,) = told(LISTENER + '[pools.shop]\nservers = ["a:1"]\n[pools."my shop"]\nservers = ["a:1"]')
    assert problem == (
        "pools.'my shop': found 'my shop', expected a name of letters, digits, _ and -, up to 64"
    )


def test_a_text_for_a_list_is_told_how_to_write_it() -> None:
    problem = only(problems(LISTENER + '[pools.shop]\nservers = "127.0.0.1:9001"'))
    assert problem.suggestion == 'write ["127.0.0.1:9001"]'
    assert only(problems(LISTENER + "[pools.shop]\nservers = 9001")).suggestion == ""


def test_a_list_that_needs_an_item_may_not_be_empty() -> None:
    assert told(LISTENER + "[pools.shop]\nservers = []") == [
        'pools.shop.servers: found [], expected a list of servers such as "127.0.0.1:9001" with at least 1'
    ]


def test_the_word_for_all_stands_alone() -> None:
    assert told(MINIMAL + '[pools.shop.failover]\nmethods = ["*"]') == []
    (problem,) = told(MINIMAL + '[pools.shop.failover]\nmethods = ["*", "GET"]')
    assert "expected '*' alone, or a list of methods without it" in problem


def test_every_item_of_a_list_has_its_own_path() -> None:
    text = LISTENER + '[pools.shop]\nservers = ["a:1", 3, "b", { weight = 1, adress = "c:1" }, {}]'
    assert [problem.path for problem in problems(text)] == [
        "pools.shop.servers[1]",
        "pools.shop.servers[2]",
        "pools.shop.servers[3].adress",
        "pools.shop.servers[4].address",
    ]


def test_a_server_may_be_a_text_or_a_table() -> None:
    assert told(LISTENER + '[pools.shop]\nservers = ["a:1", { address = "b:1" }]') == []


def test_what_is_wrong_inside_a_table_is_told_with_its_own_path() -> None:
    assert told(MINIMAL + '[pools.shop.pacing]\nfloor = "2"\nqueue = 1') == [
        "pools.shop.pacing.floor: found '2', expected a number from 0 to 1 (write 2, without quotes)",
    ]


def test_in_python_the_defaults_are_right() -> None:
    assert objects() == []


def test_in_python_a_list_for_a_tuple_or_a_missing_comma_is_told() -> None:
    (problem,) = objects(pools=[OBJECTS.pools[0]])
    assert problem.startswith("pools: found [Pool(name='shop'")
    assert problem.endswith("expected a tuple of at least one settings.Pool")
    one = cast("tuple[Server, ...]", Server("a:1"))
    (problem,) = objects(pools=(Pool("shop", one),))
    assert problem.endswith("(a tuple of one needs a comma: (…,))")


def test_in_python_an_object_of_another_class_is_told() -> None:
    assert objects(admin="tcp:9100") == ["admin: found 'tcp:9100', expected settings.Admin"]
    assert objects(listeners=({"name": "web"},)) == [
        "listeners[0]: found {'name': 'web'}, expected settings.Listener"
    ]
    assert objects(storage=None) == ["storage: found None, expected settings.Storage"]


def test_in_python_names_are_text_and_differ() -> None:
    web = OBJECTS.listeners[0]
    assert objects(listeners=(web, Listener("web", "tcp:81", "shop"))) == [
        "listeners[1].name: found 'web', expected a name of its own, as text"
    ]
    wrong = cast(str, ["web"])
    assert objects(listeners=(Listener(wrong, "tcp:81", "shop"),)) == [
        "listeners[0].name: found ['web'], expected a name of its own, as text"
    ]
    (problem,) = objects(listeners=(Listener("a b", "tcp:81", "shop"),))
    assert problem.startswith("listeners.'a b'.name: ")


def test_in_python_no_listener_is_a_problem() -> None:
    assert objects(listeners=()) == [
        "listeners: found (), expected a tuple of at least one settings.Listener"
    ]


def test_in_python_the_inside_of_an_object_is_checked() -> None:
    tls = ListenerTLS((config.THROWAWAY,), minimum="SSLv3")
    (problem,) = objects(listeners=(Listener("web", "tcp:81", "shop", tls=tls),), admin=Admin("tcp:82"))
    assert problem.startswith("listeners.web.tls.minimum: found 'SSLv3'")
