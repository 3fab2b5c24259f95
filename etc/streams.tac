"""Streams over TLS, and servers that are drained while it runs: `twistd -ny etc/streams.tac`.

A chat whose clients connect by TLS; their streams go on by TLS to servers whose certificates are verified. An older
pool is on its way to TLS: each server is asked what it speaks, and who has spoken TLS is never spoken to in plain again.

    echo 127.0.0.1:6701 > etc/drained      # no new clients for this server; those that it has stay
    rm etc/drained                         # they come back
"""

from pathlib import Path

from twisted.application.internet import TimerService
from twisted.application.service import IServiceCollection

import sslbroker
from sslbroker.settings import (
    Admin,
    Broker,
    Configuration,
    Limits,
    LinkTLS,
    Listener,
    ListenerTLS,
    Log,
    Pool,
    Server,
)

HERE = Path(__file__).parent
DRAINED = HERE / "drained"

streams = Limits(tunnel=8 * 3600.0)  # seconds without a byte after which a stream is ended

application = sslbroker.application(
    Configuration(
        source=__file__,
        listeners=(
            # "throwaway" is for trying out only: name PEM files with key and chain instead.
            Listener("chat", "tcp:6697", "chat", tls=ListenerTLS((Path("throwaway"),)), limits=streams),
            Listener("older", "tcp:6667", "older", limits=streams),
        ),
        pools=(
            Pool(
                "chat",
                (Server("127.0.0.1:6701"), Server("127.0.0.1:6702", weight=2, maximum_transactions=5000)),
                protocol="tcp",
                balance="least-connections",
                continue_secure_link=True,
                # Verified against what the system trusts; ca=HERE / "ca.pem" trusts a CA of your own.
                tls=LinkTLS(server_name="chat.internal"),
            ),
            Pool(
                "older",
                (Server("127.0.0.1:6711"), Server("127.0.0.1:6712")),
                protocol="tcp",
                balance="hash",  # a client's streams go to one server, by its address
                continue_secure_link="auto",
            ),
        ),
        log=Log(access="-"),
        admin=Admin("tcp:9101:interface=127.0.0.1"),
        broker=Broker(state_directory=HERE / "state"),  # where it is kept who has spoken TLS
    )
)

broker = IServiceCollection(application).getServiceNamed("broker")


def drain():
    """Drain the servers that the file names, and bring all others back."""
    try:
        drained = DRAINED.read_text(errors="replace").split()
    except OSError:
        drained = []
    for pool, servers in broker.servers().items():
        for address, stands in servers.items():
            state = "drain" if address in drained else "up"
            if stands["state"] != state:
                broker.set_server(pool, address, state)


TimerService(2.0, drain).setServiceParent(application)
