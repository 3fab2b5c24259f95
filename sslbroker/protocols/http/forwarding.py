"""How a message is rewritten on its way through the broker, for one pool.

Decides which fields go on, which are written anew, and their order: the sender's own fields in their
order, the broker's (``X-Forwarded-*``, ``Forwarded``, ``Via``), then the operator's (`header_rules`).
Invariant: no field of one connection reaches the other, and no claim of an untrusted client about
itself reaches a server, in whatever spelling; the broker's own fields are added after all removals,
so no sender can take them away. Refuses to change the message it is given, to judge it or to write it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...interfaces import GroupFields, Origin
from ...settings import Pool
from .certified import certified
from .claims import SCHEMES, ClaimedOrigin, agrees, claimed, named_group
from .fields import (
    CLAIMS,
    FORWARDED,
    HOP_BY_HOP,
    NEVER_SENT,
    TRIES,
    VIA,
    WRITTEN,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_FORWARDED_PROTO,
    dashed,
    named,
    suspicious,
    values_of,
    without_forgeries,
)
from .header_rules import own_headers
from .message import CHUNKED, NONE, Field, Memo, Request, Response

_HTTP: Field = (X_FORWARDED_PROTO, b"X-Forwarded-Proto", b"http")
_HTTPS: Field = (X_FORWARDED_PROTO, b"X-Forwarded-Proto", b"https")

#: An Upgrade to these would carry further requests past every rule of the broker: they are not offered.
_NOT_OFFERED = frozenset((b"h2", b"h2c", b"h3", b"http", b"tls"))

#: A protocol's name and perhaps its version (RFC 9110 §7.8).
_PROTOCOL = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++)(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]++)?")

_VERSIONS = (b"1.0 ", b"1.1 ")  # of the message that Via tells of, and a blank
_UPGRADE = 256  # bytes of an Upgrade that are looked at

_UPGRADE_ANSWERS = (101, 426)  # a 426 must say what it wants (RFC 9110 §15.5.22)
_MAXIMUM_FORWARDS = 255
_MAX_FORWARDS_METHODS = (b"TRACE", b"OPTIONS")

#: Methods with which content means nothing that servers agree on (RFC 9110 §§9.3.1, 9.3.2, 9.3.5, 9.3.7).
_NO_CONTENT = frozenset((b"GET", b"HEAD", b"DELETE", b"OPTIONS"))

_RESPONSE_DROP = HOP_BY_HOP | {b"content-length", TRIES}


class Forwarding:
    """The rewriting of requests and responses under the settings of one pool.

    Making one raises `ConfigurationError` when the operator's header rules cannot be used.
    """

    __slots__ = (
        "_drop_trusted",
        "_drop_untrusted",
        "_fixed_host",
        "_guarded",
        "_kept",
        "_last_of_request",
        "_last_of_response",
        "_reuse",
        "_server_host",
        "_unwritten",
    )

    def __init__(self, pool: Pool, broker_name: str) -> None:
        own = own_headers(pool, broker_name)
        base = HOP_BY_HOP | WRITTEN | NEVER_SENT | own.drop
        self._unwritten = own.drop
        self._fixed_host = own.host
        self._server_host = pool.headers.host == "server"
        self._reuse = pool.failover.reuse_for_unsafe
        self._drop_untrusted = base | CLAIMS
        self._drop_trusted = base | {X_FORWARDED_FOR, FORWARDED}
        self._guarded = frozenset(dashed(name) for name in self._drop_untrusted)
        # `replay` believes this field, so the server has to see it.
        self._kept = frozenset((pool.failover.idempotency_header.lower().encode("latin-1"),))
        # What stands at the end, by the minor version that the message came in.
        name = broker_name.encode("ascii")
        via = [((VIA, b"Via", version + name),) if pool.headers.via else () for version in _VERSIONS]
        self._last_of_response = via
        self._last_of_request = [own.write if VIA in own.drop else (*one, *own.write) for one in via]

    def to_server(self, request: Request, origin: Origin, address: str, secure_link: bool) -> Request:
        """The request as the server at `address` ("host:port") shall see it.

        `origin` may be that of the connection or what `claims.claimed` made of it.
        """
        method, framing = request.method, request.framing
        fields, memo = self._fields_again(request, origin)
        # A server that answers without reading the content takes it for its link's next request,
        # and the answer to that goes to the next client.
        content = framing is CHUNKED or request.length > 0
        return Request(
            method,
            request.target,
            1,
            fields,
            self._fixed_host
            or (None if self._server_host else request.host)
            or host_of(address, secure_link),
            framing,
            request.length,
            content and (not self._reuse or method in _NO_CONTENT),
            (),
            offered(request.upgrade) if request.upgrade else b"",
            request.expects_continue,
            request.accepts_trailers,
            self._guarded if origin.group_fields is None else self._guarded_from(origin.group_fields),
            memo,
        )

    def _guarded_from(self, groups: GroupFields) -> frozenset[bytes]:
        """What nothing else may be taken for, the fields that name groups too."""
        return self._guarded.union(map(dashed, groups.known))

    def keeps_host(self, request: Request) -> bool:
        """Every server sees the same host in this request; else each sees its own."""
        return bool(self._fixed_host or (request.host and not self._server_host))

    def _fields_again(self, request: Request, origin: Origin) -> tuple[list[Field], Memo | None]:
        """`_fields`, those of the last request where this one repeats it; and what is made of them."""
        last = request.memo
        if last is None or request.method in _MAX_FORWARDS_METHODS:
            return self._fields(request, origin), None
        given = self, origin, request.fields, request.options, request.framing, request.host, request.minor
        if last.given != given:
            last.made = self._fields(request, origin), Memo()
            last.given = self, origin, request.fields.copy(), *given[3:]
        fields, memo = last.made
        return fields.copy(), memo

    def _fields(self, request: Request, origin: Origin) -> list[Field]:
        """Those that the server sees, in their order."""
        trusted = origin.trusted
        drop = self._drop_trusted if trusted else self._drop_untrusted
        guarded, groups = self._guarded, origin.group_fields
        if request.options:
            taken = named(request.options, self._kept if groups is None else self._kept | groups.known)
            if taken:
                drop = drop.union(taken)
        if groups is not None:
            drop = drop.union(groups.known - {groups.believed} if trusted else groups.known)
            guarded = self._guarded_from(groups)
        fields = [field for field in request.fields if field[0] not in drop]
        if suspicious(fields, trusted):
            fields = without_forgeries(fields, guarded, trusted)
        if trusted:
            origin = origin if isinstance(origin, ClaimedOrigin) else claimed(request.fields, origin)
            fields = _with_one_scheme(fields, origin.secure)
            if groups is not None:
                fields = _with_one_group(fields, groups.believed)
        if request.method in _MAX_FORWARDS_METHODS:
            fields = [_one_fewer(field) if field[0] == b"max-forwards" else field for field in fields]
        if request.framing is CHUNKED:
            fields += [field for field in request.fields if field[0] == b"trailer"]
        told = _told_after(request, origin, fields) if trusted else _told(origin, request.host)
        if self._unwritten:
            told = [field for field in told if field[0] not in self._unwritten]
        fields += told
        fields += self._last_of_request[request.minor]
        return fields

    def to_client(self, response: Response, request: Request) -> Response:
        """The response, interim or final, as the client that sent `request` shall see it."""
        status, framing, last = response.status, response.framing, response.memo
        trailers = framing is CHUNKED and request.accepts_trailers and request.minor > 0
        if last is None:
            fields, memo = self._fields_of_response(response, trailers), None
        else:
            given = self, response.fields, response.options, framing, status, trailers, response.minor
            if last.given != given:
                last.made = self._fields_of_response(response, trailers), Memo()
                last.given = self, response.fields.copy(), *given[2:]
            made, memo = last.made
            fields = made.copy()
        return Response(
            status,
            response.reason,
            1,
            fields,
            framing,
            response.length,
            False,
            (),
            response.upgrade if status in _UPGRADE_ANSWERS else b"",
            memo,
        )

    def _fields_of_response(self, response: Response, trailers: bool) -> list[Field]:
        drop = _RESPONSE_DROP
        if response.options:
            taken = named(response.options, frozenset())
            if taken:
                drop = drop.union(taken)
        fields = [field for field in response.fields if field[0] not in drop]
        status = response.status
        if response.framing is NONE:
            # Of an answer to HEAD and of a 304 the length is a statement, not framing (RFC 9110 §8.6).
            if status >= 200 and status != 204:
                fields += [field for field in response.fields if field[0] == b"content-length"]
        elif trailers:
            fields += [field for field in response.fields if field[0] == b"trailer"]
        fields += self._last_of_response[response.minor]
        return fields


def offered(upgrade: bytes) -> bytes:
    """What of an ``Upgrade`` the broker passes on; empty when nothing is left, or it is overlong."""
    if len(upgrade) > _UPGRADE:
        return b""
    matches = (_PROTOCOL.fullmatch(member.strip(b" \t")) for member in upgrade.split(b","))
    return b", ".join(match[0] for match in matches if match and match[1].lower() not in _NOT_OFFERED)


def host_of(address: str, secure_link: bool) -> bytes:
    """The server's "host:port" as a Host: without the port that the scheme implies (RFC 9110 §4.2)."""
    return address.removesuffix(":443" if secure_link else ":80").encode("ascii")


