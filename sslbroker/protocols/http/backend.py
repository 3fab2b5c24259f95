"""HTTP as a backend protocol: the one object that the broker looks up by ``protocol = "http"``.

Decides nothing itself: it joins the codecs to the rules. Invariant: it holds no state of a connection
or a pool, so one serves them all. Refuses to know where its bytes come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from zope.interface import implementer

from ...interfaces import IBackendProtocol, IProbe
from ...settings import Pool
from .answers import Answers
from .client_codec import ClientCodec
from .grammar import BARE_LINE_END, CRLF, LINE_BYTES, STATUS_LINE, STATUS_LINE_START
from .rules import HTTPRules, StatusClassifier
from .server_codec import ServerCodec
from .short_cuts import ShortCutRules

_PROBED_LINE = 1024  # bytes of a status line, its end included
_FROM_TLS_PORTS = re.compile(rb"400|426|3..")  # statuses that say "speak TLS" in plain HTTP


@implementer(IBackendProtocol, IProbe)
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
        return ShortCutRules(pool, broker_name, self._answers)

    def classifier(self, pool: Pool) -> StatusClassifier:
        """Which answers fail, for one pool."""
        return StatusClassifier(pool)

    def probe(self, host: str) -> bytes:
        """A request for the options of ``/``, which is safe (RFC 9110 §9.2.1); `host` without a port.

        Not for those of ``*``: nginx answers 400 to that.
        """
        name = b"[%b]" % host.encode("ascii") if ":" in host else host.encode("ascii")
        return b"OPTIONS / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % name

    def answers(self, received: bytes) -> bool | None:
        """Whether it begins with a status line, of at most 1 KiB; None: that may still come.

        A 400, a 426 or a redirection proves nothing: with these a TLS port answers who speaks plain HTTP to
        it (nginx, Apache and Go with a 400; with a redirection where an operator wanted that).
        """
        if not (received.startswith(STATUS_LINE_START) or STATUS_LINE_START.startswith(received)):
            return False
        end = received.find(CRLF, 0, _PROBED_LINE)
        if end < 0:
            over = len(received) >= _PROBED_LINE or BARE_LINE_END.search(received) is not None
            return False if over else None
        line = received[:end]
        status = STATUS_LINE.fullmatch(line)
        return (
            status is not None
            and not _FROM_TLS_PORTS.fullmatch(status[2])
            and not line.translate(None, LINE_BYTES)
        )


HTTP = HTTPProtocol()
