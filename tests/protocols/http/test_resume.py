"""Which responses can go on elsewhere, what is asked for, and which answers are the same response."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from sslbroker.interfaces import IResumption, Origin
from sslbroker.protocols.http.answers import Answers
from sslbroker.protocols.http.message import CHUNKED, LENGTH, UNTIL_CLOSE, HeadMemo, Request, Response
from sslbroker.protocols.http.resume import Resumption, hindrance, resumption
from sslbroker.protocols.http.rules import HTTPRules
from sslbroker.protocols.http.short_cuts import ShortCutRules
from sslbroker.settings import HeaderRules

from .written import BROKER, CLIENT, PROXY, SERVER, line, lines, pool, request, response

MODIFIED = "Last-Modified: Fri, 27 Nov 2026 11:00:00 GMT"
LATER = "Date: Fri, 27 Nov 2026 11:01:00 GMT"
TAG = 'ETag: "v1"'
TYPE = "Content-Type: text/plain"
WHOLE = ("Content-Length: 1000", TAG, TYPE)
PART = ("Content-Length: 100", "Content-Range: bytes 200-299/1000", TAG, TYPE)


def resumed(message: Request | None = None, answer: Response | None = None) -> Resumption:
    made = resumption(message or request("GET /"), answer or response("200 OK", *WHOLE))
    assert not isinstance(made, str)
    return made


def part_of(*head: str) -> Resumption:
    """Of a client's own request for a part."""
    return resumed(request("GET /", "Range: bytes=200-299"), response("206 Partial Content", *(head or PART)))


def refusal(answer: Response, message: Request | None = None) -> str:
    reason = resumption(message or request("GET /"), answer)
    assert isinstance(reason, str)
    assert reason
    assert len(reason) < 120
    return reason


def test_the_interface_is_provided() -> None:
    verifyObject(IResumption, resumed())


# --- what can go on ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "total"),
    [
        (response("200 OK", *WHOLE), 1000),
        (response("200 OK", TAG, framing=CHUNKED), None),
        (response("200 OK", TAG, framing=UNTIL_CLOSE), None),
        (response("200 OK", 'ETag: ""', "Content-Length: 1"), 1),
        (response("200 OK", 'ETag: "\\!#~\xff"', "Content-Length: 1"), 1),
        (response("200 OK", MODIFIED, LATER, "Content-Length: 1"), 1),
        (response("200 OK", *WHOLE, "Content-Encoding: gzip", MODIFIED), 1000),
        (response("200 OK", *WHOLE, "Accept-Ranges: none"), 1000),
    ],
)
def test_a_whole_response_with_a_strong_validator(answer: Response, total: int | None) -> None:
    assert resumed(answer=answer).total == total


@pytest.mark.parametrize(
    ("place", "framing", "total"),
    [
        ("bytes 200-299/1000", LENGTH, 100),
        ("bytes 200-299/1000", CHUNKED, 100),
        ("bytes 200-299/1000", UNTIL_CLOSE, 100),
        ("bytes 200-299/300", LENGTH, 100),
        ("bytes 200-299/*", LENGTH, 100),
        ("Bytes 000200-299/1000", LENGTH, 100),
        ("bytes 0-0/1", CHUNKED, 1),
    ],
)
def test_a_part_that_the_client_asked_for(place: str, framing: object, total: int) -> None:
    answer = response("206 Partial Content", f"Content-Range: {place}", TAG, framing=framing, length=100)
    assert resumed(request("GET /", "Range: bytes=200-299"), answer).total == total


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (request("POST /"), "the method is not GET"),
        (request("HEAD /"), "the method is not GET"),
        (request("get /"), "the method is not GET"),
        (request("GET /", framing=CHUNKED), "the request has content"),
        (request("GET /", framing=LENGTH, length=1), "the request has content"),
        (request("GET /", "Connection: Upgrade", "Upgrade: websocket"), "the request offers an Upgrade"),
    ],
)
def test_requests_of_which_no_response_can_go_on(message: Request, reason: str) -> None:
    assert refusal(response("200 OK", *WHOLE), message) == reason


