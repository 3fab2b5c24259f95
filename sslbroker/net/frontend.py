"""A listener while it runs: makes a connection object for each client, and knows them all.

Decides who may connect (`limits.connections`) and where a client's address comes from: here, and only
here. Invariant: every transaction that began is given to the observers once. Refuses to know what
clients send.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from txaio.tx import as_future

from ..core.figures import ListenerFigures, count, count_status
from ..core.groups import SLICE
from ..core.networks import Networks
from ..core.promises import HEARD
from ..core.watch import Promise
from ..errors import BrokerError
from ..interfaces import GroupFields, IObserver, Origin
from ..outcome import Replay
from ..settings import Listener
from . import client_certificates
from .client import ClientConnection
from .fast_path import FastTransaction
from .grouping import Grouping
from .limits import seconds_of
from .pool import Pool
from .record import fast_record, record, refusal
from .relay import Relay

_log = Logger("sslbroker.frontend")

#: Why there was a next try. One that began beside another is counted apart.
_AGAIN = frozenset((Replay.NOTHING_SENT, Replay.NOTHING_DONE, Replay.REPLAYABLE, Replay.RESUME))

#: Seconds between two lines about clients that are refused: a line for each would let them fill a disk.
_QUIET = 60.0


class Frontend(Factory):
    """The protocol factory of one listener."""

    noisy = False

    def __init__(
        self,
        settings: Listener,
        pool: Pool,
        observers: Sequence[IObserver],
        clock: Any,
        identities: Callable[[], str],
        has_room: Callable[[], bool],
        grouping: Grouping | None = None,
        group_fields: GroupFields | None = None,
    ) -> None:
        """`grouping` is None where there are no groups, `group_fields` where no listener has any."""
        self.settings = settings
        self.pool = pool
        self.clock = clock
        self.connections: set[ClientConnection] = set()
        self.draining = False
        self.figures = ListenerFigures(settings.name, settings.endpoint, settings.pool, settings.secure)
        self.seconds = seconds_of(settings.limits)
        self._observers = observers
        self._identities = identities
        self._has_room = has_room
        self._trusted = Networks(settings.trusted)
        self._trusts = self._trusted.__contains__
        self._grouping = grouping
        self._group_fields = group_fields
        self._empty: list[Deferred[None]] = []
        # Fast transactions that ended in this turn of the reactor, where it tells of its turns. They are told
        # when all is sent: no client waits for another one's log, and code that has just run is faster.
        self._turns_end = hasattr(clock, "later")
        self._over: list[tuple[FastTransaction, Any, int, float]] = []
        self._untold = 0  # clients refused since the last line about them
        self._tell_from = clock.seconds()

    def logPrefix(self) -> str:
        """What Twisted calls it in its own lines of the log."""
        return f"listener {self.settings.name}"

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection | None:
        if len(self.connections) >= self.settings.limits.connections or not self._has_room():
            self.figures.refused += 1
            return None
        return ClientConnection(self)

    def origin(self, transport: Any) -> Origin:
        """Where the clients of this connection's transactions are, as the transport knows it."""
        peer, here = transport.getPeer(), transport.getHost()
        address = getattr(peer, "host", "").partition("%")[0]
        with suppress(ValueError):
            ip = ip_address(address)
            # One client has one address, though the socket takes both versions.
            address = str(getattr(ip, "ipv4_mapped", None) or ip)
        origin = Origin(
            address or "unix",
            getattr(peer, "port", 0),
            listener=self.settings.name,
            listener_port=getattr(here, "port", 0),
            secure=self.settings.secure,
            trusted=address in self._trusted,
        )
        origin.trusts = self._trusts
        origin.group_fields = self._group_fields
        if self._grouping is not None:
            origin.grouping = self._grouping
            if not origin.secure:
                origin.group = self._grouping(origin, "")
        return origin

    def shaken(self, transport: Any, origin: Origin) -> str:
        """A secure listener's client has shaken hands: set in `origin` what it has proved, and its group.

        Or say why the connection must not be served: then it must end before anything of it is read.
        """
        fault = client_certificates.shaken(transport.getHandle(), origin)
        if fault:
            self._tell_refusal(origin.address, fault)
        elif self._grouping is not None:  # only now, since what it has proved counts
            origin.group = self._grouping(origin, "")
        return fault

    def regroup(self) -> Iterator[None]:
        """Ask anew, now that groups have other networks, who the clients are; in small steps.

        Transactions under way keep what they began with, so nothing is changed in an origin that they have;
        and what is remembered of an origin is not remembered of another one.
        """
        assert self._grouping is not None
        for number, connection in enumerate(list(self.connections)):
            origin = connection.origin
            group = self._grouping(origin, "")
            if group is not origin.group or origin.trusted:  # a proxy's clients may be others, too
                connection.origin = copy(origin)
                connection.origin.group = group
            if number % SLICE == SLICE - 1:
                yield

    def not_shaken(self, transport: Any, origin: Origin, reason: Failure) -> None:
        """The connection ended before `shaken` let it be served: count it."""
        self.figures.tls_failed += 1
        fault = client_certificates.refusal(transport.getHandle(), reason.value)
        if fault:
            self._tell_refusal(origin.address, fault)

    def _tell_refusal(self, address: str, fault: str) -> None:
        self._untold += 1
        now = self.clock.seconds()
        if now < self._tell_from:
            return
        _log.info(
            "listener {name} refused {count} clients for their certificates; last {address}: {fault}",
            name=self.settings.name,
            count=self._untold,
            address=address,
            fault=fault,
        )
        self._untold, self._tell_from = 0, now + _QUIET

    def began(self) -> None:
        self.figures.transactions += 1
        self.pool.figures.transactions += 1

    def ended(self, relay: Relay) -> None:
        """A transaction is over: count it, and tell the observers."""
        figures, transaction, download = self.figures, relay.transaction, relay.download
        figures.bytes_in += relay.upload.bytes_in
        figures.bytes_out += download.bytes_out
        count(figures.ends, transaction.end)
        waited = transaction.waited()
        if download.response is not None:
            figures.client_times.add(waited)
            count_status(figures.statuses, self.pool.judge.status_told(download.response))
        if len(transaction.attempts) > 1:
            for attempt in transaction.attempts[:-1]:
                if attempt.reason is not None and attempt.reason in _AGAIN:
                    count(self.pool.figures.failovers, attempt.reason.value)
        promise = self._promise(relay.origin, relay.measured, waited)
        if self._observers:
            began = time.time() - (transaction.now - transaction.began)
            self._tell(record(relay, self._identities(), began, promise))

    def fast_ended(self, transaction: FastTransaction, response: Any, size: int) -> None:
        """The same for a fast transaction, which had this response, with so many bytes of content."""
        over = self._over
        if not over:
            if not self._turns_end:
                self._count_fast(transaction, response, size, time.time())
                return
            self.clock.later.append(self)  # asked each time: in a process that is forked it is another one
        over.append((transaction, response, size, time.time()))

    def end_turn(self) -> None:
        """Count and tell the fast transactions that ended in this turn of the reactor."""
        over, self._over = self._over, []
        for ended in over:
            self._count_fast(*ended)

    def _count_fast(self, transaction: FastTransaction, response: Any, size: int, now: float) -> None:
        figures, attempt = self.figures, transaction.attempt
        figures.bytes_out += size
        count(figures.ends, "ok")
        waited = attempt.first_byte - attempt.began
        figures.client_times.add(waited)
        count_status(figures.statuses, attempt.status)
        promise = self._promise(transaction.origin, attempt.stage == HEARD, waited)
        if self._observers:
            began = now - (attempt.ended - attempt.began)
            self._tell(fast_record(transaction, response, size, self._identities(), began, promise))

    def _promise(self, origin: Origin, measured: bool, waited: float) -> Promise | None:
        """What the group of a transaction that is over was promised, and whether that was kept: counted, if
        it was `measured`. None where there are no groups."""
        watch = self.pool.watch
        if watch is None:
            return None
        return watch.ended(origin, waited) if measured else watch.promise(origin)

    def refused(self, origin: Origin, error: BrokerError, answer: Any) -> None:
        """Something came that is no request; it is logged like one. `answer` is the message of its
        answer, None without one."""
        count(self.figures.ends, error.end)
        if answer is not None:
            count_status(self.figures.statuses, self.pool.judge.status_told(answer))
        if self._observers:
            self._tell(refusal(self.pool, origin, error, answer, self._identities(), time.time()))

    def _tell(self, fields: Mapping[str, Any]) -> None:
        for observer in self._observers:
            try:
                later = observer.transaction_ended(fields)
                if later is not None:
                    self._listen(later)
            except Exception:
                self._not_heard(Failure())

    def _listen(self, later: Any) -> None:
        """Nobody waits for what an observer does later, but a failure is told."""
        heard: Deferred[Any] = as_future(lambda: later)  # type: ignore[no-untyped-call]
        heard.addErrback(self._not_heard)

    def _not_heard(self, failure: Failure) -> None:
        _log.failure("An observer of listener {name} failed", failure, name=self.settings.name)

    def drain(self) -> Deferred[None]:
        """Let every connection end after its transaction; fires when none is left."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        if not self.connections:
            return succeed(None)
        empty: Deferred[None] = Deferred()
        self._empty.append(empty)
        return empty

    def shut(self) -> None:
        """End every connection now."""
        for connection in list(self.connections):
            connection.shut()

    def connection_lost(self) -> None:
        """A connection is gone; the last one of a drain ends it."""
        if not self.connections:
            self.end_turn()
            empty, self._empty = self._empty, []
            for waiting in empty:
                waiting.callback(None)
