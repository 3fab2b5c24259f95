"""Servers that speak TLS in memory, for a link that is played by hand: what it was told, and when."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sslbroker.net import link_tls
from sslbroker.settings import LinkTLS

from ..memory import Network, secured

NAME = "shop.internal"
TODAY = datetime.now(UTC)


AUTHORITIES = (trustme.CA(), trustme.CA())


def authority(number: int = 0) -> trustme.CA:
    return AUTHORITIES[number]


@functools.cache
def issued(*names: str, rsa: bool = False, ca: int = 0) -> trustme.LeafCert:
    kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
    return authority(ca).issue_cert(*names, key_type=kind)


def lasting(days: float, *names: str) -> trustme.LeafCert:
    """A certificate that ends so many days from now; in the past with a negative number."""
    end = TODAY + timedelta(days=days)
    return authority().issue_cert(*(names or (NAME,)), not_before=end - timedelta(days=200), not_after=end)


def server_context(leaf: trustme.LeafCert | None = None, **versions: int) -> SSL.Context:
    """A context of a server; `minimum` and `maximum` are versions of TLS."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    (leaf or issued(NAME)).configure_cert(context)
    if "minimum" in versions:
        context.set_min_proto_version(versions["minimum"])
    if "maximum" in versions:
        context.set_max_proto_version(versions["maximum"])
    return context


def wants_client_certificate(context: SSL.Context, number: int = 0) -> SSL.Context:
    authority(number).configure_trust(context)
    context.set_verify(
        SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda _c, _x, _error, _depth, ok: bool(ok)
    )
    return context


def contexts(directory: Path, host: str = NAME, *, alpn: Any = (b"http/1.1",), **settings: Any) -> Any:
    """Contexts that trust `authority()`, unless `ca` says otherwise; a `certificate` is a LeafCert."""
    if "ca" not in settings:
        settings["ca"] = directory / "ca.pem"
        authority().cert_pem.write_to_path(str(settings["ca"]))
    leaf = settings.get("certificate")
    if isinstance(leaf, trustme.LeafCert):
        settings["certificate"] = directory / "own.pem"
        leaf.private_key_and_cert_chain_pem.write_to_path(str(settings["certificate"]))
    return link_tls.LinkContexts(LinkTLS(**settings), host, alpn, where="pools.shop.tls")


class Far(Protocol):
    """A server behind its TLS, or without any."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: str = ""
        self.error: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost, self.error = type(reason.value).__name__, reason.value


@implementer(IHandshakeListener)
class Near(Far):
    """The broker's side of a link."""

    def __init__(self, contexts: link_tls.LinkContexts) -> None:
        super().__init__()
        self.contexts = contexts
        self.ready = False
        self.fault = ""
        self.why = ""

    def handshakeCompleted(self) -> None:
        self.ready = True
        self.fault = self.contexts.fault(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.why = self.contexts.why_failed(self.transport, reason)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self.context, None)


class Play:
    """A link between the broker and one server: `near` and `far` are the protocols at its ends.

    Without a context the server speaks no TLS. `wire` is the server's transport below TLS.
    """

    def __init__(self, contexts: link_tls.LinkContexts, server: SSL.Context | None) -> None:
        self.clock = MemoryReactorClock()
        self.network = Network(self.clock)
        self.near, self.far = Near(contexts), Far()
        address = IPv4Address("TCP", "10.0.0.1", 443)
        factory: Any = ClientFactory()
        factory.buildProtocol = lambda _address: self.near
        near = secured(factory, contexts, True, self.clock).buildProtocol(address)
        far: Any = self.far
        if server is not None:
            other: Any = Factory()
            other.buildProtocol = lambda _address: self.far
            far = TLSMemoryBIOFactory(_Creator(server), False, other, clock=self.clock).buildProtocol(address)
        self.network.connect(near, far, "10.0.0.1", 443)
        self.wire = self.network.ends[-1]

    def settle(self) -> Play:
        self.network.settle()
        return self

    @property
    def connection(self) -> SSL.Connection:
        """OpenSSL's side of the broker's end."""
        found: SSL.Connection = self.near.transport.getHandle()
        return found


def play(contexts: link_tls.LinkContexts, server: SSL.Context | None) -> Play:
    """A link on which everything has happened that happens without a word of either side."""
    return Play(contexts, server).settle()
