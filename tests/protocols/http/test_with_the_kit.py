"""HTTP keeps the laws that the test kit tries of any protocol's codecs."""

from __future__ import annotations

from sslbroker.outcome import After
from sslbroker.protocols.http.backend import HTTPProtocol
from sslbroker.testkit import Kit

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
)
TO_THE_END = b"HTTP/1.0 200 OK\r\n\r\nok"


def test_http_keeps_the_laws_of_codecs() -> None:
    kit = Kit(HTTPProtocol(lambda: 0.0))
    kit.check_whole()
    kit.check_requests(GET + PUT + CHUNKED, end=True)
    kit.check_answers(GET, LENGTH, after=After.REUSABLE)
    kit.check_answers(GET, TO_THE_END, after=After.CLOSE, end=True)
    kit.check_hostile([GET, PUT, CHUNKED], [(GET, LENGTH), (GET, INTERIM), (PUT, TO_THE_END)])
