"""One request to a demo server, and the ways to answer it.

Decides how a request's body is taken in and how answers are written. Invariant: a body of any length
costs a hash and its first 64 KiB, an answer of any length costs one block; every answer has a
Content-Length, names its server, and tells the browser to run nothing from elsewhere. Refuses to
know what the shop sells.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
from hashlib import sha256
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qs

from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from .content import BLOCK, Content, Part, choose_part
from .shop import Refused

MAXIMUM_BODY: Final = 64 * 1024
"""Bytes of a request's body that are kept; the rest is only counted and hashed."""

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class AnsweringRequest(Request):
    """A `twisted.web` request whose body is bounded, with short ways to answer."""

    received = 0  # bytes of the body

    def gotLength(self, length: int | None) -> None:
        self.content = self.kept = BytesIO()
        self.body_hash = sha256()

    def handleContentChunk(self, data: bytes) -> None:
        self.body_hash.update(data)
        room = MAXIMUM_BODY - self.received
        if room > 0:
            self.kept.write(data[:room])
        self.received += len(data)

    # --- what came ---------------------------------------------------------------------------

    def header(self, name: str) -> str:
        """The header's value, "" when it is absent or not UTF-8."""
        return (self.getHeader(name.encode()) or b"").decode("utf-8", "replace")

    def query(self, name: str) -> str:
        """The first value of a query parameter, "" when it is absent."""
        found: list[bytes] = (self.args or {}).get(name.encode(), [b""])
        return found[0].decode("utf-8", "replace")

    @property
    def is_form(self) -> bool:
        """Did a page's own form send this, so that a page is the best answer?"""
        named = self.header("Content-Type").lower().startswith("application/x-www-form-urlencoded")
        return named and not self.kept.getvalue().startswith(b"{")  # curl calls JSON a form, too

    def fields(self) -> dict[str, Any]:
        """The body's JSON object or form; `Refused` 413 when it is too long, 400 when it is neither."""
        if self.received > MAXIMUM_BODY:
            raise Refused(413, f"body: found {self.received} bytes, expected at most {MAXIMUM_BODY}")
        body = self.kept.getvalue()
        try:
            if self.is_form:
                parsed = parse_qs(body.decode(), max_num_fields=20)
                return {name: values[0] for name, values in parsed.items()}
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise Refused(
                400, 'body: expected a JSON object such as {"product": 3, "quantity": 1}, or a form'
            )
        return value

    # --- what goes out -----------------------------------------------------------------------

    def answer(self, status: int, body: bytes, kind: bytes = b"application/json") -> int:
        """The whole answer, not to be stored; returns what `render` shall return."""
        self._begin(status, kind, len(body))
        self.setHeader(b"Cache-Control", b"no-store")
        self.write(body)
        self.finish()
        return NOT_DONE_YET

    def answer_json(self, status: int, value: object) -> int:
        """The whole answer as JSON."""
        return self.answer(status, json.dumps(value).encode() + b"\n")

    def answer_error(self, status: int, detail: str) -> int:
        """A JSON answer that says what is wrong."""
        if status == 503:
            self.setHeader(b"Retry-After", b"1")
        return self.answer_json(status, {"error": detail})

    def answer_see_other(self, location: bytes) -> int:
        """303: the result of a form is a page of its own (RFC 9110 §15.4.4)."""
        self.setHeader(b"Location", location)
        return self.answer(303, b"", b"text/plain")

    def answer_content(self, content: Content) -> int:
        """The content or the part of it that was asked for, streamed, with its validator."""
        if self.method == b"GET":
            part = choose_part(
                content,
                none_match=self.getHeader(b"If-None-Match"),
                byte_range=self.getHeader(b"Range"),
                if_range=self.getHeader(b"If-Range"),
            )
        else:
            part = Part(200, 0, content.length)
        self._begin(part.status, content.kind, part.stop - part.start)
        self.setHeader(b"ETag", content.etag)
        self.setHeader(b"Accept-Ranges", b"bytes")
        self.setHeader(b"Cache-Control", b"no-cache")  # keep it, but ask each time
        if part.status == 206:
            place = b"bytes %d-%d/%d" % (part.start, part.stop - 1, content.length)
            self.setHeader(b"Content-Range", place)
        elif part.status == 416:
            self.setHeader(b"Content-Range", b"bytes */%d" % content.length)
        elif part.status == 304:
            self.responseHeaders.removeHeader(b"Content-Length")
        if self.method == b"HEAD" or part.start == part.stop:
            self.finish()
        elif part.stop - part.start <= BLOCK and len(data := content.read(part.start, part.stop)) == (
            part.stop - part.start
        ):
            self.write(data)
            self.finish()
        else:
            Stream(self, content, part).begin()
        return NOT_DONE_YET

    def _begin(self, status: int, kind: bytes, length: int) -> None:
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", kind)
        self.setHeader(b"Content-Length", b"%d" % length)
        self.setHeader(b"Content-Security-Policy", POLICY)
        self.setHeader(b"X-Content-Type-Options", b"nosniff")
        self.setHeader(b"Referrer-Policy", b"no-referrer")


def text_field(fields: dict[str, Any], name: str) -> str:
    """A field that must be text; `Refused` 422 otherwise."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise Refused(422, f"{name}: found {_short(value)}, expected text")
    return value


def number_field(fields: dict[str, Any], name: str, default: int | None = None) -> int:
    """A field that must be a whole number, or digits in a form; `Refused` 422 otherwise."""
    value = fields.get(name)
    if value is None:
        value = default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(422, f"{name}: found {_short(value)}, expected a whole number")
    return value


def _short(value: object) -> str:
    return "nothing" if value is None else repr(value)[:50]


@implementer(IPushProducer)
class Stream:
    """Writes a part of a content as fast as the connection takes it, a block at a time."""

    def __init__(self, request: AnsweringRequest, content: Content, part: Part) -> None:
        self._request = request
        self._content = content
        self._at = part.start
        self._stop = part.stop
        self._paused = False
        self._writing = False
        self._over = False

    def begin(self) -> None:
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._writing:
            return  # called from within `write`: the loop below goes on
        self._writing = True
        while not self._paused and not self._over and self._at < self._stop:
            data = self._content.read(self._at, self._stop)
            self._at += len(data)
            self._request.write(data)
        self._writing = False
        if self._at >= self._stop and not self._over:
            self._over = True
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        self._paused = True

    def stopProducing(self) -> None:
        self._over = True


class Leaf(Resource):
    """A resource without children, whose refusals become answers."""

    isLeaf = True

    def render(self, request: AnsweringRequest) -> int:
        allowed = [method for method in ("GET", "POST", "PUT") if hasattr(self, f"render_{method}")]
        if "GET" in allowed:
            allowed.append("HEAD")
        method = request.method.decode("latin-1")
        if method not in allowed:
            request.setHeader(b"Allow", ", ".join(allowed).encode())
            return request.answer_error(405, f"method: found {method[:20]}, expected {' or '.join(allowed)}")
        try:
            result: int = super().render(request)
            return result
        except Refused as refusal:
            return request.answer_error(refusal.status, refusal.detail)


class Missing(Leaf):
    """404 for whatever is not there; `hint` says what is."""

    def __init__(self, hint: str) -> None:
        super().__init__()
        self.hint = hint

    def render(self, request: AnsweringRequest) -> int:
        path = request.path.decode("utf-8", "replace")[:100]
        return request.answer_error(404, f"{path}: nothing is here. {self.hint}")
