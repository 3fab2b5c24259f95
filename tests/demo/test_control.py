"""Who may break the servers, and how."""

from __future__ import annotations

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from sslbroker.demo.control import KINDS, ControlSite
from sslbroker.demo.server import FulfillmentServer
from sslbroker.demo.shop import Shop
from sslbroker.demo.trouble import Trouble

from .wire import Answer, ask

HERE = "127.0.0.1:9190"


def control(*names: str) -> tuple[ControlSite, list[FulfillmentServer]]:
    clock, shop = Clock(), Shop()
    servers = [FulfillmentServer(name, shop, clock) for name in names or ("server-1", "server-2")]
    return ControlSite(servers, clock), servers


def tell(site: ControlSite, target: str, **fields: str) -> Answer:
    return ask(site, f"POST {target}", **{"Host": HERE, **fields})


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_server_can_be_told_each_trouble(trouble: Trouble) -> None:
    site, servers = control()
    answer = tell(site, f"/server-2/{trouble.value}")
    assert answer.status == 200
    assert answer.json == {"server-2": {"address": "127.0.0.1:0", "trouble": trouble.value}}
    assert [server.trouble for server in servers] == [Trouble.NONE, trouble]


def test_all_servers_can_be_told_at_once() -> None:
    site, servers = control()
    tell(site, "/all/slow")
    assert [server.trouble for server in servers] == [Trouble.SLOW, Trouble.SLOW]
    tell(site, "/all/none")
    assert [server.trouble for server in servers] == [Trouble.NONE, Trouble.NONE]


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        (
            "/server-1/silense",
            "found 'silense', expected one of none, status-500, silence, slow, cut, dead; did you",
        ),
        ("/server-1", "found ''"),
        ("/server-1/dead/x", "found 'dead/x'"),
        ("/server-9/dead", "/server-9/dead: nothing is here. POST to /<server>/<trouble>"),
        ("/nothing", "nothing is here"),
    ],
)
def test_what_is_not_there_says_what_is(target: str, detail: str) -> None:
    site, servers = control()
    answer = tell(site, target)
    assert answer.status == 404
    assert detail in answer.json["error"]
    assert servers[0].trouble is Trouble.NONE


def test_reading_breaks_nothing() -> None:
    site, servers = control()
    assert ask(site, "GET /server-1/dead", Host=HERE).status == 405
    assert servers[0].trouble is Trouble.NONE


@pytest.mark.parametrize(
    "fields",
    [
        {"Host": "evil.example:9190"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8443"},
    ],
)
def test_a_page_of_another_site_cannot_break_anything(fields: dict[str, str]) -> None:
    site, servers = control()
    answer = tell(site, "/server-1/dead", **fields)
    assert answer.status == 403
    assert servers[0].trouble is Trouble.NONE


@pytest.mark.parametrize("host", [HERE, "localhost:9190", "[::1]:9190", "LOCALHOST"])
def test_this_machine_may_under_each_of_its_names(host: str) -> None:
    site, _ = control()
    assert tell(site, "/server-1/dead", Host=host, Origin=f"http://{host}").status == 200


def test_the_page_shows_each_server_and_its_buttons() -> None:
    site, servers = control()
    servers[1].trouble = Trouble.SILENCE
    answer = ask(site, "GET /", Host=HERE)
    text = answer.body.decode()
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    assert f"curl -X POST http://{HERE}/server-1/silence" in text
    assert text.count('class="server well"') == text.count('class="server ill"') == 1
    assert "says nothing" in text
    for trouble in Trouble:
        assert f'action="/server-1/{trouble.value}"' in text
    assert ask(site, "GET /style.css", Host=HERE).status == 200


def test_a_button_leads_back_to_the_page() -> None:
    site, servers = control()
    answer = tell(site, "/server-1/cut", Accept="text/html,*/*")
    assert (answer.status, answer.fields["location"]) == (303, "/")
    assert servers[0].trouble is Trouble.CUT


def test_the_state_can_be_read() -> None:
    site, servers = control()
    servers[0].trouble = Trouble.CUT
    state = ask(site, "GET /state", Host=HERE).json
    assert {name: server["trouble"] for name, server in state.items()} == {
        "server-1": "cut",
        "server-2": "none",
    }


def test_every_trouble_has_a_word() -> None:
    assert set(KINDS) == set(Trouble)


def test_a_server_that_cannot_come_back_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    site, (server,) = control("server-1")

    class Taken:
        def listenTCP(self, port: int, *_: object, interface: str) -> None:
            raise CannotListenError(interface, port, OSError("Address already in use"))

    server.trouble = Trouble.DEAD
    monkeypatch.setattr(server, "_reactor", Taken())
    answer = tell(site, "/server-1/none")
    assert answer.status == 503
    assert "server-1 cannot listen on 127.0.0.1:0: Address already in use" in answer.json["error"]