def test_an_empty_content_is_none_and_an_upgrade_that_is_not_passed_on_neither() -> None:
    resumed(request("GET /", framing=LENGTH, length=0))
    resumed(request("GET /", "Connection: Upgrade", "Upgrade: h2c"))


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (["Content-Length: 9"], "no ETag, and no Last-Modified that can be read"),
        (['ETag: W/"v1"'], "a weak ETag"),
        (['ETag: W/"v1"', MODIFIED, LATER], "a weak ETag"),
        (["ETag: v1", MODIFIED, LATER], "an ETag that cannot be read"),
        (['ETag: w/"v1"'], "an ETag that cannot be read"),
        (['ETag: "v1', MODIFIED, LATER], "an ETag that cannot be read"),
        (['ETag: "v 1"'], "an ETag that cannot be read"),
        (['ETag: "v"1"'], "an ETag that cannot be read"),
        (['ETag: "v1", "v2"'], "an ETag that cannot be read"),
        (["ETag:", MODIFIED, LATER], "an ETag that cannot be read"),
        ([TAG, TAG], "2 ETags"),
        ([TAG, 'ETag: "v2"', 'ETag: "v3"'], "3 ETags"),
        ([MODIFIED], "no ETag, and no Date beside Last-Modified"),
        ([MODIFIED, "Date: today"], "no ETag, and no Date beside Last-Modified"),
        ([MODIFIED, LATER, LATER], "no ETag, and no Date beside Last-Modified"),
        ([MODIFIED, MODIFIED, LATER], "no ETag, and no Last-Modified that can be read"),
        (["Last-Modified: yesterday", LATER], "no ETag, and no Last-Modified that can be read"),
        (
            [MODIFIED, "Date: Fri, 27 Nov 2026 11:00:59 GMT"],
            "no ETag, and modified less than 60 seconds before",
        ),
        (
            [MODIFIED, "Date: Fri, 27 Nov 2026 10:00:00 GMT"],
            "no ETag, and modified less than 60 seconds before",
        ),
        ([TAG, "Trailer: Digest"], "it promises trailers"),
        ([TAG, "Content-Range: bytes 0-8/9"], "a Content-Range with status 200"),
        ([TAG, "Content-Type: multipart/byteranges; boundary=a"], "several parts in one response"),
    ],
)
def test_whole_responses_that_cannot_go_on(head: list[str], reason: str) -> None:
    for framing in (LENGTH, CHUNKED, UNTIL_CLOSE):
        assert refusal(response("200 OK", *head, framing=framing, length=9)) == reason


@pytest.mark.parametrize("status", [201, 203, 204, 226, 299, 301, 304, 404, 416, 500])
def test_only_200_and_206_go_on(status: int) -> None:
    assert refusal(response(f"{status} X", *WHOLE)) == f"status {status}"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ([], "no Content-Range"),
        (["Content-Range: bytes 0-8/9"] * 2, "2 Content-Range fields, expected one"),
        (["Content-Range: bytes */9"], "cannot be read"),
        (["Content-Range: bytes 0-8"], "cannot be read"),
        (["Content-Range: bytes=0-8/9"], "cannot be read"),
        (["Content-Range: bytes  0-8/9"], "cannot be read"),
        (["Content-Range: lines 0-8/9"], "cannot be read"),
        (["Content-Range: bytes 0-8/9;"], "cannot be read"),
        (["Content-Range: bytes 0-8/" + "9" * 19], "cannot be read"),
        (["Content-Range: bytes 8-0/9"], "cannot be"),
        (["Content-Range: bytes 0-8/8"], "cannot be"),
        (["Content-Range: bytes 0-9/100"], "Content-Length 9 of bytes 0 to 9"),
        (
            ["Content-Range: bytes 0-8/9", "Content-Type: Multipart/ByteRanges"],
            "several parts in one response",
        ),
        (["Content-Range: bytes 0-8/9", "Trailer: Digest"], "it promises trailers"),
        (["Content-Range: bytes 0-8/9", 'ETag: "other"'], "2 ETags"),
    ],
)
def test_parts_that_cannot_go_on(head: list[str], reason: str) -> None:
    answer = response("206 Partial Content", TAG, *head, framing=LENGTH, length=9)
    found = refusal(answer, request("GET /", "Range: bytes=0-8"))
    assert found == reason or (reason.startswith("cannot") and found.endswith(reason))


