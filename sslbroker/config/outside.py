"""The kinds of values that name something outside: networks, servers, endpoints, files, header fields.

Decides for one value at a time, like `values`. Invariant: a value that is accepted names something
that can be used as far as this can be told without opening a socket or reading a file's content.
Refuses to parse certificates, to resolve names and to bind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from ..settings import THROWAWAY
from . import text
from .report import Place, Unfit, did_you_mean, shown
from .values import Kind, either

STATUSES = (200, 699)
"""First and last status that a final response can have (RFC 9110 §15, and the source's 6xx)."""

PLUGINS = "a plugin is a file in a folder sslbroker/plugins on PYTHONPATH: docs/tac.md"
"""What somebody has to know whose plugin was not found."""

#: Header fields that the broker writes anew for each connection (RFC 9110 §7.6.1, RFC 9112 §6).
TAKEN = {
    "connection", "content-length", "expect", "http2-settings", "keep-alive", "proxy-authenticate",
    "proxy-authentication-info", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip


#: Header fields that mean something to the broker, or to everybody.
_MEANT = re.compile(
    "(?:accept|access-control|client-cert|content|if|proxy|sec|sslbroker|x-forwarded)(?:-.*)?"
    "|x-client-(?:subject|issuer|serial|fingerprint)|x-real-ip|x-request-id|x-requested-with"
    "|authorization|cache-control|cookie|date|early-data|forwarded|from|idempotency-key|max-forwards|origin"
    "|pragma|priority|range|referer|user-agent|via|warning"
)

#: Other signs are not told apart from ``-`` by many servers, which would believe what is none of these.
_DASHED = re.compile("[a-z0-9-]+")


class Extension(Kind):
    """The name of an extension of one sort: of a built-in one where there are any, or of a plugin."""

    def __init__(self, sort: str, what: str, *, empty: bool = False) -> None:
        self.sort = sort  # a field of `Extensions`
        self.what = what
        self.empty = empty  # "" has a meaning

    def hold(self, value: object, at: Place) -> None:
        known = self._known(at)
        if not isinstance(value, str) or value not in known:
            raise Unfit(suggestion=did_you_mean(value, known) or PLUGINS)

    def expectation(self, at: Place) -> str:
        names = [f'"{name}"' for name in sorted(self._known(at), key=lambda name: (name == "", name))]
        if not any(self._known(at)):
            return f"the name of {self.what}" + (', or ""' if self.empty else "")
        return f"{either(names)}, or the name of {self.what}"

    def _known(self, at: Place) -> list[str]:
        known: Collection[str] = getattr(at.reading.extensions, self.sort)
        return [*known, ""] if self.empty else [*known]


class NameServer(Kind):
    """The address of a DNS server."""

    expected = 'the IP address of a DNS server, such as "192.0.2.53" or "[2001:db8::53]:5353"'

    def hold(self, value: object, at: Place) -> None:
        text.name_server(value)


class AskedName(Kind):
    """A name that clients ask for by SNI, or all names one label below another."""

    expected = 'a name such as "admin.shop.test" or "*.admin.shop.test"'

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, str) or not text.dns_name(value.removeprefix("*.")):
            raise Unfit()


class Network(Kind):
    """An IPv4 or IPv6 network."""

    expected = 'a network such as "192.0.2.0/24" or "2001:db8::/32"'
    in_python = "an ipaddress.IPv4Network or IPv6Network"
    hole = None

    def parse(self, found: object, at: Place) -> object:
        return text.network(found)

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, (IPv4Network, IPv6Network)):
            raise Unfit()


class Statuses(Kind):
    """A range of statuses."""

    expected = 'a status such as 503, a class such as "5xx" or a range such as "500-503", from 200 to 699'
    in_python = "first and last status as a tuple such as (500, 599), from 200 to 699"
    hole = None

    def parse(self, found: object, at: Place) -> object:
        return text.statuses(found)

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, tuple) or [type(status) for status in value] != [int, int]:
            raise Unfit()
        if not STATUSES[0] <= value[0] <= value[1] <= STATUSES[1]:
            raise Unfit()


class Address(Kind):
    """Host and port of a server."""

    expected = 'an address such as "127.0.0.1:9001", "[::1]:9001" or "shop.internal:9001"'

    def hold(self, value: object, at: Place) -> None:
        text.address(value)


class HostName(Kind):
    """The name of a host, as in a certificate; or none."""

    expected = 'the name of a host, or ""'

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, str) or not (value == "" or text.hostname(value)):
            raise Unfit()


class Endpoint(Kind):
    """A server endpoint string of Twisted."""

    expected = f'an endpoint such as "tcp:8443" ({either(text.ENDPOINTS)})'

    def hold(self, value: object, at: Place) -> None:
        text.endpoint(value)


