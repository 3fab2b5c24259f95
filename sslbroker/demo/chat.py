"""The shop's chat, where clients talk to each other: by long polling and by WebSocket.

Decides how a message comes in and how listeners hear of it. Invariant: messages are numbered in the
shop, so a client that lost its server asks any other for what came after the last number it saw, and
misses nothing. Refuses listeners that do not read: they are cut off, and come back with their number.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.server import NOT_DONE_YET

from .answers import Leaf, number_field, text_field
from .shop import Message, Refused, Shop
from .trouble import TroubledRequest
from .websocket import GOING_AWAY, VERSION, Conversation, accept_token

if TYPE_CHECKING:
    from .channel import Channel

LONG: Final = 3600  # seconds; a server's own patience ends sooner

PING: Final = 20.0
"""Seconds between two pings on a WebSocket; a peer that was silent for a whole one is given up."""

BACKLOG: Final = 50  # messages that a new WebSocket gets at most


def new_key(request: TroubledRequest, fields: dict[str, Any]) -> str:
    """The key that makes a repetition harmless: the client's, or one of our own for this request alone."""
    return request.header("Idempotency-Key") or str(fields.get("key") or secrets.token_hex(16))


class Messages(Leaf):
    """GET /chat/messages?after=N waits for what is newer than N; POST adds a message."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop

    def render_GET(self, request: TroubledRequest) -> int:
        query = {"after": request.query("after") or "0", "wait": request.query("wait") or None}
        after = number_field(query, "after")
        wait = min(number_field(query, "wait", LONG), request.server.patience)
        if request.method == b"HEAD" or not wait or self._shop.messages_after(after):
            return self._answer(request, after)

        def over() -> None:
            stop()
            if late.active():
                late.cancel()

        def now(_: Message | None = None) -> None:
            over()
            self._answer(request, after)

        stop = self._shop.listen(now)
        late = request.server.clock.callLater(wait, now)
        request.notifyFinish().addErrback(lambda _: over())
        return NOT_DONE_YET

    def render_POST(self, request: TroubledRequest) -> int:
        fields = request.fields()
        message = self._shop.say(
            text_field(fields, "author"),
            text_field(fields, "text"),
            new_key(request, fields),
            request.server.name,
        )
        if request.is_form:
            return request.answer_see_other(b"/chat")
        return request.answer_json(201, asdict(message))

    def _answer(self, request: TroubledRequest, after: int) -> int:
        messages = [asdict(message) for message in self._shop.messages_after(after)]
        return request.answer_json(200, {"messages": messages, "latest": self._shop.latest})


class Socket(Leaf):
    """GET /chat/socket?after=N: the chat over a WebSocket (RFC 6455 §4.2)."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop

    def render_GET(self, request: TroubledRequest) -> int:
        upgrade = request.header("Upgrade").lower()
        if upgrade != "websocket" or request.header("Sec-WebSocket-Version") != VERSION:
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Connection", b"Upgrade")
            request.setHeader(b"Sec-WebSocket-Version", VERSION.encode())
            return request.answer_error(426, "this is a WebSocket (RFC 6455): use one, or /chat/messages")
        try:
            token = accept_token(request.header("Sec-WebSocket-Key"))
        except ValueError:
            raise Refused(400, "Sec-WebSocket-Key: expected 16 bytes in base64") from None
        _check_origin(request)
        after = number_field({"after": request.query("after") or "0"}, "after")
        listener = ChatSocket(self._shop, request.server.name, request.server.clock, after)
        request.become(listener, [("Sec-WebSocket-Accept", token)])
        return NOT_DONE_YET


def _check_origin(request: TroubledRequest) -> None:
    """A page of another site must not listen in; browsers say truly which page asks."""
    origin = request.header("Origin")
    host = origin.partition("://")[2]
    if origin and (not host or host not in (request.header("Host"), request.header("X-Forwarded-Host"))):
        raise Refused(403, f"Origin: found {origin[:100]!r}, expected the shop's own pages")


class ChatSocket:
    """One client on a WebSocket: each message of the shop goes out, each text that comes in is said."""

    def __init__(self, shop: Shop, server: str, clock: IReactorTime, after: int) -> None:
        self._shop = shop
        self._server = server
        self._clock = clock
        self._after = after
        self._conversation = Conversation()
        self._heard = True  # something since the last ping
        self._ping: IDelayedCall | None = None

    def begin(self, channel: Channel) -> None:
        self._channel = channel
        try:
            self._stop = self._shop.listen(self._tell)
        except Refused:
            self._stop = lambda: None
            self._conversation.close(GOING_AWAY)
        for message in self._shop.messages_after(self._after)[-BACKLOG:]:
            self._conversation.text(_as_json(message))
        self._ping = self._clock.callLater(PING, self._look)
        self._flush()

    def receive(self, data: bytes) -> None:
        self._heard = True
        for text in self._conversation.receive(data):
            self._say(text)
        self._flush()

    def ended(self) -> None:
        self._stop()
        if self._ping is not None and self._ping.active():
            self._ping.cancel()

    def _say(self, text: str) -> None:
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        try:
            if not isinstance(fields, dict):
                raise Refused(400, 'expected {"author": "…", "text": "…", "key": "…"}')
            key = str(fields.get("key") or secrets.token_hex(16))
            self._shop.say(text_field(fields, "author"), text_field(fields, "text"), key, self._server)
        except Refused as refusal:
            self._conversation.text(json.dumps({"error": refusal.detail}))

    def _tell(self, message: Message) -> None:
        self._conversation.text(_as_json(message))
        self._flush()

    def _look(self) -> None:
        if not self._heard:
            self._channel.abort()
            return
        self._heard = False
        self._conversation.ping()
        self._ping = self._clock.callLater(PING, self._look)
        self._flush()

    def _flush(self) -> None:
        outgoing = bytes(self._conversation.outgoing)
        self._conversation.outgoing.clear()
        if not outgoing:
            return
        if self._channel.congested:
            self._channel.abort()
            return
        self._channel.send(outgoing)
        if self._conversation.closed:
            self._stop()
            self._channel.loseConnection()


def _as_json(message: Message) -> str:
    return json.dumps({"message": asdict(message)}, ensure_ascii=False)