def test_a_part_that_nobody_asked_for_cannot_go_on() -> None:
    reason = "status 206, and nobody has asked for a part"
    assert refusal(response("206 Partial Content", *PART)) == reason


def test_a_long_reason_is_cut() -> None:
    answer = response("206 Partial Content", TAG, "Content-Range: \x1b" + "x" * 9000)
    assert len(refusal(answer, request("GET /", "Range: bytes=0-8"))) < 100


# --- what is asked ----------------------------------------------------------------------------


def test_the_request_asks_for_the_rest_and_the_tail() -> None:
    asked = resumed(request("GET /a", "Host: shop", "Accept-Encoding: gzip")).request(700, 100)
    assert lines(asked) == [
        "Host: shop",
        "Accept-Encoding: gzip",
        "Range: bytes=600-",
        'If-Range: "v1"',
    ]
    assert (asked.method, asked.target, asked.host) == (b"GET", b"/a", b"shop")


def test_a_part_is_asked_for_by_its_own_offsets() -> None:
    asked = part_of().request(70, 20)
    assert lines(asked) == ["Range: bytes=250-299", 'If-Range: "v1"']


def test_without_an_etag_the_date_is_the_validator() -> None:
    asked = resumed(answer=response("200 OK", MODIFIED, LATER, "Content-Length: 9")).request(5, 5)
    assert lines(asked) == ["Range: bytes=0-", "If-Range: Fri, 27 Nov 2026 11:00:00 GMT"]


def test_the_clients_own_range_that_was_not_heeded_is_replaced() -> None:
    message = request(
        *("GET /", "Range: bytes=5-", 'If-Range: "old"', "RANGE: bytes=7-", "Cookie: a=b"),
        *('If-None-Match: "old"', "Authorization: Basic eA=="),
    )
    asked = resumed(message).request(9, 4)
    assert lines(asked) == [
        *("Cookie: a=b", 'If-None-Match: "old"', "Authorization: Basic eA=="),
        *("Range: bytes=5-", 'If-Range: "v1"'),
    ]


def test_the_clients_request_stays_as_it_was_and_nothing_remembered_is_shared() -> None:
    message = request("GET /", "Range: bytes=5-", "Connection: keep-alive", memo=HeadMemo())
    before = list(message.fields)
    made = resumed(message)
    one, other = made.request(9, 4), made.request(9, 4)
    assert one == other
    assert one.memo is None
    assert one.fields is not other.fields
    one.fields.clear()
    assert message.fields == before
    assert lines(made.request(9, 4)) == lines(other)
    assert one.options == (b"keep-alive",)


@pytest.mark.parametrize("origin", [CLIENT, PROXY])
@pytest.mark.parametrize("options", ["", "Connection: range, if-range, x-a"])
def test_the_server_sees_what_is_asked(origin: Origin, options: str) -> None:
    rules = ShortCutRules(pool(), BROKER, Answers())
    message = request("GET /", "Host: shop", "Range: bytes=5-", *filter(None, [options]))
    made = rules.resumption(message, response("200 OK", *WHOLE))
    assert isinstance(made, Resumption)
    seen = rules.to_server(made.request(10, 3), origin, SERVER, False)
    assert line(seen, "Range") == ["bytes=7-"]
    assert line(seen, "If-Range") == ['"v1"']


# --- the operator's own headers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (HeaderRules(remove=("Range",)), "headers.remove takes Range away"),
        (HeaderRules(remove=("X-A", "IF-RANGE")), "headers.remove takes If-Range away"),
        (HeaderRules(set={"range": "bytes=0-9"}), "headers.set replaces Range"),
        (HeaderRules(set={"If-Range": '"a"'}), "headers.set replaces If-Range"),
        (HeaderRules(add={"Range": "bytes=0-9"}), "headers.add writes another Range"),
        (HeaderRules(add={"if-range": "x"}), "headers.add writes another If-Range"),
        (HeaderRules(), ""),
        (HeaderRules(remove=("Accept-Ranges", "Cookie"), set={"X-Range": "a"}, add={"Via": "b"}), ""),
    ],
)
def test_rules_that_keep_the_question_from_servers(headers: HeaderRules, reason: str) -> None:
    assert hindrance(headers) == reason
    rules = HTTPRules(pool(headers), BROKER, Answers())
    made = rules.resumption(request("GET /"), response("200 OK", *WHOLE))
    assert made == reason if reason else isinstance(made, Resumption)


