"""Room for as many connections as the configuration allows."""

from __future__ import annotations

import resource
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net import descriptors
from sslbroker.settings import Health, Limits, LinkLimits, Listener, Pool, Server

INFINITY = resource.RLIM_INFINITY


class Room(SynchronousTestCase):
    def provide(
        self, wanted: int, soft: int, hard: int, error: type[Exception] | None = None
    ) -> list[object]:
        """What `provide` answers, and the limits that it set."""
        with (
            patch.object(resource, "getrlimit", return_value=(soft, hard)),
            patch.object(resource, "setrlimit", side_effect=error) as setting,
        ):
            answer = descriptors.provide(wanted)
        return [answer, *(call.args[1] for call in setting.call_args_list)]

    def test_what_is_enough_is_left_alone(self) -> None:
        self.assertEqual(self.provide(1000, 1024, 4096), [1000])
        self.assertEqual(self.provide(1000, INFINITY, INFINITY), [1000])

    def test_the_soft_limit_is_raised_as_far_as_needed(self) -> None:
        self.assertEqual(self.provide(2000, 1024, 4096), [2000, (2000, 4096)])
        self.assertEqual(self.provide(2000, 1024, INFINITY), [2000, (2000, INFINITY)])

    def test_the_hard_limit_is_the_end(self) -> None:
        self.assertEqual(self.provide(9000, 1024, 4096), [4096, (4096, 4096)])
        self.assertEqual(self.provide(9000, 4096, 4096), [4096])

    def test_a_system_that_refuses_leaves_it_as_it_was(self) -> None:
        self.assertEqual(self.provide(9000, 1024, INFINITY, ValueError)[0], 1024)
        self.assertEqual(self.provide(9000, 1024, 4096, OSError)[0], 1024)

    def test_every_client_may_need_a_link(self) -> None:
        listeners = [Listener(name, "tcp:0", "p", limits=Limits(connections=1000)) for name in ("a", "b")]
        pools = [Pool("p", (Server("a:1"), Server("b:1")), links=LinkLimits(idle=50))]
        self.assertEqual(descriptors.needed(listeners, pools), 4000 + 100 + descriptors.RESERVE)
        checked = [Pool("p", (Server("a:1"), Server("b:1")), links=LinkLimits(idle=50), health=Health())]
        self.assertEqual(descriptors.needed(listeners, checked), 4000 + 102 + descriptors.RESERVE)

    def test_with_too_few_there_are_fewer_clients_and_a_link_for_each(self) -> None:
        pools = [Pool("p", (Server("a:1"),), links=LinkLimits(idle=50))]
        for granted, clients in ((descriptors.RESERVE + 1050, 500), (descriptors.RESERVE + 80, 30), (60, 1)):
            self.assertEqual(descriptors.clients(granted, pools), clients)
