"""HTTP messages as parsed: what the codec gives, what the rules rewrite, what the codec writes.

Decides the form of a request and a response between parsing and writing. Invariant: `fields` keeps
order, repetition and spelling; how the body is framed is said by `framing` and `length` alone, never
looked up in `fields` again. Refuses to parse, to judge and to write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

Field = tuple[bytes, bytes, bytes]
"""A header field: its name in lower case, its name as it came, its value without outer blanks."""


class Framing(Enum):
    """How a message's body ends (RFC 9112 §6)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"  # responses only


NONE: Final = Framing.NONE
LENGTH: Final = Framing.LENGTH
CHUNKED: Final = Framing.CHUNKED
UNTIL_CLOSE: Final = Framing.UNTIL_CLOSE


class Memo:
    """What was last made of a message's fields, for messages that repeat them.

    Whoever looks here compares `given`, all that the result depends on: it saves work, and decides nothing.
    """

    __slots__ = ("given", "made")

    def __init__(self) -> None:
        self.given: object = None
        self.made: Any = None


class HeadMemo(Memo):
    """That of a head as it came; `short_cuts` keeps here what it has found, too."""

    __slots__ = ("carried", "wire")

    def __init__(self) -> None:
        super().__init__()
        self.carried: Any = None
        self.wire: Any = None


@dataclass(slots=True)
class Request:
    """A request's head."""

    method: bytes
    target: bytes  # origin-form or b"*"; an absolute-form target is split into `host` and this
    minor: int  # of HTTP/1.x: 0, or 1 for all later ones
    fields: list[Field]
    host: bytes | None = None  # the one authority: of the target, else of Host; None: 1.0 without
    framing: Framing = NONE
    length: int = 0  # bytes, for Framing.LENGTH (Content-Length: 0 is LENGTH with 0)
    close: bool = False  # the connection shall not go on after this exchange
    options: tuple[bytes, ...] = ()  # what Connection lists, in lower case
    upgrade: bytes = b""  # the value of Upgrade, when Connection lists it
    expects_continue: bool = False
    accepts_trailers: bool = False  # TE: trailers
    guarded: frozenset[bytes] = frozenset()  # names, as `fields.dashed` gives them, for no trailer
    memo: Memo | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Response:
    """A response's head, interim or final."""

    status: int
    reason: bytes
    minor: int
    fields: list[Field]
    framing: Framing = NONE
    length: int = 0
    close: bool = False
    options: tuple[bytes, ...] = ()
    upgrade: bytes = b""
    memo: Memo | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Trailers:
    """The trailer section of a chunked message."""

    fields: list[Field] = field(default_factory=list)