# --- what is believed -------------------------------------------------------------------------


def rest(place: str, *head: str, status: int = 206, **more: object) -> Response:
    place = f"Content-Range: {place}"
    return response(f"{status} X", place, *(head or (TAG, TYPE)), framing=CHUNKED, **more)


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED, UNTIL_CLOSE])
def test_the_rest_of_a_whole_response(framing: object) -> None:
    answer = response(
        *("206 X", "Content-Range: bytes 600-999/1000", TAG, TYPE, "Server: another", "Date: x"),
        framing=framing,
        length=400,
    )
    made = resumed()
    assert made.continued(answer, 700, 100) == 0
    assert made.total == 1000


def test_the_rest_of_a_part() -> None:
    made = part_of()
    assert made.continued(rest("bytes 250-299/1000"), 70, 20) == 0
    assert made.total == 100


def test_the_whole_again_with_its_length() -> None:
    made = resumed()
    assert made.continued(response("200 OK", *WHOLE), 700, 100) == 600
    assert made.continued(response("200 OK", *WHOLE), 0, 0) == 0


def test_the_whole_in_place_of_a_part_that_ends_with_it() -> None:
    made = part_of("Content-Range: bytes 900-999/1000", TAG, TYPE)
    assert made.continued(response("200 OK", *WHOLE), 70, 20) == 950
    assert made.total == 100


def test_the_whole_in_place_of_a_part_would_go_on_after_it() -> None:
    made = part_of()
    assert made.continued(response("200 OK", *WHOLE), 70, 20) == "status 200, which goes on after byte 299"


def test_the_length_is_learned_from_the_first_continuation() -> None:
    made = resumed(answer=response("200 OK", TAG, TYPE, framing=CHUNKED))
    assert made.total is None
    assert made.continued(response("200 OK", *WHOLE), 700, 100) == "status 200, and the length is not known"
    assert made.continued(rest("bytes 600-999/1000"), 700, 100) == 0
    assert made.total == 1000
    assert made.continued(rest("bytes 800-1000/1001"), 900, 100) == "1001 bytes in all, expected 1000"
    assert made.continued(response("200 OK", *WHOLE), 900, 100) == 800


def test_the_length_of_the_whole_is_learned_for_a_part_too() -> None:
    made = part_of("Content-Range: bytes 200-299/*", TAG, TYPE)
    assert made.continued(response("200 OK", *WHOLE), 70, 20) == "status 200, and the length is not known"
    assert made.continued(rest("bytes 250-299/1000"), 70, 20) == 0
    assert made.total == 100
    assert made.continued(rest("bytes 250-299/999"), 70, 20) == "999 bytes in all, expected 1000"


def test_what_is_refused_teaches_nothing() -> None:
    made = resumed(answer=response("200 OK", TAG, TYPE, framing=CHUNKED))
    assert made.continued(rest("bytes 600-998/1000"), 700, 100) == "it ends at byte 998, expected 999"
    assert (
        made.continued(rest("bytes 600-649/650"), 700, 100) == "650 bytes of content, and 700 were passed on"
    )
    assert made.total is None


