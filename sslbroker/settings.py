"""What an operator decided, as frozen objects: the form that TOML and ``.tac`` files share.

Decides the names and defaults of every setting. Invariant: frozen, compared by value,
and without state of the running broker, so that a reload is a comparison of two of these. Durations are
seconds, sizes are bytes. Refuses to read text or to check: `sslbroker.config` does both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

KiB = 1024
MiB = 1024 * KiB

Network = IPv4Network | IPv6Network
StatusRange = tuple[int, int]  # first and last status, both included

#: In `tls.certificates`: a certificate that lives as long as the process, for trying out.
THROWAWAY = Path("throwaway")

IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")  # RFC 9110 §9.2.2

#: Mozilla's "intermediate" server profile for TLS 1.2 (guidelines 5.7); TLS 1.3 suites are separate.
INTERMEDIATE_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)


@dataclass(frozen=True, slots=True)
class NamedClients:
    """What clients show who ask for one name by SNI, instead of what the listener says."""

    name: str  # "admin.shop.test", or "*.admin.shop.test" for the names one label below
    client_ca: Path | None = None
    client_certificate: str = ""  # "", "optional" or "required"


@dataclass(frozen=True, slots=True)
class ListenerTLS:
    """How a secure listener speaks TLS."""

    certificates: tuple[Path, ...]  # PEM files with key and chain, or directories of them
    minimum: str = "TLSv1.2"  # or "TLSv1.3"
    ciphers: str = INTERMEDIATE_CIPHERS  # TLS 1.2, an OpenSSL cipher list
    cipher_suites: str = ""  # TLS 1.3; empty: OpenSSL's default
    client_ca: Path | None = None
    client_certificate: str = ""  # "", "optional" or "required"
    names: tuple[NamedClients, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a listener grants a client: seconds, bytes, counts."""

    handshake: float = 10.0
    head: float = 10.0
    idle: float = 60.0  # between requests, and without progress of a request's body
    read: float = 60.0  # without progress of a client reading its response
    close: float = 5.0
    tunnel: float = 3600.0  # without a byte either way: streams, and after an Upgrade
    head_size: int = 32 * KiB
    headers: int = 100
    body_size: int = 0  # of a request; 0: no limit
    connections: int = 20_000


@dataclass(frozen=True, slots=True)
class Listener:
    """One endpoint that the broker accepts clients on."""

    name: str
    endpoint: str
    pool: str
    tls: ListenerTLS | None = None
    limits: Limits = Limits()
    trusted: tuple[Network, ...] = ()
    group_header: str = ""  # in which a trusted proxy names its client's group; "": in none

    @property
    def secure(self) -> bool:
        return self.tls is not None


@dataclass(frozen=True, slots=True)
class LinkTLS:
    """How a secure link is made and verified."""

    ca: Path | None = None  # None: what the system trusts
    server_name: str = ""  # for SNI and verification; "": the host of the server's address
    verify: bool = True
    certificate: Path | None = None  # PEM with key and chain, for servers that ask for one
    minimum: str = "TLSv1.2"  # or "TLSv1.3"


@dataclass(frozen=True, slots=True)
class Server:
    """One fulfillment server of a pool."""

    address: str  # "host:port" or "[v6]:port"
    weight: int = 1
    maximum_transactions: int = 0  # 0: no limit
    maximum_links: int = 0
    continue_secure_link: bool | str | None = None  # None: as the pool says
    tls: LinkTLS | None = None  # None: as the pool says; else instead of all that the pool says

    @property
    def host(self) -> str:
        host = self.address.rpartition(":")[0]
        return host[1:-1] if host.startswith("[") else host

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class RetryBudget:
    share: float = 0.1
    minimum: float = 3.0


@dataclass(frozen=True, slots=True)
class Failover:
    """When another server is tried."""

    statuses: tuple[StatusRange, ...] = ((500, 599), (600, 699))
    tries: int = 3
    methods: tuple[str, ...] = IDEMPOTENT  # ("*",): every method
    response_timeout: float = 30.0
    connect_timeout: float = 2.0
    idempotency_header: str = "Idempotency-Key"
    reuse_for_unsafe: bool = False
    replay: bool = False  # a stream's bytes may reach a second server, until the first answers
    hedge: bool = False
    resume: bool = True
    budget: RetryBudget = RetryBudget()


@dataclass(frozen=True, slots=True)
class Health:
    """How servers are checked, beside what transactions show of them."""

    path: str = ""  # "": nothing is asked, a check is a link that is made
    interval: float = 2.0
    timeout: float = 2.0
    rise: int = 2
    fall: int = 3
    statuses: tuple[StatusRange, ...] = ((200, 299), (300, 399))


