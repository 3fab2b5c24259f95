"""What a short transaction asks of its rules and codecs, one by one.

Decides the order of the questions, and that a single no keeps a request from being sent at once. Invariant:
nothing is remembered between two transactions. Refuses to know a protocol; one that has short cuts gives the
same answers in fewer steps.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from ..interfaces import Body, End, Head, ICodec, IExchangeRules, IShortCuts, Origin
from ..outcome import Replay

_REPLAYABLE = Replay.REPLAYABLE


@implementer(IShortCuts)
class Steps:
    """What rules without short cuts say, one by one."""

    def __init__(self, rules: IExchangeRules) -> None:
        self._rules = rules

    def carried(self, request: Any, origin: Origin) -> Origin | None:
        rules = self._rules
        origin = rules.origin(request, origin)
        if (
            origin.misdirected is not None
            or rules.replay(request) is not _REPLAYABLE
            or rules.go_ahead_wait(request)
            or rules.admit(request, origin) is not None
        ):
            return None
        return origin

    def send_request(
        self, codec: ICodec, exchange: int, request: Any, origin: Origin, address: str, secure_link: bool
    ) -> bytes:
        head = self._rules.to_server(request, origin, address, secure_link)
        return codec.send(Head(exchange, head)) + codec.send(End(exchange))

    def send_response(
        self, codec: ICodec, exchange: int, response: Any, content: bytes, request: Any, origin: Origin
    ) -> bytes:
        data = codec.send(Head(exchange, self._rules.to_client(response, request, origin)))
        if content:
            data += codec.send(Body(exchange, content))
        return data + codec.send(End(exchange))
