"""The answers about RESP that the broker asks for, under the settings of one pool.

Decides what may be sent twice, which answers speak against a server, how long one may take, and what the
broker says itself. Invariant: nothing here keeps anything of a request. Refuses to promise that a write may
be repeated: only the operator can, by naming it in ``failover.methods``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from zope.interface import implementer

from sslbroker.errors import BrokerError, ConfigurationError, FramingError, Problem, RequestRefused
from sslbroker.interfaces import (
    Body,
    End,
    Event,
    Head,
    IAnswerTimes,
    IExchangeRules,
    IOwnAnswers,
    IResponseClassifier,
    IUndone,
    Origin,
)
from sslbroker.outcome import Cause, Replay
from sslbroker.settings import Pool

from .commands import Command, Effect, Kind, first_key, hash_tag, keys_of, waits
from .message import Answer, Request

_SHOWN: Final = 128  # characters of a key in the log
#: What cannot be carried where each key has its server: it needs one server for the whole connection.
_ONE_SERVER: Final = frozenset({Kind.ALONE, Kind.QUEUED, Kind.STREAM, Kind.WAIT})
#: A balance by which a key would be written to one server and looked for at another.
_KEYLESS: Final = frozenset({"round-robin", "least-connections", "least-time"})
_WORDS: Final[Mapping[Cause, str]] = {
    Cause.NO_SERVER: "no server is there to do this; try again later",
    Cause.QUEUE_TIMEOUT: "all servers are busy; try again later",
    Cause.QUEUE_FULL: "all servers are busy; try again later",
    Cause.SHUTDOWN: "the broker is going down; connect again",
    Cause.SILENT: "the server has not answered in time; nobody knows whether it was done",
    Cause.BROKEN: "the server broke off; nobody knows whether it was done",
    Cause.STALE: "the server broke off; nobody knows whether it was done",
    Cause.EMPTY: "the server closed the connection without an answer",
    Cause.INTERNAL: "a mistake in the broker",
}


@implementer(IExchangeRules, IAnswerTimes, IOwnAnswers)
class Rules:
    """`by_key`: the pool's servers divide the keys among them."""

    def __init__(self, pool: Pool, *, by_key: bool) -> None:
        """`ConfigurationError` for keys that shall have their servers, and a balance that looks at no key."""
        if by_key and pool.balance in _KEYLESS:
            problem = Problem(
                f"pools.{pool.name}.balance", f'"{pool.balance}"', '"hash", since each key has its server'
            )
            raise ConfigurationError(f"pool {pool.name!r}", [problem])
        self._by_key = by_key
        self._margin = pool.failover.response_timeout
        self._promised = frozenset(method.upper().encode() for method in pool.failover.methods)

    def admit(self, request: Request, origin: Origin) -> BrokerError | None:
        if request.kind is Kind.REFUSED:
            return RequestRefused(
                "CLIENT REPLY is not carried: without replies nobody can tell what was done"
            )
        if request.kind is Kind.WAIT and not request.settled:
            return RequestRefused(
                "WAIT counts the writes of one connection to a server: send it in one pipeline with them, "
                "or keep a server for yourself by CLIENT SETNAME first"
            )
        return self._misplaced(request) if self._by_key else None

    def origin(self, request: Request, origin: Origin) -> Origin:
        return origin

    def replay(self, request: Request) -> Replay:
        all_may = b"*" in self._promised or all(map(self._repeatable, request.commands))
        return Replay.REPLAYABLE if all_may else Replay.METHOD

    def hedgeable(self, request: Request) -> bool:
        return request.kind is Kind.READ

    def affinity(self, request: Request) -> bytes | None:
        if self._by_key:
            for command in request.commands:
                if key := first_key(command):
                    return hash_tag(key)
        return None

    def go_ahead_wait(self, request: Request) -> float:
        return 0.0

    def to_server(self, request: Request, origin: Origin, address: str, secure_link: bool) -> Request:
        return request.copy()

    def to_client(self, response: Answer, request: Request, origin: Origin) -> Answer:
        return response.copy()

    def answer_within(self, request: Request) -> float | None:
        if request.kind is not Kind.BLOCK and request.commands[-1].spec.kind is not Kind.WAIT:
            return None
        seconds = waits(request.commands[-1])
        return seconds + self._margin if seconds else seconds

    def own_answer(self, request: Request, origin: Origin, exchange: int) -> Sequence[Event]:
        if request.kind is Kind.LAST:
            return _whole(exchange, b"+OK\r\n", Answer(last=True))
        if request.kind is not Kind.OWN:
            return ()
        return _whole(exchange, b"".join(map(_own, request.commands)), Answer())

    def error_answer(self, error: BrokerError, request: Request | None, exchange: int) -> Sequence[Event]:
        line = f"ERR sslbroker: {_told(error)}".encode("ascii", "replace")
        if isinstance(error, RequestRefused) and error.detail.startswith("CROSSSLOT"):
            line = error.detail.encode("ascii", "replace")
        commands = [] if request is None else request.commands
        # A client whose MULTI or whose AUTH was not done must not go on as if it had been.
        last = request is None or request.in_multi or _leaves(request)
        replies = b"-%b\r\n" % line * max(1, len(commands))
        return _whole(exchange, replies, Answer(line, last=last))

    def log_fields(self, request: Request | None, response: Answer | None) -> Mapping[str, Any]:
        fields: dict[str, Any] = {}
        if request is not None:
            first = request.commands[0]
            number = len(request.commands)
            fields["method"] = _printable(first.name, 24) + (f" x{number}" if number > 1 else "")
            key = next(filter(None, map(first_key, request.commands)), None)
            fields["target"] = None if key is None else _printable(key, _SHOWN)
        if response is not None and response.error:
            fields["error"] = _printable(response.error.split(b" ", 1)[0], 24)
        return fields

    def _repeatable(self, command: Command) -> bool:
        return command.spec.repeatable or command.name in self._promised

    def _misplaced(self, request: Request) -> BrokerError | None:
        """Why this cannot be done where each key has its server."""
        effects = {command.spec.effect for command in request.commands}
        if request.kind in _ONE_SERVER and not effects <= {Effect.HELLO, Effect.SCAN}:
            return RequestRefused("this needs one server for a connection, and here each key has its own")
        places: set[bytes] = set()
        for command in request.commands:
            keys = keys_of(command)
            if keys is None:
                return RequestRefused("nobody can tell which keys this command is about")
            places.update(map(hash_tag, keys))
        if len(places) > 1:
            return RequestRefused("CROSSSLOT Keys of one request have different hash tags")
        return None


