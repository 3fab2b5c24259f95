"""Every setting, and the kind of value that it has: the only place that lists them.

Decides which keys a configuration has, and what is plausible for each. Invariant: the names and the
defaults are those of `sslbroker.settings`; a default always fits its own kind. Refuses to compare
settings with each other: `rules` does.
"""

from __future__ import annotations

from collections.abc import Collection

from .. import settings
from .outside import (
    AccessLog,
    Address,
    AskedName,
    Certificate,
    CertificateEntry,
    Endpoint,
    ExistingPath,
    Extension,
    GroupHeader,
    HeaderFields,
    HeaderName,
    HostName,
    NameServer,
    Network,
    Statuses,
)
from .tables import Items, Named, Table
from .text import TOKEN
from .values import Choice, Count, Duration, DurationOr, Flag, Kind, Number, Size, Word

NAME = Word(r"[A-Za-z0-9_-]{1,64}", "a name of letters, digits, _ and -, up to 64")
SECURE_LINK = Choice(False, True, "auto")
VERSION = Choice("TLSv1.2", "TLSv1.3", advice="older versions are deprecated, see RFC 8996")
NETWORKS = Items(Network(), 'networks such as "192.0.2.0/24"')
STATUSES = Items(Statuses(), 'statuses such as 503, "5xx" or "500-503"')
CHECKED_PATH = Word(r"/[!-\"$-~]{0,1023}", 'a path such as "/healthz"', empty=True)
MEASURED_PATH = Word(r"/[!-\"$->@-~]{0,1023}", 'a path such as "/events", without a query')

NAMED_CLIENTS = Table(
    settings.NamedClients,
    "a table [listeners.NAME.tls.names.NAME]",
    client_ca=ExistingPath("a PEM file"),
    client_certificate=Choice("", "optional", "required"),
)

LISTENER_TLS = Table(
    settings.ListenerTLS,
    "a table [listeners.NAME.tls]",
    certificates=Items(Certificate(), "paths of PEM files", least=1, alone="throwaway"),
    minimum=VERSION,
    ciphers=Word(r"[A-Za-z0-9_:+!@=., -]{1,4096}", "an OpenSSL cipher list for TLS 1.2"),
    cipher_suites=Word(r"TLS_[A-Z0-9_:]{1,1000}", "TLS 1.3 suites joined by colons", empty=True),
    client_ca=ExistingPath("a PEM file"),
    client_certificate=Choice("", "optional", "required"),
    names=Named(NAMED_CLIENTS, AskedName()),
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
    body_size=Size("0B", "1024GiB"),
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
    group_header=GroupHeader(),
)

LINK_TLS = Table(
    settings.LinkTLS,
    "a table of settings for secure links",
    ca=ExistingPath("a PEM file"),
    server_name=HostName(),
    verify=Flag(),
    certificate=ExistingPath("a PEM file"),
    minimum=VERSION,
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
    tls=LINK_TLS,
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
    replay=Flag(),
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
    client_certificate=Choice("full", "details", "none"),
)

HEALTH = Table(
    settings.Health,
    "a table [pools.NAME.health]",
    path=CHECKED_PATH,
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
    exclude=Items(MEASURED_PATH, "paths"),
)

POOL = Table(
    settings.Pool,
    "a table [pools.NAME]",
    servers=Items(SERVER, 'servers such as "127.0.0.1:9001"', least=1),
    protocol=Extension("protocols", "a protocol plugin"),
    continue_secure_link=SECURE_LINK,
    balance=Extension("balancing", "a balancing plugin"),
    hash_cookie=Word(TOKEN, "the name of a cookie", empty=True),
    slow_start=Duration("0s", "1h"),
    maximum_transactions=Count(0, 1_000_000),
    classifier=Extension("classification", "a classification plugin", empty=True),
    trusted=NETWORKS,
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
    networks=NETWORKS,
    priority=Count(1, 5),
    threshold=DurationOr("auto", high="1h"),
    queue_timeout=Duration(high="1h"),
    files=Items(ExistingPath("a file of networks"), "paths of files of networks"),
    certificates=Items(CertificateEntry(), "what client certificates name"),
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
    worker_timeout=Duration("1s", "24h"),
    transport=Choice("own", "stock"),
)

NAMES = Table(
    settings.Names,
    "a table [names]",
    servers=Items(NameServer(), "addresses of DNS servers"),
    minimum=Duration("100ms", "1h"),
    maximum=Duration("1s", "24h"),
    timeout=Duration("100ms", "1m"),
)

CONFIGURATION = Table(
    settings.Configuration,
    "tables",
    listeners=Named(LISTENER, NAME, required=True),
    pools=Named(POOL, NAME, required=True),
    groups=Named(GROUP, NAME),
    grouping=Table(
        settings.Grouping,
        "a table [grouping]",
        plugins=Items(Extension("grouping", "a grouping plugin"), "names of grouping plugins"),
    ),
    storage=STORAGE,
    log=Table(
        settings.Log,
        "a table [log]",
        access=AccessLog(),
        observers=Items(Extension("observers", "an observer plugin"), "names of observer plugins"),
    ),
    admin=Table(settings.Admin, "a table [admin]", endpoint=Endpoint()),
    broker=BROKER,
    names=NAMES,
)


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