def _told(origin: Origin, host: bytes | None) -> Sequence[Field]:
    """What the broker itself knows of the client, in every form that servers read.

    Kept with `origin` for the next request, since those of one connection mostly name one host.
    """
    last: tuple[bytes | None, Sequence[Field]] | None = origin.told
    if last is not None and last[0] == host:
        return last[1]
    client = _address(origin)
    fields: list[Field] = [
        (X_FORWARDED_FOR, b"X-Forwarded-For", client or b"unknown"),
        _HTTPS if origin.secure else _HTTP,
        (FORWARDED, b"Forwarded", _element(client, origin.secure, host)),
    ]
    if host:
        fields.append((X_FORWARDED_HOST, b"X-Forwarded-Host", host))
    if origin.listener_port:
        fields.append((X_FORWARDED_PORT, b"X-Forwarded-Port", b"%d" % origin.listener_port))
    if origin.certificate is not None:
        fields += certified(origin.certificate)
    origin.told = host, fields
    return fields


def _told_after(request: Request, origin: Origin, kept: list[Field]) -> list[Field]:
    """The trusted peer's lists with the peer added; what it left unsaid, from what is known."""
    peer = origin.peer if isinstance(origin, ClaimedOrigin) else origin
    hop = _address(peer)
    client = _address(origin) if origin.address != peer.address else b""
    # A list of which only the other form came is begun with the client, so that both agree.
    chain = values_of(request.fields, X_FORWARDED_FOR)
    if not any(chain):
        chain = []
    elements = values_of(request.fields, FORWARDED)
    if not agrees(elements, chain):
        elements = [_element(client, origin.secure, None)] if client else []
    chain = [*(chain or ([client] if client else [])), hop or b"unknown"]
    elements.append(_element(hop, peer.secure, request.host))
    fields: list[Field] = [
        (X_FORWARDED_FOR, b"X-Forwarded-For", b", ".join(chain)),
        (FORWARDED, b"Forwarded", b", ".join(elements)),
    ]
    said = {field[0] for field in kept}
    if X_FORWARDED_HOST not in said and request.host:
        fields.append((X_FORWARDED_HOST, b"X-Forwarded-Host", request.host))
    if X_FORWARDED_PROTO not in said:
        fields.append(_HTTPS if origin.secure else _HTTP)
        # The listener's port beside another scheme than its own would name a URL that nobody serves.
        if X_FORWARDED_PORT not in said and origin.secure == peer.secure and origin.listener_port:
            fields.append((X_FORWARDED_PORT, b"X-Forwarded-Port", b"%d" % origin.listener_port))
    # Looked for in what came: what the operator keeps from servers was said all the same, and so was what
    # cannot be read.
    if origin.certificate is not None and not any(name in CLAIMS for name, _, _ in request.fields):
        fields += certified(origin.certificate)
    return fields


