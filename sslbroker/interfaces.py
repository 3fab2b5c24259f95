"""The whole extension surface: events, codecs, and what a backend protocol must answer.

Decides how bytes become events and events become bytes, and which questions the broker asks of a
protocol, a balancer, a classifier, a grouping or an observer. Invariant: an event carries the
number of its exchange, so a connection may carry one exchange at a time (HTTP/1), many at once
(HTTP/2) or one for its whole life (a stream). Nothing here does I/O or knows HTTP: a message is an
object that only its protocol looks into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zope.interface import Attribute, Interface

from .errors import BrokerError, FramingError
from .outcome import After, Replay

if TYPE_CHECKING:
    from .settings import Group, Pool

CONNECTION: Final = 0
"""The exchange number of what concerns a whole connection; exchanges count from 1."""


class Event:
    """Something that arrived on, or goes out on, a connection; `exchange` says for which exchange."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: int) -> None:
        self.exchange = exchange

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            getattr(self, name) == getattr(other, name) for name in self._names()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(repr(getattr(self, name)) for name in self._names())
        return f"{type(self).__name__}({values})"

    @classmethod
    def _names(cls) -> list[str]:
        return [name for base in reversed(cls.__mro__) for name in getattr(base, "__slots__", ())]


class Head(Event):
    """The head of a request, or of a final response: `message` is the protocol's own object."""

    __slots__ = ("message",)

    def __init__(self, exchange: int, message: Any) -> None:
        self.exchange = exchange
        self.message = message


class Body(Event):
    """Some bytes of a message's content, freed of their framing; never empty."""

    __slots__ = ("data",)

    def __init__(self, exchange: int, data: bytes) -> None:
        self.exchange = exchange
        self.data = data


class End(Event):
    """The message is whole; `trailers` is the protocol's own object, or None."""

    __slots__ = ("trailers",)

    def __init__(self, exchange: int, trailers: Any = None) -> None:
        self.exchange = exchange
        self.trailers = trailers


class Interim(Event):
    """A response before the final one (HTTP: 1xx but 101). `go_ahead`: the body may be sent now."""

    __slots__ = ("message", "go_ahead")

    def __init__(self, exchange: int, message: Any, go_ahead: bool = False) -> None:
        self.exchange = exchange
        self.message = message
        self.go_ahead = go_ahead


class Upgraded(Event):
    """From here the exchange is a stream: `Body` is raw both ways, `End` ends one direction.

    In place of a request's `Head` it makes the exchange a stream from its beginning; in place of the final
    answer's it makes it a tunnel from then on. What was begun as a stream is answered by an `Upgraded`.
    """

    __slots__ = ("message",)

    def __init__(self, exchange: int, message: Any) -> None:
        self.exchange = exchange
        self.message = message


class Error(Event):
    """The peer broke the protocol. For the exchange, or for the connection when it is `CONNECTION`.

    After it the codec gives no further events of that exchange (or of the connection).
    """

    __slots__ = ("error",)

    def __init__(self, exchange: int, error: FramingError) -> None:
        self.exchange = exchange
        self.error = error.with_traceback(None)  # its frames would keep the connection, in a circle


class Reply(Event):
    """Bytes that the codec itself owes its peer now (HTTP/2: SETTINGS, PING, WINDOW_UPDATE)."""

    __slots__ = ("data",)

    def __init__(self, exchange: int, data: bytes) -> None:
        self.exchange = exchange
        self.data = data


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client has proved to be: the certificate that its handshake verified."""

    subject: str  # as RFC 4514 writes a distinguished name
    issuer: str
    serial: str  # hexadecimal, upper case, an even number of digits
    fingerprint: str  # SHA-256 of `der`, hexadecimal, lower case
    der: bytes


@dataclass(frozen=True, slots=True)
class GroupFields:
    """The fields, in lower case, by which trusted peers name the groups of their clients."""

    believed: bytes  # from the peers that this listener trusts; b"": none
    known: frozenset[bytes]  # those of all listeners: what is not believed must reach no server


class Origin:
    """Where a transaction comes from: one place for a client's address, however it was learnt."""

    __slots__ = (
        "address",
        "certificate",
        "group",
        "group_fields",
        "grouping",
        "listener",
        "listener_port",
        "misdirected",
        "port",
        "secure",
        "told",
        "trusted",
        "trusts",
    )

    def __init__(
        self,
        address: str,
        port: int = 0,
        *,
        listener: str = "",
        listener_port: int = 0,
        secure: bool = False,
        trusted: bool = False,
    ) -> None:
        self.address = address  # the client's address, as text without a zone
        self.port = port
        self.listener = listener
        self.listener_port = listener_port
        self.secure = secure  # the client's own connection is TLS
        self.trusted = trusted  # the connection comes from the listener's `trusted` networks
        #: Is an address, as text, in the listener's `trusted` networks?
        self.trusts: Callable[[str], bool] = _nobody
        #: Of the connection's own client, who may be a proxy; None when it has shown none.
        self.certificate: ClientCertificate | None = None
        #: Must this host's requests come on another connection, since this one asked for a name with other
        #: rules for clients (RFC 9110 §7.4)? None: no host's must.
        self.misdirected: Callable[[bytes], bool] | None = None
        #: The group of the client, as far as it is known; None: none of the configured ones.
        self.group: Group | None = None
        #: Finds the group of an origin; the text is a group's name that a trusted peer gave, "": none.
        self.grouping: Callable[[Origin, str], Group | None] = _no_group
        self.group_fields: GroupFields | None = None  # None: no listener has any
        self.told: Any = None  # for the protocol alone: what it tells servers of this, worked out once


