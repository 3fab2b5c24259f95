"""The configurations in etc/: they can be used as they are, run, and do what they say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService, IServiceCollection
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.persisted.sob import loadValueFromFile
from twisted.trial.unittest import TestCase

import sslbroker
from sslbroker import config
from sslbroker.core.members import Member
from sslbroker.interfaces import Origin
from sslbroker.net import heap
from sslbroker.protocols.http.message import Response
from sslbroker.settings import Configuration, Server

from ..files import folder

ETC = Path(__file__).parents[2] / "etc"


def test_the_toml_example_can_be_used_as_it_is() -> None:
    configuration = config.load(ETC / "sslbroker.toml")
    assert [listener.name for listener in configuration.listeners] == ["https", "http"]
    assert [server.port for server in configuration.pools[0].servers] == [9001, 9002, 9003]


def test_the_tac_example_builds_the_same_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Configuration] = []
    monkeypatch.setattr(sslbroker, "application", built.append, raising=False)
    loadValueFromFile(str(ETC / "sslbroker.tac"), "application")  # as `twistd -y` does
    (configuration,) = built
    assert config.check(configuration) is configuration
    from_toml = config.load(ETC / "sslbroker.toml")
    assert replace(configuration, source="") == replace(from_toml, source="")


class Running(TestCase):
    """Each `.tac` file, with ports that are free and a folder of its own."""

    def start(self, name: str) -> dict[str, Any]:
        """The names that the file defines, while its application runs."""
        self.patch(heap, "settle_when_running", lambda reactor: None)  # this process is not the broker's own
        self.folder = folder(self)
        text = re.sub(r'"tcp:[0-9]+[^"]*"', '"tcp:0:interface=127.0.0.1"', (ETC / name).read_text())
        path = self.folder / name
        path.write_text(text)
        defined: dict[str, Any] = {"__file__": str(path)}
        exec(compile(text, str(path), "exec"), defined)  # as `twistd -y` does
        application: Any = IService(defined["application"])
        application.privilegedStartService()
        application.startService()
        self.addCleanup(application.stopService)
        self.broker = IServiceCollection(defined["application"]).getServiceNamed("broker")
        return defined

    def test_the_plain_one(self) -> None:
        self.start("sslbroker.tac")
        self.assertEqual(list(self.broker.state()["listening"]), ["https", "http"])

    def test_the_one_with_decisions_of_its_own(self) -> None:
        defined = self.start("custom.tac")
        pool = self.broker.pools["shop"]
        self.assertIsInstance(pool.judge.classifier, defined["Apologies"])
        members = [Member(Server(f"10.0.0.{number}:80")) for number in (1, 2)]
        fill_up = defined["FillUp"](tries=2)
        chosen = []
        for _ in range(5):
            member = fill_up.choose(members, Origin("192.0.2.1"), b"", 0.0)
            member.figures.outstanding += 1
            chosen.append(members.index(member))
        self.assertEqual(chosen, [0, 0, 1, 1, 0])

        sorry = Response(200, b"OK", 1, [(b"x-maintenance", b"X-Maintenance", b"until noon")])
        answers = [sorry, Response(200, b"OK", 1, []), Response(503, b"", 1, [])]
        self.assertEqual([pool.judge.classifier.failing(answer) for answer in answers], [True, False, True])
        self.assertEqual(pool.judge.status(sorry), 200)

        tries = [{"server": "a:1", "outcome": "silent"}, {"server": "b:1", "outcome": "ok"}]
        with capturedLogs() as events:
            for record in (tries, tries[1:], []):
                defined["Saved"]().transaction_ended({"id": "7", "tries": record, "end": "ok"})
        self.assertEqual(
            [formatEvent(event) for event in events], ["7: b:1 mended what failed at a:1 (silent)"]
        )

    async def test_the_one_with_streams(self) -> None:
        defined = self.start("streams.tac")
        self.assertEqual(self.broker.servers()["chat"]["127.0.0.1:6701"]["link"], "secure")
        self.assertEqual(self.broker.servers()["older"]["127.0.0.1:6711"]["link_mode"], "auto")

        def states() -> list[str]:
            return [
                server["state"] for servers in self.broker.servers().values() for server in servers.values()
            ]

        defined["DRAINED"].write_text("127.0.0.1:6702\nnobody\n127.0.0.1:6711\n")
        defined["drain"]()
        self.assertEqual(states(), ["up", "drain", "drain", "up"])
        defined["DRAINED"].unlink()
        defined["drain"]()
        self.assertEqual(states(), ["up", "up", "up", "up"])
        await deferLater(reactor, 0)
