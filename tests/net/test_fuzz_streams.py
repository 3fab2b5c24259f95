"""Streams whose clients and servers do random things, legal and hostile, and what must hold all the same.

Whatever happens: no byte reaches anybody but the other end of its stream, in order; without `failover.replay`
at most one server sees any of a client's; and an end in good order comes from one, with everything before it.
Every stream ends within its limits.

``SSLBROKER_FUZZ=5000`` sets the number of examples; the normal run takes the same ones each time.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone

from sslbroker.settings import Failover, Limits

from ..memory import BrokerCase, Peer
from .test_fuzz import Fuzzed, World, a_move, examples

SIZES = (1, 1, 7, 300, 5000, 70_000, 200_000)
TIMES = (0.01, 0.4, 1.1, 2.5, 4.0, 9.0, 31.0)
#: How a peer ends: what it sends (half), both ways, by a reset, and over TLS without saying so.
HALF, CLOSE, RESET, RUDE = range(4)


class Streams(World):
    """Remembers what everybody said, and how everybody ended."""

    def __init__(self, case: BrokerCase, replay: bool) -> None:
        super().__init__(case)
        self.replay = replay
        self.said: dict[Peer, bytes] = {}
        self.ends: dict[Peer, int] = {}
        self.halved: set[Peer] = set()
        for server in case.servers[::2]:
            server.stays = True

    # --- moves ---

    def client_says(self, who: int, what: int) -> None:
        self.says(self.a_client(who), what)

    def server_says(self, who: int, what: int) -> None:
        self.says(self.a_link(who), what)

    def client_ends(self, who: int, what: int) -> None:
        self.end(self.a_client(who), what)

    def server_ends(self, who: int, what: int) -> None:
        self.end(self.a_link(who), what)

    def time(self, who: int, what: int) -> None:
        self.case.wait(TIMES[what % len(TIMES)])

    def says(self, peer: Peer | None, what: int) -> None:
        if peer is None or self.how(peer) is not None:
            return
        said = self.said.get(peer, b"")
        data = (b"%d at %d;" % (self.number(peer), len(said))).ljust(SIZES[what % len(SIZES)], b".")
        self.said[peer] = said + data
        peer.transport.write(data)  # type: ignore[union-attr]

    def end(self, peer: Peer | None, what: int) -> None:
        if peer is None or self.ends.get(peer) in (CLOSE, RESET, RUDE):
            return
        transport: Any = peer.transport
        how = what % 4
        if secure(peer):
            how = CLOSE if how == HALF else how  # Twisted's TLS has no half-close
        elif how == RUDE:
            how = CLOSE
        self.ends[peer] = how
        if how == HALF:
            self.halved.add(peer)
            peer.stays = True
            transport.loseWriteConnection()
        elif how == CLOSE:
            transport.loseConnection()
        elif how == RESET:
            transport.abortConnection()
        else:
            transport.transport.loseConnection()

    def how(self, peer: Peer) -> int | None:
        """How it has ended what it says, if it has."""
        if peer in self.halved:
            return HALF
        answers = peer.ended and not peer.stays
        if secure(peer):
            answers = isinstance(peer.lost, ConnectionDone)
        return self.ends.get(peer, CLOSE if answers else None)

    def number(self, peer: Peer) -> int:
        return self.clients.index(peer) if peer in self.clients else 1000 + self.links.index(peer)

    # --- what must hold ---

    def check(self, last: bool = False) -> None:
        case = self.case
        for client in self.clients:
            takers = [
                link for link in self.links if link.received and self.first(client).startswith(link.received)
            ]
            if not self.replay:
                case.assertLessEqual(len(takers), 1, "more than one server has bytes of a client")
        for link in self.links:
            self.check_one(link, self.clients)
        for client in self.clients:
            self.check_one(client, self.links)
        if last:
            for frontend in case.frontends.values():
                case.assertEqual(frontend.connections, set(), "a stream that never ends")

    def first(self, peer: Peer) -> bytes:
        return self.said.get(peer, b"")

    def check_one(self, reader: Peer, writers: list[Peer]) -> None:
        """It has what one of them said, and when it saw an end in good order, all of it."""
        case, got = self.case, reader.received
        if got[:1] == b"\x16":
            return  # a handshake that the server does not know
        sources = [writer for writer in writers if got and self.first(writer).startswith(got)]
        case.assertTrue(sources or not got, "bytes that nobody said so")
        case.assertLessEqual(len(sources), 1)
        clean = reader.ended or isinstance(reader.lost, ConnectionDone)
        if not clean or self.ends.get(reader) in (CLOSE, RESET, RUDE):
            return
        if not got:
            return
        (writer,) = sources
        how = self.how(writer)
        if how in (RESET, RUDE) and writer in self.clients and secure(writer):
            return  # of a client over TLS a cut cannot be told
        case.assertIn(how, (HALF, CLOSE), "an end in good order that nobody has made")
        case.assertEqual(len(got), len(self.first(writer)), "an end in good order before the last byte")


def secure(peer: Peer) -> bool:
    return hasattr(peer.transport, "wrappedProtocol")


MOVES = (
    World.connect,
    Streams.client_says,
    Streams.client_says,
    Streams.client_says,
    Streams.server_says,
    Streams.server_says,
    Streams.server_says,
    World.client_reads,
    World.server_reads,
    Streams.client_ends,
    Streams.server_ends,
    World.server_behaves,
    World.operate,
    World.server_proves,
    Streams.time,
)


class FuzzStreams(Fuzzed):
    @examples(150)
    @given(
        servers=st.integers(1, 3),
        small=st.booleans(),
        secure=st.booleans(),
        places=st.integers(0, 4),
        replay=st.booleans(),
        moves=st.lists(a_move, min_size=4, max_size=50),
    )
    def test_whatever_the_ends_of_streams_do(
        self,
        servers: int,
        small: bool,
        secure: bool,
        places: int,
        replay: bool,
        moves: list[tuple[int, int, int, bool]],
    ) -> None:
        self.setUp()
        self.begin(
            servers,
            small,
            secure,
            places,
            protocol="tcp",
            limits=Limits(connections=50, tunnel=20.0, idle=6.0, read=6.0),
            failover=Failover(response_timeout=2.0, replay=replay),
        )
        world = Streams(self, replay)
        world.connect(0, 1)
        world.connect(1, 1)
        self.plays(world, moves, MOVES)
