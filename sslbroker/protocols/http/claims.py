"""What a trusted peer says of the client: ``X-Forwarded-For`` and ``-Proto``, or ``Forwarded``; its group.

Decides a client's address and security when the peer is another proxy that the operator trusts. Each
proxy adds to the right of a list whom it was asked by. So the lists are walked from the right, as long as
who stands there is trusted too: the first address that is not trusted is the client's, and what stands
left of it may be the client's invention. When all are trusted, the leftmost is the client. Invariant:
nothing that a client can put to the left of a proxy's words takes these away, else it could pass for the
proxy: an address that cannot be read ends the walk at the hop before it, a ``Forwarded`` field that is
malformed hides those before it only, and a scheme that is none says nothing. The ``X-Forwarded-`` names win
over ``Forwarded`` (RFC 7239): common proxies write the former and pass the latter on from whoever sent it.
Refuses to decide whom to trust.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from ...interfaces import Origin
from .fields import FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO, values_of
from .message import Field

_ELEMENTS = 100  # more proxies than this in a row are a loop or an attack
_SEPARATORS = 400  # of elements and pairs in all Forwarded fields: each costs a microsecond
#: Is a client of this scheme secure?
SCHEMES = {b"http": False, b"ws": False, b"https": True, b"wss": True}

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"((?:[\t !#-\[\]-~\x80-\xff]++|\\[\t -~\x80-\xff])*+)"'
#: A pair, or none, and what parts it from the next: blanks around it are let pass.
_PAIR = re.compile(
    rb"[ \t]*+(?:(" + _TOKEN + rb")=(?:(" + _TOKEN + rb")|" + _QUOTED + rb")[ \t]*+)?+([;,]|\Z)"
)
_NODE = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(?:([0-9]{1,5})|_[0-9A-Za-z._\-]{1,64}))?"
)
_BARE_V6 = re.compile(rb"[0-9A-Fa-f:.]{2,45}")

Address = tuple[str, int]
"""An IP address as text, and a port (0: not said)."""

_Client = tuple[str, int, bool]
"""A client's address and port, and whether it came by TLS."""


class ClaimedOrigin(Origin):
    """The origin as a trusted `peer` describes it; `peer` is the origin of the connection itself.

    Whom the listener trusts and which hosts it would not have on this connection are the connection's
    own. Its `certificate` is not: it proves who the peer is, and the client is somebody else. What the
    peer knows of the client's certificate it says in fields, which go on to the server.
    """

    __slots__ = ("peer",)

    def __init__(self, peer: Origin, address: str, port: int, secure: bool, group: str = "") -> None:
        """`group` is the name that the peer gave, "": none."""
        super().__init__(
            address,
            port,
            listener=peer.listener,
            listener_port=peer.listener_port,
            secure=secure,
            trusted=peer.trusted,
        )
        self.trusts = peer.trusts
        self.misdirected = peer.misdirected
        self.group_fields = peer.group_fields
        self.peer = peer
        self.group = peer.grouping(self, group)


def claimed(fields: list[Field], origin: Origin) -> Origin:
    """The origin that the fields claim; `origin` itself when they say nothing or nothing readable."""
    addresses = values_of(fields, X_FORWARDED_FOR)
    schemes = values_of(fields, X_FORWARDED_PROTO)
    told: _Client | None = None
    if addresses or schemes:
        told = _from_x_forwarded(addresses, schemes, origin)
    elif forwarded := values_of(fields, FORWARDED):
        told = _from_forwarded(forwarded, origin)
    known = origin.group_fields
    group = "" if known is None else named_group(fields, known.believed).decode("latin-1")
    if told is None and not group:
        return origin
    return ClaimedOrigin(origin, *(told or (origin.address, origin.port, origin.secure)), group)


def named_group(fields: list[Field], name: bytes) -> bytes:
    """The last member of the last field: the peer's own word, if it adds to what its client wrote."""
    values = values_of(fields, name) if name else []
    return values[-1].rpartition(b",")[2].strip(b" \t") if values else b""


def _from_x_forwarded(addresses: list[bytes], schemes: list[bytes], origin: Origin) -> _Client | None:
    """The client after ``X-Forwarded-For``; its scheme is the one that stands as far from the right.

    Some proxies add to ``X-Forwarded-Proto`` as to ``X-Forwarded-For``, most write one word or leave the
    one that stands there. A list of schemes that is too short for the client's place, one word above all,
    began nearer to the broker: its leftmost is the oldest thing that a trusted proxy said.
    """
    address, port, secure = origin.address, origin.port, origin.secure
    hops = 0
    if addresses:
        for entry in _from_right(addresses):
            found = parse_address(entry)
            if found is None:
                break
            address, port = found
            hops += 1
            if not origin.trusts(address):
                break
        if not hops:
            return None
    if schemes:
        entries = _from_right(schemes)
        secure = SCHEMES.get(entries[min(max(hops, 1), len(entries)) - 1].lower(), secure)
    return address, port, secure


