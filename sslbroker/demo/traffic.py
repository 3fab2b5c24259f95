"""Clients of the shop that never rest, and count whether they notice anything.

Decides what a client does (buy, read a page, look at a picture, fetch a file) and what counts as an
error: any answer but the right one, whole and true to its last byte. Invariant: nothing is tried
again here, so every error that there is shows. Refuses to know of servers behind the address.

    python -m sslbroker.demo.traffic https://127.0.0.1:8443/ --insecure
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from .content import BLOCK, Noise

PATIENCE: Final = 10.0
"""Seconds after which a client gives up and counts an error."""

FILE: Final = 200_000  # bytes


class Wrong(Exception):
    """An answer that is not what a client expected."""


@implementer(IBodyProducer)
class Body:
    """A request's body, from memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def stopProducing(self) -> None:
        pass


class Reader(Protocol):
    """Gathers an answer's content; its end must be the one that the answer promised."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.done: Deferred[bytes] = Deferred(lambda _: self._leave())

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * FILE:
            self._leave()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(Wrong(f"the answer ended too soon, after {len(self._data)} bytes"))

    def _leave(self) -> None:
        cast(IPushProducer, self.transport).stopProducing()


def read(response: IResponse) -> Deferred[bytes]:
    """The content; fails with `Wrong` when it is not whole."""
    reader = Reader()
    response.deliverBody(reader)
    return reader.done


@implementer(IPolicyForHTTPS)
class Trusting:
    """Any certificate will do: the demo's is made for one run."""

    def creatorForNetloc(self, _hostname: bytes, _port: int) -> Any:
        return CertificateOptions(verify=False)


class Traffic:
    """`clients` clients of the shop at `url`; `report` gets a line for each second."""

    def __init__(
        self,
        clock: IReactorTime,
        agent: IAgent,
        url: str,
        report: Callable[[str], None],
        *,
        clients: int = 8,
        pause: float = 0.05,
    ) -> None:
        """`pause` is the seconds that a client rests after each transaction."""
        self._clock = clock
        self._agent = agent
        self._url = url.rstrip("/").encode()
        self._report = report
        self._clients = clients
        self._pause = pause
        self._running: list[Deferred[None]] = []
        self._open = False
        self._lines = LoopingCall(self._line)
        self._lines.clock = clock
        self._noise = sha256(
            b"".join(Noise(FILE).read(start, FILE) for start in range(0, FILE, BLOCK))
        ).digest()
        self.purchases = 0
        self.transactions = 0
        self.errors = 0
        self._seconds = 0
        self._clear()

    def _clear(self) -> None:
        self._done = 0
        self._slowest = 0.0
        self._servers: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()

    def start(self) -> None:
        """Let the clients begin."""
        self._open = True
        self._running = [Deferred.fromCoroutine(self._client(number)) for number in range(self._clients)]
        self._lines.start(1.0, now=False)

    def stop(self) -> Deferred[Any]:
        """End them; fires when the last one has ended."""
        self._open = False
        if self._lines.running:
            self._lines.stop()
        running, self._running = self._running, []
        for client in running:
            client.addErrback(lambda failure: failure.trap(CancelledError))
            client.cancel()
        return gatherResults(running)

    def summary(self) -> str:
        """The whole run in a line."""
        return (
            f"{self.transactions} transactions, {self.purchases} of them purchases, in {self._seconds} s: "
            f"clients noticed {self.errors or 'no'} error{'s' * (self.errors != 1)}"
        )

    # --- one client --------------------------------------------------------------------------

    async def _client(self, number: int) -> None:
        actions = (self._buy, self._read, self._look, self._fetch)
        while self._open:
            await self._timed(actions[number % len(actions)])
            if self._open:
                await deferLater(self._clock, self._pause)
            number += 1

    async def _timed(self, action: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        begun = self._clock.seconds()
        try:
            await Deferred.fromCoroutine(action()).addTimeout(PATIENCE, self._clock, _too_late)
        except Exception as error:
            if not self._open:
                return  # we ended it ourselves, whatever the agent makes of that
            self._noticed(str(error))
        self.transactions += 1
        self._done += 1
        self._slowest = max(self._slowest, self._clock.seconds() - begun)

    def _noticed(self, error: str) -> None:
        self.errors += 1
        self._wrong[error] += 1

    async def _buy(self) -> None:
        fields = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)}
        order = Body(json.dumps({"product": 1 + self.transactions % 12, "quantity": 1}).encode())
        await self._ask(b"POST", b"/orders", 201, fields, order)
        self.purchases += 1

    async def _read(self) -> None:
        page = await self._ask(b"GET", b"/", 200)
        if not page.endswith(b"</html>\n"):
            raise Wrong(f"GET /: the page ends after {len(page)} bytes")

    async def _look(self) -> None:
        picture = await self._ask(b"GET", b"/images/%d.svg" % (1 + self.transactions % 50), 200)
        if not picture.endswith(b"</svg>\n"):
            raise Wrong(f"GET /images: the picture ends after {len(picture)} bytes")

    async def _fetch(self) -> None:
        data = await self._ask(b"GET", b"/bytes/%d" % FILE, 200)
        if sha256(data).digest() != self._noise:
            raise Wrong(f"GET /bytes: {len(data)} bytes are not the {FILE} right ones")

    async def _ask(
        self,
        method: bytes,
        path: bytes,
        status: int,
        fields: dict[str, str] | None = None,
        body: Body | None = None,
    ) -> bytes:
        headers = Headers({name: [value] for name, value in (fields or {}).items()})
        what = f"{method.decode()} /{path.decode().split('/')[1]}"
        try:
            response: IResponse = await self._agent.request(method, self._url + path, headers, body)
            data = await read(response)
        except ResponseFailed as error:
            raise Wrong(f"{what}: no whole answer: {error.reasons[0].getErrorMessage()}") from None
        except Exception as error:
            raise Wrong(f"{what}: {str(error) or type(error).__name__}") from None
        if response.code != status:
            raise Wrong(f"{what}: found {response.code}, expected {status}")
        for name in response.headers.getRawHeaders("Served-By", []):
            self._servers[name] += 1
        return data

    # --- what they noticed -------------------------------------------------------------------

    def _line(self) -> None:
        self._seconds += 1
        shares = ", ".join(f"{name} {count}" for name, count in sorted(self._servers.items()))
        errors = sum(self._wrong.values())
        self._report(
            f"{self._seconds:4} s  {self._done:5} transactions  {errors:3} errors  "
            f"slowest {self._slowest * 1000:5.0f} ms  {shares}"
        )
        for wrong, count in self._wrong.most_common(3):
            self._report(f"        {count} times {wrong[:200]}")
        self._clear()


