"""How secure listeners speak TLS: contexts built from settings, chosen by the name a client asks for.

Decides ciphers, which certificate a client sees, which name's rules for clients hold, and what a reload
replaces. Invariants: all contexts of one listener have equal options, because a switch by SNI takes over
certificate, ALPN and trusted authorities only; a context is never changed after it was built; a callback
never raises, because OpenSSL would end the handshake. Refuses to know what the bytes inside mean.

Sessions resume in TLS 1.2 (ids and tickets) and 1.3 (tickets), never with early data, which could be
replayed. Options that are left alone are decisions too: the order of ciphers is the client's, because
all of ours are strong and a client without AES hardware knows it (Mozilla, "intermediate"); an end of
file without close_notify stays an error (no OP_IGNORE_UNEXPECTED_EOF), because a cut stream must not
look like a whole one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from ..errors import Problem, StartError
from ..settings import THROWAWAY, ListenerTLS
from . import certificates, client_certificates, client_rules
from .certificates import Identity
from .client_certificates import ClientCheck
from .client_rules import ClientRules, Clients
from .contexts import new_context, use_identity

#: Seconds for which a session may be resumed; RFC 8446 §4.6.1 allows a week, two hours is OpenSSL's own.
_SESSION_TIME = 7200

_Alpn = Sequence[bytes]


class _ByName:
    """The contexts of one listener as built at one time: the SNI callback (RFC 6066 §3)."""

    __slots__ = ("default", "exact", "used", "wildcards")

    def __init__(
        self,
        settings: ListenerTLS,
        alpn: _Alpn,
        identities: Sequence[Identity],
        clients: Clients,
        seconds: Callable[[], float],
    ) -> None:
        """`StartError` when OpenSSL refuses a certificate."""
        by_name: dict[bytes, dict[str, Identity]] = {}
        for identity in identities:
            for name in identity.names:
                by_name.setdefault(name, {}).setdefault(identity.kind, identity)
        first = identities[0]
        default = {first.kind: first}
        for identity in identities:
            if first.names and set(first.names) <= set(identity.names):
                default.setdefault(identity.kind, identity)

        built: dict[tuple[tuple[Identity, ...], ClientRules], SSL.Context] = {}

        def context(chosen: dict[str, Identity], rules: ClientRules) -> SSL.Context:
            key = tuple(sorted(chosen.values(), key=identities.index)), rules
            if key not in built:
                built[key] = _context(settings, alpn, key[0], ClientCheck(clients, rules, seconds))
                built[key].set_tlsext_servername_callback(self.choose)
            return built[key]

        self.default = context(default, clients.everybody)
        self.exact: dict[bytes, SSL.Context] = {}
        self.wildcards: dict[bytes, SSL.Context] = {}
        for name in by_name.keys() | clients.named.keys():
            # A wildcard certificate of another type still serves clients that need that type.
            wild = by_name.get(b"*." + name.partition(b".")[2], {})
            found = context({**wild, **by_name.get(name, {})} or default, clients.of(name))
            if name.startswith(b"*."):
                self.wildcards[name[2:]] = found
            else:
                self.exact[name] = found
        self.used = {identity for key, _ in built for identity in key}

    def choose(self, connection: SSL.Connection) -> None:
        """Give a connection the context for the name it asks for; never raises.

        Every context has this callback, so a connection keeps the whole table alive: after a
        HelloRetryRequest OpenSSL calls it again, perhaps long after a reload.
        """
        found = self.context(connection.get_servername())
        if found is not connection.get_context():
            connection.set_context(found)
            connection.set_verify(found.get_verify_mode())  # not taken over with the context

    def context(self, name: bytes | None) -> SSL.Context:
        """The context for a name as it came from a client: any bytes without a zero."""
        if not name:
            return self.default
        name = name.lower().removesuffix(b".")
        label, _, parent = name.partition(b".")
        return self.exact.get(name) or (label and self.wildcards.get(parent)) or self.default


@implementer(IOpenSSLServerConnectionCreator)
class ListenerContexts:
    """The TLS of one secure listener; what its transport asks for each new connection.

    `warnings` holds, after construction and each `reload`, what works but should be looked at.
    `seconds` gives the Unix time against which certificates are judged.
    """

    def __init__(
        self,
        settings: ListenerTLS,
        alpn: _Alpn = (b"http/1.1",),
        *,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        """`StartError` with a line for each problem of the settings and their files."""
        self.warnings: list[str] = []
        self._settings = settings
        self._alpn = tuple(alpn)
        self._seconds = seconds
        self._throwaway: Identity | None = None
        self.reload()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that will see what is current now, whatever is reloaded later."""
        return SSL.Connection(self._contexts.default, None)

    def reload(self, settings: ListenerTLS | None = None) -> None:
        """Read all files anew, perhaps by new settings, and use them for new connections.

        All or nothing: with any problem it raises `StartError` and everything stays as it was. Sessions
        of before are not resumed (a full handshake follows); open connections notice nothing.
        """
        settings = settings or self._settings
        warnings: list[str] = []
        problems = _check(settings, warnings)
        clients = client_rules.read(settings, self._seconds(), problems, warnings)
        lacking = client_certificates.lacking() if clients.asked else []
        if lacking:
            found = f"a pyOpenSSL without {' and '.join(lacking)}"
            expected = "one that tells of resumed sessions"
            problems.append(str(Problem("tls.client_certificate", found, expected, "install another one")))
        identities = self._read(settings, problems, warnings)
        if problems:
            raise StartError("\n".join(problems))
        contexts = _ByName(settings, self._alpn, identities, clients, self._seconds)
        for identity in identities:
            if identity not in contexts.used:
                warnings.append(f"{identity.source}: never used: files before it have all its names")
        for name in sorted(clients.named):
            if not _certified(name, identities):
                shown = name.decode()
                warnings.append(f'tls.names."{shown}": no certificate has this name: is it spelt right?')
        self._settings, self._identities, self._clients = settings, identities, clients
        self._contexts = contexts
        self.warnings = warnings

    def renew_ticket_keys(self) -> None:
        """New keys for session tickets, without reading a file.

        Whoever steals the memory of a process can read the recorded traffic of all sessions whose
        tickets its keys protect: a long-lived process should call this about once a day.
        """
        self._contexts = _ByName(self._settings, self._alpn, self._identities, self._clients, self._seconds)

    def _read(self, settings: ListenerTLS, problems: list[str], warnings: list[str]) -> list[Identity]:
        """The identities of all files in order; adds to `problems` and `warnings`."""
        identities: list[Identity] = []
        for entry in settings.certificates:
            if entry == THROWAWAY:
                if self._throwaway is None:
                    made = certificates.throwaway(("localhost", "127.0.0.1", "::1"))
                    self._throwaway = certificates.parse(made, str(entry))
                identities.append(self._throwaway)
                warnings.append(f"{entry}: a certificate made for this run only, which no client trusts")
                continue
            try:
                paths = certificates.pem_files(entry)
            except StartError as error:
                problems.append(str(error))
                continue
            for path in paths:
                try:
                    identity = certificates.load(path)
                    _context(settings, self._alpn, (identity,))
                except StartError as error:
                    problems.append(str(error))
                else:
                    identities.append(identity)
        now = self._seconds()
        for identity in identities:
            warnings.extend(certificates.doubts(identity, now))
        return identities


