"""A pool while it runs: its members, their links and places, and the rules of its protocol.

Decides nothing of its own: it brings together what the configuration chose, and changes it when an operator
says so. Invariant: the order of its members is that of the configuration. Refuses to know how transactions
end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from txaio.tx import as_future

from ..config.report import same
from ..core.attempt import Attempt
from ..core.balancing import BALANCERS
from ..core.budget import Budget
from ..core.choosing import Choosing
from ..core.failover import Allowance
from ..core.figures import PoolFigures
from ..core.health import Health
from ..core.members import UNHEALTHY, Member
from ..core.pacing import STEP
from ..core.pool_limit import PoolLimit
from ..core.promises import Promises
from ..core.steps import Steps
from ..core.storage import Storage
from ..core.thresholds import Thresholds
from ..core.watch import Watch
from ..interfaces import (
    IAnswerTimes,
    IBackendProtocol,
    IBalancer,
    ICascades,
    IHealthChecks,
    IHosts,
    ILengths,
    IMeasured,
    IOwnAnswers,
    IResponseClassifier,
    IResumable,
    IShortCuts,
    IStickiness,
    Origin,
)
from ..settings import Group
from ..settings import Pool as PoolSettings
from . import link_tls, probing
from .judging import Judge
from .knocking import Knocking
from .lag import Lag
from .link_modes import LinkMode
from .link_tls import LinkContexts
from .links import Links
from .monitor import MonitorService
from .names import Names
from .pacing_log import PacingLog
from .pins import Pins
from .places import Places
from .probing import Found
from .transports import Transports

#: What an operator can say of a server.
STATES = ("up", "drain", "down")

#: Laws that look at nobody's key.
_KEYLESS = frozenset(("round-robin", "least-connections", "least-time"))


class Pool:
    """A named set of servers that can do the same work."""

    def __init__(
        self,
        settings: PoolSettings,
        protocol: IBackendProtocol,
        storage: Storage,
        monitor: MonitorService,
        clock: Any,
        broker_name: str,
        *,
        transports: Transports,
        names: Names,
        pins: Pins,
        contexts: Mapping[str, LinkContexts],
        balancer: IBalancer | None = None,
        classifier: IResponseClassifier | None = None,
        groups: Sequence[Group] = (),
        lag: Lag | None = None,
    ) -> None:
        """`contexts`, by address, are those of the servers whose links are or may become secure. Where there
        are `groups`, `lag` is how busy the event loop is."""
        self.settings = settings
        self.name = settings.name
        self.protocol = protocol
        self.rules = rules = protocol.rules(settings, broker_name)
        self.answer_times = rules if IAnswerTimes.providedBy(rules) else None
        self.health_checks = rules if IHealthChecks.providedBy(rules) else None
        self.hosts = rules if IHosts.providedBy(rules) else None
        self.lengths = rules if ILengths.providedBy(rules) else None
        self.own_answers = rules if IOwnAnswers.providedBy(rules) else None
        self.stickiness = rules if settings.sticky is not None and IStickiness.providedBy(rules) else None
        self.cascades = rules if ICascades.providedBy(rules) else None
        self.short_cuts: IShortCuts = rules if IShortCuts.providedBy(rules) else Steps(rules)
        self.judge = Judge(classifier or protocol.classifier(settings), self.cascades, settings.trusted)
        self.storage = storage
        self.monitor = monitor
        self.clock = clock
        self.now: Callable[[], float] = clock.seconds
        #: Is a slow request given to a second server, too?
        self.hedges = settings.failover.hedge
        self.budget = Budget(settings.failover.budget, clock.seconds())
        self.allowance = Allowance(settings.failover.tries, self.budget, self.outage)
        self.resumable = rules if IResumable.providedBy(rules) else None
        #: Is the rest of a response that broke off asked for elsewhere?
        self.resumes = settings.failover.resume and self.resumable is not None
        self.members = [Member(server, settings.slow_start) for server in settings.servers]
        self.figures = PoolFigures(
            settings.name, settings.protocol, [member.figures for member in self.members]
        )
        #: For how many seconds at most the event loop was busy at once between two times, as far as is known.
        self.busy = lag.worst if lag is not None else _not_busy
        #: What clients are promised.
        self.thresholds = Thresholds(groups, self.members if groups else ())
        #: What follows from that; None: there are no groups, and nobody gives way to anybody.
        self.promises: Promises | None = None
        #: And what they get.
        self.watch: Watch | None = None
        if groups:
            self.watch = watch = Watch(groups, self.members, self.figures, self.thresholds)
            self.promises = Promises(
                self.members, settings.pacing, self.thresholds, self.figures, self.busy, watch
            )
            monitor.gauges.watch(settings.name, watch)
        #: Does anything follow from how long a request takes?
        self.watched = self.promises is not None or self.hedges
        self.measured = rules if self.watched and IMeasured.providedBy(rules) else None
        most = settings.maximum_transactions
        #: Of all its servers together; None: there is none.
        self.limit = PoolLimit(self.members, most) if most else None
        law = balancer or BALANCERS[settings.balance]()
        self._choosing = choosing = Choosing(self.members, law, self.promises, self.limit)
        self.places = Places(
            self.members, choosing, settings.queue, self.figures, clock, self.promises, settings.pacing
        )
        self._looking: LoopingCall | None = None
        if self.promises is not None:
            pacing_log = PacingLog(self.figures, self.promises, lambda: self.places.held)
            self._looking = LoopingCall(self._look, self.promises, pacing_log)
            self._looking.clock = clock
        self.links = {
            member: Links(
                member,
                settings,
                protocol.server_codec,
                clock,
                transports,
                names,
                contexts.get(member.address),
            )
            for member in self.members
        }
        health = Health(self.members, settings.ejection)
        monitor.watch(settings.name, self.members, health, self.places.freed)
        for member, links in self.links.items():
            links.freed = self.places.freed
            links.knocking = Knocking(settings.name, member, links, clock, self.places.freed)
            mode = member.settings.continue_secure_link
            links.mode = LinkMode(
                settings.name,
                member,
                settings.continue_secure_link if mode is None else mode,
                pins,
                self._prober(links),
                clock,
                links.mode_changed,
            )
        self._keyed = balancer is not None or settings.balance not in _KEYLESS
        #: May its transactions be fast ones? Not where a plugin judges, which is asked once, nor where the
        #: protocol has more to say than that a request is carried, nor where a second try may be made.
        self.takes_fast_path = (
            classifier is None
            and self.answer_times is None
            and self.own_answers is None
            and self.stickiness is None
            and not self.hedges
        )

    def start(self) -> None:
        """Begin to look names up, and to find out what the servers of `auto` speak."""
        for links in self.links.values():
            links.start()
            links.mode.start()

    def pace(self) -> None:
        """Begin to look what time does to promises. For who serves transactions: in a parent of workers the
        figures are the workers' sums, which nothing of its own may write."""
        if self._looking is not None:
            self._looking.start(STEP, now=False)

    def close(self) -> None:
        """Close the links that serve nobody; nothing is looked up or probed any more."""
        if self._looking is not None and self._looking.running:
            self._looking.stop()
        self.places.stop()
        for links in self.links.values():
            links.mode.stop()
            links.close()

    def _look(self, promises: Promises, pacing_log: PacingLog) -> None:
        """Time has passed: who waits may have room now."""
        now = self.now()
        promises.look(now)
        self.places.freed()
        pacing_log.look(now)

    # --- the choice of a server ---

    def outage(self) -> bool:
        """Can no server be reached at present, but one may come back?"""
        return self._choosing.outage

    def patience(self, origin: Origin) -> float:
        """For how many seconds a transaction of this client may wait for a server."""
        return self.places.patience(origin)

    def choose(
        self,
        attempts: Sequence[Attempt],
        request: Any,
        origin: Origin,
        stuck: str,
        until: float | None = None,
    ) -> Member | Deferred[Member]:
        """The member for a transaction's next try, or a Deferred of it (`Places.choose`).

        `stuck` is the key that the client came back with. `until` bounds how long it waits for a member.
        """
        used = [attempt.member for attempt in attempts] if attempts else ()
        key = self._key(request, origin) if self._keyed else b""
        return self.places.choose(used, origin, key, stuck, until)

    def choose_beside(self, attempts: Sequence[Attempt], request: Any, origin: Origin) -> Member | None:
        """The member for a try beside the last one, which takes long; None: there is none at once."""
        used = [attempt.member for attempt in attempts]
        key = self._key(request, origin) if self._keyed else b""
        chosen: Any = self._choosing.beside(used, origin, key, self.now())
        if chosen is None or type(chosen) is Member:
            return chosen
        thinking = as_future(lambda: chosen)  # type: ignore[no-untyped-call]
        thinking.addErrback(lambda _: None)  # a balancer that takes its time is not waited for
        thinking.cancel()
        return None

    def counts(self, request: Any, stream: bool) -> bool:
        """Does its time say how fast a server is?"""
        return not stream and (self.measured is None or self.measured.measured(request))

    def _key(self, request: Any, origin: Origin) -> bytes:
        key: bytes | None = self.rules.affinity(request)
        return origin.address.encode() if key is None else key

    # --- what an operator changes ---

    def member(self, address: str) -> Member:
        """The member at `address`, as the configuration writes it; `KeyError` when there is none."""
        for member in self.members:
            if member.address == address:
                return member
        raise KeyError(address)

    def set_link_mode(self, mode: bool | str, address: str | None = None) -> None:
        """How links are made from now on, to one server or to all: False, True or "auto".

        Transactions under way end on the links that they have. Raises `KeyError` for an unknown server,
        `ValueError` for another mode and `StartError` when secure links cannot be made.
        """
        if not same(mode, (False, True, "auto")):
            raise ValueError(f"found the link mode {mode!r}, expected False, True or 'auto'")
        members = self.members if address is None else [self.member(address)]
        if mode and any(self.links[member].contexts is None for member in members):
            made = link_tls.of_pool(self.settings, self.protocol.alpn)
            for member in self.members:
                self.links[member].contexts = self.links[member].contexts or made[member.address]
        for member in members:
            self.links[member].mode.set_mode(mode)

    def clear_pin(self, address: str) -> None:
        """Forget what was found of this server in mode "auto"; `KeyError` for an unknown server."""
        self.links[self.member(address)].mode.clear_pin()

    def set_server(self, address: str, state: str | None = None, weight: int | None = None) -> None:
        """Change a server: "up", "drain" (only clients that are stuck to it) or "down", and its weight.

        Transactions under way go on. Raises `KeyError` for an unknown server, `ValueError` for another
        state, or a weight that is not from 1 to 1000.
        """
        member = self.member(address)
        if state is not None and state not in STATES:
            raise ValueError(f"found the state {state!r}, expected {', '.join(map(repr, STATES))}")
        if weight is not None and not (type(weight) is int and 1 <= weight <= 1000):
            raise ValueError(f"found the weight {weight!r}, expected an integer from 1 to 1000")
        if weight is not None:
            member.weight = member.figures.weight = weight
        if state is not None:
            member.draining = state == "drain"
            if state == "down":
                member.bar("down", "by the operator")
            else:
                member.unbar("down", self.clock.seconds())
            self.places.freed()

    # --- what checks say ---

    def set_health(self, address: str, why: str) -> None:
        """A server is unhealthy, and why; or "": it is healthy again. `KeyError` for an unknown server.

        Transactions under way go on.
        """
        member = self.member(address)
        if why:
            member.bar(UNHEALTHY, why)
        else:
            member.unbar(UNHEALTHY, self.clock.seconds())
        self.places.freed()

    # --- what is shown ---

    def describe(self) -> Mapping[str, Mapping[str, Any]]:
        """How each server stands, by address: for people and programs that ask."""
        return {member.address: self._describe(member) for member in self.members}

    def _describe(self, member: Member) -> Mapping[str, Any]:
        links = self.links[member]
        state = "down" if "down" in member.bars else "drain" if member.draining else "up"
        secure = links.mode.secure
        return {
            "state": state,
            "open": member.open,
            "bars": dict(member.bars),
            "weight": member.weight,
            "link": "unknown" if secure is None else "secure" if secure else "plain",
            "link_mode": links.mode.mode,
            "finding": links.mode.finding.value if links.mode.mode == "auto" else None,
            "addresses": list(links.addresses),
        }

    def _prober(self, links: Links) -> Callable[[], Deferred[Found]]:
        timeout = self.settings.failover.connect_timeout
        turns = count()

        def ask(_: object) -> Deferred[Found]:
            assert links.contexts is not None
            # All questions of one probe are to the same address, those of the next one to the next.
            reach = partial(links.reach, next(turns))
            host = links.member.settings.host
            return probing.probe(reach, links.contexts, self.protocol, host, timeout, self.clock)

        def find_out() -> Deferred[Found]:
            return links.resolved().addCallback(ask)

        return find_out


def _not_busy(since: float, now: float) -> float:
    return 0.0
