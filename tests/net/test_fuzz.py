"""Clients and servers that do random things, legal and hostile, and what must hold all the same.

Whatever happens: nothing is logged as an exception, nothing is left behind, no client has a complete
answer but one that a server gave whole to its request, no server has a complete request but one that its
client sent whole, and a request that must not be repeated is seen by one server at most.

``SSLBROKER_FUZZ=5000`` sets the number of examples; the normal run takes the same ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import h11
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone

from sslbroker.net import links
from sslbroker.net.fast_path import FastTransaction
from sslbroker.net.link import Link, User
from sslbroker.net.relay import Relay
from sslbroker.outcome import Replay
from sslbroker.settings import Failover, Limits, LinkTLS, Queue, Storage

from ..memory import BrokerCase, Peer
from .test_secure_links import FOLDER
from .test_secure_links import speaks as _speaks

speaks = cache(_speaks)
EXAMPLES = int(os.environ.get("SSLBROKER_FUZZ", "0"))


def examples(count: int) -> settings:
    """So many, the same each time; with ``SSLBROKER_FUZZ`` as many as that says, each time others."""
    return settings(
        max_examples=EXAMPLES or count,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


SIZES = (0, 1, 5, 300, 5000, 70_000, 200_000)
PIECES = (1, 7, 40, 1000, 50_000, 1_000_000)
#: Bytes: a transport's own buffer, one read that is under way, and what TLS gathers.
BOUND = 300_000
STRAY = b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"
TIMES = (0.01, 0.4, 1.1, 2.5, 6.0, 31.0, 61.0)


class Asked:
    """A request of a client: what it is, and how much of it was sent."""

    def __init__(self, number: int, kind: int, size: int) -> None:
        self.number = number
        self.method = (b"GET", b"POST", b"PUT", b"HEAD", b"GET", b"POST")[kind % 6]
        self.minor = 0 if kind % 4 == 0 else 1
        has_content = self.method in (b"POST", b"PUT")
        self.content = bytes([65 + number % 26]) * (size if has_content else 0)
        chunked = has_content and kind % 5 == 0 and self.minor == 1
        broken = kind % 11 == 10
        fields = [b"Host: shop"]
        if kind % 9 == 8:
            fields.append(b"Connection: close")
        if has_content and kind % 4 == 3 and self.minor == 1:
            fields.append(b"Expect: 100-continue")
        if chunked:
            fields.append(b"Transfer-Encoding: chunked")
            body = b""
            for start in range(0, size, 999):
                piece = self.content[start : start + 999]
                body += b"%x\r\n%s\r\n" % (len(piece), piece)
            body += b"zz\r\n" if broken else b"0\r\n\r\n"
        else:
            if has_content:
                fields.append(b"Content-Length: %d" % len(self.content))
            if broken and not has_content:
                fields.append(b"Bad Name: 1")
            body = self.content
        line = b"%s /%d HTTP/1.%d" % (self.method, number, self.minor)
        self.left = b"\r\n".join([line, *fields, b"", b""]) + body
        self.valid = not broken or (has_content and not chunked)


class Answer:
    """An answer of a server: what it says, and how much of it was sent."""

    def __init__(self, number: int, asked: Asked, kind: int, size: int) -> None:
        self.asked = asked
        self.status = (200, 200, 200, 500, 404, 204, 304, 200)[kind % 8]
        self.content = b"" if self.status in (204, 304) else b"[%d.%d]" % (asked.number, number) + b"x" * size
        self.by_close = False
        self.done = False  # all of it was sent
        fields = []
        body = b"" if asked.method == b"HEAD" else self.content
        form = kind % 5
        if self.status not in (204, 304):
            if form == 0 and body:
                fields.append(b"Transfer-Encoding: chunked")
                half = len(body) // 2
                body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:]) if p)
                body += b"0\r\n\r\n"
            elif form == 1 and asked.method != b"HEAD":
                self.by_close = True
            else:
                fields.append(b"Content-Length: %d" % len(self.content))
        if kind % 13 == 12:
            fields.append(b"Connection: close")
        line = b"HTTP/1.1 %d Some Reason" % self.status
        self.left = b"\r\n".join([line, *fields, b"", b""]) + body
        if kind % 17 == 16:
            self.left = b"HTTP/1.1 100 Continue\r\n\r\n" + self.left
        if kind % 19 == 18:
            self.left = b"\x16\x03\x01nonsense\r\n\r\n"


class Stray(Answer):
    """An answer that nobody asked for."""

    def __init__(self) -> None:
        self.left = b""
        self.by_close = False
        self.done = True


class World:
    """Plays the moves, and remembers what everybody said."""

    def __init__(self, case: BrokerCase) -> None:
        self.case = case
        self.clients: list[Peer] = []
        self.asked: dict[Peer, list[Asked]] = {}
        self.closed_itself: set[Peer] = set()
        self.links: list[Peer] = []
        self.finished: set[Peer] = set()  # links on which the server says no more
        self.answers: dict[Peer, list[Answer]] = {}
        self.requests: dict[int, Asked] = {}
        self.all_answers: list[Answer] = []
        self.strayed = False

    # --- moves ---

    def connect(self, who: int, what: int) -> None:
        if len(self.clients) < 3:
            client = self.case.client(secure=who % 2 == 1)
            client.stays = what % 3 == 0
            self.clients.append(client)
            self.asked[client] = []

    def ask(self, who: int, what: int) -> None:
        client = self.a_client(who)
        if client is None:
            return
        asked = self.asked[client]
        if not asked or not asked[-1].left:
            request = Asked(len(self.requests) + 1, what, SIZES[(who + what) % len(SIZES)])
            self.requests[request.number] = request
            asked.append(request)
        self.say(client, asked[-1], PIECES[what % len(PIECES)])

    def ask_twice(self, who: int, what: int) -> None:
        self.ask(who, 5)
        self.ask(who, what)
        self.ask(who, 5)

    def ask_of_old(self, who: int, what: int) -> None:
        """Of a client whose answers may end with the connection."""
        self.ask(who, 5)
        self.ask(who, 36)
        self.ask(who, 5)
        self.case.settle()

    def client_ends(self, who: int, what: int) -> None:
        client = self.a_client(who)
        if client is not None:
            transport: Any = client.transport
            if what % 3 == 0 and hasattr(transport, "wrappedProtocol"):
                what += 1  # Twisted's TLS has no half-close
            if what % 3:
                self.closed_itself.add(client)
            (transport.loseWriteConnection, transport.loseConnection, transport.abortConnection)[what % 3]()

    def client_reads(self, who: int, what: int) -> None:
        self.reads(self.a_client(who), what)

    def answer(self, who: int, what: int) -> None:
        link = self.a_link(who)
        if link is None:
            return
        answers = self.answers[link]
        if answers and answers[-1].left:
            self.say(link, answers[-1], PIECES[what % len(PIECES)])
            return
        heads = [number for number, _, _, _ in received(link.received)]
        if len(heads) > len(answers):
            size = SIZES[(who + what) % len(SIZES)]
            made = Answer(len(self.all_answers), self.requests[heads[len(answers)]], what, size)
            self.all_answers.append(made)
            answers.append(made)
            self.say(link, made, PIECES[(what // 3) % len(PIECES)])

    def answer_whole(self, who: int, what: int) -> None:
        self.answer(who, what)
        link = self.a_link(who)
        if link is not None and self.answers[link]:
            self.say(link, self.answers[link][-1], 1_000_000)

    def server_ends(self, who: int, what: int) -> None:
        link = self.a_link(who)
        if link is not None:
            transport: Any = link.transport
            if what % 3 == 2 and hasattr(transport, "wrappedProtocol"):
                what += 1  # Twisted's TLS has no half-close
            (transport.loseConnection, transport.abortConnection, transport.loseWriteConnection)[what % 3]()
            self.finished.add(link)
            if what % 3 != 1 and self.answers[link]:
                last = self.answers[link][-1]
                if last.by_close and not last.done and len(last.left) <= len(last.content):
                    # Nothing tells that it is not whole.
                    last.content = last.content[: len(last.content) - len(last.left)]
                    last.left = b""
                    last.done = True

    def server_breaks_off(self, who: int, what: int) -> None:
        """In the middle of an answer, whose head has arrived."""
        self.answer(who, 18 + 6 * (what % 11))  # at first a piece of 1000 bytes
        self.case.settle()
        self.server_ends(who, what)

    def server_reads(self, who: int, what: int) -> None:
        self.reads(self.a_link(who), what)

    def server_strays(self, who: int, what: int) -> None:
        link = self.a_link(who)
        if link is not None and not any(answer.left for answer in self.answers[link]):
            last = self.answers[link][-1:]
            if last and last[0].by_close:
                last[0].content += STRAY
            else:
                self.strayed = True
                self.answers[link].append(Stray())  # perhaps a request meets it
            link.transport.write(STRAY)  # type: ignore[union-attr]

    def server_behaves(self, who: int, what: int) -> None:
        server = self.case.servers[who % len(self.case.servers)]
        server.behaviour = ("accept", "refuse", "silent", "accept", "unreachable")[what % 5]
        server.starts_deaf = what % 7 == 6

    def operate(self, who: int, what: int) -> None:
        """An operator changes something."""
        number = who % len(self.case.servers)
        address = self.case.servers[number].address
        if what % 5 < 3:
            self.case.pool.set_server(address, ("up", "drain", "down", "up")[what % 4])
        elif self.case.pool.links[self.case.pool.members[number]].contexts is not None:
            secure = what % 2 == 1
            self.case.pool.set_link_mode(secure, None if what % 3 else address)
            for server in self.case.servers if what % 3 else self.case.servers[number : number + 1]:
                server.contexts = speaks(server.address.partition(":")[0]) if secure else None

    def server_proves(self, who: int, what: int) -> None:
        """What a server shows from now on where links are secure: itself, somebody else, or no TLS at all."""
        number = who % len(self.case.servers)
        server = self.case.servers[number]
        if self.case.pool.links[self.case.pool.members[number]].mode.secure:
            host = server.address.partition(":")[0]
            server.contexts = (speaks(host), speaks(host), speaks("other.test"), None)[what % 4]

    def time(self, who: int, what: int) -> None:
        self.case.wait(TIMES[what % len(TIMES)])

    # --- small things ---

    def a_client(self, who: int) -> Peer | None:
        alive = [client for client in self.clients if client.lost is None]
        return alive[who % len(alive)] if alive else None

    def a_link(self, who: int) -> Peer | None:
        for server in self.case.servers:
            while server.links:
                link = server.links.popleft()
                self.links.append(link)
                self.answers[link] = []
        alive = [link for link in self.links if link.lost is None and link not in self.finished]
        return alive[-1 - who % len(alive)] if alive else None

    def say(self, peer: Peer, message: Asked | Answer, size: int) -> None:
        data, message.left = message.left[:size], message.left[size:]
        peer.transport.write(data)  # type: ignore[union-attr]
        if isinstance(message, Answer) and not message.left and not message.by_close:
            message.done = True

    def reads(self, peer: Peer | None, what: int) -> None:
        if peer is not None:
            transport: Any = peer.transport
            (transport.pauseProducing if what % 2 else transport.resumeProducing)()

    # --- what must hold ---

    def check(self, last: bool = False) -> None:
        case = self.case
        seen: dict[int, int] = {}
        for link in self.links:
            for number, head, content, whole in received(link.received):
                asked = self.requests[number]
                seen[number] = seen.get(number, 0) + 1
                case.assertEqual(head, asked.method)
                case.assertTrue(asked.content.startswith(content), "other content than the client's")
                if whole:
                    case.assertTrue(asked.valid and not asked.left, "complete, though the client's is not")
                    case.assertEqual(content, asked.content)
        for number, times in seen.items():
            limit = 1 if self.requests[number].method == b"POST" else 3
            case.assertLessEqual(times, limit, f"{self.requests[number].method!r} /{number}")
        for client in self.clients:
            self.check_answers(client, last)

    def check_bounds(self) -> None:
        """What the broker holds for those who do not read is little, whoever they are."""
        for end in self.case.network.ends:
            protocol = getattr(end.protocol, "wrappedProtocol", end.protocol)
            if end.connected and not isinstance(protocol, Peer):
                self.case.assertLess(len(end.out), BOUND)
        storage = self.case.broker.storage
        self.case.assertLess(storage.used, storage.settings.maximum + BOUND)

    def check_answers(self, client: Peer, last: bool) -> None:
        case = self.case
        clean = client not in self.closed_itself and (client.ended or isinstance(client.lost, ConnectionDone))
        got = 0
        for asked, status, content in answers(client.received, self.asked[client], clean):
            got += 1
            if b"[" not in content[:1]:
                if status in (204, 304) or asked.method == b"HEAD":
                    continue
                if self.strayed and (status, content) == (408, b""):
                    continue  # a stray answer met a request
                case.assertTrue(content.startswith(b"%d " % status), content[:80])
                case.assertGreaterEqual(status, 400)
                continue
            given = [a for a in self.all_answers if a.asked is asked and a.done and a.content == content]
            case.assertTrue(given, f"/{asked.number} got {status} {content[:20]!r}, {len(content)} bytes")
            case.assertEqual(given[0].status, status)
        if last and client.lost is None and not client.ended:
            # Whoever is still connected after all this time has been answered.
            case.assertEqual(got, sum(not asked.left for asked in self.asked[client]))


def received(data: bytes) -> Iterator[tuple[int, bytes, bytes, bool]]:
    """The requests that a server received: number, method, content, whether it is whole."""
    while data and data[:1] != b"\x16":  # the beginning of a handshake that the server does not know
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        connection.receive_data(data)
        head = connection.next_event()
        if not isinstance(head, h11.Request):
            return
        content = b""
        while isinstance(event := connection.next_event(), h11.Data):
            content += event.data
        whole = isinstance(event, h11.EndOfMessage)
        yield int(head.target[1:]), head.method, content, whole
        if not whole:
            return
        data = connection.trailing_data[0]


def answers(data: bytes, asked: list[Asked], clean: bool) -> Iterator[tuple[Asked, int, bytes]]:
    """The complete answers that a client received, to its requests in order."""
    for request in asked:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
        sent = h11.Request(method=request.method, target="/", headers=[("host", "shop")])
        connection.send(sent)
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        if clean:
            connection.receive_data(b"")
        status, content = 0, b""
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                if clean and data:
                    # A connection that ends in order within an answer: visible, by what its head says.
                    pass
                return
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                return
        yield request, status, content
        data = connection.trailing_data[0]


MOVES = (
    World.connect,
    World.ask,
    World.ask,
    World.ask_twice,
    World.ask_of_old,
    World.answer,
    World.answer_whole,
    World.answer_whole,
    World.client_reads,
    World.server_reads,
    World.client_ends,
    World.server_ends,
    World.server_breaks_off,
    World.server_strays,
    World.server_behaves,
    World.operate,
    World.server_proves,
    World.time,
)

a_move = st.tuples(st.integers(0, len(MOVES) - 1), st.integers(0, 12), st.integers(0, 255), st.booleans())


class Checked(Link):
    """A link that does not let itself be used when it is of another mode than its server's."""

    def begin(self, relay: User | FastTransaction) -> int:
        if not isinstance(relay, Relay) or relay.transaction.replay is not Replay.PINNED:
            assert self.secure is self.links.mode.secure, "a link of another mode is used"
        return super().begin(relay)


