"""What fails while two tries are under way, and who ends them, through the whole broker."""

from __future__ import annotations

import gc

from sslbroker.core.transaction import Transaction
from sslbroker.net.hedge import Hedge
from sslbroker.net.relay import Relay
from sslbroker.net.way import Way
from sslbroker.settings import Ejection, Failover, Limits

from .test_hedge import THRESHOLD, HedgeCase
from .test_relay import CIRCLE, ERROR, GET, OK
from .test_resume import CONTENT, part, whole

BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"


class TheSecondFails(HedgeCase):
    def test_the_first_goes_on(self) -> None:
        for end in ("resets", "closes"):
            self.hedge()
            getattr(self.second, end)()
            self.assertEqual(self.visitor.takes(), b"")
            self.first.sends(OK)
            self.assertTrue(self.visitor.takes().endswith(b"ok"))
            self.assertEqual(self.tries(), [("1", "ok"), ("2", "broken" if end == "resets" else "empty")])
            self.assertEqual(self.reasons(), [None, "hedge"])
            self.assertEqual(self.counted, (1, 0))
            self.tearDown()
            self.setUp()

    def test_when_it_gets_no_link(self) -> None:
        self.begin()
        self.servers[1].behaviour = "refuse"
        self.wait(THRESHOLD)
        self.first.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "ok"), ("2", "refused")])

    def test_when_its_answer_is_none(self) -> None:
        self.hedge()
        self.second.sends(b"what?\r\n\r\n")
        self.assertTrue(self.second.closed)
        self.first.sends(OK)
        self.assertEqual(self.tries(), [("1", "ok"), ("2", "malformed")])

    def test_it_is_heard_as_any_other(self) -> None:
        self.hedge(servers=2)
        self.second.sends(b"what?\r\n\r\n")
        self.assertTrue(self.pool.members[1].suspect)
        self.assertEqual(self.pool.members[1].figures.outcomes, {"malformed": 1})
        self.assertEqual(self.pool.members[1].figures.outstanding, 0)
        self.assertEqual(self.pool.members[0].figures.outstanding, 1)
        self.first.sends(OK)

    def test_a_failing_answer_is_held_against_it_when_the_first_has_a_good_one(self) -> None:
        self.hedge()
        self.second.sends(BUSY)
        self.assertEqual(self.visitor.takes(), b"")
        self.first.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "ok"), ("2", "status")])
        self.assertEqual(list(self.pool.members[1].bars), ["resting"])
        self.assertEqual(self.broker.storage.used, 0)
        self.assertFalse(self.second.closed)  # it had ended exactly

    def test_its_failing_answer_is_kept_and_given_when_the_first_has_none(self) -> None:
        self.hedge(tries=2)
        self.second.sends(ERROR[:-2])
        self.second.sends(ERROR[-2:])
        self.first.resets()
        answer = self.visitor.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 500 Oops\r\n"), answer)
        self.assertTrue(answer.endswith(b"oops"))
        self.assertEqual(self.end, "ok")
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "status")])
        self.assertEqual(self.records.all[-1]["server"], "10.0.0.2:80")

    def test_and_the_firsts_own_failing_answer_is_the_clients_where_no_tries_are_left(self) -> None:
        self.hedge(tries=2)
        self.second.sends(ERROR)
        self.first.sends(BUSY)
        self.assertTrue(self.visitor.takes().endswith(b"busy"))
        self.assertEqual(self.tries(), [("1", "status"), ("2", "status")])
        self.assertEqual(self.reasons(), ["tries", "hedge"])

    def test_after_both_failed_there_is_a_third(self) -> None:
        self.hedge()
        self.second.sends(ERROR)
        self.first.sends(BUSY)
        self.servers[2].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "status"), ("2", "status"), ("3", "ok")])
        self.assertEqual(self.pool.figures.failovers, {"replayable": 1})

    def test_it_is_silent_as_long_as_the_first(self) -> None:
        self.hedge(response_timeout=1.0)
        self.wait(1.2)
        self.servers[2].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "silent"), ("2", "silent"), ("3", "ok")])
        self.assertEqual(self.reasons(), ["hedge", "replayable", None])


