"""What goes through the broker: the commands of one exchange, and what is known of their replies.

Decides how commands are written. Invariant: what is written was parsed before, so a server reads the same
commands that the broker judged. Replies have no form here: they are passed on as the scanner found them.
"""

from __future__ import annotations

from collections.abc import Iterable

from .commands import Command, Kind


class Request:
    """The commands of one exchange, all of one kind. A long one is alone, and its rest follows as `Body`."""

    __slots__ = ("commands", "in_multi", "kind", "settled", "version")

    def __init__(
        self,
        kind: Kind,
        commands: list[Command],
        version: int = 2,
        in_multi: bool = False,
        settled: bool = False,
    ) -> None:
        self.kind = kind
        self.commands = commands
        self.version = version  # of RESP, that the client has asked for
        self.in_multi = in_multi  # the client has opened a MULTI before
        self.settled = settled  # its link is its own, and was before

    def copy(self) -> Request:
        return Request(self.kind, self.commands, self.version, self.in_multi, self.settled)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Request({self.kind.name}, {self.commands!r})"


class Answer:
    """What the first replies of an exchange say about the server."""

    __slots__ = ("error", "last", "refusal", "undone")

    def __init__(
        self, error: bytes = b"", *, refusal: bool = False, undone: bool = False, last: bool = False
    ):
        self.error = error  # the line of the first reply when that is an error, without its sign
        self.refusal = refusal  # the server cannot do now what it was asked
        self.undone = undone  # and it has done nothing of it
        self.last = last  # the client's connection ends with this answer

    def copy(self) -> Answer:
        return Answer(self.error, refusal=self.refusal, undone=self.undone, last=self.last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Answer({self.error!r}, refusal={self.refusal}, undone={self.undone}, last={self.last})"


def written(commands: Iterable[Command]) -> bytes:
    """The commands as a server reads them; of a long one, what is known of it."""
    out: list[bytes] = []
    for command in commands:
        out.append(b"*%d\r\n" % command.count)
        out += [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in command.args]
    return b"".join(out)