LIMITS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"maximum_transactions": 1},
    {"maximum_links": 1},
    {"maximum_transactions": 2, "maximum_links": 2},
)


class Fuzzed(BrokerCase):
    """A broker whose links may be secure, and servers that have limits or not."""

    def begin(self, servers: int, small: bool, secure: bool, places: int, **settings: Any) -> None:
        self.patch(links, "Link", Checked)
        self.start(
            servers,
            storage=Storage(20_000, 10_000, 100_000, per_transaction=30_000) if small else Storage(),
            queue=Queue(length=3, timeout=3.0),
            continue_secure_link=secure,
            tls=LinkTLS(ca=FOLDER / "ca.pem"),
            limits_of_servers=LIMITS[places % len(LIMITS)],
            **settings,
        )
        for server in self.servers if secure else ():
            server.contexts = speaks(server.address.partition(":")[0])

    def plays(self, world: World, moves: list[tuple[int, int, int, bool]], known: tuple[Any, ...]) -> None:
        """The moves, and what must hold meanwhile and after them."""
        for move, who, what, settle in moves:
            known[move % len(known)](world, who, what)
            if settle:
                self.settle()
                world.check_bounds()
        self.settle()
        world.check()
        for peer in (*world.clients, *world.links):
            if peer.lost is None:
                world.reads(peer, 0)
        self.wait(200)  # each of many pipelined requests may meet servers that are silent
        world.check(last=True)
        self.tearDown()
        self.assertEqual(self.flushLoggedErrors(), [])


class Fuzz(Fuzzed):
    @examples(250)
    @given(
        servers=st.integers(1, 3),
        small=st.booleans(),
        secure=st.booleans(),
        places=st.integers(0, 4),
        moves=st.lists(a_move, min_size=4, max_size=60),
    )
    def test_whatever_clients_and_servers_do(
        self, servers: int, small: bool, secure: bool, places: int, moves: list[tuple[int, int, int, bool]]
    ) -> None:
        self.setUp()
        self.begin(
            servers,
            small,
            secure,
            places,
            limits=Limits(connections=50),
            failover=Failover(response_timeout=2.0),
        )
        world = World(self)
        world.connect(0, 1)
        world.connect(1, 1)
        self.plays(world, moves, MOVES)