def _from_right(values: list[bytes]) -> list[bytes]:
    """The members of a list, the rightmost first; those beyond `_ELEMENTS` are not looked at."""
    joined = values[0] if len(values) == 1 else b",".join(values)
    if b"," not in joined:
        return [joined]
    members = joined.rsplit(b",", _ELEMENTS)[-_ELEMENTS:]
    return [member.strip(b" \t") for member in reversed(members)]


def _from_forwarded(values: list[bytes], origin: Origin) -> _Client | None:
    """The client after ``Forwarded``; its scheme is its element's, else that of the nearest on the way.

    An element that hides its ``for`` (RFC 7239 §6) leaves the address of the hop before it, and its scheme
    counts: it is still the client that it speaks of.
    """
    elements = _nearest(values)
    address, port, secure = origin.address, origin.port, origin.secure
    hops = 0
    for element in reversed(elements):
        node = element.get(b"for", b"unknown")
        hidden = node.lower() == b"unknown" or node.startswith(b"_")
        found = None if hidden else _parse_node(node)
        if not hidden and found is None:
            break
        hops += 1
        secure = SCHEMES.get(element.get(b"proto", b"").lower(), secure)
        if found is None:
            break
        address, port = found
        if not origin.trusts(address):
            break
    return (address, port, secure) if hops else None


def _nearest(values: list[bytes]) -> list[dict[bytes, bytes]]:
    """The elements of the last fields, leftmost first, back to one that is not usable: what stands before
    the words of the peer's own may be anybody's."""
    first, separators = len(values), 0
    elements: list[dict[bytes, bytes]] = []
    while first and len(elements) < _ELEMENTS:
        first -= 1
        separators += values[first].count(b",") + values[first].count(b";")
        found = parse_forwarded(values[first : first + 1]) if separators <= _SEPARATORS else None
        if found is None:
            break
        elements[:0] = found
    return elements


def agrees(values: list[bytes], chain: list[bytes]) -> bool:
    """Whether the ``Forwarded`` fields can be passed on: well formed, and about the peer's own client.

    That is the last of `chain`, the ``X-Forwarded-For`` fields. Else they are most likely a client's, which
    a peer that writes ``X-Forwarded-For`` did not look at. Without a chain the form alone decides.
    """
    elements = parse_forwarded(values)
    if not elements:
        return False
    if not chain:
        return True
    found = _parse_node(elements[-1].get(b"for", b""))
    told = parse_address(_from_right(chain)[0])
    return found is not None and told is not None and found[0] == told[0]


def parse_forwarded(values: list[bytes]) -> list[dict[bytes, bytes]] | None:
    """The elements of all ``Forwarded`` fields, leftmost first (RFC 7239 §4); None when not usable.

    That is when they are malformed or overlong. Stricter than a list needs to be: a field has to be
    whole in itself, so that an open quotation mark cannot swallow the next one. Blanks around ``;``
    are let pass, since proxies write them.
    """
    if sum(value.count(b",") + value.count(b";") for value in values) > _SEPARATORS:
        return None
    elements: list[dict[bytes, bytes]] = []
    for value in values:
        if not _parse_line(value, elements):
            return None
    return elements


def _parse_line(text: bytes, elements: list[dict[bytes, bytes]]) -> bool:
    element: dict[bytes, bytes] = {}
    at = 0
    while True:
        pair = _PAIR.match(text, at)
        if pair is None:
            return False
        name, token, quoted, separator = pair.groups()
        if name is not None:
            name = name.lower()
            if name in element:
                return False
            element[name] = token if quoted is None else _unescaped(quoted)
        at = pair.end()
        if separator == b";":
            continue
        if element:
            elements.append(element)
            element = {}
        if len(elements) > _ELEMENTS:
            return False
        if not separator:
            return True


def _unescaped(quoted: bytes) -> bytes:
    """The text of a quoted string; in a few steps, since a client may have written nothing but escapes."""
    return quoted.replace(rb"\\", b"\0").replace(b"\\", b"").replace(b"\0", b"\\")


def parse_address(text: bytes) -> Address | None:
    """An entry of ``X-Forwarded-For``: an address, with or without brackets and port; else None."""
    if _BARE_V6.fullmatch(text) and text.count(b":") > 1:
        v6 = _checked_v6(text)
        return None if v6 is None else (v6, 0)
    return _parse_node(text)


def _parse_node(text: bytes) -> Address | None:
    """A node of RFC 7239 §6 that is an address; None for any other."""
    node = _NODE.fullmatch(text)
    if node is None:
        return None
    v6, v4, digits = node.groups()
    port = int(digits or 0)
    if port > 65535:
        return None
    address = _checked_v4(v4) if v6 is None else _checked_v6(v6)
    return None if address is None else (address, port)


@lru_cache(maxsize=512)
def _checked_v4(text: bytes) -> str | None:
    try:
        return str(IPv4Address(text.decode("ascii")))
    except AddressValueError:
        return None


@lru_cache(maxsize=512)
def _checked_v6(text: bytes) -> str | None:
    try:
        address = IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return None
    # A client of an IPv4 network is one, however the peer's socket shows it: groups depend on it.
    return str(address.ipv4_mapped or address)
