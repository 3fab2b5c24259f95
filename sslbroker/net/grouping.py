"""Who is in which group: asked once for each client of a connection.

Decides who is asked, and in which order: what a trusted proxy named, the plugins, the client's certificate,
the networks; the first that knows a group says it. Invariant: whatever a plugin raises or gives, a client is
in a configured group or in none, and its mistakes are told without filling the log. Refuses to read requests
(the protocol does), and to know what follows from a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.python.reflect import safe_str

from ..config.report import shown
from ..core.groups import GroupNames, GroupNetworks
from ..interfaces import Origin
from ..settings import Group
from .client_certificates import names_of, printable

_log = Logger("sslbroker.grouping")

#: Seconds between two lines about the mistakes of one plugin: each client may meet them.
QUIET = 60.0


class GroupPlugin(Protocol):
    """What provides `interfaces.IGroups`."""

    def group(self, origin: Origin) -> str | None: ...


class Grouping:
    """Called with an origin and the group that a trusted peer named, it gives the group of the client."""

    def __init__(
        self,
        groups: Sequence[Group],
        networks: GroupNetworks,
        names: GroupNames,
        plugins: Sequence[tuple[str, GroupPlugin]],
        clock: Any,
    ) -> None:
        """`plugins` are asked in their order; with each stands what it is called in the log."""
        self.networks = networks
        self._groups = {group.name: group for group in groups}
        self._names = names
        self._plugins = [(plugin, _Complaints(place, clock)) for place, plugin in plugins]

    def __call__(self, origin: Origin, told: str) -> Group | None:
        group = self._groups.get(told) if told else None
        if group is None and self._plugins:
            group = self._ask(origin)
        if group is None and origin.certificate is not None and self._names:
            group = self._names.of(origin.certificate.subject, *names_of(origin.certificate))
        return self.networks.of(origin.address) if group is None else group

    def _ask(self, origin: Origin) -> Group | None:
        for plugin, complaints in self._plugins:
            try:
                found = plugin.group(origin)
                if found is None:
                    continue
                group = self._groups.get(found)
            except Exception as error:
                complaints.add(origin, f"{type(error).__name__}: {safe_str(error)}")
                continue
            if group is not None:
                return group
            complaints.add(origin, f"found {shown(found)}, expected the name of a group, or None")
        return None


class _Complaints:
    """What the log is told of one plugin."""

    def __init__(self, place: str, clock: Any) -> None:
        self._place = place
        self._clock = clock
        self._untold = 0
        self._from = clock.seconds()

    def add(self, origin: Origin, fault: str) -> None:
        self._untold += 1
        now = self._clock.seconds()
        if now < self._from:
            return
        _log.error(
            "{place} failed for {count} clients; last {address}: {fault}",
            place=self._place,
            count=self._untold,
            address=origin.address,
            fault=printable(fault[:300]),
        )
        self._untold, self._from = 0, now + QUIET
