"""A pool while it runs: its members, their links, and the rules of its protocol.

Decides nothing of its own: it brings together what the configuration chose. Invariant: the order of
its members is that of the configuration. Refuses to know transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.balancing import BALANCERS
from ..core.choosing import Choosing
from ..core.figures import PoolFigures
from ..core.members import Member
from ..core.storage import Storage
from ..core.transaction import Attempt
from ..interfaces import IBackendProtocol, Origin
from ..settings import Pool as PoolSettings
from .links import Links
from .monitor import MonitorService


class Pool:
    """A named set of servers that can do the same work."""

    def __init__(
        self,
        settings: PoolSettings,
        protocol: IBackendProtocol,
        storage: Storage,
        monitor: MonitorService,
        clock: Any,
        broker_name: str,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.protocol = protocol
        self.rules = protocol.rules(settings, broker_name)
        self.classifier = protocol.classifier(settings)
        self.storage = storage
        self.monitor = monitor
        self.clock = clock
        self.tries = settings.failover.tries
        self.members = [Member(server, settings.slow_start) for server in settings.servers]
        self.links = {
            member: Links(member, settings, protocol.server_codec, clock) for member in self.members
        }
        self._choosing = Choosing(self.members, BALANCERS[settings.balance]())
        self.figures = PoolFigures(
            settings.name, settings.protocol, [member.figures for member in self.members]
        )

    def choose(self, attempts: Sequence[Attempt], origin: Origin) -> Member | None:
        """The member for a transaction's next try."""
        used = [attempt.member for attempt in attempts] if attempts else ()
        return self._choosing.choose(used, origin, origin.address.encode(), "", self.clock.seconds())

    def status(self, answer: Any) -> int:
        """Under which number an answer that a client got is counted; 0: none.

        It may be the broker's own, about a classifier that failed, so it never raises.
        """
        try:
            return self.classifier.status(answer)
        except Exception:
            return 0

    def close(self) -> None:
        """Close the links that serve nobody."""
        for links in self.links.values():
            links.close()
