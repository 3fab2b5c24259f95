"""Many transactions at once, three servers that fail in all ways, and what must hold after each step.

The content of an answer is a function of its URL, so that whatever servers took part in it, each client must
get the beginning of exactly that; what looks complete must be it. A request that must not be repeated reaches
one server at most. The broker's figures agree with what there is, and with nobody left all of them are 0.

``SSLBROKER_FUZZ=5000`` sets the number of runs; the normal run makes the same ones each time.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sslbroker.settings import Failover, LinkTLS, Queue, Storage

from ..memory import BrokerCase, Peer, ScriptedServer
from .faults import TRIES, Fault
from .players import speaks, wire
from .soak import FORMS, SIZES, Heard, Sent, Served, content_of
from .spoken import CONTINUE, NOT_HTTP, answer_to, failing_answer
from .test_fuzz import BOUND, LIMITS, examples
from .test_secure_links import FOLDER

TIMES = (0.01, 0.2, 0.9, 1.1, 2.5, 11.0, 61.0)
PROGRESS = 65536  # bytes, after which tries are counted anew
NUMBERS = st.integers(0, 255)


class Soak(RuleBasedStateMachine):
    """The moves of clients and servers, and what must hold."""

    words: Counter[str]  # of all runs: what tries came to

    case: SoakCase

    def __init__(self) -> None:
        super().__init__()
        self.clients: list[Heard] = []
        self.links: list[Served] = []
        self.requests: dict[int, Sent] = {}
        self.tried = self.outrun = 0  # tries in the log, and those that were outrun

    @initialize(secure=st.booleans(), small=st.booleans(), places=st.integers(0, 4), hedge=st.booleans())
    def begin(self, secure: bool, small: bool, places: int, hedge: bool) -> None:
        self.case.setUp()
        self.case.start(
            failover=Failover(response_timeout=2.0, connect_timeout=1.0, hedge=hedge),
            storage=Storage(20_000, 10_000, 100_000, per_transaction=30_000) if small else Storage(),
            queue=Queue(length=3, timeout=3.0),
            continue_secure_link=secure,
            tls=LinkTLS(ca=FOLDER / "ca.pem") if secure else None,
            limits_of_servers=LIMITS[places % len(LIMITS)],
        )
        for server in self.case.servers if secure else ():
            server.contexts = speaks(server.address.partition(":")[0])

    # --- clients ---

    @rule(who=NUMBERS, kind=NUMBERS, size=st.sampled_from(SIZES), whole=st.booleans())
    def a_client_asks(self, who: int, kind: int, size: int, whole: bool) -> None:
        client = self.a_client(who, new=len(self.clients) < 4)
        if client is None:
            return
        if not client.sent or not client.sent[-1].left:
            sent = Sent(len(self.requests) + 1, kind, size)
            self.requests[sent.number] = sent
            client.sent.append(sent)
        self.a_client_sends_on(self.clients.index(client), 1_000_000 if whole else 60 + kind)

    @rule(who=NUMBERS, count=st.sampled_from((1, 100, 5000, 1_000_000)))
    def a_client_sends_on(self, who: int, count: int) -> None:
        client = self.clients[who % len(self.clients)] if self.clients else None
        if client is not None and client.sent and client.peer.lost is None and not client.gone:
            sent = client.sent[-1]
            data, sent.left = sent.left[:count], sent.left[count:]
            client.peer.sends(data)

    @rule(who=NUMBERS, reads=st.booleans())
    def a_client_stalls(self, who: int, reads: bool) -> None:
        client = self.a_client(who)
        if client is not None:
            (client.peer.reads_on if reads else client.peer.stops_reading)()

    @rule(who=NUMBERS, how=st.sampled_from((Peer.closes, Peer.resets)))
    def a_client_goes(self, who: int, how: Any) -> None:
        client = self.a_client(who)
        if client is not None and who % 3 == 0:
            client.check()
            client.gone = True
            how(client.peer)

    # --- servers ---

    @rule(rounds=st.integers(1, 4))
    def all_servers_answer(self, rounds: int) -> None:
        for _ in range(rounds):
            for link in list(self.links):
                self.answers(link, 1_000_000)
            self.case.settle()
            self.look()

    @rule(who=NUMBERS, count=st.sampled_from((30, 200, 4000, 70_000, 1_000_000)))
    def a_server_answers(self, who: int, count: int) -> None:
        link = self.a_link(who)
        if link is not None:
            self.answers(link, count)

    @rule(
        who=NUMBERS,
        how=st.sampled_from((Fault.FIN, Fault.RESET, Fault.RUDE)),
        count=st.sampled_from((0, 90, 9000)),
    )
    def a_server_breaks_off(self, who: int, how: Fault, count: int) -> None:
        """Perhaps after some more of its answer."""
        link = self.a_link(who)
        if link is None:
            return
        if count:
            self.answers(link, count)
            self.case.settle()
        if link.by_close and link.left and how is Fault.FIN:
            how = Fault.RESET  # nobody could tell that its end comes early
        self.ends(link, how)

    @rule(
        who=NUMBERS,
        kind=NUMBERS,
        size=st.sampled_from(SIZES[2:]),
        count=st.sampled_from((90, 4000, 18_000, 70_000, 140_000)),
        how=st.sampled_from((Fault.FIN, Fault.RESET, Fault.SILENCE)),
    )
    def an_answer_breaks_off(self, who: int, kind: int, size: int, count: int, how: Fault) -> None:
        """A client asks, its server begins to answer, and ends or says no more."""
        before = {link: link.take() for link in self.links}
        self.a_client_asks(who, kind, size, True)
        self.case.settle()
        self.look()
        begun = [link for link in self.links if link.take() is not before.get(link) and link.left is None]
        for link in begun:
            self.answers(link, count)
            self.case.settle()
            if how is Fault.SILENCE:
                self.case.wait(2.5)
            else:
                self.ends(link, Fault.RESET if link.by_close else how)

    @rule(who=NUMBERS, status=st.sampled_from((500, 503)))
    def a_server_fails(self, who: int, status: int) -> None:
        link = self.a_link(who)
        request = link.take() if link is not None else None
        if link is not None and request is not None and link.left is None:
            link.left = failing_answer(status, link.by, request.head.method == b"HEAD")
            self.says(link, 1_000_000)
            if not request.whole:
                self.ends(link, Fault.FIN)

    @rule(who=NUMBERS)
    def a_server_talks_nonsense(self, who: int) -> None:
        link = self.a_link(who)
        if link is not None and link.take() is not None and link.left is None:
            link.peer.sends(NOT_HTTP)
            self.ends(link, Fault.FIN)

    @rule(who=st.integers(0, 2))
    def a_server_is_killed(self, who: int) -> None:
        server = self.case.servers[who]
        server.behaviour = "refuse"
        for link in self.links:
            if link.by == who + 1:
                self.ends(link, Fault.RESET)

    @rule(who=st.integers(0, 2), how=st.sampled_from(("silent", "unreachable", "accept", "accept")))
    def a_server_behaves(self, who: int, how: str) -> None:
        self.case.servers[who].behaviour = how

    @rule()
    def all_servers_are_back(self) -> None:
        for server in self.case.servers:
            server.behaviour = "accept"

    @rule(seconds=st.sampled_from(TIMES))
    def time_passes(self, seconds: float) -> None:
        self.case.wait(seconds)

    # --- what must hold ---

    @invariant()
    def it_holds(self) -> None:
        if not hasattr(self.case, "broker"):
            return
        case = self.case
        case.settle()
        self.look()
        for client in self.clients:
            if not client.gone:
                client.check()
        self.check_servers()
        self.check_figures()
        self.check_records()

    def check_servers(self) -> None:
        """What servers saw is what clients sent, and not more often than it may be."""
        seen: Counter[int] = Counter()
        for link in self.links:
            link.take()
            for request in link.seen:
                if request.head is not None:
                    number = int(request.head.target.split(b"/")[1])
                    seen[number] += 1
                    sent = self.requests[number]
                    assert request.head.method == sent.asked.method
                    assert sent.content.startswith(request.content), "other content than the client's"
                    if request.whole:
                        assert not sent.left, "whole, though the client's is not"
                        assert request.content == sent.content, "not all of the client's content"
        for number, times in seen.items():
            if not self.requests[number].asked.repeatable:
                assert times == 1, f"{times} servers saw /{number}, which must not be repeated"

    def check_figures(self) -> None:
        case = self.case
        storage, maximum = case.broker.storage.figures, case.broker.storage.settings.maximum
        assert storage.unsent >= 0
        assert storage.replay >= 0
        assert storage.unsent + storage.replay <= maximum + BOUND
        assert case.pool.figures.queued == len(case.pool.places._queue) <= 3
        for member, links in case.pool.links.items():
            figures = member.figures
            shown = (figures.links_idle, figures.links_busy, figures.links_draining)
            assert shown == (len(links.idle), len(links.busy), len(links.draining))
            assert figures.links_connecting == links.calls
            assert figures.outstanding >= 0
            limit = member.settings.maximum_transactions
            assert not limit or figures.outstanding <= limit, "more than the server may have"
            limit = member.settings.maximum_links
            assert not limit or figures.links - figures.links_draining <= limit, "more links than it may have"
        for end in case.network.ends:
            protocol = getattr(end.protocol, "wrappedProtocol", end.protocol)
            if end.connected and not isinstance(protocol, Peer):
                assert len(end.out) < BOUND, "much is held for who does not read"

    def check_records(self) -> None:
        """Tries are bounded; those that sent nothing by time alone, while no server can be reached."""
        for record in self.case.records.all:
            tries = [attempt for attempt in record["tries"] if attempt.get("next") != "nothing-sent"]
            progress = record["bytes_out"] // PROGRESS
            counted = [attempt for attempt in tries if attempt["outcome"] != "stale"]
            assert len(counted) <= TRIES * (1 + progress), record["tries"]
            assert len(tries) <= 2 * TRIES * (1 + progress), record["tries"]
            self.tried += len(record["tries"])
            outrun = sum(attempt["outcome"] == "outrun" for attempt in record["tries"])
            assert outrun <= 1, record["tries"]
            self.outrun += outrun
            self.words["outrun"] += outrun
            self.words.update(attempt.get("next", attempt["outcome"]) for attempt in record["tries"])
            if record["end"] == "ok" and any(one.get("next") == "resume" for one in record["tries"]):
                self.words["joined"] += 1
        self.case.records.all.clear()

    def teardown(self) -> None:
        """Everybody does what it should: who is still there is answered, and nothing is left."""
        if not hasattr(self.case, "broker"):
            return
        self.all_servers_are_back()
        for client in self.clients:
            if client.peer.lost is None:
                client.peer.reads_on()
                self.a_client_sends_on(self.clients.index(client), 1_000_000)
        for _ in range(30):
            self.all_servers_answer(2)
            self.case.wait(1.0)
        self.it_holds()
        for client in self.clients:
            if client.peer.lost is None and not (client.peer.ended or client.gone):
                assert client.answered == len(client.sent), "not all that a client asked was answered"
        self.case.tearDown()
        self.check_records()
        heard: Counter[str] = Counter()
        for member in self.case.pool.members:
            heard.update(member.figures.outcomes)
        assert sum(heard.values()) == self.tried, "a try was not heard once"
        figures = self.case.pool.figures
        assert heard["outrun"] == self.outrun <= figures.hedges
        assert figures.hedges_won <= figures.hedges
        self.words["won"] += figures.hedges_won
        self.case.assertEqual(self.case.flushLoggedErrors(), [])

    # --- small things ---

    def a_client(self, who: int, new: bool = False) -> Heard | None:
        alive = [client for client in self.clients if client.peer.lost is None and not client.gone]
        if (new and who % 2) or not alive:
            if len(self.clients) > 12:
                return None
            alive = [Heard(self.case.client(secure=who % 3 == 0))]
            self.clients += alive
        return alive[who % len(alive)]

    def look(self) -> None:
        """Links that were made."""
        for number, server in enumerate(self.case.servers, 1):
            while server.links:
                self.links.append(Served(server.links.popleft(), number))

    def a_link(self, who: int) -> Served | None:
        """One on which somebody waits, if there is one."""
        self.look()
        alive = [link for link in self.links if link.peer.lost is None and not link.over]
        busy = [link for link in alive if link.take() is not None]
        chosen = busy or alive
        return chosen[who % len(chosen)] if chosen else None

    def answers(self, link: Served, count: int) -> None:
        """So many bytes of a right answer: to a whole request, or 100 where that is waited for."""
        request = link.take()
        if request is None or link.peer.lost is not None or link.over:
            return
        if link.left is None and not request.whole:
            if request.field(b"expect") is not None and not link.continued:
                link.continued = True
                link.peer.sends(CONTINUE)
            return
        if link.left is None:
            _, number, size = request.head.target.split(b"/")
            form = FORMS[int(number) % len(FORMS)]
            head, pieces, end = answer_to(request, form, content=content_of(int(number), int(size)))
            link.left = head + b"".join(pieces) + end
            link.by_close = form.framing == "close"
        self.says(link, count)

    def says(self, link: Served, count: int) -> None:
        assert link.left is not None
        data, link.left = link.left[:count], link.left[count:]
        link.peer.transport.write(data)  # type: ignore[union-attr]
        if link.by_close and not link.left:
            self.ends(link, Fault.FIN)

    def ends(self, link: Served, how: Fault) -> None:
        if link.peer.lost is not None or link.over:
            return
        link.over = True
        if how is Fault.RESET:
            link.peer.resets()
            return
        if how is Fault.FIN:
            link.peer.closes()
        wire(link.peer).loseConnection()
        self.case.settle()


class SoakCase(BrokerCase):
    servers: list[ScriptedServer]

    def test_many_transactions(self) -> None:
        Soak.words = Counter()
        chosen = settings(examples(250), stateful_step_count=40)
        Soak.case = self
        run_state_machine_as_test(Soak, settings=chosen)
        del self.broker  # it has been looked through
        for word in (
            "ok",
            "replayable",
            "nothing-sent",
            "method",
            "resume",
            "joined",
            "response-begun",
            "outrun",
            "won",
        ):
            self.assertIn(word, Soak.words, "nothing of that kind happened")
