"""The answers of the rules for short transactions, of which most repeat what the last one said.

Decides when bytes that were written before are what would be written again: when the message repeats the one
before it on its connection (`repeats`), and everything else that they depend on is the same. Invariant: what
is sent is byte by byte what `HTTPRules` and the codecs make, and leaves the codecs in the same state. Refuses
whatever it has not seen twice: then the rules are asked, one by one.
"""

from __future__ import annotations

from typing import Any, NoReturn

from zope.interface import implementer

from ...core.steps import Steps
from ...interfaces import ICodec, IShortCuts, Origin
from ...settings import Pool
from .answers import Answers
from .client_codec import ClientCodec
from .message import LENGTH, NONE, HeadMemo, Request, Response
from .rules import HTTPRules
from .server_codec import ServerCodec

#: Their Max-Forwards counts down, and may end at the broker.
_COUNTED = (b"TRACE", b"OPTIONS")


@implementer(IShortCuts)
class ShortCutRules(HTTPRules):
    """The rules of HTTP, with short cuts. Whoever makes other rules begins with `HTTPRules`."""

    __slots__ = ("_steps",)

    def __init__(self, pool: Pool, broker_name: str, answers: Answers) -> None:
        super().__init__(pool, broker_name, answers)
        self._steps = Steps(self)

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError(f"{cls.__name__}: short cuts know no other rules; make a subclass of HTTPRules")

    def carried(self, request: Request, origin: Origin) -> Origin | None:
        """The origin that the rules make of it, if nothing keeps the request from being sent at once."""
        memo = _memo(request)
        method = request.method
        if memo is not None:
            known = memo.carried
            if known is not None and known[0] == method and known[1] is origin:
                return known[2]  # type: ignore[no-any-return]
        told = self._steps.carried(request, origin)
        if told is not None and memo is not None and method not in _COUNTED:
            memo.carried = method, origin, told
        return told

    def send_request(
        self, codec: ICodec, exchange: int, request: Request, origin: Origin, address: str, secure_link: bool
    ) -> bytes:
        """The request as the server shall see it, which has no content."""
        repeats = type(codec) is ServerCodec and request.method not in _COUNTED
        memo = _memo(request) if repeats else None
        if memo is not None:
            known = memo.wire
            if (
                known is not None
                and known[0] is origin
                and (known[1] is None or known[1] == (address, secure_link))
            ):
                data = codec.send_again(exchange, request, known[2])  # type: ignore[attr-defined]
                if data is not None:
                    return data  # type: ignore[no-any-return]
        data = self._steps.send_request(codec, exchange, request, origin, address, secure_link)
        if (
            memo is not None and request.framing is NONE and not request.upgrade and codec.repeats  # type: ignore[attr-defined]
        ):
            line = len(request.method) + len(request.target) + len("  HTTP/1.1")
            host = None if self._forwarding.keeps_host(request) else (address, secure_link)
            memo.wire = origin, host, data[line:]
        return data

    def send_response(
        self,
        codec: ICodec,
        exchange: int,
        response: Response,
        content: bytes,
        request: Request,
        origin: Origin,
    ) -> bytes:
        """The response as the client shall see it."""
        memo = _memo(response) if type(codec) is ClientCodec and self._sticky is None else None
        if memo is not None and memo.wire is not None and content:
            data = codec.send_again(exchange, memo.wire, content)  # type: ignore[attr-defined]
            if data is not None:
                return data  # type: ignore[no-any-return]
        data = self._steps.send_response(codec, exchange, response, content, request, origin)
        if (
            memo is not None
            and content
            and response.framing is LENGTH
            and not response.upgrade
            and codec.repeats  # type: ignore[attr-defined]
            and any(name == b"date" for name, _, _ in response.fields)  # else it gets ours
        ):
            memo.wire = data[: -len(content)]
        return data


def _memo(message: Request | Response) -> HeadMemo | None:
    memo: Any = message.memo
    return memo if type(memo) is HeadMemo else None