def _nobody(address: str) -> bool:
    return False


def _no_group(origin: Origin, named: str) -> Group | None:
    return None


class ICodec(Interface):
    """One connection's framing: bytes in, events out; events in, bytes out. No I/O, no clock.

    A protocol makes two kinds: for a connection to a client (receives requests, sends responses)
    and for a link to a server (sends requests, receives responses). The events of one `receive`
    come in order. A codec never raises for what its peer sent: it gives an `Error`.
    """

    capacity: int = Attribute("How many exchanges may be open at once; more than 1 is not built yet.")

    def receive(data: bytes) -> Sequence[Event]:
        """What these bytes complete. `b""` asks again for what is held (after `release`, `Upgraded`).

        Where the server speaks first, a client's side is given `b""` at the connection, and begins."""

    def receive_end() -> Sequence[Event]:
        """The peer sends no more: what that completes (a body delimited by it) or breaks (`Error`)."""

    def refuse(error: FramingError) -> Sequence[Event]:
        """No more of what is coming in is waited for (a time limit passed in the middle of it).

        Gives the `Error` that a breach of the protocol at this place would give.
        """

    def open() -> int:
        """A link's side: the number of a new exchange, of which the next `send` is the `Head`."""

    def send(event: Event) -> bytes:
        """The event as bytes for the peer; `b""` when the peer must not or need not see it.

        `ValueError` for an event that cannot follow what was sent: a mistake of the caller.
        """

    def after(exchange: int) -> After:
        """What the connection is good for now: `REUSABLE` only when both messages of the exchange
        ended exactly, the request first, nothing is left unread, and neither side said close.

        A link's side says `PINNED` where `REUSABLE` would be right but for the client's state that the
        link holds: then only the same client's exchanges follow on it. A client's side has no use for it."""

    def release(exchange: int) -> None:
        """Both messages ended and `after` was not `CLOSE`: forget the exchange, make room for the next."""

    def held() -> int:
        """Bytes received and not given as events yet (a partial head, pipelined requests)."""

    def drain() -> bytes:
        """Say at the next chance that this connection ends after its open exchanges."""


class IExchangeRules(Interface):
    """A protocol's answers about its messages, under the settings of one pool.

    `request` and `response` are the messages of `Head`, `Interim` and `Upgraded` events.
    """

    def admit(request: Any, origin: Origin) -> BrokerError | None:
        """Why this well-formed request is not carried (CONNECT, a loop), or None."""

    def origin(request: Any, origin: Origin) -> Origin:
        """The origin after what a trusted peer says of the client; `origin` itself otherwise."""

    def replay(request: Any) -> Replay:
        """`REPLAYABLE`, or the reason why a server must not see this request twice (`METHOD`)."""

    def hedgeable(request: Any) -> bool:
        """May two servers be doing this request at once, just to be faster?"""

    def affinity(request: Any) -> bytes | None:
        """The key that keeps a client at its server (a cookie's value), if it has one."""

    def go_ahead_wait(request: Any) -> float:
        """Seconds that a try holds the body back for the server's go-ahead; 0: none."""

    def to_server(request: Any, origin: Origin, address: str, secure_link: bool) -> Any:
        """The request as the chosen server (its "host:port") shall see it; never the same object."""

    def to_client(response: Any, request: Any, origin: Origin) -> Any:
        """The response, interim or final, as the client shall see it; never the same object."""

    def error_answer(error: BrokerError, request: Any | None, exchange: int) -> Sequence[Event]:
        """The broker's own answer: whole, `Head` to `End`. `request` is None when none was framed."""

    def log_fields(request: Any | None, response: Any | None) -> Mapping[str, Any]:
        """For the access log: `method`, `target`, `status` and whatever else the protocol adds."""


