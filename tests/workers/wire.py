"""A parent's end and a worker's, connected in memory, with nobody else on either side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect

from sslbroker.core.figures import BrokerFigures, ListenerFigures, PoolFigures, StorageFigures
from sslbroker.core.members import Member
from sslbroker.core.pool_limit import PoolLimit
from sslbroker.errors import StartError
from sslbroker.settings import Server
from sslbroker.workers.pipe import Pipe
from sslbroker.workers.reports import Totals, parts
from sslbroker.workers.worker import Worker

SERVER = "a:1"


class Serving:
    """A broker that a worker could be: it writes down what is asked of it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.fails: Exception | None = None
        self.problems: list[str] = []
        self.drained: Deferred[Any] = Deferred()
        self.regrouped: Deferred[None] = Deferred()
        self.figures = BrokerFigures(
            [ListenerFigures("http", "tcp:0", "shop", False)],
            [PoolFigures("shop", "http", [])],
            StorageFigures(1, 2),
            0.0,
        )
        member = Member(Server(SERVER, maximum_transactions=10))
        self.mode = SimpleNamespace(probe=None, look=lambda: self.done.append("look"))
        links = SimpleNamespace(member=member, mode=self.mode, trim=lambda: None)
        self.member = member
        self.places = SimpleNamespace(settle=None, freed=lambda: None)
        self.limit = PoolLimit([member], 20)
        pool = SimpleNamespace(
            links={member: links}, places=self.places, member=lambda address: member, limit=self.limit
        )
        self.pools: Mapping[str, Any] = {"shop": pool}

    def serve(self, slot: int) -> None:
        if self.fails is not None:
            raise self.fails
        self.done.append(("serve", slot))

    def drain(self) -> Deferred[Any]:
        self.done.append("drain")
        return self.drained

    def end(self) -> None:
        self.done.append("end")
        if not self.drained.called:
            self.drained.callback(None)

    def counted(self) -> Sequence[Any]:
        return [*parts(self.figures)]

    def change(self, name: str, values: list[Any]) -> None:
        self.done.append((name, values))

    def read_certificates(self) -> Sequence[str]:
        self.done.append("read")
        return self.problems

    def regroup(self) -> Deferred[None]:
        self.done.append("regroup")
        return self.regrouped

    def reopen_logs(self) -> None:
        self.done.append("reopen")


class Parent:
    """Whoever hears what workers say, and writes it down."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.found: Deferred[Any] = succeed(None)

    def connected(self, worker: Pipe) -> None:
        self.heard.append("connected")

    def needs(self, worker: Pipe, key: Any) -> None:
        self.heard.append(("needs", key))

    def gave_back(self, worker: Pipe, key: Any, places: int, *, asked: bool) -> None:
        self.heard.append(("gave back", key, places, asked))

    def find(self, pool: str, server: str) -> Deferred[Any]:
        self.heard.append(("find", pool, server))
        return self.found

    def leaves(self, worker: Pipe) -> None:
        self.heard.append("leaves")

    def said(self, worker: Pipe, level: str, namespace: str, text: str) -> None:
        self.heard.append((level, namespace, text))

    def gone(self, worker: Pipe) -> None:
        self.heard.append("gone")


class Wire:
    """A worker and the parent's end of its pipe."""

    def __init__(self, parent: Any = None, serving: Serving | None = None, slot: int = 0) -> None:
        self.clock = Clock()
        self.parent = Parent() if parent is None else parent
        self.serving = serving or Serving()
        self.stopped = 0
        self.worker = Worker(self.clock, slot, self.serving, self._stop)
        self.totals = Totals([])
        self.pipe = Pipe(self.parent, slot, 1, self.totals.begin())
        self.pump: IOPump = connect(
            self.pipe, FakeTransport(self.pipe, True), self.worker, FakeTransport(self.worker, False)
        )

    def _stop(self) -> None:
        self.stopped += 1

    def flush(self) -> None:
        """All that is said is heard."""
        self.pump.flush()

    def refail(self, text: str = "it is taken") -> None:
        self.serving.fails = StartError(text)
