"""Heads of one connection, most of which repeat what the head before them said.

Decides when a head need not be read anew: when its bytes, but for a request's method and target, are those
of the last one. Invariant: what it gives, a message or an error, is what `parse` gives for the same bytes,
and no message is given twice, so that whoever changes one changes no other. Refuses to know what bytes mean:
`parse` does, and a head that differs in a single byte goes there, with the lines of the last one.
"""

from __future__ import annotations

import re
from typing import Final

from .field_lines import KEPT, FieldLines
from .grammar import CRLF, REQUEST_LINE
from .message import LENGTH, NONE, HeadMemo, Request, Response
from .parse import parse_request_head, parse_response_head

_SLASH: Final = ord("/")
_END: Final = CRLF + CRLF


class RequestHeads:
    """Reads the heads of requests that one client sends."""

    __slots__ = ("_fields", "_headers", "_last", "_lines", "_rest")

    def __init__(self, headers: int) -> None:
        """A head may have `headers` fields."""
        self._headers = headers
        self._fields = FieldLines()
        self._lines = b""  # those of the last head's fields, with the line end before them
        self._rest = b""  # all that follows the request line, where no content does; b"": it may
        self._last: Request | None = None  # never given to anybody

    def whole(self, data: bytes) -> Request | None:
        """The request without content that `data` is, and nothing else, if it repeats the last one."""
        rest = self._rest
        if not rest or not data.endswith(rest):
            return None
        match = REQUEST_LINE.fullmatch(data, 0, len(data) - len(rest))
        last = self._last
        return self._match(match, last) if match is not None and last is not None else None

    def _match(self, match: re.Match[bytes], last: Request) -> Request | None:
        method, target, major, digit = match.groups()
        # Another form of target has a part in the host; another minor version, in the framing.
        if target[0] == _SLASH and method != b"CONNECT" and major == b"1" and (digit != b"0") == last.minor:
            return _again(last, method, target)
        return None

    def parse(self, head: bytes) -> Request:
        """As `parse_request_head`."""
        end = head.find(CRLF)
        lines = head[end:] if end >= 0 else b""
        last = self._last
        if last is not None and lines == self._lines:
            match = REQUEST_LINE.fullmatch(head, 0, end)
            repeated = self._match(match, last) if match is not None else None
            if repeated is not None:
                return repeated
        request = parse_request_head(head, self._headers, self._fields)
        if lines != self._lines:
            self._lines = lines if len(lines) <= KEPT else b""
            self._rest = b""
            self._last = None
        elif last is None and lines and head[head.find(b" ") + 1] == _SLASH and request.method != b"CONNECT":
            request.memo = HeadMemo()  # now that it has come twice: for heads that differ it would be wasted
            self._last = _again(request, request.method, request.target)
            self._rest = lines + _END if request.framing is NONE else b""
        return request


class ResponseHeads:
    """Reads the heads of responses that one server sends."""

    __slots__ = ("_fields", "_head", "_headers", "_last", "_to_head", "_whole")

    def __init__(self, headers: int) -> None:
        """A head may have `headers` fields."""
        self._headers = headers
        self._fields = FieldLines()
        self._head = b""
        self._to_head = False
        self._whole = b""  # the head and its end, where content of a known length follows; b"": it may not
        self._last: Response | None = None  # never given to anybody

    def whole(self, data: bytes, to_head: bool) -> tuple[Response, bytes] | None:
        """The final response and its content that `data` is, and nothing else, if it repeats the last one."""
        head, last = self._whole, self._last
        if last is None or to_head is not self._to_head or not head or not data.startswith(head):
            return None
        content = data[len(head) :]
        return (_given_again(last), content) if len(content) == last.length else None

    def parse(self, head: bytes, to_head: bool) -> Response:
        """As `parse_response_head`."""
        last = self._last
        if last is not None and head == self._head and to_head is self._to_head:
            return _given_again(last)
        response = parse_response_head(head, self._headers, self._fields, to_head=to_head)
        if head != self._head or to_head is not self._to_head:
            self._head, self._to_head = head if len(head) <= KEPT else b"", to_head
            self._whole = b""
            self._last = None
        else:
            response.memo = HeadMemo()
            self._last = _given_again(response)
            self._whole = head + _END if _simple(response) else b""
        return response


def _simple(response: Response) -> bool:
    return (
        response.status >= 200 and response.framing is LENGTH and response.length > 0 and not response.close
    )


def _again(last: Request, method: bytes, target: bytes) -> Request:
    return Request(
        method,
        target,
        last.minor,
        last.fields.copy(),
        last.host,
        last.framing,
        last.length,
        last.close,
        last.options,
        last.upgrade,
        last.expects_continue,
        last.accepts_trailers,
        last.guarded,
        last.memo,
    )


def _given_again(last: Response) -> Response:
    return Response(
        last.status,
        last.reason,
        last.minor,
        last.fields.copy(),
        last.framing,
        last.length,
        last.close,
        last.options,
        last.upgrade,
        last.memo,
    )
