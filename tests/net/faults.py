"""What may go wrong in a transaction, and what must happen then: a model of the rules of failover.

Decides, for a request, the form of its answer and what each server does in its try, which tries are made,
with which outcome and which reason for the next one, and what the client gets. Invariant: it is written from
the rules alone (docs/failover.md has them in one table) and imports nothing of the broker, so that it errs
by itself. Refuses to play: `players` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

CONTENT: Final = b"".join(b"%07d\n" % number for number in range(1250))
"""Of every answer: 10,000 bytes of which no two places look alike."""
GIVEN: Final = b"".join(b"%06d;" % number for number in range(500))
"""Of every request that has content."""
PART_OF_REQUEST: Final = 1000
"""What has come of that when a server fails within it."""
ETAG: Final = b'"v1"'
TRIES: Final = 3
TAIL: Final = 4096


class Place(IntEnum):
    """Where a server fails: the first four, how much it took of the request; then, what it has answered."""

    TOOK_NOTHING = 0
    IN_HEAD_OF_REQUEST = 1
    BEFORE_CONTENT_OF_REQUEST = 2
    IN_CONTENT_OF_REQUEST = 3
    SAID_NOTHING = 4  # it took all of the request
    IN_HEAD = 5
    BEFORE_CONTENT = 6
    IN_CONTENT = 7
    BEFORE_END = 8
    AFTER_END = 9


class Fault(Enum):
    """What a server does in its try; the first six before there is a link."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    NO_TLS = "speaks no TLS"
    TLS_BROKEN = "breaks the handshake off"
    UNVERIFIED = "is somebody else"
    FIN = "ends the link in order"
    RUDE = "ends the link without TLS's end"
    RESET = "resets the link"
    SILENCE = "says no more"
    GARBAGE = "says what is no HTTP"
    STATUS_500 = "answers 500"
    STATUS_503 = "answers 503 with Retry-After"
    STATUS_CUT = "answers 500, and breaks off within that"
    STATUS_STALLED = "answers 500, and says no more within that"
    NONE = "does what it should"
    # in place of the rest of an answer that another server began
    FROM_BEGINNING = "answers without regard to Range"
    CHANGED = "has another version"
    LYING = "has other bytes under the same validator"
    WEAK = "says the validator is a weak one"
    UNPROVED = "leaves the validator out"
    OTHER_TOTAL = "tells another length of the whole"
    OTHER_TYPE = "tells another type"
    OTHER_CODING = "tells another coding"
    ELSEWHERE = "sends another range"


OF_LINK = (
    Fault.REFUSED,
    Fault.UNREACHABLE,
    Fault.CONNECT_TIMEOUT,
    Fault.NO_TLS,
    Fault.TLS_BROKEN,
    Fault.UNVERIFIED,
)
UNREACHED = (Fault.REFUSED, Fault.UNREACHABLE)
OF_TLS = (Fault.NO_TLS, Fault.TLS_BROKEN, Fault.UNVERIFIED, Fault.RUDE)
STATUSES = (Fault.STATUS_500, Fault.STATUS_503)
STATUSES_IN_PART = (Fault.STATUS_CUT, Fault.STATUS_STALLED)
ENDS = (Fault.FIN, Fault.RUDE, Fault.RESET)
UNPROVABLE = (
    Fault.CHANGED,
    Fault.LYING,
    Fault.WEAK,
    Fault.UNPROVED,
    Fault.OTHER_TOTAL,
    Fault.OTHER_TYPE,
    Fault.OTHER_CODING,
    Fault.ELSEWHERE,
)


@dataclass(frozen=True)
class Asked:
    """A kind of request."""

    name: str
    method: bytes = b"GET"
    minor: int = 1
    framing: str = ""  # of its content: "length", "chunked", or "" for none
    key: bool = False
    expects: bool = False
    part: tuple[int, int] | None = None  # first and last byte, of a Range

    @property
    def repeatable(self) -> bool:
        """An idempotent method, or a key."""
        return self.method != b"POST" or self.key


REQUESTS = (
    Asked("GET"),
    Asked("GET of HTTP/1.0", minor=0),
    Asked("GET with Range", part=(1000, 8999)),
    Asked("HEAD", b"HEAD"),
    Asked("DELETE", b"DELETE"),
    Asked("PUT", b"PUT", framing="length"),
    Asked("PUT, chunked", b"PUT", framing="chunked"),
    Asked("PUT, Expect", b"PUT", framing="length", expects=True),
    Asked("POST", b"POST", framing="length"),
    Asked("POST, chunked", b"POST", framing="chunked"),
    Asked("POST, Expect", b"POST", framing="length", expects=True),
    Asked("POST with a key", b"POST", framing="length", key=True),
)


