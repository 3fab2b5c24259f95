"""Cookies that keep a client at its server: read from requests, kept from servers, set in answers.

Decides how the broker's own cookie looks and who sees it. Invariant: its name is the broker's alone:
servers neither see it nor set it, so that an application cannot break what the broker decides, an inner
broker with the same name chooses for itself, and no log of a server holds a client's key. Refuses to
know servers and to make keys.
"""

from __future__ import annotations

import re
from typing import Final

from .message import Field

#: Bytes of a cookie's value that can be a key for balancing.
VALUE_SIZE: Final = 256

_COOKIE = b"cookie"
_SET_COOKIE = b"set-cookie"
_PRIVATE: Field = (b"cache-control", b"Cache-Control", b"private")


class Cookie:
    """A cookie of requests (RFC 6265 §5.4), found by its name."""

    __slots__ = ("_value",)

    def __init__(self, name: str) -> None:
        self._value = re.compile(_begin(name.encode("latin-1")) + rb"([^; \t]*+)")

    def value(self, fields: list[Field]) -> bytes | None:
        """Its first value, if that is not empty and has at most `VALUE_SIZE` bytes."""
        for name, _, value in fields:
            if name == _COOKIE:
                found = self._value.search(value)
                if found is not None:
                    key = found[1]
                    return key if 0 < len(key) <= VALUE_SIZE else None
        return None


class StickyCookie:
    """The broker's own cookie: its value is a server's key, 16 hexadecimal digits in lower case."""

    __slots__ = ("_key", "_name", "_whole")

    def __init__(self, name: str) -> None:
        self._name = name.encode("latin-1")
        begin = _begin(self._name)
        self._key = re.compile(begin + rb"([0-9a-f]{16})[ \t]*+(?:;|$)")
        self._whole = re.compile(begin + rb"[^;]*+(?:;|$)")

    def key(self, fields: list[Field]) -> str:
        """The first value that can be a key; "" when there is none."""
        for name, _, value in fields:
            if name == _COOKIE:
                found = self._key.search(value)
                if found is not None:
                    return found[1].decode("ascii")
        return ""

    def kept_from_server(self, fields: list[Field]) -> list[Field]:
        """A request's fields without the cookie, whatever its value and however often it came."""
        return [left for field in fields if (left := self._without(field)) is not None]

    def kept_from_client(self, fields: list[Field]) -> list[Field]:
        """A response's fields without a server's cookie of that name.

        Nor one without a name: browsers send back its value alone, which may look like ours.
        """
        return [
            field
            for field in fields
            if field[0] != _SET_COOKIE
            or field[2].lstrip(b"= \t").partition(b"=")[0].rstrip(b" \t") != self._name
        ]

    def set(self, fields: list[Field], key: str, secure: bool) -> None:
        """Add the cookie to a response's fields, for as long as the client's session.

        It comes with ``Cache-Control: private``: ``Set-Cookie`` alone does not keep a shared cache from
        storing the answer (RFC 9111 §7.3), which would then send all its clients to this server. A client
        is told once, so that its other answers can be cached.
        """
        value = b"%b=%b; Path=/; HttpOnly; SameSite=Lax" % (self._name, key.encode("ascii"))
        fields.append((_SET_COOKIE, b"Set-Cookie", value + b"; Secure" if secure else value))
        fields.append(_PRIVATE)

    def _without(self, field: Field) -> Field | None:
        name, spelt, value = field
        if name != _COOKIE:
            return field
        left, found = self._whole.subn(b"", value)
        if not found:
            return field
        left = left.strip(b"; \t")
        return (name, spelt, left) if left else None


def _begin(name: bytes) -> bytes:
    return rb"(?<![^;])[ \t]*+" + re.escape(name) + b"="
