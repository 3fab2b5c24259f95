"""Whether an address is in any of some networks.

Decides for an address as text, as a connection or a header gives it. Invariant: networks that overlap or
touch are one range, the ranges are sorted, and a look-up is one search in them, however many there are.
Refuses to guess: what is no address is in no network. (Networks that mean something, of which the longest
prefix wins, are cut into ranges on the same line of numbers: `groups`.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from ..settings import Network

#: The longest text that is read as an address: 45 characters and the name of an interface.
LONGEST = 64

#: How many texts are remembered, each of `LONGEST` at most.
REMEMBERED = 4096

#: Where the IPv6 addresses begin on the line of all addresses: after the IPv4 ones.
_AFTER_IPV4 = 1 << 32


def number(address: IPv4Address | IPv6Address) -> int:
    """An address' place on the line of all; an IPv4 one in an IPv6 one counts as IPv4 (RFC 4291 §2.5.5.2)."""
    if isinstance(address, IPv4Address):
        return int(address)
    mapped = address.ipv4_mapped
    return int(address) + _AFTER_IPV4 if mapped is None else int(mapped)


#: The bytes of an IPv4 address as text has them: by this a text is read ten times as fast as by the library.
_BYTES = {str(byte): byte for byte in range(256)}


@lru_cache(REMEMBERED)
def place(text: str) -> int:
    """The number of the address that `text` is; -1: it is none."""
    try:
        if ":" in text:
            return number(IPv6Address(text))
        first, second, third, fourth = text.split(".")
        return _BYTES[first] << 24 | _BYTES[second] << 16 | _BYTES[third] << 8 | _BYTES[fourth]
    except (KeyError, ValueError):
        return -1


class Networks:
    """Some networks, of either version: ``"192.0.2.7" in networks``.

    The address is text. A zone (``%eth0``, RFC 4007) is ignored. An IPv4 address in an IPv6 one
    (``::ffff:192.0.2.7``) counts as IPv4, so ``::/0`` has all IPv6 addresses and no IPv4 one.
    """

    __slots__ = ("_bounds",)

    def __init__(self, networks: Iterable[Network]) -> None:
        # Where the ranges begin and where they are over, by turns.
        self._bounds: list[int] = []
        bounds = self._bounds
        for first, size in sorted((number(each.network_address), each.num_addresses) for each in networks):
            if bounds and first <= bounds[-1]:
                bounds[-1] = max(bounds[-1], first + size)
            else:
                bounds += (first, first + size)

    def __contains__(self, address: str) -> bool:
        bounds = self._bounds
        return bool(bounds) and len(address) <= LONGEST and bisect_right(bounds, place(address)) % 2 == 1
