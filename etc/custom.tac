"""A broker with decisions of its own, given as objects. It runs as it is: `twistd -ny etc/custom.tac`.

What each object is asked: docs/tac.md. As plugins they can be named in a TOML file too.
"""

from pathlib import Path

from twisted.logger import Logger
from zope.interface import implementer

import sslbroker
from sslbroker.interfaces import IBalancer, IObserver, IResponseClassifier
from sslbroker.settings import Admin, Configuration, Listener, ListenerTLS, Log, Pool, Server

log = Logger("shop")


@implementer(IBalancer)
class FillUp:
    """The first server that has room, so that the last ones may sleep while there is little to do."""

    def __init__(self, tries):
        self.tries = tries

    def choose(self, members, origin, key, now):
        for member in members:  # in the configuration's order
            if member.outstanding < self.tries * member.settings.weight:
                return member
        return min(members, key=lambda member: member.outstanding / member.settings.weight)


@implementer(IResponseClassifier)
class Apologies:
    """A server that is being changed answers 200 with an apology: another one shall try."""

    def failing(self, response):
        sorry = any(name == b"x-maintenance" for name, spelling, value in response.fields)
        return sorry or response.status >= 500

    def status(self, response):
        return response.status


@implementer(IObserver)
class Saved:
    """Says for whom failover was worth it. A method that has to wait may be `async`: nobody waits for it."""

    def transaction_ended(self, record):
        *failed, last = record["tries"] or [None]
        if failed and record["end"] == "ok":
            servers = ", ".join(f"{one['server']} ({one['outcome']})" for one in failed)
            log.info(
                "{id}: {server} mended what failed at {servers}",
                id=record["id"],
                server=last["server"],
                servers=servers,
            )


application = sslbroker.application(
    Configuration(
        source=__file__,
        listeners=(
            Listener("https", "tcp:8443", "shop", tls=ListenerTLS((Path("throwaway"),))),
            Listener("http", "tcp:8080", "shop"),
        ),
        pools=(Pool("shop", tuple(Server(f"127.0.0.1:{port}") for port in (9001, 9002, 9003))),),
        log=Log(access="-"),
        admin=Admin("tcp:9100:interface=127.0.0.1"),
    ),
    balancers={"shop": FillUp(tries=8)},  # in place of what the pool's `balance` says
    classifiers={"shop": Apologies()},  # and of `failover.statuses`
    observers=[Saved()],
)
