"""How secure links speak TLS: contexts built from settings, and the proof that a server is who it should be.

Decides versions, ciphers, whom to trust, what to present, and whether a certificate is for the name that
was expected. Invariants: a link whose `fault` was not asked carries nothing; a context is never changed
after it was built; servers of a pool with equal settings share one, whatever their names, because the
CAs of the system take 0.9 MB in each. Refuses to know what the bytes inside mean, and to fail over.

Sessions are not resumed. A resumed one does not look at the certificate again, so a server whose certificate
has expired, or whose CA the operator removed, would go on being used; and it would save little: a handshake
costs the broker 0.7 ms of CPU with ECDSA P-256 or RSA 2048 (the check of the name 0.1 ms of it), a resumed
one 0.4 ms, and links are kept and reused for many transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import Problem, StartError
from ..settings import INTERMEDIATE_CIPHERS, LinkTLS, Pool
from . import certificates, tls_failures
from .contexts import new_context, use_identity
from .server_names import ServerName
from .tls_failures import Expected

#: How long before a certificate expires an operator is warned.
_SOON = timedelta(days=14)

_Alpn = Sequence[bytes]


class Trust:
    """What servers with equal settings share: a context, and what should be looked at in its files."""

    def __init__(self, settings: LinkTLS, alpn: _Alpn, seconds: Callable[[], float]) -> None:
        """`StartError` with a line for each problem of the settings and their files."""
        self.settings = settings
        self.alpn = tuple(alpn)
        self._seconds = seconds
        self.use(self.read())

    def read(self) -> tuple[SSL.Context, list[str]]:
        """A new context from the files as they are now, and its warnings; `StartError` as above."""
        settings, problems, warnings = self.settings, [], []
        now = datetime.fromtimestamp(self._seconds(), UTC)
        context = new_context(SSL.TLS_CLIENT_METHOD, settings.minimum)
        context.set_cipher_list(INTERMEDIATE_CIPHERS.encode())
        if self.alpn:
            context.set_alpn_protos(list(self.alpn))
        if settings.verify:
            context.set_verify(SSL.VERIFY_PEER, tls_failures.note)
        else:
            context.set_verify(SSL.VERIFY_NONE)
            warnings.append(
                "tls.verify: false: whoever answers at a server's address is believed; "
                "remove it, and name a private CA in tls.ca"
            )
        try:
            self._trust(context, settings.ca, now, warnings)
        except StartError as error:
            problems.append(str(error))
        if settings.certificate is not None:
            try:
                identity = certificates.load(settings.certificate, "tls.certificate")
                use_identity(context, identity)
            except StartError as error:
                problems.append(str(error))
            else:
                warnings += _aging(settings.certificate, identity.leaf, now)
        if problems:
            raise StartError("\n".join(problems))
        return context, warnings

    def use(self, read: tuple[SSL.Context, list[str]]) -> None:
        self.context, self.warnings = read

    def _trust(self, context: SSL.Context, ca: Path | None, now: datetime, warnings: list[str]) -> None:
        if ca is None:
            context.set_default_verify_paths()
            return
        store = context.get_cert_store()
        assert store is not None
        for authority in certificates.bundle(ca, "tls.ca"):
            store.add_cert(crypto.X509.from_cryptography(authority))
            warnings += _aging(ca, authority, now)
        # The operator means what is in the file, be it no root but an intermediate or the server's own.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)


@implementer(IOpenSSLClientConnectionCreator)
class LinkContexts:
    """The TLS towards one server; what its transport asks for each new link.

    `where` is the path of the settings in messages. `trust` is what other servers with the same settings
    have; it is made when there is none. `seconds` gives the Unix time against which files are judged.
    """

    def __init__(
        self,
        settings: LinkTLS | None,
        host: str,
        alpn: _Alpn,
        *,
        seconds: Callable[[], float] = time.time,
        where: str = "tls",
        trust: Trust | None = None,
    ) -> None:
        """`StartError` with a line for each problem of the settings and their files."""
        settings = settings or LinkTLS()
        problems = []
        try:
            self._name = ServerName(settings.server_name or host)
        except ValueError:
            problem = Problem(
                "tls.server_name" if settings.server_name else "address",
                f'"{tls_failures.printable(settings.server_name or host)}"',
                "a host name in ASCII or an IP address",
                'names with other letters begin with "xn--"',
            )
            problems.append(str(problem))
        try:
            self.trust = trust or Trust(settings, alpn, seconds)
        except StartError as error:
            problems.append(str(error))
        if problems:
            raise StartError("\n".join(problems))
        self._expected = Expected(
            name=self._name.name,
            where=where,
            minimum=settings.minimum,
            own_ca=settings.ca is not None,
            presents=settings.certificate is not None,
            alpn=tuple(alpn),
        )
        self._verify = settings.verify

    @property
    def name(self) -> str:
        """Whose certificate a server must show."""
        return self._name.name

    @property
    def warnings(self) -> list[str]:
        """What works but should be looked at, as of the last reading of the files."""
        return self.trust.warnings

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection by what is current now, whatever is reloaded later."""
        connection = SSL.Connection(self.trust.context, None)
        if self._name.sni:
            connection.set_tlsext_host_name(self._name.sni)
        return connection

    def made(self, transport: Any) -> bool:
        """Was this connection made by what is current now?"""
        return transport.getHandle().get_context() is self.trust.context

    def fault(self, transport: Any) -> str:
        """Why the server is not who it should be; "" when it is. To be asked when the handshake is done."""
        connection = transport.getHandle()
        chosen = connection.get_alpn_proto_negotiated()
        if chosen and chosen not in self._expected.alpn:
            return f"chose the protocol '{tls_failures.printable(chosen.decode('latin-1'))}', not offered"
        if not self._verify:
            return ""
        try:
            certificate = connection.get_peer_certificate(as_cryptography=True)
        except Exception as error:  # a parser's: OpenSSL takes what it does not
            return f"certificate is malformed: {tls_failures.printable(str(error))}"
        if certificate is None:
            return "showed no certificate"
        fault = self._name.fault(certificate)
        return f"{fault} ({self._expected.where}.server_name)" if fault else ""

    def why_failed(self, transport: Any, reason: Failure | None) -> str:
        """Why a handshake failed, in one line; to be asked in `connectionLost`, with what that was told.

        A server that wants a client certificate says so in TLS 1.3 only after the handshake (RFC 8446
        §4.4.2.4), so a link may end with an `SSL.Error` later: that can be asked about as well.
        """
        return tls_failures.why(transport, reason and reason.value, self._expected)

    def reload(self) -> None:
        """Read the files anew, for this server and all that share its settings; `StartError`: as before."""
        reload((self,))


