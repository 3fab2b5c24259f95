"""How the rest of a response is had that has broken off: what another server is asked, and what of its answer
is believed (RFC 9110 §§8.8, 13.1.5 and 14).

Decides which responses can go on at all, and whether an answer can be the same response. Invariant: what is
not proved equal by its head (validator, length, place, type, coding) is refused, with the reason in plain
words. Refuses to compare content (`core.seam` does), to know servers and tries, and to read between the
lines: a server that says less than it must is not asked for more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from zope.interface import implementer

from ...interfaces import IResumption
from ...settings import HeaderRules
from .dates import date_of
from .field_lines import shown
from .fields import values_of
from .forwarding import offered
from .message import CHUNKED, LENGTH, Field, Request, Response

#: Seconds between Last-Modified and Date from which the former is strong (RFC 9110 §8.8.2.2). One would do if
#: both came from one clock, but a file's time may be set by another machine than the one that dates answers,
#: and nothing in a message tells. A minute is what RFC 7232 §2.2.2 took for enough.
LONG_UNMODIFIED: Final = 60

_STRONG: Final = re.compile(rb'"[!#-~\x80-\xff]*+"')  # an entity-tag (RFC 9110 §8.8.3)
_WEAK: Final = b"W/"
_PLACE: Final = re.compile(rb"(?i:bytes) ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_SEVERAL_PARTS: Final = b"multipart/byteranges"

#: What makes a request one for a part: a continuation has its own.
_ASKING: Final = ("Range", "If-Range")
_ASKING_NAMES: Final = (b"range", b"if-range")

#: What is equal in all parts of a response, besides its validator.
_SAME: Final = ((b"content-type", "Content-Type"), (b"content-encoding", "Content-Encoding"))

Same = tuple[bytes, str, list[bytes]]
"""A field that must be the same: its name, how it is spelt in a reason, its values."""

Part = tuple[int, int, int | None]
"""What a Content-Range says: the first byte, the last, and how many there are in all."""


@implementer(IResumption)
class Resumption:
    """How one response goes on; `resumption` makes it."""

    __slots__ = ("_complete", "_first", "_last", "_request", "_same", "_validator", "total")

    def __init__(
        self,
        request: Request,
        validator: bytes,
        same: Sequence[Same],
        part: tuple[int, int | None, int | None],
    ) -> None:
        """`part`: where in the whole representation the client's response begins, where it ends (None: with
        the representation), and how long that is (None: nobody has said)."""
        self._request = request
        self._validator = validator
        self._same = same
        self._first, self._last, self._complete = part
        self.total: int | None = self._complete if self._last is None else self._last - self._first + 1

    def request(self, passed: int, tail: int) -> Request:
        """The client's request, for the part that begins `tail` bytes before what is not `passed`.

        Its preconditions stay: who has them fulfilled by the same representation answers as the first did.
        """
        last = b"" if self._last is None else b"%d" % self._last
        fields = [field for field in self._request.fields if field[0] not in _ASKING_NAMES]
        fields.append((b"range", b"Range", b"bytes=%d-%b" % (self._first + passed - tail, last)))
        fields.append((b"if-range", b"If-Range", self._validator))
        # What is remembered of the client's head is not true of this one.
        return replace(self._request, fields=fields, memo=None)

    def continued(self, response: Response, passed: int, tail: int) -> int | str:
        """How many bytes of this answer come before the tail, or why it is not the same response."""
        status = response.status
        if status != 206 and status != 200:
            return f"status {status}"
        for name, spelt, values in self._same:
            found = values_of(response.fields, name)
            if found != values:
                if not found:
                    return f"no {spelt}"
                return f"another {spelt}" if values else f"{spelt} where there was none"
        if values_of(response.fields, b"trailer"):
            return "it promises trailers"
        begin = self._first + passed - tail
        skip = 0 if status == 206 else begin
        complete = self._complete_of(response, begin) if status == 206 else self._whole(response)
        if isinstance(complete, str):
            return complete
        total = complete if self.total is None else self.total
        if passed > total:
            return f"{total} bytes of content, and {passed} were passed on"
        self._complete, self.total = complete, total
        return skip

    def _complete_of(self, response: Response, begin: int) -> int | str:
        """The length that a 206 tells of the representation, if it is the part that was asked for."""
        part = _part(response)
        if isinstance(part, str):
            return part
        first, last, complete = part
        if first != begin:
            return f"it begins at byte {first}, expected {begin}"
        if complete is None:
            return "it does not say how long the whole is"
        if self._complete is not None and complete != self._complete:
            return f"{complete} bytes in all, expected {self._complete}"
        wanted = complete - 1 if self._last is None else self._last
        return complete if last == wanted else f"it ends at byte {last}, expected {wanted}"

    def _whole(self, response: Response) -> int | str:
        """The length of the representation that a 200 is, if that is known and ends where it must."""
        if values_of(response.fields, b"content-range"):
            return "a Content-Range with status 200"
        complete = self._complete
        if response.framing is not LENGTH or complete is None:
            return "status 200, and the length is not known"
        if response.length != complete:
            return f"{response.length} bytes in all, expected {complete}"
        if self._last is not None and self._last != complete - 1:
            return f"status 200, which goes on after byte {self._last}"
        return complete


def resumption(request: Request, response: Response) -> Resumption | str:
    """How this response of a server, as it came, goes on after a break; or why it cannot."""
    if request.method != b"GET":
        return "the method is not GET"
    if request.framing is CHUNKED or request.length:
        return "the request has content"
    if request.upgrade and offered(request.upgrade):
        return "the request offers an Upgrade"
    if any(value.lower().startswith(_SEVERAL_PARTS) for value in values_of(response.fields, b"content-type")):
        return "several parts in one response"
    if values_of(response.fields, b"trailer"):
        return "it promises trailers"
    part = _part_of_client(request, response)
    if isinstance(part, str):
        return part
    same = _validator(response.fields)
    if isinstance(same, str):
        return same
    validator = same[-1][2][0]
    same += [(name, spelt, values_of(response.fields, name)) for name, spelt in _SAME]
    return Resumption(request, validator, same, part)


def length_of_part(response: Response) -> int:
    """Bytes of content that a 206 of one part must have; 0: it does not say."""
    if response.status != 206:
        return 0
    part = _part(response)
    return 0 if isinstance(part, str) else part[1] - part[0] + 1


def hindrance(rules: HeaderRules) -> str:
    """Why no server of a pool with these rules can be asked for a part; "": nothing hinders it."""
    for spelt in _ASKING:
        for said, names in (
            ("headers.remove takes {} away", rules.remove),
            ("headers.set replaces {}", rules.set),
            ("headers.add writes another {}", rules.add),
        ):
            if any(one.lower() == spelt.lower() for one in names):
                return said.format(spelt)
    return ""


def _part_of_client(request: Request, response: Response) -> tuple[int, int | None, int | None] | str:
    """Where the client's response begins, ends, and how long the whole is, as `Resumption` takes it."""
    if response.status == 200:
        # The whole, says the status; a part, says a server that has forgotten to say 206.
        if values_of(response.fields, b"content-range"):
            return "a Content-Range with status 200"
        return 0, None, response.length if response.framing is LENGTH else None
    if response.status != 206:
        return f"status {response.status}"
    if not values_of(request.fields, b"range"):
        return "status 206, and nobody has asked for a part"
    return _part(response)


