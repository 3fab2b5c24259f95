"""Plays a transaction's life from a transcript: on the left what happens, on the right what is done.

Each line takes one second. `BODY n` is that much of the request's body; the other words are inputs. After
a line that begins with `end` stand how it ended, and each try as the access log has it.
"""

from __future__ import annotations

from sslbroker import errors
from sslbroker.core.members import Member
from sslbroker.core.storage import Storage
from sslbroker.core.transaction import WATCH, Action, Input, Transaction
from sslbroker.errors import BrokerError
from sslbroker.outcome import Replay
from sslbroker.settings import Server
from sslbroker.settings import Storage as StorageSettings

MEMBERS = {name: Member(Server(f"{name}:80")) for name in ("one", "two", "three")}


def error(name: str) -> BrokerError:
    """An error of the class so named."""
    kind = getattr(errors, name)
    assert issubclass(kind, BrokerError)
    made: BrokerError = kind("why")
    return made


class Play:
    """One transaction, and a relay that does as it is told."""

    def __init__(self, replay: Replay = Replay.REPLAYABLE, tries: int = 3, share: int = 100) -> None:
        self.now = 1000.0
        self.replay = replay
        self.stored = Storage(StorageSettings(per_transaction=share)).open()
        self.transaction = Transaction(replay, self.stored, tries, self.now)

    def happens(self, line: str) -> str:
        """Do what the line says, a second later; what is to be done about it."""
        self.now += 1.0
        word, _, argument = line.partition(" ")
        if word == "BODY":
            self.stored.append(b"x" * int(argument))
            if self.transaction.state is WATCH:
                self.stored.take()
            return "-"
        event = Input[word]
        subject: object = None
        if event is Input.CHOSEN:
            subject = MEMBERS[argument]
        elif event is Input.LINKED:
            subject = argument == "reused"
        elif argument:
            subject = error(argument)
        actions = self.transaction.receive(event, self.now, subject)
        if Action.SEND in actions:
            if self.replay is not Replay.REPLAYABLE:
                self.stored.give_up(self.replay)
            self.stored.take()
        return " ".join(action.name for action in actions)

    def ended(self) -> list[str]:
        lines = [f"end {self.transaction.end}"]
        for attempt in self.transaction.attempts:
            fields = attempt.log_fields()
            seconds = float(str(fields["milliseconds"])) / 1000
            words = [fields["server"], fields["outcome"], f"{seconds:g}s"]
            words += ["reused"] * bool(fields["reused"])
            words += ["next:", fields["next"]] if "next" in fields else []
            lines.append("  " + " ".join(map(str, words)))
        return lines


def play(script: str, play: Play | None = None) -> Play:
    """Play a transcript, and compare it with what is done."""
    if play is None:
        play = Play()
    lines = [line for line in script.strip("\n").splitlines() if line.strip()]
    said = []
    for line in lines:
        happens, arrow, _ = line.partition("->")
        if arrow:
            said.append(f"    {happens.strip():<24}-> {play.happens(happens.strip())}")
        elif happens.strip().startswith("end "):
            said += [f"    {told}" for told in play.ended()]
    assert "\n".join(said) == "\n".join(line.rstrip() for line in lines)
    return play
