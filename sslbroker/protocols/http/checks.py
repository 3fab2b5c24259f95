"""How a server of HTTP is asked whether it is well.

Decides the request of an active check, and which answers are good. Invariant: the request is the broker's
own: nothing of any client, and none of the operator's rules for clients' requests, is in it. Counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...settings import Health, Pool, StatusRange
from ...version import __version__
from .forwarding import host_of
from .message import Field, Request, Response

_USER_AGENT: Field = (b"user-agent", b"User-Agent", b"sslbroker/%b (health check)" % __version__.encode())
_ACCEPT: Field = (b"accept", b"Accept", b"*/*")


class StatusChecks:
    """The checks of one pool: what ``health.path`` is answered with."""

    __slots__ = ("_good",)

    def __init__(self, pool: Pool) -> None:
        self._good = all_of((pool.health or Health()).statuses)

    def request(self, address: str, path: str, secure_link: bool) -> Request:
        """A GET of `path`, after which the server closes."""
        host = host_of(address, secure_link)
        return Request(b"GET", path.encode("ascii"), 1, [_USER_AGENT, _ACCEPT], host=host, close=True)

    def healthy(self, response: Response) -> bool:
        """By its status alone, as ``health.statuses`` says."""
        return response.status in self._good


def all_of(ranges: Iterable[StatusRange]) -> frozenset[int]:
    """Every status that these ranges have."""
    return frozenset(status for first, last in ranges for status in range(first, last + 1))
