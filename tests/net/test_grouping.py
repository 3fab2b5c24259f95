"""Who is asked for a client's group, in which order, and what becomes of mistakes."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.groups import GroupNames
from sslbroker.interfaces import Origin
from sslbroker.net.client_certificates import proved
from sslbroker.net.group_files import read_now
from sslbroker.net.grouping import QUIET, Grouping
from sslbroker.settings import Group

from .authorities import root

GOLD = Group("gold", (ip_network("192.0.2.0/24"),), 5)
SILVER = Group("silver", (), 3)
IRON = Group("iron", (), 1)
GROUPS = (GOLD, SILVER, IRON)


class Says:
    """A plugin that gives, or raises, always the same."""

    def __init__(self, what: Any) -> None:
        self.what = what
        self.asked: list[str] = []

    def group(self, origin: Origin) -> Any:
        self.asked.append(origin.address)
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


class Asked(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def grouping(self, *plugins: Says) -> Grouping:
        named = [(f"plugin {number}", plugin) for number, plugin in enumerate(plugins)]
        names = GroupNames([(SILVER, "ann"), (IRON, "CN=bob")])
        return Grouping(GROUPS, read_now(GROUPS), names, named, self.clock)

    def origin(self, address: str = "192.0.2.1", subject: str = "") -> Origin:
        origin = Origin(address)
        if subject:
            origin.certificate = proved(root().client(subject).certificate)
        return origin

    def test_the_address_is_asked_last(self) -> None:
        grouping = self.grouping()
        self.assertIs(grouping(self.origin(), ""), GOLD)
        self.assertIs(grouping(self.origin("198.51.100.1"), ""), None)
        self.assertIs(grouping(self.origin("unix"), ""), None)

    def test_a_certificate_before_it(self) -> None:
        grouping = self.grouping()
        self.assertIs(grouping(self.origin(subject="ann"), ""), SILVER)
        self.assertIs(grouping(self.origin(subject="bob"), ""), IRON)
        self.assertIs(grouping(self.origin(subject="eve"), ""), GOLD)

    def test_plugins_before_that_in_their_order(self) -> None:
        grouping = self.grouping(Says(None), Says("iron"), Says("silver"))
        self.assertIs(grouping(self.origin(subject="ann"), ""), IRON)
        self.assertIs(self.grouping(Says(None))(self.origin(subject="ann"), ""), SILVER)

    def test_what_a_trusted_proxy_named_before_all(self) -> None:
        plugin = Says("iron")
        self.assertIs(self.grouping(plugin)(self.origin(), "silver"), SILVER)
        self.assertEqual(plugin.asked, [])

    def test_a_name_of_no_group_counts_for_nothing(self) -> None:
        self.assertIs(self.grouping()(self.origin(), "Silver"), GOLD)

    def test_a_plugin_that_raises_is_passed_over_and_told_of(self) -> None:
        with capturedLogs() as logs:
            self.assertIs(self.grouping(Says(ValueError("no\nway")), Says("iron"))(self.origin(), ""), IRON)
        (said,) = map(formatEvent, logs)
        self.assertEqual(said, r"plugin 0 failed for 1 clients; last 192.0.2.1: ValueError: no\0Away")

    def test_so_is_one_whose_mistake_cannot_be_told(self) -> None:
        class Silent(Exception):
            def __str__(self) -> str:
                raise ValueError

        with capturedLogs() as logs:
            self.assertIs(self.grouping(Says(Silent()))(self.origin(), ""), GOLD)
        self.assertEqual(len(logs), 1)

    def test_so_is_one_that_gives_what_is_no_group(self) -> None:
        several: list[Any] = ["platinum", 5, [], b"gold"]
        for wrong in several:
            with capturedLogs() as logs:
                self.assertIs(self.grouping(Says(wrong))(self.origin(), ""), GOLD)
            self.assertEqual(len(logs), 1)

    def test_a_mistake_that_each_client_meets_is_told_once_a_minute_for_each_plugin(self) -> None:
        grouping = self.grouping(Says(KeyError("a")), Says("nobody"))
        with capturedLogs() as logs:
            for _ in range(10):
                grouping(self.origin(), "")
            self.clock.advance(QUIET)
            grouping(self.origin(), "")
        said = [str(formatEvent(event)) for event in logs]
        counts = [line.partition(" clients")[0].rpartition(" ")[2] for line in said]
        self.assertEqual(counts, ["1", "1", "10", "10"])
        self.assertIn("found 'nobody', expected the name of a group, or None", said[1])
