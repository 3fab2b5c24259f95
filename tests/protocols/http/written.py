"""Messages, origins and pools as the tests of the HTTP rules write them: lines of text, as on the wire.

What a codec takes from a head (`options`, `upgrade`, `expects_continue`, `accepts_trailers`, the host)
is taken here too, so that a test shows a head and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sslbroker.interfaces import ClientCertificate, Origin
from sslbroker.protocols.http.message import Field, Framing, Request, Response
from sslbroker.settings import HeaderRules, Pool, Server

BROKER = "edge-1"
SERVER = "10.0.0.9:8080"

CLIENT = Origin("198.51.100.7", 40000, listener="https", listener_port=8443, secure=True)
PROXY = Origin("10.0.0.1", 50000, listener="http", listener_port=8080, trusted=True)

CERTIFICATE = ClientCertificate("CN=ann,O=Shop", "CN=Shop CA", "0A2B", "c0ffee", b"0\x82\x01\xff\xfe")


def certified(origin: Origin, certificate: ClientCertificate | None = CERTIFICATE) -> Origin:
    """An origin like that one, whose connection has shown a certificate."""
    made = Origin(
        origin.address,
        origin.port,
        listener=origin.listener,
        listener_port=origin.listener_port,
        secure=origin.secure,
        trusted=origin.trusted,
    )
    made.certificate = certificate
    return made


def fields(*lines: str) -> list[Field]:
    pairs = [line.split(":", 1) for line in lines]
    return [(name.lower().encode(), name.encode(), value.strip().encode("utf-8")) for name, value in pairs]


def lines(message: Request | Response) -> list[str]:
    """The fields as lines, to compare with."""
    return [f"{spelt.decode()}: {value.decode('utf-8')}" for _, spelt, value in message.fields]


def line(message: Request | Response, name: str) -> list[str]:
    """The values of all fields of that name."""
    return [value.decode("utf-8") for key, _, value in message.fields if key == name.lower().encode()]


def request(start: str, *head: str, **more: Any) -> Request:
    """`request("GET /a", "Host: shop", …)`; `more` replaces attributes (framing, length, minor)."""
    method, target = start.split(" ")
    found = fields(*head)
    options = _options(found)
    made = Request(
        method=method.encode(),
        target=target.encode(),
        minor=1,
        fields=found,
        host=_first(found, b"host"),
        options=options,
        upgrade=(_first(found, b"upgrade") or b"") if b"upgrade" in options else b"",
        expects_continue=_first(found, b"expect") is not None,
        accepts_trailers=_first(found, b"te") == b"trailers",
    )
    return replace(made, **more)


def response(start: str, *head: str, **more: Any) -> Response:
    """`response("200 OK", "ETag: x", …)`."""
    status, _, reason = start.partition(" ")
    found = fields(*head)
    length = _first(found, b"content-length")
    made = Response(
        status=int(status),
        reason=reason.encode(),
        minor=1,
        fields=found,
        framing=Framing.NONE if length is None else Framing.LENGTH,
        length=int(length or 0),
        options=_options(found),
        upgrade=_first(found, b"upgrade") or b"",
    )
    return replace(made, **more)


def pool(headers: HeaderRules | None = None, **more: Any) -> Pool:
    return Pool("shop", (Server(SERVER),), headers=headers or HeaderRules(), **more)


def _first(found: list[Field], name: bytes) -> bytes | None:
    return next((value for key, _, value in found if key == name), None)


def _options(found: list[Field]) -> tuple[bytes, ...]:
    listed = b",".join(value for name, _, value in found if name == b"connection").lower()
    return tuple(option.strip() for option in listed.split(b",") if option.strip())