class TheFirstFails(HedgeCase):
    def test_the_second_is_its_next_try_and_takes_no_further_token(self) -> None:
        self.hedge(tries=2)
        while self.pool.budget.take(self.clock.seconds()):
            pass
        self.first.resets()
        self.assertEqual(self.servers[2].accepted, 0)
        self.second.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "ok")])
        self.assertEqual(self.reasons(), ["hedge", None])
        self.assertEqual(self.counted, (1, 1))

    def test_while_the_second_has_no_link_yet(self) -> None:
        self.begin()
        self.servers[1].behaviour = "silent"
        self.wait(THRESHOLD)
        self.first.resets()
        self.servers[1].behaviour = "accept"
        self.servers[1].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "ok")])

    def test_and_that_gets_none(self) -> None:
        self.begin()
        self.servers[1].behaviour = "silent"
        self.wait(THRESHOLD)
        self.first.resets()
        self.wait(2.0)
        self.servers[2].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "connect-timeout"), ("3", "ok")])

    def test_or_the_client_leaves(self) -> None:
        self.begin()
        self.servers[1].behaviour = "silent"
        self.wait(THRESHOLD)
        self.first.resets()
        self.visitor.resets()
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "client-gone")])

    def test_its_failing_answer_is_kept(self) -> None:
        self.hedge(tries=2)
        self.first.sends(ERROR)
        self.assertEqual(self.visitor.takes(), b"")
        self.second.resets()
        answer = self.visitor.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 500 Oops\r\n"), answer)
        self.assertEqual(self.tries(), [("1", "status"), ("2", "broken")])
        self.assertEqual(self.records.all[-1]["server"], "10.0.0.1:80")

    def test_an_answer_that_no_server_could_better_is_the_clients(self) -> None:
        self.hedge()
        self.first.sends(CIRCLE)
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 508 "))
        self.assertTrue(self.second.closed)
        self.assertEqual(self.tries(), [("1", "status"), ("2", "outrun")])

    def test_without_a_link(self) -> None:
        self.start(2, failover=Failover(hedge=True))
        self.servers[0].behaviour = "silent"
        client = self.client(secure=True)
        client.sends(GET)
        self.wait(2.0)
        self.servers[1].link().sends(OK)
        self.assertEqual(self.tries(), [("1", "connect-timeout"), ("2", "ok")])


class AfterTheSwap(HedgeCase):
    def test_an_answer_that_breaks_off_goes_on_elsewhere(self) -> None:
        self.hedge()
        self.second.sends(whole() + CONTENT[:5000])
        self.second.resets()
        self.servers[2].link().sends(part(904) + CONTENT[904:])
        self.assertTrue(self.visitor.takes().endswith(CONTENT))
        self.assertEqual(self.tries(), [("1", "outrun"), ("2", "truncated"), ("3", "ok")])
        self.assertEqual(self.end, "ok")

    def test_so_it_does_when_the_second_was_outrun(self) -> None:
        self.hedge()
        self.first.sends(whole() + CONTENT[:5000])
        self.first.resets()
        self.servers[2].link().sends(part(904) + CONTENT[904:])
        self.assertTrue(self.visitor.takes().endswith(CONTENT))
        self.assertEqual(self.tries(), [("1", "truncated"), ("2", "outrun"), ("3", "ok")])

    def test_one_that_cannot_is_cut(self) -> None:
        self.hedge(tries=2)
        self.second.sends(OK[:-1])
        self.second.resets()
        self.assertTrue(self.visitor.closed)
        self.assertEqual(self.end, "relay:truncated")
        self.assertEqual(self.tries(), [("1", "outrun"), ("2", "truncated")])


