"""What the parent and its workers say to each other: AMP on a pair of sockets, one pair for each worker.

Decides the words, and nothing about who acts on them. Invariant: a worker does nothing that the parent waits
for in the data path but to ask for places, and every text that travels is bounded. Refuses to be spoken
with anybody but a forked process of one's own.

| said by | message | what it means |
|---|---|---|
| parent | `Begin` | serve; before it come the changes of before. The answer: it listens; or why it cannot |
| parent | `Change` | what is another now: how a server's links are made, its state, weight, health |
| parent | `Reload`, `Reopen` | read certificates anew; go on in a new access log |
| parent | `Regroup` | the files of groups are well: read them anew |
| parent | `Alive` | do you answer? The answer: no more than that |
| parent | `Report` | tell all figures that have changed; answered when they are on their way |
| parent | `Allow` | so many places more at a server, or in a pool, are yours |
| parent | `Recall` | others need places: give back what you do not use. The answer: how many at once |
| parent | `Look` | another has found out what a server speaks: see the pins |
| parent | `Drain`, `End` | let transactions end, and end; end what is left now |
| worker | `Figures` | rows of figures that have changed since it last told |
| worker | `Said` | a line for the log |
| worker | `Need`, `GiveBack` | it could use more places; some it was to give back are free |
| worker | `Find` | what does this server speak? |
| worker | `Leave` | it was told to end by itself: another one shall have its slot |
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure

#: Characters of the longest text that is passed on.
LONGEST_TEXT = 8000

_PLACE: list[tuple[bytes, amp.Argument]] = [
    (b"pool", amp.Unicode()),
    (b"server", amp.Unicode()),
    (b"kind", amp.Unicode()),
]
_SERVER = _PLACE[:2]


class PipeEnd(amp.AMP):
    """One end of a pipe. What AMP has no types for is here only, and what it logs of each pipe is left
    out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.open = False

    def tell(self, command: type[amp.Command], **values: Any) -> None:
        """Say what is not answered. To one who is gone nothing is said."""
        if self.open:
            self.callRemote(command, **values)  # type: ignore[no-untyped-call]

    def ask(self, command: type[amp.Command], **values: Any) -> Deferred[Any]:
        """Fires with the answer, or fails: with what the command knows, or because the other one is gone."""
        asked: Deferred[Any] = self.callRemote(command, **values)  # type: ignore[no-untyped-call]
        return asked

    def makeConnection(self, transport: Any) -> None:
        self.open = True
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.open = False
        amp.BinaryBoxProtocol.connectionLost(self, reason)


class NotStarted(Exception):
    """A worker cannot serve; the text says why."""


class Begin(amp.Command):
    response = [(b"pid", amp.Integer())]
    errors = {NotStarted: b"NOT_STARTED"}


class Change(amp.Command):
    #: `values` is a list in JSON; what they mean depends on the name.
    arguments = [(b"name", amp.Unicode()), (b"values", amp.Unicode())]
    requiresAnswer = False


class Reload(amp.Command):
    #: Problems of the files are told only where the parent found none.
    arguments = [(b"quiet", amp.Boolean())]
    requiresAnswer = False


class Regroup(amp.Command):
    requiresAnswer = False


class Reopen(amp.Command):
    requiresAnswer = False


class Alive(amp.Command):
    pass


class Report(amp.Command):
    pass


class Allow(amp.Command):
    arguments = [*_PLACE, (b"places", amp.Integer())]
    requiresAnswer = False


class Recall(amp.Command):
    arguments = [*_PLACE, (b"most", amp.Integer())]
    response = [(b"returned", amp.Integer())]


class Look(amp.Command):
    arguments = _SERVER
    requiresAnswer = False


class Drain(amp.Command):
    requiresAnswer = False


class End(amp.Command):
    requiresAnswer = False


class Figures(amp.Command):
    #: A list of rows in JSON.
    arguments = [(b"rows", amp.String())]
    requiresAnswer = False


class Said(amp.Command):
    arguments = [(b"level", amp.Unicode()), (b"namespace", amp.Unicode()), (b"text", amp.Unicode())]
    requiresAnswer = False


class Need(amp.Command):
    arguments = _PLACE
    requiresAnswer = False


class GiveBack(amp.Command):
    arguments = [*_PLACE, (b"places", amp.Integer())]
    requiresAnswer = False


class Find(amp.Command):
    arguments = _SERVER
    response = [(b"finding", amp.Unicode()), (b"detail", amp.Unicode())]


class Leave(amp.Command):
    requiresAnswer = False
