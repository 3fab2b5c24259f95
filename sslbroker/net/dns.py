"""A question to the domain name system and what its answer says, as bytes (RFC 1035 §4).

Decides which records of an answer are believed: addresses of the name that was asked for, and of the names
that its CNAMEs lead to. Invariant: an answer that is not to this very question changes nothing, and the work
for one is bounded, whatever it holds. Refuses sockets, the sections after the answer, and every other type.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from struct import Struct
from typing import Final

A: Final = 1
AAAA: Final = 28
_CNAME: Final = 5
_IN: Final = 1

#: Response codes (RFC 1035 §4.1.1).
FINE: Final = 0
NO_SUCH_NAME: Final = 3

#: Words for the other ones.
CODES = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}

#: CNAMEs in a row that are followed.
MOST_ALIASES = 8

#: Records of an answer that are looked at; the rest is as if it were not there.
MOST_RECORDS = 128

#: Pointers of one name that are followed: no name has more labels.
MOST_POINTERS = 127

#: A name's characters, without the dot at its end (RFC 1035 §2.3.4: 255 bytes with all lengths).
LONGEST_NAME = 253

_header = Struct("!HHHHHH")
_question = Struct("!HH")
_record = Struct("!HHIH")

_RESPONSE, _OPCODE, _TRUNCATED, _RECURSE, _CODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x000F


class NotTheAnswer(ValueError):
    """Bytes that do not answer the question: of somebody else, or made by nobody who knows how."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer says. `ttl` is the least of all records on the way, in seconds."""

    code: int
    truncated: bool
    addresses: tuple[str, ...] = ()
    ttl: int = 0


def question(number: int, name: bytes, kind: int) -> bytes:
    """Ask for records of type `kind` (`A` or `AAAA`); `name` is a whole one, without the dot at its end.

    `ValueError` for what is no name: an empty or too long label, or too many bytes in all."""
    return _header.pack(number, _RECURSE, 1, 0, 0, 0) + _packed(name) + _question.pack(kind, _IN)


def read(data: bytes, number: int, name: bytes, kind: int) -> Reply:
    """What `data` answers to the question of the same arguments; `NotTheAnswer` when it is none to it."""
    try:
        return _read(data, number, _labels(name), kind)
    except IndexError:
        raise NotTheAnswer("it breaks off") from None


def _read(data: bytes, number: int, name: tuple[bytes, ...], kind: int) -> Reply:
    if len(data) < _header.size:
        raise NotTheAnswer("it breaks off")
    found, flags, questions, answers, _, _ = _header.unpack_from(data)
    if found != number or not flags & _RESPONSE or flags & _OPCODE:
        raise NotTheAnswer("it answers something else")
    code, truncated = flags & _CODE, bool(flags & _TRUNCATED)
    if questions == 0 and code not in (FINE, NO_SUCH_NAME):
        return Reply(code, truncated)  # a server that could not even read the question
    if questions != 1:
        raise NotTheAnswer("it answers something else")
    asked, place = _name(data, _header.size)
    if asked != name or _unpacked(_question, data, place) != (kind, _IN):
        raise NotTheAnswer("it answers something else")
    if code != FINE or truncated:
        return Reply(code, truncated)
    count = min(answers, MOST_RECORDS)
    return _follow(name, *_records(data, place + _question.size, count, kind))


_Addresses = dict[tuple[bytes, ...], list[tuple[str, int]]]
_Aliases = dict[tuple[bytes, ...], tuple[tuple[bytes, ...], int]]


def _records(data: bytes, place: int, count: int, kind: int) -> tuple[_Addresses, _Aliases]:
    """The addresses of this kind and the aliases in the section that begins at `place`, by their owners."""
    addresses: _Addresses = {}
    aliases: _Aliases = {}
    for _ in range(count):
        owner_place = place
        place = _after_name(data, place)
        type_, class_, ttl, size = _unpacked(_record, data, place)
        start = place + _record.size
        place = start + size
        if place > len(data):
            raise NotTheAnswer("it breaks off")
        if class_ != _IN or type_ not in (kind, _CNAME):
            continue
        if ttl & 0x80000000:  # RFC 2181 §8
            ttl = 0
        owner, _ = _name(data, owner_place)
        if type_ == _CNAME:
            aliases.setdefault(owner, (_name(data, start)[0], ttl))
        else:
            addresses.setdefault(owner, []).append((_address(data[start:place], kind), ttl))
    return addresses, aliases


def _follow(name: tuple[bytes, ...], addresses: _Addresses, aliases: _Aliases) -> Reply:
    least = 0x7FFFFFFF
    for _ in range(MOST_ALIASES + 1):
        if name in addresses:
            found = addresses[name]
            ttl = min(least, *(ttl for _, ttl in found))
            return Reply(FINE, False, tuple(address for address, _ in found), ttl)
        if name not in aliases:
            return Reply(FINE, False)
        name, ttl = aliases[name]
        least = min(least, ttl)
    raise NotTheAnswer(f"more than {MOST_ALIASES} aliases in a row")


def _address(data: bytes, kind: int) -> str:
    try:
        return socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, data)
    except ValueError:
        raise NotTheAnswer(f"an address of {len(data)} bytes") from None


# --- names ---


def _packed(name: bytes) -> bytes:
    labels = name.split(b".")
    if not all(0 < len(label) < 64 for label in labels) or len(name) > LONGEST_NAME:
        raise ValueError("a label of a name has 1 to 63 bytes, and the whole at most 253")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _labels(name: bytes) -> tuple[bytes, ...]:
    return tuple(name.lower().split(b"."))


def _name(data: bytes, place: int) -> tuple[tuple[bytes, ...], int]:
    """The labels of the name at `place`, in lower case, and the place after it. Pointers only go back."""
    after = _after_name(data, place)
    labels: list[bytes] = []
    size = pointers = 0
    limit = place
    while length := data[place]:
        if length >= 0xC0:
            place = (length & 0x3F) << 8 | data[place + 1]
            pointers += 1
            if place >= limit:
                raise NotTheAnswer("a name that points to itself")
            if pointers > MOST_POINTERS:
                raise NotTheAnswer("a name of too many pieces")
            limit = place
            continue
        if length > 63:
            raise NotTheAnswer("a label of a kind that is not known")
        label = data[place + 1 : place + 1 + length]
        size += length + 1
        if size > LONGEST_NAME + 1:
            raise NotTheAnswer("a name that is too long")
        labels.append(label.lower())
        place += length + 1
    return tuple(labels), after


def _after_name(data: bytes, place: int) -> int:
    while (length := data[place]) and length < 0xC0:
        place += length + 1
    return place + (2 if length else 1)


def _unpacked(form: Struct, data: bytes, place: int) -> tuple[int, ...]:
    if place + form.size > len(data):
        raise NotTheAnswer("it breaks off")
    return form.unpack_from(data, place)