@implementer(IResponseClassifier, IUndone)
class Classifier:
    def failing(self, response: Answer) -> bool:
        return response.refusal

    def nothing_done(self, response: Answer) -> bool:
        return response.undone

    def status(self, response: Answer) -> int:
        return 0


def _whole(exchange: int, replies: bytes, answer: Answer) -> Sequence[Event]:
    return [Head(exchange, answer), Body(exchange, replies), End(exchange)]


def _own(command: Command) -> bytes:
    if command.args[1].upper() == b"SETINFO":
        return b"+OK\r\n"
    return b"-ERR sslbroker: no notifications of maintenance are carried\r\n"


def _leaves(request: Request) -> bool:
    """A whole transaction leaves nothing: its EXEC is answered, too."""
    nothing = (Effect.NONE, Effect.SCAN)
    return request.kind is not Kind.GROUP and any(
        command.spec.effect not in nothing for command in request.commands
    )


def _told(error: BrokerError) -> str:
    """For people: what a client did wrong in the words of whoever found it, else what has happened."""
    if isinstance(error, FramingError):
        return f"Protocol error: {_printable(error.detail.encode(), 200)}"
    if isinstance(error, RequestRefused):
        return _printable(error.detail.encode(), 200)
    return _WORDS.get(error.cause, "the server cannot do this now")


def _printable(data: bytes, most: int) -> str:
    """As text on one line, cut: a key may be anything, and as long as it likes."""
    shown = ascii(data[:most])[2:-1]
    return shown if len(data) <= most else f"{shown}…"
