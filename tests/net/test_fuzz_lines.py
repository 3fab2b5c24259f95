"""A protocol whose links hold state of their clients, under clients and servers that do random things.

Whatever happens: a client has answers to its own requests only, in their order; a request that must not be
repeated reaches a second server only after the proof that the first did nothing; and between the answer to
``pin`` and that to ``unpin`` a link carries requests of one client, whose requests go nowhere else.

``SSLBROKER_FUZZ=5000`` sets the number of examples; the normal run takes the same ones each time.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sslbroker.settings import Failover, Limits

from ..memory import BrokerCase, Peer
from .lines import Lines
from .test_fuzz import Fuzzed, World, a_move, examples

WORDS = (b"read", b"read", b"write", b"write", b"pin", b"pin", b"unpin", b"own", b"slow 3", b"slow 0")
ANSWERS = (b"yes", b"yes", b"yes", b"yes", b"!busy", b"!untouched", b"!bye")


class Said(World):
    """Remembers the lines, which all have a number."""

    def __init__(self, case: BrokerCase) -> None:
        super().__init__(case)
        self.requests_of: dict[Peer, list[bytes]] = {}
        self.given: dict[Peer, int] = {}  # answers that a server has given on a link
        self.proved: dict[bytes, int] = {}  # how often a server has said that it did nothing
        self.ended: set[Peer] = set()
        self.count = 0

    # --- moves ---

    def ask(self, who: int, what: int) -> None:
        client = self.a_client(who)
        if client is not None and client not in self.ended:
            lines = []
            for _ in range(1 + what % 3):
                self.count += 1
                lines.append(b"%s #%d" % (WORDS[(what + self.count) % len(WORDS)], self.count))
            self.requests_of.setdefault(client, []).extend(lines)
            client.transport.write(b"".join(line + b"\n" for line in lines))  # type: ignore[union-attr]

    def answer(self, who: int, what: int) -> None:
        link = self.a_link(who)
        if link is None:
            return
        asked = self.asked_on(link)
        given = self.given.get(link, 0)
        if given < len(asked):
            request, word = asked[given], ANSWERS[what % len(ANSWERS)]
            self.given[link] = given + 1
            if word == b"!untouched":
                self.proved[request] = self.proved.get(request, 0) + 1
            link.transport.write(word + b" to " + request + b"\n")  # type: ignore[union-attr]

    def stray(self, who: int, what: int) -> None:
        link = self.a_link(who)
        if link is not None and self.given.get(link, 0) == len(self.asked_on(link)):
            self.finished.add(link)
            link.transport.write(b"!stray\n")  # type: ignore[union-attr]

    def client_ends(self, who: int, what: int) -> None:
        client = self.a_client(who)
        if client is not None:
            self.ended.add(client)
            transport: Any = client.transport
            if what % 3 == 0 and hasattr(transport, "wrappedProtocol"):
                what += 1  # Twisted's TLS has no half-close
            (transport.loseWriteConnection, transport.loseConnection, transport.abortConnection)[what % 3]()

    def server_ends(self, who: int, what: int) -> None:
        link = self.a_link(who)
        if link is not None:
            transport: Any = link.transport
            if what % 3 == 2 and hasattr(transport, "wrappedProtocol"):
                what += 1
            self.finished.add(link)
            (transport.loseConnection, transport.abortConnection, transport.loseWriteConnection)[what % 3]()

    # --- what must hold ---

    def asked_on(self, link: Peer) -> list[bytes]:
        data = link.received
        return data.split(b"\n")[:-1] if data[:1] != b"\x16" else []

    def check(self, last: bool = False) -> None:
        case = self.case
        seen: dict[bytes, list[Peer]] = {}
        for link in self.links:
            holder = None
            for line in self.asked_on(link):
                seen.setdefault(line, []).append(link)
                (asker,) = [client for client, lines in self.requests_of.items() if line in lines]
                if holder is not None:
                    case.assertIs(asker, holder, "a pinned link serves another client")
                if line.startswith(b"pin"):
                    holder = asker
                elif line.startswith(b"unpin"):
                    holder = None
        for line, links in seen.items():
            if not line.startswith(b"read"):
                case.assertLessEqual(len(links), 1 + self.proved.get(line, 0), f"{line!r} was done twice")
        for client in self.clients:
            self.check_answers(client, last)
            pinned: list[Peer] = []
            for request, answer in zip(self.requests_of.get(client, []), answers_of(client), strict=False):
                links = seen.get(request, [])
                case.assertTrue(not pinned or set(links) <= set(pinned), "pinned, and done elsewhere")
                if answer.startswith(b"!bye"):
                    break
                if request.startswith(b"pin") and answer != b"!sorry":
                    pinned = links
                elif request.startswith(b"unpin") and answer != b"!sorry":
                    pinned = []

    def check_answers(self, client: Peer, last: bool) -> None:
        case = self.case
        requests = self.requests_of.get(client, [])
        got = answers_of(client)
        case.assertLessEqual(len(got), len(requests))
        for request, answer in zip(requests, got, strict=False):
            if request.startswith(b"own"):
                case.assertEqual(answer, b"myself")
            elif answer not in (b"!sorry", b"!stray"):  # a stray line may meet a request
                case.assertTrue(answer.endswith(b" to " + request), f"{answer!r} for {request!r}")
        if last and client.lost is None and not client.ended:
            waits = requests[len(got) : len(got) + 1]
            case.assertTrue(not waits or waits[0].startswith(b"slow 0"), f"{waits} has no answer")

    def check_bounds(self) -> None:
        super().check_bounds()
        places, now = self.case.pool.places, self.case.clock.seconds()
        for waiter in places._queue.turns(set(), now):
            choice = places._choosing.choose(waiter.used, waiter.origin, waiter.key, waiter.stuck, now)
            self.case.assertIsNone(choice, "somebody waits though there is a place")


def answers_of(client: Peer) -> list[bytes]:
    return client.received.split(b"\n")[:-1]


MOVES = (
    World.connect,
    Said.ask,
    Said.ask,
    Said.ask,
    Said.answer,
    Said.answer,
    Said.answer,
    Said.answer,
    Said.stray,
    World.client_reads,
    World.server_reads,
    Said.client_ends,
    Said.server_ends,
    World.server_behaves,
    World.operate,
    World.server_proves,
    World.time,
)


class FuzzLines(Fuzzed):
    @examples(150)
    @given(
        servers=st.integers(1, 3),
        secure=st.booleans(),
        places=st.integers(0, 4),
        moves=st.lists(a_move, min_size=4, max_size=60),
    )
    def test_whatever_clients_and_servers_say(
        self, servers: int, secure: bool, places: int, moves: list[tuple[int, int, int, bool]]
    ) -> None:
        self.setUp()
        self.begin(
            servers,
            False,
            secure,
            places,
            protocol="lines",
            protocols=[Lines()],
            limits=Limits(connections=50),
            failover=Failover(response_timeout=2.0),
        )
        world = Said(self)
        world.connect(0, 1)
        world.connect(1, 1)
        self.plays(world, moves, MOVES)
