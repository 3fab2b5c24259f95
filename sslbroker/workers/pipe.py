"""The parent's end of the pipe to one worker: what it says, and what is said to it.

Decides how the words of `messages` become calls. Invariant: what a worker says concerns itself only: it is
heard with the worker that said it. Refuses to decide anything about it: `parent` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from .leases import Grant, Key, Word
from .messages import (
    LONGEST_TEXT,
    Allow,
    Figures,
    Find,
    GiveBack,
    Leave,
    Need,
    PipeEnd,
    Recall,
    Said,
)
from .reports import Account


class IParent(Protocol):
    """Who hears what workers say."""

    def connected(self, worker: Pipe) -> None: ...
    def needs(self, worker: Pipe, key: Key) -> None: ...
    def gave_back(self, worker: Pipe, key: Key, places: int, *, asked: bool) -> None: ...
    def find(self, pool: str, server: str) -> Deferred[Any]: ...
    def leaves(self, worker: Pipe) -> None: ...
    def said(self, worker: Pipe, level: str, namespace: str, text: str) -> None: ...
    def gone(self, worker: Pipe) -> None: ...


class Pipe(PipeEnd):
    """One worker, as the parent knows it."""

    def __init__(self, parent: IParent, slot: int, child: int, account: Account) -> None:
        super().__init__()
        self.slot = slot
        self.child = child  # no other worker ever has this number
        self.account = account
        self.pid = 0
        self.standing = "starting"  # then "serving", "leaving"
        self.since = 0.0
        self._parent = parent

    def lend(self, word: Word) -> None:
        """Say what is to be said about places."""
        pool, server, kind = word.key
        if isinstance(word, Grant):
            self.tell(Allow, pool=pool, server=server, kind=kind, places=word.places)
        else:
            asked = self.ask(Recall, pool=pool, server=server, kind=kind, most=word.most)
            asked.addCallbacks(self._recalled, lambda _: None, (word.key,))

    def cut(self) -> None:
        """End the pipe now."""
        transport: Any = self.transport
        transport.abortConnection()

    def _recalled(self, answer: Mapping[str, Any], key: Key) -> None:
        self._parent.gave_back(self, key, answer["returned"], asked=True)

    # --- what the worker says ---

    @Figures.responder
    def figures(self, rows: bytes) -> dict[str, Any]:
        self.account.rows.update(dict(json.loads(rows)))
        return {}

    @Said.responder
    def said(self, level: str, namespace: str, text: str) -> dict[str, Any]:
        self._parent.said(self, level, namespace, text)
        return {}

    @Need.responder
    def need(self, pool: str, server: str, kind: str) -> dict[str, Any]:
        self._parent.needs(self, (pool, server, kind))
        return {}

    @GiveBack.responder
    def give_back(self, pool: str, server: str, kind: str, places: int) -> dict[str, Any]:
        self._parent.gave_back(self, (pool, server, kind), places, asked=False)
        return {}

    @Find.responder
    def find(self, pool: str, server: str) -> Deferred[Any]:
        found = self._parent.find(pool, server)
        return found.addCallback(
            lambda found: {"finding": found.finding.value, "detail": found.detail[:LONGEST_TEXT]}
        )

    @Leave.responder
    def leave(self) -> dict[str, Any]:
        self._parent.leaves(self)
        return {}

    # --- what Twisted calls ---

    def connectionMade(self) -> None:
        self._parent.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._parent.gone(self)
