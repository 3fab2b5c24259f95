"""The small languages of a configuration's strings: durations, sizes, addresses, statuses, endpoints.

Decides what each of them may look like and what it means. Invariant: a function gives the value of
the setting (seconds, bytes, networks, ranges) or raises `Unfit`, with the right spelling where it
can be guessed; it never raises anything else. Refuses to know which setting it reads for, and what
is plausible for that one.
"""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import IPv6Address, ip_address, ip_network

from ..settings import Network, StatusRange
from .report import Unfit, meant

_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,12})")

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_SECONDS_MEANT = {
    "msec": "ms", "millis": "ms", "milliseconds": "ms",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hr": "h", "hour": "h", "hours": "h",
}  # fmt: skip

_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_BYTES_MEANT = {
    "b": "B", "byte": "B", "bytes": "B",
    "k": "KiB", "kb": "KiB", "kib": "KiB",
    "m": "MiB", "mb": "MiB", "mib": "MiB",
    "g": "GiB", "gb": "GiB", "gib": "GiB",
}  # fmt: skip

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")  # RFC 1123 §2.1, and the _ that containers use
_NUMERIC_END = re.compile(r"(?:.*\.)?[0-9]+\.?")  # such a name could only be a mistyped IPv4 address

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")  # RFC 9110 §5.6.2, bounded

ENDPOINTS = ("tcp", "tcp6", "unix", "systemd")


def duration(found: object) -> float:
    """Seconds of "100ms", "1.5s", "5m" or "1h"."""
    number, unit = _amount(found, "s")
    if unit in _SECONDS and found == number + unit:
        return float(Decimal(number) * _SECONDS[unit])
    if unit.lower() in ("d", "day", "days"):
        raise Unfit(suggestion=f'write "{Decimal(number) * 24:f}h"')
    unit = _SECONDS_MEANT.get(unit.lower(), unit.lower() or "s")
    raise Unfit(suggestion=f'write "{number}{unit}"' if unit in _SECONDS else "the units are ms, s, m and h")


def size(found: object) -> int:
    """Bytes of "512B", "32KiB", "1.5MiB" or "1GiB"."""
    number, unit = _amount(found, "B")
    if unit in _BYTES and found == number + unit:
        count = Decimal(number) * _BYTES[unit]
        if count != int(count):
            raise Unfit(suggestion="that is not a whole number of bytes")
        return int(count)
    unit = _BYTES_MEANT.get(unit.lower(), unit or "B")
    advice = f'write "{number}{unit}"' if unit in _BYTES else "the units are B, KiB, MiB and GiB"
    raise Unfit(suggestion=advice)


def network(found: object) -> Network:
    """An IPv4 or IPv6 network of "10.0.0.0/8", or of one address."""
    if not isinstance(found, str):  # ip_network would take an integer for an address
        raise Unfit()
    try:
        return ip_network(found)
    except ValueError:
        pass
    try:
        corrected = ip_network(found, strict=False)
    except ValueError:
        raise Unfit() from None
    raise Unfit(suggestion=f'the address has bits outside the mask: write "{corrected}"')


def statuses(found: object) -> StatusRange:
    """First and last status of 404, "404", "5xx" or "500-503"."""
    text = str(found) if type(found) is int and 0 <= found < 1000 else found
    if isinstance(text, str):
        if re.fullmatch(r"[0-9]{3}", text, re.ASCII):
            return int(text), int(text)
        if re.fullmatch(r"[0-9][xX]{2}", text, re.ASCII):
            return int(text[0]) * 100, int(text[0]) * 100 + 99
        if re.fullmatch(r"[0-9]{3}-[0-9]{3}", text, re.ASCII):
            return int(text[:3]), int(text[4:])
        if re.fullmatch(r"[0-9]", text, re.ASCII):
            raise Unfit(suggestion=f'write "{text}xx"')
    raise Unfit()


def address(found: object) -> tuple[str, int]:
    """Host (in its shortest spelling) and port of "host:port" or "[v6]:port"."""
    if not isinstance(found, str):
        raise Unfit()
    scheme, _, rest = found.partition("://")
    if rest:
        raise Unfit(suggestion=f'write "{rest.rstrip("/")}", without {scheme}://')
    host, colon, digits = found.rpartition(":")
    if found.count(":") > 1 and not host.startswith("["):
        raise Unfit(suggestion=f'write "[{host}]:{digits}"' if _is_v6(host) else "")
    if not colon or found.endswith("]"):
        raise Unfit(suggestion=f'add the port: "{found}:80"' if len(found) <= 64 else "")
    if not re.fullmatch(r"[0-9]{1,5}", digits, re.ASCII) or not 1 <= int(digits) <= 65535:
        raise Unfit(suggestion="a port is a number from 1 to 65535")
    if host.startswith("["):
        if not host.endswith("]") or not _is_v6(host[1:-1]):
            raise Unfit(suggestion="between [ and ] stands an IPv6 address, without a zone")
        return str(ip_address(host[1:-1])), int(digits)
    if not hostname(host):
        raise Unfit(suggestion="the part before the port is neither an address nor a host name")
    return host.lower().rstrip("."), int(digits)