class Outrun(HedgeCase):
    def test_a_server_that_is_outrun_has_not_failed(self) -> None:
        self.hedge(servers=2)
        self.wait(0.010)
        self.second.sends(OK)
        member = self.pool.members[0]
        now = self.clock.seconds()
        self.assertFalse(member.suspect)
        self.assertEqual((member.figures.outcomes, member.figures.last_failure), ({"outrun": 1}, ""))
        self.assertEqual((member.load(now), member.oldest(now)), (0, 0.0))
        self.assertAlmostEqual(member.response_time(now) or 0.0, THRESHOLD + 0.010)

    def test_it_is_not_ejected_however_often(self) -> None:
        self.start(2, failover=Failover(hedge=True), ejection=Ejection(failures=1))
        client = self.client(secure=True)
        for times in (1, 2, 3):
            self.pool.members[1].bar("test")
            client.sends(GET)
            self.servers[0].link().takes()
            self.pool.members[1].unbar("test", self.clock.seconds())
            self.wait(THRESHOLD)
            self.servers[1].link().sends(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
            self.assertEqual(self.tries(), [("1", "outrun"), ("2", "ok")])
            self.assertEqual((self.counted, self.pool.members[0].bars), ((times, times), {}))


class Ended(HedgeCase):
    def test_the_client_leaves(self) -> None:
        self.hedge()
        self.visitor.resets()
        self.assertTrue(self.first.closed)
        self.assertTrue(self.second.closed)
        self.assertEqual(self.tries(), [("1", "client-gone"), ("2", "client-gone")])
        self.assertEqual(self.reasons(), ["final", "final"])
        self.assertEqual(self.end, "hedge:client-gone")

    def test_it_leaves_before_there_is_a_second_try(self) -> None:
        self.begin()
        self.visitor.resets()
        self.wait(1.0)
        self.assertEqual(self.servers[1].accepted, 0)
        self.assertEqual(self.tries(), [("1", "client-gone")])

    def test_the_broker_stops(self) -> None:
        self.hedge()
        for frontend in self.broker.frontends:
            frontend.drain()
        self.second.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.tearDown()
        self.setUp()
        self.hedge()
        for frontend in self.broker.frontends:
            frontend.drain()
            frontend.shut()
        self.assertEqual(self.end, "hedge:shutdown")
        self.assertEqual(self.tries(), [("1", "shutdown"), ("2", "shutdown")])

    def test_the_client_sends_on(self) -> None:
        self.hedge()
        self.visitor.sends(GET.replace(b"/a", b"/b"))
        self.second.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.servers[2].link().sends(OK)
        self.assertEqual(self.visitor.takes()[-2:], b"ok")
        self.assertEqual(len(self.records.all), 2)

    def test_an_operator_takes_the_first_server_down(self) -> None:
        self.hedge()
        self.pool.set_server("10.0.0.1:80", "down")
        self.second.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))

    def test_nothing_is_left_for_the_garbage_collector(self) -> None:
        self.addCleanup(gc.enable)
        gc.collect()
        gc.disable()
        for script in (
            "second OK",
            "first OK",
            "first end second OK",
            "second ERROR first OK",
            "visitor end",
        ):
            before = self.alive()
            self.hedge()
            words = iter(script.split())
            for who, what in zip(words, words, strict=True):
                peer = {"first": self.first, "second": self.second, "visitor": self.visitor}[who]
                if what == "end":
                    peer.resets()
                else:
                    peer.sends({"OK": OK, "ERROR": ERROR}[what])
            del peer
            self.assertEqual(self.alive() - before, set())
            self.tearDown()
            self.setUp()

    def alive(self) -> set[int]:
        kinds = (Relay, Hedge, Way, Transaction)
        return {id(one) for one in gc.get_objects() if isinstance(one, kinds)}


class Limited(HedgeCase):
    def test_a_client_that_reads_slowly_holds_the_second_server(self) -> None:
        self.hedge()
        self.visitor.stops_reading()
        self.second.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
        self.second.sends(b"x" * 3_000_000)
        self.assertLess(len(self.visitor.received), 1_000_000)
        self.visitor.reads_on()
        self.assertEqual(len(self.visitor.takes().partition(b"\r\n\r\n")[2]), 3_000_000)

    def test_one_that_does_not_read_on_is_let_go(self) -> None:
        self.start(2, failover=Failover(hedge=True), limits=Limits(read=5.0))
        self.visitor = self.client(secure=True)
        self.visitor.sends(GET)
        self.servers[0].link()
        self.wait(THRESHOLD)
        self.second = self.servers[1].link()
        self.visitor.stops_reading()
        self.second.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
        self.second.sends(b"x" * 3_000_000)
        self.wait(120.0)
        self.assertEqual(self.tries(), [("1", "outrun"), ("2", "client-timeout")])