def _check(settings: ListenerTLS, warnings: list[str]) -> list[str]:
    """The problems of settings of which only OpenSSL knows whether they are right."""
    problems: list[Problem] = []
    scratch = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        scratch.set_cipher_list(settings.ciphers.encode())
    except SSL.Error:
        expected = "OpenSSL names for TLS 1.2, divided by colons"
        problems.append(
            Problem(
                "tls.ciphers", f'"{settings.ciphers}"', expected, "`openssl ciphers -s -tls1_2 -v` lists them"
            )
        )
    else:
        for name in filter(None, re.split("[:, ]+", settings.ciphers)):
            if name[0] not in ("!", "-", "+", "@"):
                try:
                    scratch.set_cipher_list(name.encode())
                except SSL.Error:
                    warnings.append(f'tls.ciphers: OpenSSL knows no usable cipher by the name "{name}"')
    if settings.cipher_suites:
        try:
            scratch.set_tls13_ciphersuites(settings.cipher_suites.encode())
        except SSL.Error:
            expected = "names of TLS 1.3, divided by colons"
            suggestion = "for example TLS_AES_256_GCM_SHA384"
            problems.append(Problem("tls.cipher_suites", f'"{settings.cipher_suites}"', expected, suggestion))
    return [str(problem) for problem in problems]


def _certified(name: bytes, identities: Sequence[Identity]) -> bool:
    """Is there a certificate for this name, or for one that this wildcard means?"""
    for known in (known for identity in identities for known in identity.names):
        if known in (name, b"*." + name.partition(b".")[2]):
            return True
        if name.startswith(b"*.") and known.partition(b".")[2] == name[2:]:
            return True
    return False


def _context(
    settings: ListenerTLS, alpn: _Alpn, identities: Sequence[Identity], check: ClientCheck | None = None
) -> SSL.Context:
    """A context with one identity of each type; the client's abilities choose among them."""
    context = new_context(SSL.TLS_SERVER_METHOD, settings.minimum)
    with suppress(SSL.Error):  # `_check` tells of it
        context.set_cipher_list(settings.ciphers.encode())
        if settings.cipher_suites:
            context.set_tls13_ciphersuites(settings.cipher_suites.encode())
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_session_id(b"sslbroker")  # without one nothing resumes once clients are verified
    context.set_timeout(_SESSION_TIME)
    if check is not None:
        check.apply(context)

    def select(_connection: SSL.Connection, offered: list[bytes]) -> bytes | object:
        # Without a common protocol the handshake goes on without ALPN: the client has HTTP/1.1 left.
        return next((name for name in alpn if name in offered), SSL.NO_OVERLAPPING_PROTOCOLS)

    context.set_alpn_select_callback(select)  # type: ignore[arg-type]
    for identity in identities:
        use_identity(context, identity)
    return context