@dataclass(frozen=True)
class Form:
    """A form of answers."""

    framing: str  # "length", "chunked", "trailers" (chunked, and promised), "close", "nothing" (204)
    validator: str = "strong"  # or "weak", "dated" (long unmodified), "recent" (just modified), ""

    @property
    def proves(self) -> bool:
        """Does its validator prove that two answers have the same bytes?"""
        return self.validator in ("strong", "dated")


FORMS = (
    *(Form(one, other) for one in ("length", "chunked", "close") for other in ("strong", "weak", "")),
    *(Form("length", validator) for validator in ("dated", "recent")),
    Form("trailers"),
    Form("nothing", ""),
)


@dataclass(frozen=True)
class Act:
    """What a server does in its try, and where."""

    fault: Fault
    place: Place = Place.SAID_NOTHING

    @property
    def begun(self) -> bool:
        """The head of its answer was whole."""
        return self.place >= Place.BEFORE_CONTENT and self.fault not in OF_LINK


GOOD = Act(Fault.NONE, Place.AFTER_END)


@dataclass(frozen=True)
class Case:
    """One transaction: what each server does that is tried, in turn."""

    asked: Asked
    form: Form
    acts: tuple[Act, ...]
    secure: bool = False  # the links
    warm: bool = False  # each server has an idle link that was used before
    share: int = 0  # storage.per_transaction, where it is less than the request
    back: int = 0  # the server that takes connections again while none could be reached

    def __str__(self) -> str:
        acts = ", ".join(f"{act.fault.value} at {act.place.name}" for act in self.acts)
        kind = ("secure" if self.secure else "plain") + (", used" if self.warm else "")
        kind += f", {self.back} comes back" if self.back else ""
        return f"{self.asked.name}; {self.form.framing} {self.form.validator}; {kind}; {acts}"


def plays(act: Act, asked: Asked, form: Form, secure: bool) -> bool:
    """Is there such a place, and is it a fault there?"""
    fault, place = act.fault, act.place
    if fault in OF_TLS and not secure:
        return False
    if fault in OF_LINK:
        return place is Place.SAID_NOTHING
    if Place.BEFORE_CONTENT_OF_REQUEST <= place <= Place.IN_CONTENT_OF_REQUEST and not asked.framing:
        return False
    if fault in STATUSES_IN_PART:
        return place <= Place.SAID_NOTHING and asked.method != b"HEAD"
    if fault in STATUSES:
        return place <= Place.SAID_NOTHING
    bare = form.framing == "nothing" or asked.method == b"HEAD"  # nothing follows the head
    if Place.BEFORE_CONTENT <= place <= Place.BEFORE_END and bare:
        return False
    if form.framing == "close" and not bare:
        # Its end is an end in order, of which nobody can tell that it comes early.
        return place < Place.BEFORE_CONTENT or (
            place < Place.AFTER_END and fault not in (Fault.FIN, Fault.GARBAGE)
        )
    if fault is Fault.GARBAGE and Place.BEFORE_CONTENT <= place <= Place.BEFORE_END:
        return form.framing in ("chunked", "trailers")  # else it is content
    return True


class Gets(Enum):
    """What a client gets in the end."""

    WHOLE = "the right answer, whole, once"
    FAILING = "the failing answer of a server"
    OWN = "an error of the broker's own"
    CUT = "a part of the right answer, or of the failing one of a server, and a reset"


@dataclass(frozen=True)
class Tried:
    """A try as the access log must show it; several words where the specification leaves the choice."""

    server: int
    outcomes: tuple[str, ...]
    reasons: tuple[str, ...]  # () for the one that answered


@dataclass(frozen=True)
class Expected:
    """What must happen."""

    tries: Sequence[Tried]
    gets: Gets
    status: int = 0
    by: int = 0  # the server whose failing answer it is


