"""What the author of a backend protocol runs on it, with any test framework: the laws of codecs, tried out.

Decides whether a protocol keeps what `interfaces.ICodec` asks: the same events however bytes are cut,
nothing raised whatever a peer sends, nothing kept without a bound, an answer possible wherever a client is
refused. Invariant: the same call tries the same bytes each time, and a failure is an `AssertionError` that
says what was fed, what came and what was expected. Refuses to know what the bytes mean: transcripts say it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import FramingError
from ..interfaces import Error, Event, Head, IBackendProtocol, Interim, Origin, Upgraded
from ..outcome import After
from ..protocols.examine import examine
from ..settings import KiB, Pool
from .meaning import plain, same, show
from .pieces import cuts, damaged, some_cuts
from .runs import ClientRun, LinkRun

Meaning = Callable[[Sequence[Event]], object]
Pieces = Sequence[bytes]

_PIECE: Final = 4 * KiB


class Kit:
    """The trials of one protocol.

    `meaning` gives what two runs are compared by, when that is not the events themselves: a codec that joins
    what came together gives other exchanges for other cuts, and the same commands. `answer` gives what a
    request is answered by, from the request and its exchange; without it, as by a broker that has no server.
    `bound` is what a client's codec may hold, in bytes, while it waits for a head.
    """

    def __init__(
        self,
        protocol: IBackendProtocol,
        *,
        pool: Pool | None = None,
        head_size: int = 4 * KiB,
        headers: int = 20,
        bound: int = 64 * KiB,
        meaning: Meaning = plain,
        answer: Callable[[Any, int], Sequence[Event]] | None = None,
        seed: int = 1,
    ) -> None:
        self.protocol = protocol
        self.pool = pool or Pool("testkit", ())
        self.rules = protocol.rules(self.pool, "testkit")
        self.classifier = protocol.classifier(self.pool)
        self.head_size = head_size
        self.headers = headers
        self.bound = bound
        self.meaning = meaning
        self.answer = answer
        self.seed = seed

    # --- what a protocol is ---

    def check_whole(self) -> None:
        """It has all that its interfaces, the optional ones too, ask for; as the broker sees at its start."""
        faults = examine(self.protocol, self.pool)
        assert not faults, "\n".join(faults)

    # --- a client's side ---

    def requests(
        self, pieces: Pieces, *, end: bool = False, refuse: FramingError | None = None
    ) -> list[Event]:
        """The events of a client's bytes; each whole request is answered at once, by an error answer.

        `end`: the client sends no more afterwards. `refuse`: its time is over then.
        """
        return ClientRun(self, pieces).play(end=end, refuse=refuse)

    def check_requests(
        self, data: bytes, expected: Sequence[Event] | None = None, *, end: bool = False
    ) -> list[Event]:
        """They mean the same however they are cut, and what is `expected` when that is given; the events."""
        whole = self.requests([data], end=end)
        if expected is not None:
            same(plain(expected), plain(whole), [data])
        for pieces in cuts(data):
            same(self.meaning(whole), self.meaning(self.requests(pieces, end=end)), pieces)
        self.check_held(data)
        return whole

    # --- a link's side ---

    def answers(
        self, request: bytes, pieces: Pieces, *, end: bool = False, refuse: FramingError | None = None
    ) -> tuple[list[Event], After]:
        """The events of a server's bytes after one request, and what the link is good for then.

        The request is the first one that a client's codec makes of `request`.
        """
        return LinkRun(self, request, pieces).play(end=end, refuse=refuse)

    def check_answers(
        self,
        request: bytes,
        data: bytes,
        expected: Sequence[Event] | None = None,
        after: After | None = None,
        *,
        end: bool = False,
    ) -> list[Event]:
        """As `check_requests`, of what a server answers; `after` is what the link is good for then."""
        whole, found = self.answers(request, [data], end=end)
        if expected is not None:
            same(plain(expected), plain(whole), [data])
        assert after is None or found is after, f"fed {show([data])}\nafter is {found}, expected {after}"
        for pieces in cuts(data):
            again, found_again = self.answers(request, pieces, end=end)
            same((plain(whole), found), (plain(again), found_again), pieces)
        return whole

    # --- both, as the broker puts them together ---

    def check_exchange(
        self, request: bytes, to_server: bytes, answer: bytes, to_client: bytes, *, end: bool = False
    ) -> None:
        """What a server is sent for the first request in these bytes, and the client for its `answer`.

        Both messages go through the rules. `end`: the server sends no more afterwards.
        """
        link = LinkRun(self, request, [answer])
        same(to_server, link.sent, [request])
        codec = self.protocol.client_codec(self.head_size, self.headers)
        asked = codec.receive(request)[0]
        assert isinstance(asked, Head | Upgraded), (
            f"fed {show([request])}\ncame {asked!r}, expected a request"
        )
        sent = b""
        for event in link.play(end=end)[0]:
            if isinstance(event, Head | Interim | Upgraded):
                event.message = self.rules.to_client(event.message, asked.message, Origin("192.0.2.1"))
            event.exchange = asked.exchange
            sent += b"" if isinstance(event, Error) else codec.send(event)
        same(to_client, sent, [answer])

    # --- and against what a peer may do ---

    def check_hostile(self, requests: Sequence[bytes], answers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Everything at once that needs no expectation; `answers` are pairs of a request and its answer.

        Ends and refusals at each place, damage, and floods.
        """
        chance = random.Random(self.seed)
        for data in requests:
            self._everywhere(lambda pieces, **how: self.requests(pieces, **how), data)
        for request, data in answers:
            self._everywhere(lambda pieces, asked=request, **how: self.answers(asked, pieces, **how), data)
            self.check_idle(data)
        for _ in range(300):
            if requests:
                data = damaged(requests, chance)
                for pieces in some_cuts(data, chance):
                    same(self.meaning(self.requests([data])), self.meaning(self.requests(pieces)), pieces)
            if answers:
                request, data = chance.choice(answers)
                data = damaged([data], chance)
                whole = _settled(self.answers(request, [data]))
                for pieces in some_cuts(data, chance):
                    same(whole, _settled(self.answers(request, pieces)), pieces)
        for data in (*requests, b"a", b"\r\n", b"9", b"\0", b'"'):
            self.check_flood(data)

    def check_flood(self, data: bytes) -> None:
        """Of a client that sends this again and again, `bound` is kept at most while no request begins.

        Of what comes behind a request `held` tells all, since then the broker stops reading.
        """
        piece = data * (_PIECE // len(data) + 1)
        client = ClientRun(self, [piece] * (2 * self.bound // len(piece) + 4))
        client.play()
        assert client.most <= self.bound + len(piece), (
            f"fed {show([data])} again and again\nheld() came to {client.most}, expected {self.bound} at most"
        )

    def check_held(self, data: bytes) -> None:
        """`held` tells of the beginning of a head: so the broker knows that a client is in the middle of it,
        and limits its time (``limits.head``)."""
        codec = self.protocol.client_codec(self.head_size, self.headers)
        if self.protocol.server_first:
            return  # an exchange begins without a byte
        for at in range(len(data)):
            held = codec.held()
            if codec.receive(data[at : at + 1]):
                told = f"fed {show([data[:at]])}\nheld() gave {held}, and one byte more completed something"
                assert held or not at, told
                return

    def check_idle(self, data: bytes) -> None:
        """Bytes on a link that was asked nothing end it."""
        codec = self.protocol.server_codec(self.head_size, self.headers)
        events = list(codec.receive(data))
        told = f"fed an idle link {show([data])}\ncame {events}, expected an Error"
        assert isinstance(events[-1] if events else None, Error), told

    def _everywhere(self, play: Callable[..., Any], data: bytes) -> None:
        """The peer ends, or runs out of time, after each byte."""
        for at in range(len(data) + 1):
            play([data[:at]] if at else [], end=True)
            play([data[:at]] if at else [], refuse=FramingError("too slow"))


def _settled(found: tuple[list[Event], After]) -> object:
    return plain(found[0]), found[1]
