"""What is counted while the broker runs: plain integers, bumped in place, read at a scrape.

Decides which figures exist. Invariant: a counter never decreases, a gauge (named so) may; nothing
here allocates per transaction, locks or formats. Refuses to know who reads: `observe` turns these
objects into Prometheus text and JSON.
"""

from __future__ import annotations

from bisect import bisect_left

#: Upper bounds of the buckets of a histogram of times, in seconds.
TIME_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)

#: How plain traffic to a server stands, from good to bad: nothing is held back, some is, and holding it back
#: has not helped.
OPEN, PACED, INEFFECTIVE = PACING = ("open", "paced", "ineffective")

#: Of groups of clients, the lowest first.
PRIORITIES = (1, 2, 3, 4, 5)

#: The class of a status, by its first digit.
CLASSES = tuple(f"{hundred}xx" for hundred in range(10))


def count(counts: dict[str, int], word: str) -> None:
    """One more of `word`."""
    counts[word] = counts.get(word, 0) + 1


def count_status(statuses: dict[str, int], status: int) -> None:
    """One more answer of the class of `status`; 0, of a protocol without statuses, is not counted."""
    if status:
        count(statuses, CLASSES[status // 100 % 10])


class Times:
    """A histogram, in seconds: `counts[i]` is up to ``TIME_BUCKETS[i]``, the last is above all."""

    __slots__ = ("count", "counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(TIME_BUCKETS) + 1)
        self.count = 0
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(TIME_BUCKETS, seconds)] += 1
        self.count += 1
        self.sum += seconds


class ListenerFigures:
    """One listener."""

    __slots__ = (
        "accepted",
        "bytes_in",
        "bytes_out",
        "client_times",
        "endpoint",
        "ends",
        "name",
        "open",
        "pool",
        "refused",
        "secure",
        "statuses",
        "tls_failed",
        "transactions",
    )

    def __init__(self, name: str, endpoint: str, pool: str, secure: bool) -> None:
        self.name = name
        self.endpoint = endpoint
        self.pool = pool
        self.secure = secure
        self.open = 0  # gauge: client connections
        self.accepted = 0  # client connections
        self.refused = 0  # client connections over `limits.connections`
        self.tls_failed = 0  # handshakes
        self.transactions = 0
        self.bytes_in = 0  # content of requests
        self.bytes_out = 0  # content of responses
        self.ends: dict[str, int] = {}  # transactions by how they ended: "ok", "watch:silent", …
        self.statuses: dict[str, int] = {}  # answers that clients got, by class: "2xx"
        self.client_times = Times()  # request head received → first byte of the response written


class GroupFigures:
    """One group of clients at one pool, by its secure transactions. Without a name: clients in no group."""

    __slots__ = (
        "breaches",
        "client_times",
        "idle",
        "name",
        "priority",
        "threshold",
        "transactions",
    )

    def __init__(self, name: str, priority: int) -> None:
        self.name = name
        self.priority = priority
        self.threshold = 0.0  # gauge: seconds that it is promised
        self.idle = 0.0  # gauge: seconds that the pool takes when it is idle; 0.0: not known yet
        self.transactions = 0
        self.breaches = 0  # those that took longer than promised; there are none of clients in no group
        self.client_times = Times()

    @property
    def too_low(self) -> bool:
        """It is promised less than the pool takes even when it is idle. Clients in no group are not."""
        return bool(self.name) and self.idle > self.threshold


class WatchFigures:
    """The server times of one group at one server, lately: seconds, and how many there were."""

    __slots__ = ("count", "group", "mean", "p50", "p95", "p99")

    def __init__(self, group: str) -> None:
        self.group = group
        self.count = 0  # gauge
        self.mean = self.p50 = self.p95 = self.p99 = 0.0  # gauges


class QueueFigures:
    """Those of one priority who wait for a place in a pool."""

    __slots__ = ("length", "priority", "waits")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.length = 0  # gauge
        self.waits = Times()  # of those who had to wait and got a place


class ServerFigures:
    """One server of a pool."""

    __slots__ = (
        "address",
        "bytes_in",
        "bytes_out",
        "checks",
        "last_check",
        "last_check_at",
        "ejected",
        "ejections",
        "links_busy",
        "links_connecting",
        "links_draining",
        "links_idle",
        "links_opened",
        "last_failure",
        "last_failure_at",
        "links_reused",
        "outages",
        "outcomes",
        "outstanding",
        "pacing",
        "reductions",
        "resting",
        "rests",
        "server_times",
        "statuses",
        "unreachable",
        "watches",
        "weight",
        "window",
    )

    def __init__(self, address: str, weight: int) -> None:
        self.address = address
        self.weight = weight
        self.outstanding = 0  # gauge: tries under way
        self.links_connecting = 0  # gauge
        self.links_idle = 0  # gauge
        self.links_busy = 0  # gauge
        self.links_draining = 0  # gauge
        self.last_failure = ""  # of a try: its cause, and what is known of it
        self.last_failure_at = 0.0  # seconds since the epoch; 0.0: there was none
        self.checks: dict[str, int] = {}  # active checks by result: a `Cause` value
        self.last_check = ""  # what the last of them found
        self.last_check_at = 0.0  # seconds since the epoch; 0.0: there was none
        self.unreachable = 0  # gauge: 1 while it takes no link
        self.ejected = 0  # gauge: 1 while it is left out because of its failures
        self.resting = 0  # gauge: 1 while it is left alone because it asked for it
        self.outages = 0  # times that it took no link any more
        self.ejections = 0
        self.rests = 0
        self.links_opened = 0
        self.links_reused = 0
        self.bytes_out = 0  # content of requests sent to it
        self.bytes_in = 0  # content of responses received from it
        self.outcomes: dict[str, int] = {}  # tries by outcome: a `Cause` value
        self.statuses: dict[str, int] = {}  # answers by class: "2xx"
        self.server_times = Times()  # request sent → first byte of the response's head
        self.pacing = OPEN  # of plain traffic, one of `PACING`
        self.window = 0  # gauge: tries under way up to which plain ones begin; 0: it is not paced
        self.reductions = 0  # of that window
        self.watches: list[WatchFigures] = []  # of each group of the pool, in its order

    @property
    def links(self) -> int:
        """All that are open, or being made."""
        return self.links_connecting + self.links_idle + self.links_busy + self.links_draining


class PoolFigures:
    """One pool and its servers."""

    __slots__ = (
        "failovers",
        "groups",
        "hedges",
        "hedges_won",
        "held_back",
        "name",
        "plain_share",
        "protocol",
        "queued",
        "queues",
        "servers",
        "shed",
        "transactions",
    )

    def __init__(self, name: str, protocol: str, servers: list[ServerFigures]) -> None:
        self.name = name
        self.protocol = protocol
        self.servers = servers
        self.transactions = 0
        self.queued = 0  # gauge: transactions that wait for a place
        self.queues = [QueueFigures(priority) for priority in PRIORITIES]
        self.hedges = 0  # tries beside one that took long
        self.hedges_won = 0  # those of them that took its place
        self.failovers: dict[str, int] = {}  # next tries by the reason that allowed them
        #: Of the configured groups, and last of the clients in none; empty where none is configured.
        self.groups: list[GroupFigures] = []
        self.plain_share = 1.0  # gauge: the part of plain transactions that was not held back lately
        self.held_back = 0  # plain transactions that had to wait for the sake of secure ones
        self.shed = 0  # plain transactions that were refused for it


class StorageFigures:
    """The storage budget of the process, in bytes."""

    __slots__ = ("given_up", "grown", "maximum", "replay", "shrunk", "size", "unsent")

    def __init__(self, size: int, maximum: int) -> None:
        self.size = size  # gauge: what the budget has sized itself to
        self.maximum = maximum  # gauge
        self.unsent = 0  # gauge: bytes not yet sent to any server
        self.replay = 0  # gauge: copies of sent bytes
        self.grown = 0  # resizes up
        self.shrunk = 0  # resizes down
        self.given_up = 0  # transactions that lost their replay copy


class WorkerFigures:
    """One worker process, as its parent sees it."""

    __slots__ = (
        "connections",
        "cpu",
        "memory",
        "number",
        "pid",
        "restarts",
        "since",
        "state",
        "transactions",
    )

    def __init__(self, number: int) -> None:
        self.number = number  # of its slot, from 1
        self.pid = 0  # 0: there is none now
        self.state = "starting"  # or "serving", "leaving"
        self.since = 0.0  # seconds since the epoch: when it began
        self.restarts = 0  # of its slot
        self.connections = 0  # gauge: clients
        self.transactions = 0
        self.cpu = 0.0  # seconds
        self.memory = 0  # gauge: resident bytes


class BrokerFigures:
    """Everything that is counted in one broker."""

    __slots__ = ("lag", "lag_worst", "listeners", "overloaded", "pools", "started", "storage")

    def __init__(
        self,
        listeners: list[ListenerFigures],
        pools: list[PoolFigures],
        storage: StorageFigures,
        started: float,
    ) -> None:
        self.listeners = listeners
        self.pools = pools
        self.storage = storage
        self.started = started  # seconds since the epoch
        self.lag = 0.0  # gauge: seconds by which the event loop was late lately, as a mean
        self.lag_worst = 0.0  # gauge: the most of it lately
        self.overloaded = 0  # gauge: 1 while lag holds plain traffic back