def expected(case: Case) -> Expected:
    """What must happen, if all servers but those of the acts do what they should."""
    tries: list[Tried] = []
    failing: tuple[int, int] | None = None  # the last real answer: its server, and its status
    resuming = False
    for number, act in enumerate(case.acts, 1):
        last = number >= TRIES
        outcomes = _outcomes(case, act, resuming or act.begun)
        if not outcomes:
            tries.append(Tried(number, ("ok",), ()))
            return Expected(tries, Gets.WHOLE)
        if resuming or (act.begun and act.fault not in STATUSES):
            if act.fault is Fault.LYING or not _resumable(case):
                tries.append(Tried(number, outcomes, ("response-begun", "final")))
                return Expected(tries, Gets.CUT)
            if last:
                tries.append(Tried(number, outcomes, ("response-begun", "tries")))
                return Expected(tries, Gets.CUT)
            resuming = True
            tries.append(Tried(number, outcomes, ("resume",)))
            continue
        reasons = _why_not(case, act) + (("tries",) if last else ())
        if last and outage(case):
            # It waits for one that comes back, and for no longer than anybody waits.
            tries.append(Tried(number, outcomes, ("nothing-sent",)))
            if case.back:
                tries.append(Tried(case.back, ("ok",), ()))
                return Expected(tries, Gets.WHOLE)
            return Expected(tries, Gets.OWN, 502)
        if not reasons:
            tries.append(Tried(number, outcomes, ("nothing-sent" if act.fault in OF_LINK else "replayable",)))
            if act.fault in STATUSES:
                failing = number, _status(act)
            continue
        if act.fault in STATUSES_IN_PART:  # of which the client has a part now
            outcome = "truncated" if act.fault is Fault.STATUS_CUT else "silent"
            tries.append(Tried(number, (outcome,), ("response-begun",)))
            return Expected(tries, Gets.CUT, 500, number)
        tries.append(Tried(number, outcomes, reasons))
        if act.fault in STATUSES:
            return Expected(tries, Gets.FAILING, _status(act), number)
        if failing is not None:
            return Expected(tries, Gets.FAILING, failing[1], failing[0])
        return Expected(tries, Gets.OWN, 504 if act.fault in (Fault.SILENCE, Fault.CONNECT_TIMEOUT) else 502)
    raise AssertionError(f"the acts end before the transaction: {case}")


def outage(case: Case) -> bool:
    """Do all servers of the case take no connections?"""
    return len(case.acts) == TRIES and all(act.fault in UNREACHED for act in case.acts)


def _status(act: Act) -> int:
    return 500 if act.fault is Fault.STATUS_500 else 503


def _why_not(case: Case, act: Act) -> tuple[str, ...]:
    """Why a request that failed before its answer began is not sent again, or ()."""
    if act.fault in OF_LINK:
        return ()  # nothing was sent: always
    if not case.asked.repeatable:
        return ("method",)
    if case.share and case.asked.framing and received(case.asked, act) > case.share:
        return ("too-large",)
    return ()


def received(asked: Asked, act: Act) -> int:
    """How much of a request's content has come from the client when its server has failed."""
    if not asked.framing or (act.place is Place.BEFORE_CONTENT_OF_REQUEST and act.fault is not Fault.SILENCE):
        return 0
    if act.fault is Fault.SILENCE:
        return len(GIVEN)  # while it is the client's turn nobody else is silent
    if act.place is Place.IN_CONTENT_OF_REQUEST:
        return PART_OF_REQUEST
    return len(GIVEN) if act.place > Place.IN_CONTENT_OF_REQUEST or not asked.expects else 0


def _resumable(case: Case) -> bool:
    """Can another server be asked for the rest, by what the client asked and the first server said?"""
    return (
        case.asked.method == b"GET"
        and case.form.proves
        and case.form.framing in ("length", "chunked", "close")  # the length is learnt from Content-Range
    )


def _outcomes(case: Case, act: Act, begun: bool) -> tuple[str, ...]:
    """The word for how a try ended; () for a good one."""
    fault, place = act.fault, act.place
    if fault in UNPROVABLE:
        return ("mismatch",)
    if fault is Fault.FROM_BEGINNING:  # it may serve where it proves its end
        return () if case.form.framing == "length" else ("mismatch",)
    if place is Place.AFTER_END:
        return ()
    if fault in OF_LINK:
        return ("tls-failed",) if fault in OF_TLS else (fault.value,)
    if fault in STATUSES or fault in STATUSES_IN_PART:
        return ("status",)
    if fault is Fault.SILENCE:
        return ("silent",)
    if act.begun and begun:
        return ("truncated",)
    if fault is Fault.GARBAGE:
        return ("malformed",)
    if place is Place.IN_HEAD or (case.asked.expects and place >= Place.IN_CONTENT_OF_REQUEST):
        return ("broken",)  # in the latter it has said 100
    if case.warm and case.asked.repeatable:  # the others take a fresh link
        return ("stale",)
    if fault is Fault.RESET:
        return ("broken",)
    # An end before everything was read is a reset for who sends on, and TLS has an end of its own.
    return ("empty",) if fault is Fault.FIN and place > Place.IN_HEAD_OF_REQUEST else ("empty", "broken")