class IShortCuts(Interface):
    """Rules may provide it: for transactions that are whole in one read each way, several answers in one.

    They are the answers that rules and codec give one by one, found in fewer steps."""

    def carried(request: Any, origin: Origin) -> Origin | None:
        """What `IExchangeRules.origin` says, if the request is admitted, replayable and not held back."""

    def send_request(
        codec: ICodec, exchange: int, request: Any, origin: Origin, address: str, secure_link: bool
    ) -> bytes:
        """The request without content, as `to_server` makes it, sent by a link's codec from head to end."""

    def send_response(
        codec: ICodec, exchange: int, response: Any, content: bytes, request: Any, origin: Origin
    ) -> bytes:
        """The response, as `to_client` makes it, sent by a client's codec from head to end."""


class IAnswerTimes(Interface):
    """Rules may provide it: how long a server may take depends on the request."""

    def answer_within(request: Any) -> float | None:
        """Seconds without a byte after which a server counts as silent.

        None: ``failover.response_timeout``; 0: no limit but those of the client's connection."""


class IMeasured(Interface):
    """Rules may provide it: some transactions say nothing of how fast a server is, as they take their time.

    Without it all count but streams. It is asked only where clients are in groups, or where slow requests are
    given to a second server."""

    def measured(request: Any) -> bool:
        """Does the time to the answer of this request count?"""

    def measured_answer(response: Any) -> bool:
        """Does it count, with this answer?"""


class IHosts(Interface):
    """Rules may provide it: requests name the host that they are for, as a TLS client names one.

    Without it no name of a pool's listeners can have rules of its own: nothing would keep a client from
    asking for another name in TLS than in its requests. With it the broker answers who does by 421."""

    def host(request: Any) -> bytes:
        """The host, with a port or without, as the request has it; b"" for none."""


class ILengths(Interface):
    """Rules may provide it: a request's head says how much content follows.

    With it a request that has more than ``limits.body_size`` is refused before a server hears of it."""

    def length(request: Any) -> int:
        """Bytes of content; 0 for none, and where the head does not say."""


class IOwnAnswers(Interface):
    """Rules may provide it: some requests need no server."""

    def own_answer(request: Any, origin: Origin, exchange: int) -> Sequence[Event]:
        """The answer, whole, `Head` to `End`; () for a request that a server has to do."""


class IStickiness(Interface):
    """Rules may provide it: a client can be told which server it belongs to, and comes back with that."""

    def stuck(request: Any) -> str:
        """The key of a server that the client came back with; "": none. It may be an invention."""

    def stick(response: Any, key: str, origin: Origin) -> None:
        """Tell the client `key` in this response, which `to_client` has made."""


class ICascades(Interface):
    """Rules may provide it: brokers behind brokers tell how often they tried, so that tries add up."""

    def tried(response: Any) -> int:
        """How often the broker behind this link says that it tried; 0: it does not say."""

    def tell_tries(response: Any, tries: int) -> None:
        """Say so in this response, which `to_client` has made, to a trusted client."""

    def looped(response: Any) -> bool:
        """Does this failing answer say that the request goes in a circle, so that more tries would only
        send it round again?"""


class IResumable(Interface):
    """Rules may provide it: the rest of a response that broke off can be had from another server (R13).

    It is asked only after a response has broken off: what does not break costs nothing."""

    def resumption(request: Any, response: Any) -> Any:
        """An `IResumption` for this response of a server (as it came), or a `str`: why there can be none.

        `request` is the client's, as it came, and had no content."""


class IResumption(Interface):
    """How one response goes on that has broken off; used for all further breaks of it, too."""

    total: int | None = Attribute("Bytes of the response's content, None while nobody has told them.")

    def request(passed: int, tail: int) -> Any:
        """The client's request (to be given to `to_server`), asking for what follows the first `passed`
        bytes of content, and for the `tail` bytes before that once more."""

    def continued(response: Any, passed: int, tail: int) -> int | str:
        """Is this answer to `request(passed, tail)` the same response, as far as its head can prove?

        Then the number of bytes of its content that come before those `tail` bytes (0, or for an answer from
        the beginning `passed - tail`), and `total` is known from now on; else why it is not."""


class IRests(Interface):
    """A classifier may provide it: some failing answers ask that their server be left alone for a while."""

    def rest(response: Any) -> float:
        """Seconds; 0.0: none."""