def of_pool(
    pool: Pool,
    alpn: _Alpn,
    *,
    seconds: Callable[[], float] = time.time,
    shared: dict[tuple[LinkTLS, tuple[bytes, ...]], Trust] | None = None,
) -> dict[str, LinkContexts]:
    """The TLS towards each server of a pool, by its address; `StartError` with every problem at once.

    `shared` is filled with what was built: pools that are given the same one share it.
    """
    shared = {} if shared is None else shared
    found: dict[str, LinkContexts] = {}
    problems: list[str] = []
    for index, server in enumerate(pool.servers):
        where = f"pools.{pool.name}.tls" if server.tls is None else f"pools.{pool.name}.servers[{index}].tls"
        settings = server.tls or pool.tls or LinkTLS()
        key = (replace(settings, server_name=""), tuple(alpn))
        try:
            made = LinkContexts(
                settings, server.host, alpn, seconds=seconds, where=where, trust=shared.get(key)
            )
        except StartError as error:
            problems += [f"{where.removesuffix('.tls')}: {line}" for line in str(error).splitlines()]
        else:
            found[server.address] = made
            shared[key] = made.trust
    if problems:
        raise StartError("\n".join(dict.fromkeys(problems)))
    return found


def reload(contexts: Iterable[LinkContexts]) -> None:
    """Read all files anew and use them for new links; an open one ends its transaction, and serves no other.

    All or nothing: with any problem it raises `StartError`, with a line for each, and nothing changes.
    """
    read: list[tuple[Trust, tuple[SSL.Context, list[str]]]] = []
    problems: list[str] = []
    for trust in dict.fromkeys(each.trust for each in contexts):
        try:
            read.append((trust, trust.read()))
        except StartError as error:
            problems.append(str(error))
    if problems:
        raise StartError("\n".join(problems))
    for trust, new in read:
        trust.use(new)


def _aging(path: Path, certificate: x509.Certificate, now: datetime) -> list[str]:
    """A warning for a certificate that is out of its time, or soon will be."""
    who = f"{path}: the certificate of '{tls_failures.subject(certificate.subject)}'"
    if now < certificate.not_valid_before_utc:
        return [f"{who} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"]
    end = certificate.not_valid_after_utc
    if end < now:
        return [f"{who} expired on {end:%Y-%m-%d}: secure links fail; renew it and reload"]
    if end - now < _SOON:
        return [f"{who} expires on {end:%Y-%m-%d}: renew it and reload"]
    return []
