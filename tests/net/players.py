"""Plays a case of `faults` through the broker in memory, and compares what everybody saw with the model.

Decides what clients and servers say, and when. Invariant: what a server answers depends on what it received
and on its act alone; after each step everything has happened that can happen without a further word. Refuses
to know what must happen: `faults.expected` does.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from zope.interface import implementer

from sslbroker import service
from sslbroker.prepared import Prepared, prepare
from sslbroker.settings import Failover, LinkTLS, Queue, Storage

from ..memory import BrokerCase, Peer, ScriptedServer, other_end
from .faults import (
    CONTENT,
    ENDS,
    GIVEN,
    GOOD,
    OF_LINK,
    PART_OF_REQUEST,
    STATUSES,
    STATUSES_IN_PART,
    TAIL,
    Act,
    Case,
    Expected,
    Fault,
    Form,
    Gets,
    Place,
    expected,
    outage,
)
from .spoken import CONTINUE, NOT_HTTP, Message, answer_to, failing_answer, request_of, validators
from .test_secure_links import FOLDER
from .test_secure_links import speaks as _speaks

speaks = cache(_speaks)
_PREPARED: dict[tuple[bool, int], Prepared] = {}  # what is the same for each broker of a kind

RESPONSE_TIMEOUT, CONNECT_TIMEOUT, QUEUE_TIMEOUT = 1.0, 0.5, 0.4
GO_AHEAD_WAIT = 1.0  # for which the content of a request that expects 100 is held back
WARM = b"GET /warm HTTP/1.1\r\nHost: shop\r\n\r\n"
WARMED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

#: How much of the content of a request the client has sent.
HEAD_SENT, PART_SENT, ALL_SENT = range(3)


class Playing(BrokerCase):
    """Plays cases, each with a broker of its own."""

    def play(self, case: Case) -> None:
        """One case, from the first byte to the last timer."""
        must = expected(case)
        try:
            self.setUp()
            self.begin(case)
            self.client_of(case)
            for attempt, act in zip(must.tries, case.acts, strict=False):
                self.act(case, act, self.servers[attempt.server - 1])
            if outage(case):
                self.wait_for(case.back, case)
            self.early = bool(case.asked.framing) and self.sent < ALL_SENT
            self.sends_up_to(ALL_SENT)
            self.settle()
            self.compare(case, must)
            self.tearDown()
            self.assertEqual(self.flushLoggedErrors(), [])
        except Exception as error:
            raise AssertionError(f"{case}\n  {self.told()}\n  {type(error).__name__}: {error}") from error

    def told(self) -> str:
        tries = self.records.all[-1]["tries"] if self.records.all else "no transaction ended"
        return f"client: {self.peer.received[-200:]!r}, {self.peer.lost!r}; tries: {tries}"

    # --- before the transaction ---

    def begin(self, case: Case) -> None:
        key = (case.secure, case.share)
        self.patch(service, "prepare", lambda *given: _PREPARED.get(key) or self.prepare_once(key, *given))
        storage = Storage(per_transaction=case.share) if case.share else Storage()
        self.start(
            failover=Failover(response_timeout=RESPONSE_TIMEOUT, connect_timeout=CONNECT_TIMEOUT),
            storage=storage,
            queue=Queue(timeout=QUEUE_TIMEOUT),
            continue_secure_link=case.secure,
            tls=LinkTLS(ca=FOLDER / "ca.pem") if case.secure else None,
        )
        for server in self.servers if case.secure else ():
            server.contexts = speaks(server.address.partition(":")[0])
        self.used: dict[ScriptedServer, Peer] = {}
        for server in self.servers if case.warm else ():
            client = self.client()
            client.sends(WARM)
            self.used[server] = link = server.link()
            link.sends(WARMED)
            link.takes()
            client.closes()
        for act, server in zip(case.acts, self.servers, strict=False):
            self.stage(act, server)

    def prepare_once(self, key: tuple[bool, int], *given: Any) -> Prepared:
        _PREPARED[key] = prepared = prepare(*given)
        return prepared

    def stage(self, act: Act, server: ScriptedServer) -> None:
        """What is there before the broker calls."""
        if act.fault in OF_LINK and server in self.used:
            self.used.pop(server).resets()
        if act.fault is Fault.REFUSED:
            server.behaviour = "refuse"
        elif act.fault is Fault.UNREACHABLE:
            server.behaviour = "unreachable"
        elif act.fault is Fault.CONNECT_TIMEOUT:
            server.behaviour = "silent"
        elif act.fault in (Fault.NO_TLS, Fault.TLS_BROKEN):
            server.contexts = None
        elif act.fault is Fault.UNVERIFIED:
            server.contexts = speaks("other.test")

    def client_of(self, case: Case) -> None:
        """The client, in every third case over TLS."""
        self.asked, self.form = case.asked, case.form
        self.head, self.part, self.rest = request_of(case.asked)
        over_tls = len(str(case)) % 3 == 0
        self.peer = self.client(secure=over_tls)
        self.sent = HEAD_SENT
        self.links: list[Peer] = []  # that got something of the request
        self.continued = False  # a server has said 100
        self.early = False
        self.peer.stays = True
        for act, server in zip(case.acts, self.servers, strict=False):
            self.holds_back(act, server, case)
        first = self.head
        if not case.asked.expects and self.needed(case.acts[0]) == ALL_SENT:
            first, self.sent = first + self.part + self.rest, ALL_SENT
        self.peer.sends(first)

    # --- one try ---
    def needed(self, act: Act) -> int:
        """How much the client must have sent when a server comes to where it fails."""
        place = act.place
        if not self.asked.framing or place is Place.BEFORE_CONTENT_OF_REQUEST:
            return HEAD_SENT
        if place is Place.IN_CONTENT_OF_REQUEST:
            return PART_SENT
        return HEAD_SENT if self.asked.expects and place < Place.SAID_NOTHING else ALL_SENT

    def sends_up_to(self, needed: int) -> None:
        """The client goes on, unless it is gone."""
        while self.sent < needed:
            piece = (self.part, self.rest)[self.sent]
            self.sent += 1
            if self.peer.lost is None:
                self.peer.sends(piece)

    def holds_back(self, act: Act, server: ScriptedServer, case: Case) -> None:
        """The server will take nothing of the request, or only the beginning of it."""
        if act.place > Place.IN_HEAD_OF_REQUEST:
            return
        some = act.place is Place.IN_HEAD_OF_REQUEST
        if self.reuses(case, server):
            takes_only(wire(self.used[server]), 20 * some)
        elif case.secure:
            server.window, server.peers = 16, Deaf  # the end of the handshake comes with the request
        elif some:
            server.window, server.peers = 20, Fed
        else:
            server.starts_deaf = True

    def reuses(self, case: Case, server: ScriptedServer) -> bool:
        return server in self.used and case.asked.repeatable

    def act(self, case: Case, act: Act, server: ScriptedServer) -> None:
        """What one server does in its try."""
        fault, place = act.fault, act.place
        self.settle()
        if fault in OF_LINK:
            if fault is Fault.CONNECT_TIMEOUT:
                self.wait(CONNECT_TIMEOUT + 0.05)
            elif fault is Fault.NO_TLS:
                server.link().sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            elif fault is Fault.TLS_BROKEN:
                server.link().resets()
            elif fault is Fault.UNVERIFIED:
                server.link()
            return
        link = self.used[server] if self.reuses(case, server) else server.link()
        self.links.append(link)
        needed = self.needed(act)
        if self.asked.expects and needed > HEAD_SENT:
            link.sends(CONTINUE)
            self.continued = True
        self.sends_up_to(needed)
        if place > Place.IN_HEAD_OF_REQUEST:
            self.check_request(link, withheld=self.asked.expects and needed == HEAD_SENT)
        if place > Place.SAID_NOTHING:
            self.says(link, case.form, act)
        if link.lost is not None:
            return  # by its own answer's end
        if fault in STATUSES:
            status = int(fault.value.split()[1])
            link.sends(failing_answer(status, self.servers.index(server) + 1, self.asked.method == b"HEAD"))
        elif fault in STATUSES_IN_PART:
            link.sends(failing_answer(500, self.servers.index(server) + 1, False)[:-1])
            if fault is Fault.STATUS_CUT:
                self.ends(link, Fault.RESET)
            elif b" 500 " in self.peer.received:  # the client has this part of it
                self.silence(act)
        elif fault is Fault.GARBAGE:
            link.sends(NOT_HTTP)
        elif fault is Fault.SILENCE:
            self.silence(act)
        elif fault in ENDS:
            self.ends(link, fault)

    def wait_for(self, number: int, case: Case) -> None:
        """No server can be reached; this one, if it is one, is back before the client's time is over."""
        if not number:
            self.wait(QUEUE_TIMEOUT)
            return
        self.wait(QUEUE_TIMEOUT / 4)
        server = self.servers[number - 1]
        server.behaviour = "accept"
        self.wait(QUEUE_TIMEOUT / 2)
        asked = [link for link in server.links if link.received]  # else it is one that was made to knock
        server.links.clear()
        server.links += asked
        self.act(case, GOOD, server)

    def says(self, link: Peer, form: Form, act: Act) -> None:
        """The answer, up to where the server fails."""
        head, pieces, end = answer_to(Message(link.received), form, act.fault)
        place = act.place
        if place is Place.IN_HEAD:
            link.sends(head[: len(head) // 2])
            return
        link.sends(head)
        if place is Place.IN_CONTENT and act.fault is Fault.GARBAGE:
            link.sends(pieces[0])
        elif place is Place.IN_CONTENT:
            link.sends(pieces[0])
            link.sends(pieces[1][: len(pieces[1]) // 4])
        elif place > Place.IN_CONTENT:
            link.sends(b"".join(pieces))
        if place is Place.AFTER_END:
            link.sends(end)
            if form.framing == "close":
                link.closes()

    def silence(self, act: Act) -> None:
        """Time passes; while it is the client's turn the server's time does not count."""
        withheld = self.asked.expects and act.place < Place.IN_CONTENT_OF_REQUEST
        self.wait(RESPONSE_TIMEOUT + 0.05 + withheld * GO_AHEAD_WAIT)
        if self.asked.framing and self.sent < ALL_SENT:
            self.nobody_else("a client's pause is no silence")
            self.sends_up_to(ALL_SENT)
            self.wait(RESPONSE_TIMEOUT + 0.05)

    def ends(self, link: Peer, fault: Fault) -> None:
        if link.lost is not None:
            return  # the broker was first
        if fault is Fault.RESET:
            link.resets()
            return
        if fault is Fault.FIN:
            link.closes()
        wire(link).loseConnection()  # TLS's end is not waited for
        self.settle()

    # --- what must have happened ---

    def check_request(self, link: Peer, withheld: bool) -> None:
        """The server has everything that the client has sent so far, and nothing else."""
        got = Message(link.received)
        self.assertIsNotNone(got.head, f"no head of a request: {link.received!r}")
        self.assertEqual((got.head.method, got.head.target), (self.asked.method, b"/a"))
        sent = (
            GIVEN[: (0, PART_OF_REQUEST, len(GIVEN))[self.sent]]
            if self.asked.framing and not withheld
            else b""
        )
        self.assertEqual(got.content, sent, "not what the client sent so far")
        self.assertEqual(got.whole, not self.asked.framing or (self.sent == ALL_SENT and not withheld))
        self.assertEqual(got.rest, b"")
        self.check_range(got, self.form)

    def check_range(self, got: Message, form: Form) -> None:
        """Who is asked for the rest is asked for the last bytes that the client has, too, and on no
        other condition than that it has the same; who is asked first, for what the client asked."""
        has = Message(self.peer.received, self.asked)
        if has.head is None:
            part = self.asked.part
            self.assertEqual(got.field(b"range"), b"bytes=%d-%d" % part if part else None)
            self.assertIsNone(got.field(b"if-range"))
            return
        first, last = self.asked.part or (0, "")
        first += len(has.content) - min(len(has.content), TAIL)
        self.assertEqual(got.field(b"range"), f"bytes={first}-{last}".encode())
        self.assertEqual(got.field(b"if-range"), validators(form)[-1][1])

    def nobody_else(self, why: str) -> None:
        self.assertEqual([server.address for server in self.servers if server.links], [], why)

    def compare(self, case: Case, must: Expected) -> None:
        """The record, what servers saw, and what the client got."""
        self.nobody_else("a link too much")
        if not case.asked.repeatable:
            self.assertLessEqual(len(self.links), 1, "two servers may have seen it")
        for link in self.links:
            got = Message(link.received)
            self.assertEqual(got.rest, b"", "the server was asked again")
            if got.whole:
                self.assertEqual(got.content, GIVEN if case.asked.framing else b"")
        records = [record for record in self.records.all if record["target"] == "/a"]
        self.assertEqual(len(records), 1)
        tries = [(int(t["server"][7]), t["outcome"], t.get("next")) for t in records[0]["tries"]]
        self.assertEqual([server for server, _, _ in tries], [t.server for t in must.tries])
        for (_, outcome, reason), tried in zip(tries, must.tries, strict=True):
            self.assertIn(outcome, tried.outcomes)
            self.assertIn(reason, tried.reasons or (None,))
        self.check_answer(case, must)
        self.assertEqual(records[0]["end"] == "ok", must.gets in (Gets.WHOLE, Gets.FAILING))

    def check_answer(self, case: Case, must: Expected) -> None:
        asked, peer = case.asked, self.peer
        clean = peer.ended or isinstance(peer.lost, ConnectionDone)
        got = Message(peer.received, asked, clean)
        self.assertEqual(got.whole, must.gets is not Gets.CUT, "whole, or not")
        self.assertEqual(got.rest, b"", "more than an answer")
        self.assertEqual(got.interim, int(self.continued))
        status = got.head.status_code
        if must.gets is Gets.CUT and must.status:
            right = b"500 by server %d\n" % must.by
            self.assertEqual(status, must.status)
        elif must.gets in (Gets.WHOLE, Gets.CUT):
            right = b"" if case.form.framing == "nothing" or asked.method == b"HEAD" else CONTENT
            if asked.part and right:
                right = CONTENT[asked.part[0] : asked.part[1] + 1]
            self.assertEqual(status, 204 if case.form.framing == "nothing" else 206 if asked.part else 200)
            for name, value in validators(case.form):
                self.assertEqual(got.field(name), value)
        if must.gets is Gets.CUT:
            self.assertTrue(right.startswith(got.content), "not the beginning of the right content")
            self.assertIsInstance(peer.lost, ConnectionLost, "cut, but not visibly")
            return
        self.assertEqual(clean, not asked.minor or self.early, "the client's connection goes on, or not")
        if must.gets is Gets.WHOLE:
            self.assertTrue(got.content == right, "not the right content")
            return
        self.assertEqual(status, must.status)
        if must.gets is Gets.FAILING:
            content = b"" if asked.method == b"HEAD" else b"%d by server %d\n" % (status, must.by)
            self.assertEqual(got.content, content)
        else:
            self.assertEqual(got.field(b"retry-after"), b"1")
            self.assertLess(len(got.content), 120)
            self.assertNotIn(b"10.0.0.", got.content)


class Fed(Peer):
    """Reads once, and then no more."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.stops_reading()


@implementer(IHandshakeListener)
class Deaf(Peer):
    """Reads its handshake, and then no more."""

    def handshakeCompleted(self) -> None:
        wire(self).pauseProducing()


def wire(peer: Peer) -> Any:
    """A peer's transport, below TLS."""
    transport: Any = peer.transport
    return transport.transport if hasattr(transport, "wrappedProtocol") else transport


def takes_only(end: Any, count: int) -> None:
    """Of what comes next `end` takes so many bytes, and then reads no more."""
    if not count:
        end.pauseProducing()
        return
    receives = end.receives
    other_end(end).window = count

    def once(data: bytes) -> None:
        receives(data)
        end.pauseProducing()

    end.receives = once