def hostname(text: str) -> bool:
    """True for an IPv4 address or a name of a host, in ASCII (RFC 1123 §2.1)."""
    if len(text) > 253 or not _HOST.fullmatch(text):
        return False
    if not _NUMERIC_END.fullmatch(text):
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def dns_name(text: str) -> bool:
    """True for a name of a host that is no address."""
    return hostname(text) and not _NUMERIC_END.fullmatch(text)


def name_server(found: object) -> tuple[str, int]:
    """IP address and port of "192.0.2.53", "2001:db8::53", "192.0.2.53:53" or "[2001:db8::53]:53"."""
    if not isinstance(found, str):
        raise Unfit()
    bare = found[1:-1] if found.startswith("[") and found.endswith("]") else found
    try:
        ip = ip_address(bare)
    except ValueError:
        host, port = address(found)
        try:
            return str(ip_address(host)), port
        except ValueError:
            raise Unfit(suggestion="a DNS server has no name, for nobody could resolve it") from None
    if getattr(ip, "scope_id", None) is not None:
        raise Unfit(suggestion="an address without a zone")
    return str(ip), 53


def endpoint(found: object) -> tuple[str, ...]:
    """What a server endpoint string occupies; () where that cannot be told. Checks its shape only.

    Twisted's own rules decide later; here stands what can be told without opening anything.
    """
    if not isinstance(found, str) or not found.isprintable():
        raise Unfit()
    prefix, *arguments = re.split(r"(?<!\\):", found)
    if prefix in ("ssl", "tls"):
        raise Unfit("a plain endpoint", 'TLS is added by the listener\'s tls table: write "tcp:…" here')
    if prefix == "fd":
        raise Unfit("a tcp, tcp6, unix or systemd endpoint: taking over a descriptor is not built yet")
    if prefix not in ENDPOINTS:
        raise Unfit(suggestion=_endpoint_meant(found, prefix))
    named: dict[str, str] = {}
    positional: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and not name.endswith("\\"):
            named[name] = _unescaped(value)
        else:
            positional.append(_unescaped(argument))
    if prefix in ("tcp", "tcp6"):
        port = named.get("port", positional[0] if positional else "")
        if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
            raise Unfit(f'a port from 1 to 65535 (0: any free one), as in "{prefix}:8443"')
        interface = named.get("interface", positional[1] if len(positional) > 1 else "")
        return (prefix, interface, port.lstrip("0")) if int(port) else ()
    if prefix == "unix":
        path = named.get("address", positional[0] if positional else "")
        if not path.startswith("/"):
            raise Unfit('an absolute path, as in "unix:/run/sslbroker.sock"')
        return prefix, path
    return prefix, *arguments


def covers(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a place that `endpoint` tells takes clients of another: all addresses of the same port.

    A socket for all IPv6 addresses takes IPv4 clients too (IPV6_V6ONLY is off, RFC 3493 §5.3).
    """
    if one[0] not in ("tcp", "tcp6") or other[0] not in ("tcp", "tcp6") or one[2] != other[2]:
        return False
    everywhere = one[1] or ("::" if one[0] == "tcp6" else "0.0.0.0")
    return everywhere == "::" or (everywhere == "0.0.0.0" and other[0] == "tcp" and ":" not in other[1])


def _amount(found: object, unit: str) -> tuple[str, str]:
    if type(found) in (int, float) and 0 <= found < 1e9:  # type: ignore[operator]
        raise Unfit(suggestion=f'write "{found}{unit}"')
    match = _AMOUNT.fullmatch(found) if isinstance(found, str) else None
    if match is None:
        raise Unfit()
    return match[1], match[2]


def _is_v6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _endpoint_meant(found: str, prefix: str) -> str:
    """What somebody meant who wrote a port or an address for an endpoint."""
    port = found.removeprefix(":")
    if re.fullmatch(r"[0-9]{1,5}", port, re.ASCII):
        return f'write "tcp:{port}"'
    try:
        host, number = address(found)
        interface = str(ip_address(host)).replace(":", "\\:")
    except (Unfit, ValueError):
        word = meant(prefix, ENDPOINTS)
        return f"did you mean '{word}'?" if word else ""
    return f'write "tcp:{number}:interface={interface}"'
