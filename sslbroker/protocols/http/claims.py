"""What a trusted peer says of the client: ``X-Forwarded-For`` and ``-Proto``, or ``Forwarded``.

Decides a client's address and security when the peer is another proxy that the operator trusts.
Invariant: what cannot be read as a whole changes nothing; of a list only the rightmost entry counts,
because only that was written by the peer itself, and what stands left of it may be a client's
invention. The ``X-Forwarded-`` names win over ``Forwarded`` (RFC 7239): common proxies write the
former and pass the latter on from whoever sent it. Refuses to decide whom to trust.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from ...interfaces import Origin
from .fields import FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO
from .message import Field

_ELEMENTS = 100  # more proxies than this in a row are a loop or an attack
_SEPARATORS = 400  # of elements and pairs in all Forwarded fields: each costs a microsecond
_SCHEMES = {b"http": False, b"ws": False, b"https": True, b"wss": True}

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+)"'
#: A pair, or none, and what parts it from the next: blanks around it are let pass.
_PAIR = re.compile(
    rb"[ \t]*+(?:(" + _TOKEN + rb")=(?:(" + _TOKEN + rb")|" + _QUOTED + rb")[ \t]*+)?+([;,]|\Z)"
)
_ESCAPED = re.compile(rb"\\(.)")
_NODE = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(?:([0-9]{1,5})|_[0-9A-Za-z._\-]{1,64}))?"
)
_BARE_V6 = re.compile(rb"[0-9A-Fa-f:.]{2,45}")

Address = tuple[str, int]
"""An IP address as text, and a port (0: not said)."""


class ClaimedOrigin(Origin):
    """The origin as a trusted `peer` describes it; `peer` is the origin of the connection itself."""

    __slots__ = ("peer",)

    def __init__(self, peer: Origin, address: str, port: int, secure: bool) -> None:
        super().__init__(
            address,
            port,
            listener=peer.listener,
            listener_port=peer.listener_port,
            secure=secure,
            trusted=peer.trusted,
        )
        self.peer = peer


def claimed(fields: list[Field], origin: Origin) -> Origin:
    """The origin that the fields claim; `origin` itself when they say nothing or nothing readable.

    The walk over several trusted proxies has its place here: it would go on from the rightmost
    address to the left while each is in the listener's trusted networks.
    """
    addresses = [value for name, _, value in fields if name == X_FORWARDED_FOR]
    schemes = [value for name, _, value in fields if name == X_FORWARDED_PROTO]
    if addresses or schemes:
        return _from_x_forwarded(addresses, schemes, origin)
    forwarded = [value for name, _, value in fields if name == FORWARDED]
    return _from_forwarded(forwarded, origin) if forwarded else origin


def _from_x_forwarded(addresses: list[bytes], schemes: list[bytes], origin: Origin) -> Origin:
    address, port, secure = origin.address, origin.port, origin.secure
    if addresses:
        found = parse_address(_rightmost(addresses))
        if found is None:
            return origin
        address, port = found
    if schemes:
        scheme = _SCHEMES.get(_rightmost(schemes).lower())
        if scheme is None:
            return origin
        secure = scheme
    return ClaimedOrigin(origin, address, port, secure)


def _rightmost(values: list[bytes]) -> bytes:
    return values[-1].rpartition(b",")[2].strip(b" \t")


def _from_forwarded(values: list[bytes], origin: Origin) -> Origin:
    elements = parse_forwarded(values)
    if not elements:
        return origin
    address, port, secure = origin.address, origin.port, origin.secure
    last = elements[-1]
    node = last.get(b"for", b"unknown")
    if node.lower() != b"unknown" and not node.startswith(b"_"):
        found = _parse_node(node)
        if found is None:
            return origin
        address, port = found
    if b"proto" in last:
        scheme = _SCHEMES.get(last[b"proto"].lower())
        if scheme is None:
            return origin
        secure = scheme
    return ClaimedOrigin(origin, address, port, secure)


def agrees(values: list[bytes], origin: Origin | None) -> bool:
    """Whether the ``Forwarded`` fields can be passed on: well formed, and with `origin` as the last.

    Else they are most likely a client's, which a peer that writes ``X-Forwarded-For`` did not look at.
    Without an `origin` (there was no ``X-Forwarded-For``) the form alone decides.
    """
    elements = parse_forwarded(values)
    if not elements:
        return False
    if origin is None:
        return True
    found = _parse_node(elements[-1].get(b"for", b""))
    return found is not None and found[0] == origin.address


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
            element[name] = token if quoted is None else _ESCAPED.sub(rb"\1", quoted)
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