@dataclass(frozen=True, slots=True)
class Ejection:
    failures: int = 5
    base: float = 10.0
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Queue:
    length: int = 1000
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Pacing:
    breaches: int = 1
    window: float = 0.1
    floor: float = 0.05
    queue: int = 1000
    timeout: float = 5.0
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The operator's own changes to the headers that a server sees."""

    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    host: str = "keep"  # or "server"
    via: bool = True
    client_certificate: str = "full"  # or "details" (not the certificate itself), or "none"


@dataclass(frozen=True, slots=True)
class Sticky:
    cookie: str


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What the broker keeps open towards one server: counts and seconds."""

    idle: int = 64  # idle links kept for each server
    idle_time: float = 50.0  # below the 60 s and 75 s after which common servers close
    head_size: int = 64 * KiB
    headers: int = 200


@dataclass(frozen=True, slots=True)
class Pool:
    """A named set of servers that can do the same work."""

    name: str
    servers: tuple[Server, ...]
    protocol: str = "http"
    continue_secure_link: bool | str = False
    balance: str = "least-time"  # or a plugin's name
    hash_cookie: str = ""  # for "hash": the cookie whose value counts; "": the client's address
    slow_start: float = 10.0  # seconds in which a server that is back gets its full share
    maximum_transactions: int = 0  # of all servers together; 0: no limit
    classifier: str = ""  # a plugin's name; "": the protocol's own
    trusted: tuple[Network, ...] = ()  # servers that are brokers: how often they tried is believed
    tls: LinkTLS | None = None
    failover: Failover = Failover()
    links: LinkLimits = LinkLimits()
    headers: HeaderRules = HeaderRules()
    health: Health | None = None
    ejection: Ejection = Ejection()
    queue: Queue = Queue()
    pacing: Pacing = Pacing()
    sticky: Sticky | None = None


#: Seconds that a group of each priority is promised, unless its own threshold says something else.
THRESHOLDS = {5: 0.010, 4: 0.020, 3: 0.030, 2: 0.040, 1: 0.050}


@dataclass(frozen=True, slots=True)
class Group:
    """Clients that are treated alike."""

    name: str
    networks: tuple[Network, ...] = ()
    priority: int = 1  # to 5, the highest
    threshold: float | str | None = None  # seconds, or "auto"; None: follows from the priority
    queue_timeout: float | None = None  # seconds in a pool's queue; None: as the pool says
    files: tuple[Path, ...] = ()  # of networks, one a line
    certificates: tuple[str, ...] = ()  # what a client's certificate names (`core.groups.GroupNames`)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Who is asked for the group of a client, beside what the groups' own tables say."""

    plugins: tuple[str, ...] = ()  # their names, in the order in which they are asked


@dataclass(frozen=True, slots=True)
class Storage:
    """The one budget for everything that transactions keep in memory, in bytes."""

    initial: int = 4 * MiB
    minimum: int = 1 * MiB
    maximum: int = 256 * MiB
    grow_above: float = 0.95
    shrink_below: float = 0.40
    grow_by: float = 2.0
    shrink_by: float = 0.5
    per_transaction: int = 1 * MiB


@dataclass(frozen=True, slots=True)
class Log:
    access: str = ""  # a path, "-" for standard output, "" for none
    observers: tuple[str, ...] = ()  # names of plugins that hear of every transaction


@dataclass(frozen=True, slots=True)
class Admin:
    endpoint: str


@dataclass(frozen=True, slots=True)
class Names:
    """How names of servers are resolved: seconds."""

    servers: tuple[str, ...] = ()  # of DNS, "address" or "address:port"; (): what /etc/resolv.conf says
    minimum: float = 1.0  # a shorter time to live is taken for this
    maximum: float = 300.0  # a longer one for this
    timeout: float = 5.0  # of one lookup


@dataclass(frozen=True, slots=True)
class Broker:
    """Settings of the process; `name` is the broker's own pseudonym in ``Via``."""

    name: str = ""  # "": chosen at random at each start
    workers: int | str = 1
    state_directory: Path | None = None
    drain_timeout: float = 30.0
    worker_timeout: float = 30.0
    transport: str = "own"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything an operator decided."""

    listeners: tuple[Listener, ...]
    pools: tuple[Pool, ...]
    groups: tuple[Group, ...] = ()
    grouping: Grouping = Grouping()
    storage: Storage = Storage()
    log: Log = Log()
    admin: Admin | None = None
    broker: Broker = Broker()
    names: Names = Names()
    source: str = "configuration"  # the file it came from, for messages

    def pool(self, name: str) -> Pool:
        """The pool of that name; `KeyError` when there is none."""
        for pool in self.pools:
            if pool.name == name:
                return pool
        raise KeyError(name)