def _part(response: Response) -> Part | str:
    """The one part that a 206 has (RFC 9110 §14.4)."""
    places = values_of(response.fields, b"content-range")
    if len(places) != 1:
        return f"{len(places)} Content-Range fields, expected one" if places else "no Content-Range"
    match = _PLACE.fullmatch(places[0])
    if match is None:
        return f"Content-Range {shown(places[0], 40)} cannot be read"
    first, last = int(match[1]), int(match[2])
    complete = None if match[3] == b"*" else int(match[3])
    if first > last or (complete is not None and last >= complete):
        return f"Content-Range {shown(places[0], 40)} cannot be"
    if response.framing is LENGTH and response.length != last - first + 1:
        return f"Content-Length {response.length} of bytes {first} to {last}"
    return first, last, complete


def _validator(fields: list[Field]) -> list[Same] | str:
    """What proves that two responses are of one representation: the last one's value is asked for."""
    tags = values_of(fields, b"etag")
    if len(tags) > 1:
        return f"{len(tags)} ETags"
    if tags:
        if _STRONG.fullmatch(tags[0]):
            return [(b"etag", "ETag", tags)]
        # Last-Modified is not looked at: the server itself says that the bytes may differ.
        return "a weak ETag" if tags[0].startswith(_WEAK) else "an ETag that cannot be read"
    modified, sent = date_of(fields, b"last-modified"), date_of(fields, b"date")
    if modified is None:
        return "no ETag, and no Last-Modified that can be read"
    if sent is None:
        return "no ETag, and no Date beside Last-Modified"
    if sent - modified < LONG_UNMODIFIED:
        return f"no ETag, and modified less than {LONG_UNMODIFIED} seconds before"
    return [(b"etag", "ETag", []), (b"last-modified", "Last-Modified", values_of(fields, b"last-modified"))]