def _too_late(_: object, seconds: float) -> None:
    raise Wrong(f"no whole answer within {seconds:.0f} s")


def new_agent(reactor: Any, clients: int, *, ca: Path | None = None, insecure: bool = False) -> IAgent:
    """An HTTP client that trusts the certificates in `ca`, else the system's, else any.

    `OSError` when the file cannot be read.
    """
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = clients
    pool.retryAutomatically = False  # it would hide what we are here to see
    policy: Any = Trusting()
    if not insecure:
        roots = None if ca is None else trustRootFromCertificates([Certificate.loadPEM(ca.read_bytes())])
        policy = BrowserLikePolicyForHTTPS(roots)
    return Agent(reactor, policy, connectTimeout=PATIENCE, pool=pool)


def main(reactor: Any, *argv: str) -> Deferred[Any]:
    """Run until interrupted, or for ``--seconds``."""
    parser = argparse.ArgumentParser(prog="python -m sslbroker.demo.traffic", description=Traffic.__doc__)
    parser.add_argument("url", help="the broker's address, such as https://127.0.0.1:8443/")
    parser.add_argument("--ca", type=Path, help="a PEM file with the certificate to trust")
    parser.add_argument("--insecure", action="store_true", help="trust any certificate (the demo's)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until Ctrl-C")
    said = parser.parse_args(argv)
    agent = new_agent(reactor, said.clients, ca=said.ca, insecure=said.insecure)
    traffic = Traffic(reactor, agent, said.url, print, clients=said.clients)
    over: Deferred[None] = Deferred()
    if said.seconds:
        reactor.callLater(said.seconds, over.callback, None)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: print(traffic.summary()))
    traffic.start()
    return over.addCallback(lambda _: traffic.stop())


if __name__ == "__main__":
    react(main, sys.argv[1:])
