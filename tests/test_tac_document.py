"""docs/tac.md agrees with the program: its examples run, and what it lists is there."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

import sslbroker
from sslbroker import config, extensions
from sslbroker.core.members import Member
from sslbroker.interfaces import IBalancer, IMember, IResponseClassifier, Origin
from sslbroker.service import BrokerService, broker
from sslbroker.settings import Server
from sslbroker.several import Several

from .config.support import LISTENER

DOCUMENT = (Path(__file__).parents[1] / "docs/tac.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    return DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


class Document(SynchronousTestCase):
    def test_every_method_of_the_running_broker_is_there_as_it_is_told(self) -> None:
        told = re.findall(r"^\| `(\w+)\((.*?)\)", section("The running broker"), flags=re.MULTILINE)
        self.assertEqual(len(told), 10)
        for name, arguments in told:
            for kind in (BrokerService, Several):
                signature = inspect.signature(getattr(kind, name))
                real = str(signature).partition(") ->")[0].replace("(self", "", 1).removeprefix(", ")
                self.assertEqual(arguments.replace("\\|", "|"), real.replace("'", ""), name)

    def test_application_takes_what_is_told(self) -> None:
        told = re.findall(r"^\| `(\w+)` \|", section("`sslbroker.application`"), flags=re.MULTILINE)
        self.assertEqual(told, list(inspect.signature(sslbroker.application).parameters))

    def test_what_a_balancer_and_a_classifier_are_asked(self) -> None:
        for heading, interface in (("A balancer", IBalancer), ("A classifier", IResponseClassifier)):
            block = section(heading).split("```")[1]
            for name, question in interface.namesAndDescriptions():
                asked = re.search(rf"^{name}\((.*)\) ->", block, flags=re.MULTILINE)
                assert asked is not None, name
                names = [argument.partition(":")[0].strip() for argument in asked[1].split(",")]
                self.assertEqual(names, list(question.positional))
        told = set(re.findall(r"^\| `(\w+)", section("A balancer"), flags=re.MULTILINE))
        self.assertEqual(told, set(IMember.names()))

    def test_the_file_runs(self) -> None:
        text = examples("python")[0]
        made: list[BrokerService] = []

        def build(configuration: Any, **given: Any) -> Any:
            made.append(BrokerService(configuration, reactor))
            return SimpleNamespace(getServiceNamed={"broker": made[0]}.get)

        self.patch(sslbroker, "application", build)
        exec(text.replace("IServiceCollection(application)", "application"), {"__file__": "here.tac"})
        server = made[0].servers()["shop"]["127.0.0.1:9002"]
        self.assertEqual((server["state"], server["weight"]), ("drain", 3))

    def test_the_plugins_can_be_named_and_do_what_they_say(self) -> None:
        defined: dict[str, Any] = {}
        exec(examples("python")[1], defined)
        plugins = [defined["nearby"], defined["strict"], defined["count"], defined["inside"]]
        self.patch(extensions, "getPlugins", lambda sort, _: [one for one in plugins if sort.providedBy(one)])
        known = extensions.extensions()
        settings = config.from_dict(
            tomllib.loads(LISTENER.replace("tcp:8080", "tcp:0:interface=127.0.0.1") + examples("toml")[0]),
            base=Path(),
            source="docs",
            extensions=known.names,
        )
        service = broker(settings, reactor)
        assert isinstance(service, BrokerService)
        self.addCleanup(service.addresses.close)
        pool = service.pools["shop"]
        self.assertTrue(pool.judge.classifier.failing(SimpleNamespace(status=404)))
        self.assertEqual(service.prepared.observers, [defined["count"]])
        assert service.grouping is not None
        self.assertIs(service.grouping(Origin("10.1.0.7"), ""), settings.groups[0])
        self.assertIs(service.grouping(Origin("192.0.2.1"), ""), None)
        far, near = (Member(Server(address)) for address in ("10.2.0.1:9001", "10.1.0.1:9001"))
        balancer = service.prepared.pools["shop"].balancer
        assert balancer is not None
        self.assertIs(balancer.choose([far, near], Origin("192.0.2.1"), b"", 0.0), near)
        self.assertIs(balancer.choose([far], Origin("192.0.2.1"), b"", 0.0), far)
