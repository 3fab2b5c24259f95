"""What is given from outside is found by name, and what it lacks is told in lines that say where."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sslbroker import extensions as module
from sslbroker.config import check
from sslbroker.errors import ConfigurationError, Problem, StartError
from sslbroker.extensions import extensions, groups, observers, parts
from sslbroker.interfaces import (
    IBackendProtocol,
    IBalancer,
    IBalancing,
    IClassification,
    IGroups,
    IObserver,
    IResponseClassifier,
    Origin,
)
from sslbroker.protocols.http.backend import HTTPProtocol
from sslbroker.settings import (
    Configuration,
    Grouping,
    Health,
    Listener,
    ListenerTLS,
    Log,
    NamedClients,
    Pool,
    Server,
    Sticky,
)


@implementer(IBalancer)
class First:
    """The first that can be chosen."""

    def choose(self, members: Sequence[Any], origin: Any, key: bytes, now: float) -> Any:
        return members[0]


@implementer(IResponseClassifier)
class Never:
    """No answer is a failure."""

    def failing(self, response: Any) -> bool:
        return False

    def status(self, response: Any) -> int:
        return 0


@implementer(IObserver)
class Deaf:
    name = "deaf"

    def transaction_ended(self, record: Any) -> None:
        pass


@implementer(IBalancing)
class Firsts:
    name = "first"

    def balancer(self, pool: Pool) -> Any:
        return First()


@implementer(IClassification)
class Nevers:
    name = "never"

    def classifier(self, pool: Pool) -> Any:
        return Never()


@implementer(IGroups)
class Unknowing:
    def __init__(self, name: str) -> None:
        self.name = name

    def group(self, origin: Origin) -> None:
        return None


class Nameless:
    """A plugin whose author forgot everything."""


class Half:
    name = "half"


def configuration(log: Log | None = None, **pool: Any) -> Configuration:
    return Configuration(
        listeners=(Listener("plain", "tcp:0", "shop"),),
        pools=(Pool("shop", (Server("127.0.0.1:9"),), **pool),),
        log=log or Log(),
    )


HERE = "tests.test_extensions"


class Case(SynchronousTestCase):
    def installed(self, *found: object) -> None:
        """These plugins, and no others, are installed; whoever claims nothing is taken for a protocol."""
        sorts = (IBalancing, IClassification, IGroups, IObserver)

        def plugins(sort: Any, package: object) -> Any:
            others = [one for one in found if not any(other.providedBy(one) for other in sorts)]
            return others if sort is IBackendProtocol else [one for one in found if sort.providedBy(one)]

        self.patch(module, "getPlugins", plugins)

    def refused(self, **given: Any) -> list[str]:
        return str(self.assertRaises(StartError, extensions, **given)).splitlines()

    def problems(self, settings: Configuration | None = None, **given: Any) -> list[str]:
        found: list[str] = []
        settings = settings or configuration()
        known = extensions(**given)
        parts(known, settings, found)
        observers(known, settings, found)
        groups(known, settings, found)
        return found


class Names(Case):
    def test_http_is_built_in(self) -> None:
        self.installed()
        known = extensions()
        self.assertEqual(known.protocols["http"].name, "http")
        self.assertIn("least-time", known.names.balancing)
        self.assertEqual((known.names.classification, known.names.observers), ((), ()))

    def test_plugins_are_known_by_their_names(self) -> None:
        self.installed(Firsts(), Nevers(), Deaf())
        names = extensions().names
        self.assertIn("first", names.balancing)
        self.assertEqual((names.classification, names.observers), (("never",), ("deaf",)))
        wanted = configuration(Log(observers=("deaf",)), balance="first", classifier="never")
        check(wanted, extensions=names)

    def test_a_plugin_without_a_name_is_told_with_its_place(self) -> None:
        self.installed(Nameless())
        self.assertEqual(
            self.refused(),
            [
                f"protocol plugin {HERE}.Nameless: found the name None, "
                "expected a text that no other protocol has; mend or remove it"
            ],
        )

    def test_two_of_one_name_are_told_both(self) -> None:
        self.installed(Half(), Half())
        self.assertRegex(self.refused()[0], rf"found the name 'half': {HERE}\.Half has it, expected")
        self.installed(type("Another", (Half,), {"name": "http"})())
        self.assertRegex(self.refused()[0], "found the name 'http': sslbroker.*HTTPProtocol has it, expected")

    def test_a_way_of_balancing_cannot_take_a_built_in_name(self) -> None:
        self.installed(type("Mine", (Firsts,), {"name": "hash"})())
        self.assertRegex(self.refused()[0], "^balancing plugin .*Mine: found the name 'hash': a built-in one")

    def test_what_a_tac_file_gives_needs_a_name_of_its_own_too(self) -> None:
        self.installed()
        mine = HTTPProtocol(time.time)
        self.assertRegex(self.refused(protocols=[mine])[0], r"^protocols\[0\]: .*HTTPProtocol: .*'http'")
        self.patch(mine, "name", "mine")
        self.assertIs(extensions(protocols=[mine]).protocols["mine"], mine)

    def test_what_is_no_list_and_no_dict_is_told(self) -> None:
        self.installed()
        lines = self.refused(protocols=Half(), balancers=[First()], classifiers=3, observers="me", groups={})
        found = [(line.partition(": ")[0], line.rpartition(", ")[2]) for line in lines]
        self.assertEqual(
            found,
            [
                ("protocols", "expected a list"),
                ("balancers", "expected a dict from the name of a pool"),
                ("classifiers", "expected a dict from the name of a pool"),
                ("observers", "expected a list"),
                ("groups", "expected a list"),
            ],
        )


class Whole(Case):
    def test_plugins_make_the_parts_of_a_pool(self) -> None:
        self.installed(Firsts(), Nevers(), Deaf())
        found: list[str] = []
        wanted = configuration(Log(observers=("deaf",)), balance="first", classifier="never")
        made = parts(extensions(), wanted, found)["shop"]
        self.assertIsInstance(made.balancer, First)
        self.assertIsInstance(made.classifier, Never)
        (heard,) = observers(extensions(), wanted, found)
        self.assertIsInstance(heard, Deaf)
        self.assertEqual(found, [])

    def test_objects_are_asked_for_groups_before_plugins_and_those_in_their_order(self) -> None:
        self.installed(Unknowing("one"), Unknowing("two"), Unknowing("three"))
        mine = Unknowing("mine")
        known = extensions(groups=[mine])
        self.assertEqual(known.names.grouping, ("one", "two", "three"))
        wanted = replace(configuration(), grouping=Grouping(("two", "one")))
        check(wanted, extensions=known.names)
        asked = groups(known, wanted, [])
        self.assertEqual([one.name for _, one in asked], ["mine", "two", "one"])  # type: ignore[attr-defined]
        self.assertEqual(
            [place for place, _ in asked][:2],
            [f"groups[0] {HERE}.Unknowing", f"grouping.plugins: plugin {HERE}.Unknowing"],
        )

    def test_objects_of_a_tac_file_come_before_what_the_pool_says(self) -> None:
        self.installed(Firsts(), Nevers())
        first, never, deaf = First(), Never(), Deaf()
        known = extensions(balancers={"shop": first}, classifiers={"shop": never}, observers=[deaf])
        made = parts(known, configuration(balance="first", classifier="never"), [])["shop"]
        self.assertIs(made.balancer, first)
        self.assertIs(made.classifier, never)
        self.assertEqual(observers(known, configuration(), []), [deaf])

    def test_without_any_the_built_in_ways_are_taken(self) -> None:
        self.installed()
        made = parts(extensions(), configuration(), [])["shop"]
        self.assertEqual((made.balancer, made.classifier), (None, None))

    def test_a_pool_that_is_not_there(self) -> None:
        self.installed()
        self.assertEqual(
            self.problems(balancers={"shpo": First()}, classifiers={3: Never()}),
            [
                "balancers: found 'shpo', expected the name of a pool (did you mean 'shop'?)",
                "classifiers: found 3, expected the name of a pool (the pools are ['shop'])",
            ],
        )

    def test_objects_that_lack_something(self) -> None:
        self.installed()
        lines = self.problems(
            balancers={"shop": Half()},
            classifiers={"shop": Never},
            observers=[Nameless(), Deaf],
            groups=[Half()],
        )
        self.assertIn(f"groups[0] {HERE}.Half: {HERE}.Half does not say @implementer(IGroups)", lines)
        self.assertIn(f"balancers['shop']: {HERE}.Half does not say @implementer(IBalancer)", lines)
        asked = f"{HERE}.Half has no choose(members, origin, key, now), which IBalancer asks for"
        self.assertIn(f"balancers['shop']: {asked}", lines)
        self.assertIn("classifiers['shop']: found the class Never, expected an object of it: Never(…)", lines)
        self.assertIn(f"observers[0]: {HERE}.Nameless does not say @implementer(IObserver)", lines)
        self.assertIn("observers[1]: found the class Deaf, expected an object of it: Deaf(…)", lines)

    def test_nothing_in_place_of_an_object_is_no_object(self) -> None:
        self.installed()
        lines = self.problems(balancers={"shop": None}, classifiers={"shop": None})
        for line in (
            "balancers['shop']: builtins.NoneType does not say @implementer(IBalancer)",
            "classifiers['shop']: builtins.NoneType does not say @implementer(IResponseClassifier)",
        ):
            self.assertIn(line, lines)

    def test_plugins_that_lack_something_are_told_to_whoever_uses_them(self) -> None:
        @implementer(IBalancing, IClassification)
        class Broken:
            name = "broken"

            def balancer(self, pool: Pool) -> Any:
                raise OSError("no disk")

            def classifier(self, pool: Pool) -> Any:
                return object()

        self.installed(Half(), Broken())
        self.assertEqual(self.problems(), [])
        lines = self.problems(configuration(balance="broken", classifier="broken"))
        where = f"{Broken.__module__}.{Broken.__qualname__}"
        self.assertEqual(
            lines[:2],
            [
                f"pools.shop.balance: plugin {where}: balancer(…) raised OSError: no disk",
                f"pools.shop.classifier: plugin {where}: classifier(…): builtins.object "
                "does not say @implementer(IResponseClassifier)",
            ],
        )
        for line in self.problems(configuration(protocol="half")):
            self.assertRegex(line, rf"^pools\.shop\.protocol: plugin {HERE}\.Half: the protocol ")

    def test_a_plugin_that_claims_more_than_it_has(self) -> None:
        @implementer(IBalancing)
        class Claims:  # type: ignore[misc]  # that is what is tested
            name = "claims"

        self.installed(Claims())
        (line,) = self.problems(configuration(balance="claims"))
        self.assertTrue(line.endswith("Claims has no balancer(pool), which IBalancing asks for"), line)

    def test_a_plugin_may_refuse_a_pools_settings(self) -> None:
        @implementer(IBalancing)
        class Strict(Firsts):
            def balancer(self, pool: Pool) -> Any:
                raise ConfigurationError("x", [Problem("pools.shop.servers", "one", "two")])

        self.installed(Strict())
        self.assertRaises(ConfigurationError, self.problems, configuration(balance="first"))

    def test_names_with_rules_are_for_protocols_whose_requests_name_hosts(self) -> None:
        self.installed()
        tls = ListenerTLS((), names=(NamedClients("a.test"),))
        for protocol, plain in (("http", False), ("tcp", True), ("tcp", False)):
            settings = configuration(protocol=protocol)
            one = Listener("web", "tcp:0", "shop", tls=None if plain else tls)
            lines = self.problems(replace(settings, listeners=(one,)))
            refused = protocol == "tcp" and not plain
            self.assertEqual(len(lines), refused, lines)
        self.assertEqual(
            lines,
            [
                "listeners.web.tls.names: found names with rules of their own, expected this to be left out "
                'with protocol = "tcp", whose requests name no host (all names lead to the same servers: '
                "write listeners.web.tls.client_certificate)"
            ],
        )

    def test_a_path_is_for_protocols_that_can_ask_for_it(self) -> None:
        self.installed()
        for protocol, path, refused in (("http", "/up", False), ("tcp", "", False), ("tcp", "/up", True)):
            lines = self.problems(configuration(protocol=protocol, health=Health(path)))
            self.assertEqual(len(lines), refused, lines)
        self.assertEqual(
            lines,
            [
                "pools.shop.health.path: found '/up', expected this to be left out with protocol = \"tcp\", "
                "which has no requests for it (without it a check is a connection that is made)"
            ],
        )

    def test_sticky_is_for_protocols_that_can_tell_a_client(self) -> None:
        self.installed()
        self.assertEqual(self.problems(configuration(sticky=Sticky("SRV"))), [])
        forgetful = HTTPProtocol(time.time)
        self.patch(forgetful, "name", "forgetful")
        rules = type("Rules", (), {})
        self.patch(module, "examine", lambda protocol, pool: [])
        self.patch(forgetful, "rules", lambda pool, name: rules())
        settings = configuration(protocol="forgetful", sticky=Sticky("SRV"))
        self.assertEqual(
            self.problems(settings, protocols=[forgetful]),
            [
                "pools.shop.sticky: found a table, expected this to be left out "
                'with protocol = "forgetful", which has no cookies'
            ],
        )
