"""HTTP as a backend protocol: the one object that the broker looks up by ``protocol = "http"``.

Decides nothing itself: it joins the codecs to the rules. Invariant: it holds no state of a connection
or a pool, so one serves them all. Refuses to know where its bytes come from.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from ...interfaces import IBackendProtocol
from ...settings import Pool
from .answers import Answers
from .client_codec import ClientCodec
from .rules import HTTPRules, StatusClassifier
from .server_codec import ServerCodec


@implementer(IBackendProtocol)
class HTTPProtocol:
    """HTTP/1.1 and 1.0; `now` gives seconds since the epoch, for the ``Date`` of the broker's answers.

    A protocol has no clock of its own: without `now` those answers carry no ``Date``, as RFC 9110
    §6.6.1 wants it of a sender without one.
    """

    name = "http"
    alpn = (b"http/1.1",)
    server_first = False

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._answers = Answers(now)

    def client_codec(self, head_size: int, headers: int) -> ClientCodec:
        """Framing for a connection to a client; a head has at most so many bytes and fields."""
        return ClientCodec(head_size, headers)

    def server_codec(self, head_size: int, headers: int) -> ServerCodec:
        """Framing for a link to a server; a head has at most so many bytes and fields."""
        return ServerCodec(head_size, headers)

    def rules(self, pool: Pool, broker_name: str) -> HTTPRules:
        """The answers for one pool; `ConfigurationError` when its header rules cannot be used."""
        return HTTPRules(pool, broker_name, self._answers)

    def classifier(self, pool: Pool) -> StatusClassifier:
        """Which answers fail, for one pool."""
        return StatusClassifier(pool)


HTTP = HTTPProtocol()