def _with_one_scheme(fields: list[Field], secure: bool) -> list[Field]:
    """The fields less an ``X-Forwarded-Proto`` that does not say in one word what the broker believes, and
    tells then: whoever reads on must not believe anything else.

    Each word of a list belongs to a place in ``X-Forwarded-For``, where the peer is added; and beside an
    address that cannot be read no word counts.
    """
    words = b",".join(values_of(fields, X_FORWARDED_PROTO))
    if SCHEMES.get(words.lower()) is secure:
        return fields
    return [field for field in fields if field[0] != X_FORWARDED_PROTO]


def _with_one_group(fields: list[Field], name: bytes) -> list[Field]:
    """The fields with that word only which the broker believed of several in the field that names a group."""
    values = values_of(fields, name)
    if len(values) < 2 and b"," not in b"".join(values):
        return fields
    word, spelt = named_group(fields, name), next(field[1] for field in fields if field[0] == name)
    kept = [field for field in fields if field[0] != name]
    return [*kept, (name, spelt, word)] if word else kept


def _one_fewer(field: Field) -> Field:
    """``Max-Forwards`` after this hop (RFC 9110 §7.6.2); what is no number goes on as it came."""
    name, spelt, value = field
    if not value.isdigit():
        return field
    # The length is looked at first: a number of thousands of digits costs more than it says.
    forwards = _MAXIMUM_FORWARDS if len(value) > 9 else min(int(value) - 1, _MAXIMUM_FORWARDS)
    return name, spelt, b"%d" % max(forwards, 0)


def _address(origin: Origin) -> bytes:
    """The address as bytes; empty for what is none (a UNIX socket)."""
    address = origin.address
    return address.encode("ascii") if address[:1].isdigit() or ":" in address else b""


def _element(address: bytes, secure: bool, host: bytes | None) -> bytes:
    """One element of ``Forwarded`` (RFC 7239 §4): an IPv6 address in brackets, and then quoted."""
    node = b'"[%b]"' % address if b":" in address else address or b"unknown"
    proto = b"https" if secure else b"http"
    if not host:
        return b"for=%b;proto=%b" % (node, proto)
    if b'"' in host or b"\\" in host:
        host = host.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'for=%b;host="%b";proto=%b' % (node, host, proto)