def test_all_of_it_may_have_come_but_its_end() -> None:
    made = resumed(answer=response("200 OK", TAG, TYPE, framing=CHUNKED))
    assert made.continued(rest("bytes 600-699/700"), 700, 100) == 0
    assert made.total == 700


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (rest("bytes 600-999/1000", 'ETag: "v2"', TYPE), "another ETag"),
        (rest("bytes 600-999/1000", 'ETag: W/"v1"', TYPE), "another ETag"),
        (rest("bytes 600-999/1000", TAG, TAG, TYPE), "another ETag"),
        (rest("bytes 600-999/1000", TYPE), "no ETag"),
        (rest("bytes 600-999/1000", TAG), "no Content-Type"),
        (rest("bytes 600-999/1000", TAG, "Content-Type: text/html"), "another Content-Type"),
        (rest("bytes 600-999/1000", TAG, TYPE, TYPE), "another Content-Type"),
        (rest("bytes 600-999/1000", TAG, "Content-Type: multipart/byteranges"), "another Content-Type"),
        (
            rest("bytes 600-999/1000", TAG, TYPE, "Content-Encoding: gzip"),
            "Content-Encoding where there was none",
        ),
        (rest("bytes 600-999/1000", TAG, TYPE, "Trailer: Digest"), "it promises trailers"),
        (rest("bytes 5-999/1000"), "it begins at byte 5, expected 600"),
        (rest("bytes 601-999/1000"), "it begins at byte 601, expected 600"),
        (rest("bytes 600-998/1000"), "it ends at byte 998, expected 999"),
        (rest("bytes 600-1000/1001"), "1001 bytes in all, expected 1000"),
        (rest("bytes 600-999/*"), "it does not say how long the whole is"),
        (
            rest("bytes 600-999/1000", TAG, TYPE, "Content-Range: bytes 600-999/1000"),
            "2 Content-Range fields, expected one",
        ),
        (response("206 X", TAG, TYPE, framing=CHUNKED), "no Content-Range"),
        (
            response("206 X", "Content-Range: bytes 600-999/1000", TAG, TYPE, framing=LENGTH, length=399),
            "Content-Length 399 of bytes 600 to 999",
        ),
        (rest("bytes 600-999/1000", status=200), "a Content-Range with status 200"),
        (response("200 X", TAG, TYPE, framing=CHUNKED), "status 200, and the length is not known"),
        (response("200 X", TAG, TYPE, framing=UNTIL_CLOSE), "status 200, and the length is not known"),
        (response("200 X", TAG, TYPE, framing=LENGTH, length=999), "999 bytes in all, expected 1000"),
        (response("304 X", *WHOLE), "status 304"),
        (response("404 X", *WHOLE), "status 404"),
        (response("416 X", "Content-Range: bytes */5", TAG, TYPE), "status 416"),
        (response("503 X"), "status 503"),
    ],
)
def test_what_is_not_the_same_response(answer: Response, reason: str) -> None:
    made = resumed()
    assert made.continued(answer, 700, 100) == reason
    assert made.total == 1000


def test_a_coding_that_is_gone_and_one_that_is_another() -> None:
    made = resumed(answer=response("200 OK", *WHOLE, "Content-Encoding: gzip"))
    assert made.continued(rest("bytes 600-999/1000"), 700, 100) == "no Content-Encoding"
    another = rest("bytes 600-999/1000", TAG, TYPE, "Content-Encoding: br")
    assert made.continued(another, 700, 100) == "another Content-Encoding"
    same = rest("bytes 600-999/1000", TAG, TYPE, "Content-Encoding: gzip")
    assert made.continued(same, 700, 100) == 0


def test_a_date_that_is_the_validator_is_compared_byte_by_byte_and_no_etag_may_come() -> None:
    made = resumed(answer=response("200 OK", MODIFIED, LATER, TYPE, "Content-Length: 1000"))
    place = "bytes 600-999/1000"
    assert made.continued(rest(place, MODIFIED, TYPE), 700, 100) == 0
    other = "Last-Modified: Fri, 27 Nov 2026 11:00:01 GMT"
    assert made.continued(rest(place, other, TYPE), 700, 100) == "another Last-Modified"
    assert made.continued(rest(place, TYPE), 700, 100) == "no Last-Modified"
    assert made.continued(rest(place, MODIFIED, TAG, TYPE), 700, 100) == "ETag where there was none"


def test_beside_an_etag_the_date_is_not_looked_at() -> None:
    made = resumed(answer=response("200 OK", *WHOLE, MODIFIED))
    assert made.continued(rest("bytes 600-999/1000"), 700, 100) == 0


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("bytes 50-99/1000", "it begins at byte 50, expected 250"),
        ("bytes 250-999/1000", "it ends at byte 999, expected 299"),
        ("bytes 250-298/1000", "it ends at byte 298, expected 299"),
        ("bytes 250-299/300", "300 bytes in all, expected 1000"),
        ("bytes 250-299/*", "it does not say how long the whole is"),
    ],
)
def test_what_is_not_the_rest_of_a_part(place: str, reason: str) -> None:
    assert part_of().continued(rest(place), 70, 20) == reason