class ExistingPath(Kind):
    """A file that can be read; `folders`: or a folder that can be listed."""

    def __init__(self, what: str, *, folders: bool = False, exists: bool = True) -> None:
        self.expected = f"the path of {what}"
        self.in_python = f"a pathlib.Path of {what}"
        self.folders = folders
        self.exists = exists

    def parse(self, found: object, at: Place) -> object:
        if not isinstance(found, str) or not found or not found.isprintable():
            raise Unfit()
        return at.reading.base / found

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, Path) or not str(value).isprintable():
            raise Unfit()
        if self.exists:
            _readable(value, self.folders)


class Certificate(ExistingPath):
    """PEM with key and chain, a folder of such files, or the word "throwaway"."""

    def __init__(self) -> None:
        super().__init__('a PEM file or of a folder of them, or "throwaway"', folders=True)

    def parse(self, found: object, at: Place) -> object:
        return THROWAWAY if found == str(THROWAWAY) else super().parse(found, at)

    def hold(self, value: object, at: Place) -> None:
        if value != THROWAWAY:
            super().hold(value, at)


class AccessLog(Kind):
    """Where the access log goes: a path as text, "-" or ""."""

    expected = 'a path in a folder that exists, "-" for standard output or "" for none'

    def parse(self, found: object, at: Place) -> object:
        if not isinstance(found, str) or found in ("", "-") or not found.isprintable():
            return found
        return str(at.reading.base / found)

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, str) or not value.isprintable():
            raise Unfit()
        if value in ("", "-"):
            return
        path = Path(value)
        if not os.path.isdir(path.parent):
            raise Unfit(suggestion=f"{_told(path.parent)} is not a folder")
        if os.path.isdir(path):
            raise Unfit(suggestion=f"{_told(path)} is a folder")


class HeaderName(Kind):
    """The name of a header field that a rule may touch."""

    expected = "the name of a header field"

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, str) or not text.TOKEN.fullmatch(value):
            raise Unfit()
        if value.lower() == "host":
            raise Unfit(suggestion='Host is decided by headers.host: "keep" or "server"')
        if value.lower() in TAKEN:
            raise Unfit(f"{self.expected} that is not the broker's own", f"the broker writes {value} itself")


class GroupHeader(HeaderName):
    """The name of a header field in which a proxy names a group; or none."""

    expected = 'the name of a header field such as "X-Client-Group", or ""'

    def hold(self, value: object, at: Place) -> None:
        if value == "":
            return
        super().hold(value, at)
        assert isinstance(value, str)
        if not _DASHED.fullmatch(value.lower()):
            raise Unfit('a name of letters, digits and - such as "X-Client-Group"')
        if _MEANT.fullmatch(value.lower()):
            raise Unfit('a field such as "X-Client-Group" that has no other meaning', f"{value} has one")


class CertificateEntry(Kind):
    """What a client's certificate names: a name, a URI, or its whole subject."""

    expected = (
        'a name such as "crawler", "api.partners.test" or "*.partners.test", a URI, or a whole subject '
        'such as "CN=crawler,O=Partners"'
    )

    def hold(self, value: object, at: Place) -> None:
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 4096:
            raise Unfit()
        if value != value.strip() or ("*" in value and not text.dns_name(value.removeprefix("*."))):
            raise Unfit()


class HeaderFields(Kind):
    """Header fields by name."""

    expected = "a table of header fields, name and value"
    in_python = "a mapping of header fields, name and value"
    name = HeaderName()
    value_expected = "a value in ASCII, without control characters and outer blanks, up to 4096 characters"

    def read(self, found: object, at: Place) -> object:
        if not isinstance(found, Mapping):
            at.refuse(found, self.expectation(at))
            return {}
        seen: dict[str, object] = {}
        for name, value in found.items():
            place = at.key(name)
            self.name.read(name, place)
            if not isinstance(value, str) or not _field_value(value):
                place.refuse(value, self.value_expected)
            if isinstance(name, str) and seen.setdefault(name.lower(), name) != name:
                place.refuse(name, "each field once", f"{shown(seen[name.lower()])} is the same field")
        return dict(found)


def _field_value(value: str) -> bool:
    """RFC 9110 §5.5, narrowed to ASCII: what lies above has no agreed meaning."""
    return value.isascii() and value.isprintable() and value == value.strip() and len(value) <= 4096


def _readable(path: Path, folders: bool) -> None:
    """Raises `Unfit` unless the file (or folder) is there and may be read."""
    wanted = "a file or folder that can be read" if folders else "a file that can be read"
    try:
        is_folder = path.is_dir()
        path.stat()
    except OSError as error:
        raise Unfit(wanted, f"{_told(path)}: {error.strerror}") from None
    if is_folder and not folders:
        raise Unfit(wanted, f"{_told(path)} is a folder")
    if not os.access(path, os.R_OK | (os.X_OK if is_folder else 0)):
        raise Unfit(wanted, f"{_told(path)}: permission denied")


def _told(path: Path) -> str:
    return str(path) if len(str(path)) <= 300 else shown(str(path))