class IHealthChecks(Interface):
    """Rules may provide it: a server can be asked how it is.

    Without it a check is a link that is made. It is asked for pools with a ``health.path``."""

    def check_request(address: str, path: str, secure_link: bool) -> Any:
        """The request of a check, without content, as `to_server` gives one; the link ends after it.

        `address` is the server's "host:port"; on a secure link with the name that the server has proved."""

    def healthy(response: Any) -> bool:
        """Does this final answer of a server to a check say that it is well?"""


class IUndone(Interface):
    """A classifier may provide it: some failing answers prove that the server did nothing."""

    def nothing_done(response: Any) -> bool:
        """True for a failing answer after which even a request that is not replayable may go on."""


class IProbe(Interface):
    """A protocol may provide it: how to find out that a server speaks it, on a connection of its own."""

    def probe(host: str) -> bytes:
        """What is sent; harmless, and asked on a plain connection."""

    def answers(received: bytes) -> bool | None:
        """Is this the beginning of an answer in this protocol? None: not yet to be told.

        It is taken for proof that the server is plain: False for what a TLS port says to plain clients."""


class IMember(Interface):
    """A server of a pool, as a balancer sees it."""

    address: str = Attribute("Its host and port, as the configuration writes them.")
    settings: Any = Attribute("The `settings.Server` of the configuration.")
    outstanding: int = Attribute("Tries under way.")

    def weight_at(now: float) -> float:
        """Its weight after slow start; above 0."""

    def response_time(now: float) -> float | None:
        """Seconds: exponentially weighted mean of its server times; None before the first."""


class IBalancer(Interface):
    """A law of choice for one pool. It may keep state of its own."""

    def choose(members: Sequence[Any], origin: Origin, key: bytes, now: float) -> Any:
        """One of `members`, or a Deferred or coroutine of one.

        `members` are `IMember`s that can take the transaction now: never empty, in the configuration's
        order. `key` is what keeps a client at its server: the protocol's affinity key, else the client's
        address. `now` is in seconds of a clock that only goes forward."""


class IBalancing(Interface):
    """A way of balancing, found as a Twisted plugin by its `name`: ``balance = "…"``."""

    name: str = Attribute("The word for `balance = …` in a pool.")

    def balancer(pool: Pool) -> Any:
        """A new `IBalancer` for this pool."""


class IClassification(Interface):
    """A way of judging answers, found as a Twisted plugin by its `name`: ``classifier = "…"``."""

    name: str = Attribute("The word for `classifier = …` in a pool.")

    def classifier(pool: Pool) -> Any:
        """A new `IResponseClassifier` for this pool."""


class IResponseClassifier(Interface):
    """Is a server's answer a failure?"""

    def failing(response: Any) -> bool:
        """True for an answer after which another server should be tried."""

    def status(response: Any) -> int:
        """The number under which the answer is counted; 0 when the protocol has none."""


class IGroups(Interface):
    """Which group does a client belong to? Asked once a connection, and where a trusted peer speaks for
    others, for each of them; and again when the files of groups were read anew. Must return at once.

    As a Twisted plugin it has a `name`, for ``grouping.plugins``.
    """

    def group(origin: Origin) -> str | None:
        """The name of a configured group; None: this one does not know, and the next is asked."""


class IBackendProtocol(Interface):
    """A protocol that the broker can carry; found as a Twisted plugin by its `name`."""

    name: str = Attribute("The word for `protocol = …` in a pool.")
    alpn: Sequence[bytes] = Attribute("What a TLS client may agree on by ALPN, best first; () for none.")
    server_first: bool = Attribute("True when a server may speak first: an exchange begins at once.")

    def client_codec(head_size: int, headers: int) -> ICodec:
        """Framing for a connection to a client, within these limits (bytes and count of a head)."""

    def server_codec(head_size: int, headers: int) -> ICodec:
        """Framing for a link to a server, within these limits."""

    def rules(pool: Pool, broker_name: str) -> IExchangeRules:
        """The protocol's answers for one pool; `broker_name` is this broker's own pseudonym."""

    def classifier(pool: Pool) -> IResponseClassifier:
        """Which answers fail, for one pool."""


class IObserver(Interface):
    """Hears of every transaction, once, when it is over. Must return at once.

    What it returns may be a Deferred or a coroutine. Nobody waits for it, and a failure is only logged.

    As a Twisted plugin it has a `name`, for ``log.observers``.
    """

    def transaction_ended(record: Mapping[str, Any]) -> Any:
        """`record` has the access log's fields (spec §5)."""
