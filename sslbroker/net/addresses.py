"""All sockets that a broker listens on: of each listener one for each slot, and one for the admin pages.

Decides that they are had all together or not at all. Invariant: after a failed `take` none is kept, and every
address that cannot be had is told at once. Refuses to listen: who serves does that with each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ..errors import StartError
from ..settings import Configuration
from . import ports
from .ports import BoundPort


class Addresses:
    """None is there before `take`, or `borrow`."""

    def __init__(self, configuration: Configuration, slots: int = 1) -> None:
        self.admin: BoundPort | None = None
        self._configuration = configuration
        self._slots = slots
        self._listeners: dict[str, list[BoundPort]] = {}  # by name, one for each slot

    def take(self) -> None:
        """Bind all; again: nothing happens. `StartError` with every address that cannot be had."""
        if self._listeners or self.admin:
            return
        problems: list[str] = []
        for listener in self._configuration.listeners:
            try:
                first = ports.bind(listener.endpoint)
                self._listeners[listener.name] = [first]
                self._listeners[listener.name] += [first.beside() for _ in range(self._slots - 1)]
            except StartError as error:
                problems.append(f"listeners.{listener.name}: {error}")
        if self._configuration.admin is not None:
            try:
                self.admin = ports.bind(self._configuration.admin.endpoint)
            except StartError as error:
                problems.append(f"admin: {error}")
        if problems:
            self.close()
            raise StartError("\n".join(problems))

    def borrow(self, listeners: Mapping[str, BoundPort]) -> None:
        """Use these, by listener, which belong to another process."""
        self._listeners = {name: [port.lend()] for name, port in listeners.items()}

    def of(self, listener: str) -> str:
        """Where `listener` is bound, as "host:port"; `KeyError` while it is not."""
        return self._listeners[listener][0].address

    def shown(self) -> Mapping[str, str]:
        """Where each listener is bound."""
        return {name: several[0].address for name, several in self._listeners.items()}

    def slot(self, number: int) -> Mapping[str, BoundPort]:
        """The socket of this slot, by listener."""
        return {name: several[number] for name, several in self._listeners.items()}

    def listen_early(self) -> None:
        """As `BoundPort.listen_early`, of each; who cannot is left as it is."""
        for bound in dict.fromkeys(self._of_listeners()):  # a UNIX socket is there once for all slots
            bound.listen_early()

    def close_listeners(self) -> None:
        """Give the addresses of listeners back; that of the admin pages stays, and what `shown` says."""
        for bound in self._of_listeners():
            bound.close()

    def close(self) -> None:
        """Give all addresses back."""
        self.close_listeners()
        self._listeners = {}
        if self.admin is not None:
            self.admin.close()
            self.admin = None

    def let_go(self, but: Collection[BoundPort] = ()) -> None:
        """Close all sockets in this process: the addresses are those of the one that it was forked from."""
        for bound in self._of_listeners():
            if bound not in but:
                bound.let_go()
        if self.admin is not None:
            self.admin.let_go()

    def _of_listeners(self) -> Iterator[BoundPort]:
        for several in self._listeners.values():
            yield from several
