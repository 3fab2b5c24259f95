"""Every setting, and the kind of value that it has: the only place that lists them.

Decides which keys a configuration has, what is plausible for each, and what of it does not work
yet. Invariant: the names and the defaults are those of `sslbroker.settings`; a default always fits
its own kind. Refuses to compare settings with each other: `rules` does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .. import settings
from .outside import (
    AccessLog,
    Address,
    Certificate,
    Endpoint,
    ExistingPath,
    HeaderFields,
    HeaderName,
    HostName,
    Network,
    Protocol,
    Statuses,
)
from .report import NotBuilt
from .tables import Items, Named, Table
from .text import TOKEN
from .values import Choice, Count, Duration, Flag, Kind, Number, Size, Word

NAME = Word(r"[A-Za-z0-9_-]{1,64}", "a name of letters, digits, _ and -, up to 64")
SECURE_LINK = Choice(False, True, "auto")
NETWORKS = Items(Network(), 'networks such as "192.0.2.0/24"')
STATUSES = Items(Statuses(), 'statuses such as 503, "5xx" or "500-503"')
PATH = Word(r"/[!-\"$-~]{0,1023}", 'a path such as "/healthz"')

LISTENER_TLS = Table(
    settings.ListenerTLS,
    "a table [listeners.NAME.tls]",
    certificates=Items(Certificate(), "paths of PEM files", least=1, alone="throwaway"),
    minimum=Choice("TLSv1.2", "TLSv1.3", advice="older versions are deprecated, see RFC 8996"),
    ciphers=Word(r"[A-Za-z0-9_:+!@=., -]{1,4096}", "an OpenSSL cipher list for TLS 1.2"),
    cipher_suites=Word(r"TLS_[A-Z0-9_:]{1,1000}", "TLS 1.3 suites joined by colons", empty=True),
    client_ca=ExistingPath("a PEM file"),
    client_certificate=Choice("", "optional", "required"),
)

LIMITS = Table(
    settings.Limits,
    "a table [listeners.NAME.limits]",
    handshake=Duration(),
    head=Duration(),
    idle=Duration(),
    read=Duration(),
    close=Duration(),
    tunnel=Duration(high="168h"),
    head_size=Size("256B", "1MiB"),
    headers=Count(1, 10_000),
    connections=Count(1, 10_000_000),
)

LISTENER = Table(
    settings.Listener,
    "a table [listeners.NAME]",
    endpoint=Endpoint(),
    pool=NAME,
    tls=LISTENER_TLS,
    limits=LIMITS,
    trusted=NETWORKS,
)

SERVER = Table(
    settings.Server,
    'an address such as "127.0.0.1:9001", or a table with an address',
    "address",
    address=Address(),
    weight=Count(1, 1000),
    maximum_transactions=Count(0, 1_000_000),
    maximum_links=Count(0, 1_000_000),
    continue_secure_link=SECURE_LINK,
)

LINK_TLS = Table(
    settings.LinkTLS,
    "a table [pools.NAME.tls]",
    ca=ExistingPath("a PEM file"),
    server_name=HostName(),
    verify=Flag(),
    certificate=ExistingPath("a PEM file"),
)

FAILOVER = Table(
    settings.Failover,
    "a table [pools.NAME.failover]",
    statuses=STATUSES,
    tries=Count(1, 100),
    methods=Items(Word(r"\*|[A-Z0-9!#$%&'+.^_`|~-]{1,32}", 'a method such as "GET"'), "methods", alone="*"),
    response_timeout=Duration(),
    connect_timeout=Duration(high="10m"),
    idempotency_header=Word(TOKEN, "the name of a header field", empty=True),
    reuse_for_unsafe=Flag(),
    hedge=Flag(),
    resume=Flag(),
    budget=Table(
        settings.RetryBudget,
        "a table { share = …, minimum = … }",
        share=Number(0, 1),
        minimum=Number(0, 100_000),
    ),
)

LINKS = Table(
    settings.LinkLimits,
    "a table [pools.NAME.links]",
    idle=Count(0, 100_000),
    idle_time=Duration(),
    head_size=Size("256B", "1MiB"),
    headers=Count(1, 10_000),
)

HEADERS = Table(
    settings.HeaderRules,
    "a table [pools.NAME.headers]",
    set=HeaderFields(),
    add=HeaderFields(),
    remove=Items(HeaderName(), "names of header fields"),
    host=Choice("keep", "server"),
    via=Flag(),
)

HEALTH = Table(
    settings.Health,
    "a table [pools.NAME.health]",
    path=PATH,
    interval=Duration("100ms", "1h"),
    timeout=Duration(high="1h"),
    rise=Count(1, 100),
    fall=Count(1, 100),
    statuses=STATUSES,
)

EJECTION = Table(
    settings.Ejection,
    "a table [pools.NAME.ejection]",
    failures=Count(1, 10_000),
    base=Duration(high="1h"),
    share=Number(0, 1),
)

QUEUE = Table(
    settings.Queue,
    "a table [pools.NAME.queue]",
    length=Count(0, 1_000_000),
    timeout=Duration(high="1h"),
)

PACING = Table(
    settings.Pacing,
    "a table [pools.NAME.pacing]",
    breaches=Count(1, 10_000),
    window=Duration(high="1h"),
    floor=Number(0, 1),
    queue=Count(0, 1_000_000),
    timeout=Duration(high="1h"),
    exclude=Items(PATH, "paths"),
)

POOL = Table(
    settings.Pool,
    "a table [pools.NAME]",
    servers=Items(SERVER, 'servers such as "127.0.0.1:9001"', least=1),
    protocol=Protocol(),
    continue_secure_link=SECURE_LINK,
    balance=Choice("round-robin", "least-connections", "least-time", "hash"),
    tls=LINK_TLS,
    failover=FAILOVER,
    links=LINKS,
    headers=HEADERS,
    health=HEALTH,
    ejection=EJECTION,
    queue=QUEUE,
    pacing=PACING,
    sticky=Table(settings.Sticky, "a table [pools.NAME.sticky]", cookie=Word(TOKEN, "the name of a cookie")),
)

GROUP = Table(
    settings.Group,
    "a table [groups.NAME]",
    networks=Items(Network(), 'networks such as "192.0.2.0/24"', least=1),
    priority=Count(1, 5),
    threshold=Duration(high="1h"),
)

STORAGE = Table(
    settings.Storage,
    "a table [storage]",
    initial=Size("4KiB", "1024GiB"),
    minimum=Size("4KiB", "1024GiB"),
    maximum=Size("4KiB", "1024GiB"),
    grow_above=Number(0, 1),
    shrink_below=Number(0, 1, closed=False),
    grow_by=Number(1.1, 100),
    shrink_by=Number(0.1, 0.9),
    per_transaction=Size("0B", "1024GiB"),
)

BROKER = Table(
    settings.Broker,
    "a table [broker]",
    name=Word(TOKEN, "a name without blanks (a token of RFC 9110 §5.6.2)", empty=True),
    workers=Choice("auto", other=Count(1, 1024)),
    state_directory=ExistingPath("a folder", exists=False),
    drain_timeout=Duration("0s", "24h"),
    transport=Choice("stock", "own"),
)

CONFIGURATION = Table(
    settings.Configuration,
    "tables",
    listeners=Named(LISTENER, NAME, required=True),
    pools=Named(POOL, NAME, required=True),
    groups=Named(GROUP, NAME),
    storage=STORAGE,
    log=Table(settings.Log, "a table [log]", access=AccessLog()),
    admin=Table(settings.Admin, "a table [admin]", endpoint=Endpoint()),
    broker=BROKER,
)

#: What the schema has and the broker does not do yet. Building a part removes its line here.
NOT_BUILT: Mapping[str, NotBuilt] = {
    "listeners.*.tls.client_ca": NotBuilt("asking clients for a certificate"),
    "listeners.*.tls.client_certificate": NotBuilt("asking clients for a certificate", built=("",)),
    "pools.*.protocol": NotBuilt("carrying plain streams", only=("tcp",)),
    "pools.*.balance": NotBuilt(
        "choosing servers by time or by hash", built=("round-robin", "least-connections")
    ),
    "pools.*.continue_secure_link": NotBuilt("a secure link to servers", built=(False,)),
    "pools.*.tls": NotBuilt("a secure link to servers"),
    "pools.*.servers[*].weight": NotBuilt("giving servers different weights", built=(1,)),
    "pools.*.servers[*].maximum_transactions": NotBuilt("a server's limit of transactions", built=(0,)),
    "pools.*.servers[*].maximum_links": NotBuilt("a server's limit of links", built=(0,)),
    "pools.*.servers[*].continue_secure_link": NotBuilt("a secure link to servers", built=(False,)),
    "pools.*.failover.hedge": NotBuilt("hedging", built=(False,)),
    "pools.*.failover.resume": NotBuilt("resuming a broken response", built=(False,)),
    "pools.*.failover.budget": NotBuilt("a budget of tries"),
    "pools.*.health": NotBuilt("probing servers"),
    "pools.*.ejection": NotBuilt("ejecting servers that fail"),
    "pools.*.queue": NotBuilt("waiting for a free server"),
    "pools.*.pacing": NotBuilt("pacing plain traffic"),
    "pools.*.sticky": NotBuilt("keeping a client at its server"),
    "groups": NotBuilt("treating clients by group"),
    "broker.workers": NotBuilt("more than one worker process", built=(1,)),
    "broker.state_directory": NotBuilt("keeping state in a folder"),
    "broker.transport": NotBuilt("a transport other than Twisted's", built=("stock",)),
}


def homes(kind: Kind = CONFIGURATION, pattern: str = "") -> dict[str, Collection[str]]:
    """For each key, the patterns of the tables that have it."""
    found: dict[str, list[str]] = {}
    if isinstance(kind, Named):
        return homes(kind.table, f"{pattern}.*")
    if isinstance(kind, Items):
        return homes(kind.item, f"{pattern}[*]")
    if isinstance(kind, Table):
        for key, inner in kind.kinds.items():
            found.setdefault(key, []).append(pattern)
            for name, places in homes(inner, f"{pattern}.{key}".lstrip(".")).items():
                found.setdefault(name, []).extend(places)
    return {name: tuple(places) for name, places in found.items()}
