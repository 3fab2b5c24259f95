"""What the commands of one client have left on a link, so far as it can be told from outside.

Decides whether a link may serve another client. Invariant: in doubt it holds state: a mistake costs a link
that is not shared, and the alternative gives one client's database, user or transaction to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .commands import Command, Effect

#: Bytes of an answer's beginning that tell what came of a command: `*2`, and the cursor of a whole SCAN.
BEGINNING: Final = 16
_SCANNED: Final = b"*2\r\n$1\r\n0\r\n"


class Session:
    """Tell it what was done, by `did`; `held` says whether anything is left."""

    __slots__ = ("fixed", "multi", "scans", "version", "watch")

    def __init__(self) -> None:
        self.version = 2  # of RESP
        self.multi = False
        self.watch = False
        self.fixed = False  # what only RESET takes back: a user, a database, a name
        self.scans = 0  # cursors whose end was not seen

    @property
    def held(self) -> bool:
        """A version of RESP is not counted: every link can be brought to another one."""
        return self.multi or self.watch or self.fixed or self.scans > 0

    def did(self, commands: Sequence[Command], answer: bytes) -> None:
        """These were done in one exchange, whose answer begins with `answer`."""
        for command in commands:
            if command.spec.effect is not Effect.NONE:
                self._did(command, answer)

    def _did(self, command: Command, answer: bytes) -> None:
        effect = command.spec.effect
        if effect is Effect.MULTI:
            self.multi = True
        elif effect is Effect.EXEC:
            # With arguments it is an error, of which nobody should have to know what it leaves.
            if command.count == 1 and self.multi:
                self.multi = self.watch = False
        elif effect is Effect.RESET:
            if answer.startswith(b"+RESET\r\n"):
                self.multi = self.watch = self.fixed = False
                self.version, self.scans = 2, 0
        elif self.multi:
            self.fixed = self.fixed or effect is not Effect.UNWATCH  # when EXEC does it
        elif effect is Effect.WATCH:
            self.watch = True
        elif effect is Effect.UNWATCH:
            self.watch = self.watch and not answer.startswith(b"+OK\r\n")
        elif effect is Effect.SCAN:
            self._scanned(command, answer)
        elif effect is Effect.HELLO and command.whole and command.count <= 2:
            if command.count == 2 and not answer.startswith(b"-"):
                self.version = 3 if command.args[1] == b"3" else 2
        else:
            self.fixed = True

    def _scanned(self, command: Command, answer: bytes) -> None:
        if not answer.startswith(b"*2\r\n"):
            return
        cursor = 1 if command.name == b"SCAN" else 2
        if command.args[cursor : cursor + 1] == [b"0"]:
            self.scans += 1
        if answer.startswith(_SCANNED):
            self.scans = max(0, self.scans - 1)
