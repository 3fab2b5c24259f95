"""Plays a transaction's life from a transcript: on the left what happens, on the right what is done.

Each line takes one second. `BODY n` is that much of the request's body, `TRIED n` are tries that a broker
behind the link tells of, `STREAM` before a try means that its beginning has no bytes, `KEPT` that a failing
answer is there, whole (`LOST-KEPT`: no longer), `RESUMABLE` that the rest of the response can be asked for,
`PASSED n` that the try has brought so many bytes of it, `OUTAGE` that no server can be reached; the other
words are inputs. An error's name may be followed by `undone`: the server proves that it did nothing, or by
`final`: no other server could mend it. After a line that begins with `end` stand how it ended, and each try
as the access log has it.
"""

from __future__ import annotations

from sslbroker import errors
from sslbroker.core.budget import Budget
from sslbroker.core.failover import Allowance
from sslbroker.core.members import Member
from sslbroker.core.states import WATCH, Action, Input
from sslbroker.core.storage import Storage
from sslbroker.core.transaction import Transaction
from sslbroker.errors import BrokerError
from sslbroker.outcome import Replay
from sslbroker.settings import RetryBudget, Server
from sslbroker.settings import Storage as StorageSettings

MEMBERS = {name: Member(Server(f"{name}:80")) for name in ("one", "two", "three")}


def error(name: str) -> BrokerError:
    """An error of the class so named."""
    name, _, proof = name.partition(" ")
    kind = getattr(errors, name)
    assert issubclass(kind, BrokerError)
    made: BrokerError = kind("why")
    made.nothing_done = proof == "undone"
    made.final = proof == "final"
    return made


class Kept:
    """A failing answer that was kept."""

    def __init__(self, member: Member) -> None:
        self.member: Member | None = member


class Play:
    """One transaction, and a relay that does as it is told."""

    def __init__(
        self,
        replay: Replay = Replay.REPLAYABLE,
        tries: int = 3,
        share: int = 100,
        *,
        keeps: bool = False,
    ) -> None:
        """`keeps`: copies are kept though the request is not replayable."""
        self.now = 1000.0
        self.stream = False
        self.keeps = keeps
        self.replay = replay
        self.stored = Storage(StorageSettings(per_transaction=share)).open()
        self.outage = False
        self.budget = Budget(RetryBudget(share=0.0, minimum=0.0), self.now)
        allowance = Allowance(tries, self.budget, lambda: self.outage)
        self.transaction = Transaction(replay, self.stored, allowance, self.now)

    def happens(self, line: str) -> str:
        """Do what the line says, a second later; what is to be done about it."""
        self.now += 1.0
        word, _, argument = line.partition(" ")
        if word == "BODY":
            self.stored.append(b"x" * int(argument))
            if self.transaction.state is WATCH:
                self.stored.take()
                self.transaction.attempt.wrote = True
            return "-"
        if word == "TRIED":
            self.transaction.elsewhere += int(argument) - 1
            return "-"
        if word == "STREAM":
            self.stream = True
            return "-"
        if word == "KEPT":
            self.transaction.kept = Kept(self.transaction.attempt.member)
            return "-"
        if word == "LOST-KEPT":
            assert isinstance(self.transaction.kept, Kept)
            self.transaction.kept.member = None
            return "-"
        if word == "RESUMABLE":
            self.transaction.resumable = True
            return "-"
        if word == "PASSED":
            self.transaction.attempt.passed = int(argument)
            return "-"
        if word == "OUTAGE":
            self.outage = True
            return "-"
        event = Input[word]
        subject: object = None
        if event in (Input.CHOSEN, Input.HEDGED):
            subject = MEMBERS[argument]
        elif event in (Input.LINKED, Input.HEDGE_LINKED):
            subject = argument == "reused"
        elif argument:
            subject = error(argument)
        actions = self.transaction.receive(event, self.now, subject)
        if Action.SEND in actions:
            if self.replay is not Replay.REPLAYABLE and not self.keeps:
                self.stored.give_up(self.replay)
            self.transaction.attempt.wrote = bool(self.stored.take()) or not self.stream
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
            said.append(f"{happens} -> {play.happens(happens.strip())}")
        elif happens.strip().startswith("end "):
            said += play.ended()
    assert _words(said) == _words(lines)
    return play


def _words(lines: list[str]) -> list[str]:
    return [" ".join(line.replace("->", " -> ").split()) for line in lines]
