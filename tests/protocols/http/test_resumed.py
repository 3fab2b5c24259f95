"""Responses that break off anywhere, again and again, and go on at servers of every kind: the joined bytes
are those that one server would have sent.

The servers answer by RFC 9110 §§13.1.5 and 14, from a representation of their own; requests and heads pass
between them and the rules as bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.seam import Seam
from sslbroker.errors import Mismatch
from sslbroker.protocols.http.answers import Answers
from sslbroker.protocols.http.message import LENGTH, Field, Framing, Request, Response
from sslbroker.protocols.http.parse import parse_request_head, parse_response_head
from sslbroker.protocols.http.resume import Resumption
from sslbroker.protocols.http.rules import HTTPRules, StatusClassifier
from sslbroker.protocols.http.write import write_request_head, write_response_head

from .written import BROKER, CLIENT, SERVER, fields, pool, request

RULES = HTTPRules(pool(), BROKER, Answers())
TAG = '"v1"'
MODIFIED = "Fri, 27 Nov 2026 11:00:00 GMT"
DATE = "Fri, 27 Nov 2026 11:59:00 GMT"
RANGE = re.compile(rb"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))")


@dataclass(frozen=True)
class Model:
    """A server: what it has, and how it answers."""

    content: bytes
    tag: str = TAG  # "": it makes none
    ranges: bool = True
    chunked: bool = False

    def answers(self, asked: Request) -> tuple[Response, bytes]:
        """Head and content."""
        said = {name: value for name, _, value in asked.fields}
        size = len(self.content)
        head = ["Content-Type: text/plain", f"Last-Modified: {MODIFIED}", f"Date: {DATE}"]
        head += [f"ETag: {self.tag}"] if self.tag else []
        match = RANGE.fullmatch(said.get(b"range", b""))
        condition = said.get(b"if-range")
        if condition is not None and condition.decode() != (self.tag or MODIFIED):
            match = None
        if match is None or not self.ranges or (match[2] and int(match[2]) < int(match[1])):
            return self._head(200, head, size), self.content
        if match[3] is not None:
            first, last = max(size - int(match[3]), 0), size - 1
        else:
            first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if first > last:
            return self._head(416, [*head, f"Content-Range: bytes */{size}"], 0), b""
        head.append(f"Content-Range: bytes {first}-{last}/{size}")
        return self._head(206, head, last - first + 1), self.content[first : last + 1]

    def _head(self, status: int, head: list[str], length: int) -> Response:
        response = Response(status, b"X", 1, fields(*head))
        if self.chunked:
            wire = write_response_head(response, chunked=True)
        else:
            wire = write_response_head(response, length=length)
        return parse_response_head(wire.removesuffix(b"\r\n\r\n"), 100)


def asks(message: Request, server: Model) -> tuple[Response, bytes]:
    seen = RULES.to_server(message, CLIENT, SERVER, False)
    wire = write_request_head(seen).removesuffix(b"\r\n\r\n")
    return server.answers(parse_request_head(wire, 100))


def goes_on(message: Request, answer: Response) -> Resumption:
    made = RULES.resumption(message, answer)
    assert isinstance(made, Resumption), made
    return made


@st.composite
def requests(draw: st.DrawFn, size: int) -> Request:
    """Of a client for the whole or for a part, that may be there or not."""
    place = st.integers(0, size + 2)
    head = ["Host: shop"]
    form = draw(st.sampled_from(["", "from", "part", "end", "nonsense"]))
    if form == "from":
        head.append(f"Range: bytes={draw(place)}-")
    elif form == "part":
        head.append(f"Range: bytes={draw(place)}-{draw(place)}")
    elif form == "end":
        head.append(f"Range: bytes=-{draw(place)}")
    elif form:
        head.append("Range: lines=1-2")
    condition = draw(st.sampled_from(["", TAG, '"v0"', MODIFIED]))
    return request("GET /a", *head, *([f"If-Range: {condition}"] if condition else []))


@st.composite
def chunks(draw: st.DrawFn, content: bytes) -> list[bytes]:
    """What comes of the content, in pieces, until it breaks off or is whole."""
    cuts = draw(st.lists(st.integers(0, len(content)), min_size=1, max_size=4).map(sorted))
    return [content[begin:end] for begin, end in zip([0, *cuts], cuts, strict=False)]


@given(st.data(), st.binary(max_size=60), st.sampled_from([TAG, ""]))
def test_whatever_breaks_wherever_the_joined_bytes_are_those_of_one_server(
    data: st.DataObject, content: bytes, tag: str
) -> None:
    servers = st.builds(Model, st.just(content), st.just(tag), st.booleans(), st.booleans())
    message = data.draw(requests(len(content)))
    answer, whole = asks(message, data.draw(servers))
    if answer.status == 416:
        return
    made = goes_on(message, answer)
    ends = answer.status == 200 or whole == content[-len(whole) :]
    known = answer.status == 206 or answer.framing is LENGTH
    assert made.total == (len(whole) if known else None)
    got = b"".join(data.draw(chunks(whole)))
    for server in data.draw(st.lists(servers, max_size=4)):
        passed = len(got)
        tail = min(passed, data.draw(st.integers(1, 8)))
        again, rest = asks(made.request(passed, tail), server)
        skip = made.continued(again, passed, tail)
        # A server that gives parts is always of use; who gives the whole, when it proves to be that.
        useful = bool(content) if server.ranges else known and ends and not server.chunked
        assert isinstance(skip, int) is useful, skip
        if isinstance(skip, int):
            known = True
            assert made.total == len(whole)
            seam = Seam(skip, got[passed - tail :], len(whole) - passed)
            came = data.draw(chunks(rest))
            got += b"".join(map(seam.feed, came))
            assert seam.whole is (len(b"".join(came)) == len(rest))
            assert (got == whole) is (seam.whole or passed == len(whole))
        assert whole.startswith(got)


@given(st.data(), st.binary(min_size=1, max_size=60))
def test_a_server_with_other_content_adds_no_byte(data: st.DataObject, content: bytes) -> None:
    message = data.draw(requests(len(content)))
    answer, whole = asks(message, Model(content))
    if answer.status == 416:
        return
    made = goes_on(message, answer)
    passed = data.draw(st.integers(1, len(whole)))
    other = Model(
        data.draw(st.binary(max_size=60)), '"v2"', data.draw(st.booleans()), data.draw(st.booleans())
    )
    again, _ = asks(made.request(passed, min(passed, 8)), other)
    assert again.status == 200  # for its If-Range is not fulfilled
    assert isinstance(made.continued(again, passed, min(passed, 8)), str)


@given(st.data(), st.binary(min_size=1, max_size=60))
def test_a_validator_that_lies_is_found_by_the_bytes_before_the_break(
    data: st.DataObject, content: bytes
) -> None:
    message = data.draw(requests(len(content)))
    answer, whole = asks(message, Model(content))
    if answer.status == 416:
        return
    made = goes_on(message, answer)
    passed = data.draw(st.integers(1, len(whole)))
    tail = min(passed, 8)
    other = Model(bytes(byte ^ 1 for byte in content), ranges=data.draw(st.booleans()))
    again, rest = asks(made.request(passed, tail), other)
    skip = made.continued(again, passed, tail)
    if isinstance(skip, int):
        seam = Seam(skip, whole[passed - tail : passed], len(whole) - passed)
        with pytest.raises(Mismatch):
            seam.feed(rest)


# --- heads that are nearly right --------------------------------------------------------------

#: What no longer proves anything when it is another, twice, or not there.
PROOFS = (b"etag", b"content-type", b"content-encoding", b"content-range")


@st.composite
def spoilt(draw: st.DrawFn, good: Response) -> Response:
    """The same head with one thing wrong."""
    head = list(good.fields)
    kind = draw(st.sampled_from(["status", "length", "trailer", "twice", "without", "byte", "number"]))
    if kind == "status":
        status = draw(st.integers(200, 599).filter(lambda status: status != good.status))
        return replace(good, status=status)
    if kind == "length":
        return replace(good, length=draw(st.integers(0, 99).filter(lambda length: length != good.length)))
    if kind == "trailer":
        return replace(good, fields=[*head, *fields("Trailer: Digest")])
    proofs = [field for field in head if field[0] in PROOFS]
    field = draw(st.sampled_from(proofs))
    at = head.index(field)
    if kind == "twice":
        head.insert(at, field)
    elif kind == "without":
        del head[at]
    elif kind == "byte" or field[0] != b"content-range":
        head[at] = draw(changed(field))
    else:
        head[at] = draw(moved(field))
    return replace(good, fields=head)


@st.composite
def changed(draw: st.DrawFn, field: Field) -> Field:
    """One byte of its value is another; of a Content-Range none that only spells it otherwise."""
    name, spelt, value = field
    at = draw(st.integers(0, len(value) - 1))
    byte = draw(
        st.integers(33, 255).filter(lambda byte: bytes((byte,)).lower() != value[at : at + 1].lower())
    )
    return name, spelt, value[:at] + bytes((byte,)) + value[at + 1 :]


@st.composite
def moved(draw: st.DrawFn, field: Field) -> Field:
    """One of its numbers is another."""
    name, spelt, value = field
    match = draw(st.sampled_from(list(re.finditer(rb"[0-9]+", value))))
    number = draw(st.integers(0, 99).filter(lambda number: number != int(match[0])))
    return name, spelt, value[: match.start()] + b"%d" % number + value[match.end() :]


@given(st.data(), st.booleans(), st.booleans())
def test_a_head_with_one_thing_wrong_is_refused(data: st.DataObject, ranges: bool, part: bool) -> None:
    content = bytes(range(80))
    message = request("GET /", "Host: shop", *(["Range: bytes=10-"] if part else []))
    answer, whole = asks(message, Model(content))
    coding = fields("Content-Encoding: gzip")
    answer.fields += coding
    made = goes_on(message, answer)
    passed, tail = 40, 8
    good, _ = asks(made.request(passed, tail), Model(content, ranges=ranges))
    good.fields += coding
    bad = data.draw(spoilt(good))
    assert isinstance(made.continued(bad, passed, tail), str)
    assert made.total == len(whole)
    assert isinstance(made.continued(good, passed, tail), int)


NAMES = ("ETag", "Last-Modified", "Date", "Content-Range", "Content-Type", "Trailer", "Retry-After")
VALUES = st.one_of(
    st.sampled_from(
        [b'"v1"', b'W/"v1"', b"bytes 0-9/10", b"bytes 9-0/*", b"multipart/byteranges", b"9" * 40]
    ),
    st.sampled_from([MODIFIED.encode(), DATE.encode()]),
    st.binary(max_size=40),
)
HEADS = st.builds(
    lambda status, head, framing, length: Response(
        status,
        b"",
        1,
        [(name.lower().encode(), name.encode(), value) for name, value in head],
        framing,
        length,
    ),
    st.sampled_from([200, 206, 304, 503]),
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=7),
    st.sampled_from(Framing),
    st.integers(0, 20),
)


@given(HEADS, HEADS, st.integers(0, 20), st.integers(0, 20))
def test_whatever_servers_say_is_an_answer_or_a_short_reason(
    one: Response, other: Response, passed: int, tail: int
) -> None:
    tail = min(passed, tail)
    made = RULES.resumption(request("GET /", "Range: bytes=0-9"), one)
    verdict = made if isinstance(made, str) else made.continued(other, passed, tail)
    if isinstance(verdict, str):
        assert 0 < len(verdict) < 100
        assert verdict.isascii()
        assert verdict.isprintable()
    else:
        assert isinstance(made, Resumption)
        assert made.total is not None
        assert made.total >= passed
        assert verdict >= 0
    assert 0.0 <= StatusClassifier(pool()).rest(other) <= 3600.0
