"""The broker of sslbroker.toml, in Python. It runs as it is: `twistd -ny etc/sslbroker.tac`.

Durations are seconds and sizes are bytes. Every setting, with its default: docs/configuration.md.
"""

from ipaddress import ip_network
from pathlib import Path

import sslbroker
from sslbroker.settings import (
    Admin,
    Broker,
    Configuration,
    Failover,
    Limits,
    Listener,
    ListenerTLS,
    Log,
    MiB,
    Pool,
    Server,
    Storage,
)

configuration = Configuration(
    source=__file__,
    listeners=(
        Listener(
            name="https",
            endpoint="tcp:8443",
            pool="shop",
            # Self-signed, made at each start: for trying out only. Instead of it, name PEM files with
            # key and chain, for example Path(__file__).with_name("certs") / "shop.pem".
            tls=ListenerTLS(certificates=(Path("throwaway"),)),
            limits=Limits(handshake=10.0, head=10.0, idle=60.0),
        ),
        Listener(
            name="http",
            endpoint="tcp:8080",
            pool="shop",
            trusted=(ip_network("127.0.0.1/32"), ip_network("::1/128")),
        ),
    ),
    pools=(
        Pool(
            name="shop",
            balance="least-time",
            servers=tuple(Server(f"127.0.0.1:{port}") for port in (9001, 9002, 9003)),
            failover=Failover(
                statuses=((500, 599), (600, 699)),
                tries=3,
                connect_timeout=2.0,
                response_timeout=30.0,
            ),
        ),
    ),
    storage=Storage(minimum=1 * MiB, initial=4 * MiB, maximum=256 * MiB),
    log=Log(access="-"),
    admin=Admin(endpoint="tcp:9100:interface=127.0.0.1"),
    broker=Broker(drain_timeout=30.0),
)

application = sslbroker.application(configuration)
