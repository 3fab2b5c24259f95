"""Bytes as a bad network and a bad peer bring them: cut anywhere, and damaged.

Decides how data is cut and spoilt. Invariant: the same source of chance gives the same pieces. Refuses to
know a protocol: lengths, signs and line ends of many are among what is put in.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The data whole, byte by byte, and in two pieces at every place."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with some damage: bytes changed, removed, doubled, put elsewhere, or cut off."""
    kind = chance.randrange(7)
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randrange(1, 9))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:]
    if kind == 3:
        return data[:at] + chance.randbytes(end - at) + data[end:]
    if kind == 4:
        return data[:at] + chance.choice(_SPICES) + data[at:]
    if kind == 5:
        return data[:at] + chance.choice(_SPICES) + data[end:]
    return data[at:] + data[:at]


_SPICES: Final = (
    *(b"\r", b"\n", b"\r\n", b"\0", b" ", b"-1", b"+1", b"0", b"00", b"99999999999999999999", b"\xff"),
    *(
        b"2147483648",
        b"-",
        b"\r\n\r\n",
        b"0x10",
        b"1e3",
        b"*",
        b"$",
        b":",
        b";",
        b'"',
        b"9" * 300,
        b"a" * 300,
    ),
)


def damaged(samples: Sequence[bytes], chance: random.Random) -> bytes:
    data = b"".join(chance.choice(samples) for _ in range(chance.randrange(1, 3)))
    for _ in range(chance.randrange(1, 4)):
        data = mutated(data, chance)
    return data


def some_cuts(data: bytes, chance: random.Random) -> Iterator[list[bytes]]:
    size = chance.randrange(1, 8)
    yield [data[at : at + size] for at in range(0, len(data), size)]
    at = chance.randrange(len(data) + 1)
    yield [piece for piece in (data[:at], data[at:]) if piece]
