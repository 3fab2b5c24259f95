"""A failing answer that is kept while other servers are tried (R15), through the whole broker."""

from __future__ import annotations

from sslbroker.settings import Failover, RetryBudget, Storage

from ..memory import BrokerCase
from .test_relay import ERROR, GET, OK, POST, PUT

BUSY = b"HTTP/1.1 503 Busy\r\nX-Which: two\r\nContent-Length: 4\r\n\r\nbusy"


class KeptAnswers(BrokerCase):
    def failing(self, answer: bytes = ERROR, request: bytes = GET, tries: int = 2, **more: object) -> None:
        """The first of two servers has given this answer; the client's request is at the second one."""
        self.start(servers=2, failover=Failover(tries=tries), **more)  # type: ignore[arg-type]
        self.visitor = self.client()
        self.visitor.sends(request)
        self.first = self.servers[0].link()
        self.first.takes()
        self.first.sends(answer)
        self.second = self.servers[1].link()
        self.second.takes()

    def test_when_the_next_server_breaks_the_client_gets_it(self) -> None:
        self.failing()
        self.assertEqual(self.visitor.takes(), b"")
        self.second.resets()
        answer = self.visitor.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 500 Oops\r\n"), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\noops"), answer)
        self.assertEqual(self.end, "ok")
        self.assertEqual(self.tries(), [("1", "status"), ("2", "broken")])
        record = self.records.all[-1]
        self.assertEqual((record["server"], record["status"]), ("10.0.0.1:80", 500))
        self.assertEqual(record["bytes_out"], 4)

    def test_when_the_next_server_is_silent_the_client_gets_it(self) -> None:
        self.failing()
        self.wait(30.0)
        self.assertTrue(self.visitor.takes().endswith(b"oops"))
        self.assertEqual(self.tries(), [("1", "status"), ("2", "silent")])

    def test_the_clients_connection_goes_on_after_it(self) -> None:
        self.failing()
        self.second.resets()
        self.visitor.takes()
        self.servers[1].behaviour = "refuse"
        self.visitor.sends(GET)
        self.assertFalse(self.visitor.closed)
        self.first.sends(OK)  # its link was kept: the answer had ended exactly
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.servers[0].accepted, 1)

    def test_a_better_answer_takes_its_place(self) -> None:
        self.failing()
        self.second.sends(OK)
        answer = self.visitor.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
        self.assertEqual(self.broker.storage.used, 0)
        self.assertEqual(self.records.all[-1]["server"], "10.0.0.2:80")

    def test_the_last_permitted_try_streams_directly(self) -> None:
        self.failing()
        self.second.sends(BUSY[:-2])
        answer = self.visitor.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 Busy\r\n"), answer)
        self.assertTrue(answer.endswith(b"bu"), answer)
        self.assertEqual(self.broker.storage.used, 0)
        self.second.sends(BUSY[-2:])
        self.assertTrue(self.visitor.takes().endswith(b"sy"))

    def test_of_several_it_is_the_last(self) -> None:
        self.start(failover=Failover(tries=3))
        client = self.client()
        client.sends(GET)
        for server, answer in zip(self.servers[:2], (ERROR, BUSY), strict=True):
            server.link().sends(answer)
        self.assertEqual(self.broker.storage.used, 4)
        self.servers[2].link().resets()
        self.assertTrue(client.takes().endswith(b"busy"))

    def test_its_content_may_come_later_and_is_counted_in_storage(self) -> None:
        self.failing(ERROR[:-3])
        self.assertEqual(self.broker.storage.figures.replay, 1)
        self.first.sends(ERROR[-3:])
        self.assertEqual(self.broker.storage.figures.replay, 4)
        self.second.resets()
        self.assertTrue(self.visitor.takes().endswith(b"oops"))
        self.assertEqual(self.broker.storage.used, 0)

    def test_a_chunked_one_is_given_whole(self) -> None:
        self.failing(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n2\r\noo\r\n")
        self.first.sends(b"2\r\nps\r\n0\r\n\r\n")
        self.second.resets()
        self.assertTrue(self.visitor.takes().endswith(b"\r\n\r\n4\r\noops\r\n0\r\n\r\n"))

    def test_one_without_content_too(self) -> None:
        self.failing(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        self.second.resets()
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 500 Oops\r\n"))

    def test_one_that_is_not_whole_when_it_is_needed_is_not_given(self) -> None:
        self.failing(ERROR[:-1])
        self.second.resets()
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(self.end, "watch:broken")

    def test_one_that_breaks_off_is_not_given(self) -> None:
        self.failing(ERROR[:-1])
        self.first.resets()
        self.assertEqual(self.broker.storage.used, 0)
        self.second.resets()
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 502 "))

    def test_an_earlier_one_is_kept_until_the_next_is_whole(self) -> None:
        for rest, given in ((b"", b"oops"), (BUSY[-2:], b"busy")):
            self.start(failover=Failover(tries=3))
            client = self.client()
            client.sends(GET)
            self.servers[0].link().sends(ERROR)
            second = self.servers[1].link()
            second.sends(BUSY[:-2])
            third = self.servers[2].link()
            if rest:
                second.sends(rest)
                self.assertEqual(self.broker.storage.used, 4)
            else:
                second.resets()
            third.resets()
            self.assertTrue(client.takes().endswith(given))
            server = self.records.all[-1]["server"]
            self.assertEqual(server, "10.0.0.2:80" if rest else "10.0.0.1:80")
            self.tearDown()
            self.setUp()

    def test_one_that_is_too_large_is_not_kept_and_not_read_on(self) -> None:
        content = b"x" * (64 * 1024)
        head = b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n"
        self.failing(head % len(content) + content)
        self.assertEqual(self.broker.storage.used, 64 * 1024)
        self.second.resets()
        self.assertTrue(self.visitor.takes().endswith(content))

    def test_one_byte_more_is_too_large(self) -> None:
        content = b"x" * (64 * 1024 + 1)
        self.failing(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        self.assertEqual(self.broker.storage.used, 0)
        self.assertTrue(self.first.closed)
        self.second.resets()
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 502 "))

    def test_when_storage_is_full_it_is_given_up(self) -> None:
        storage = Storage(initial=4096, minimum=4096, maximum=4096, per_transaction=4096)
        body = b"x" * 4096
        self.failing(storage=storage)
        self.assertEqual(self.broker.storage.used, 4)
        other = self.client()
        other.sends(b"PUT /b HTTP/1.1\r\nHost: shop\r\nContent-Length: 4096\r\n\r\n" + body)
        self.assertLessEqual(self.broker.storage.figures.replay, 4096)
        self.second.resets()
        answer = self.visitor.takes()
        self.assertTrue(answer.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 500 ")), answer)

    def test_with_no_room_for_copies_at_all_nothing_is_kept(self) -> None:
        storage = Storage(initial=4096, minimum=4096, maximum=4096, per_transaction=0)
        self.failing(storage=storage)
        self.second.resets()
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 502 "))

    def test_its_request_must_have_gone_out_for_its_link_to_be_read_on(self) -> None:
        self.start(servers=2, failover=Failover(tries=2))
        client = self.client()
        client.sends(PUT[:-3])
        first = self.servers[0].link()
        first.takes()
        first.sends(ERROR)
        self.assertTrue(first.closed)
        second = self.servers[1].link()
        self.assertTrue(second.takes().endswith(b"he"))
        client.sends(PUT[-3:])
        self.assertEqual(second.takes(), b"llo")
        second.resets()
        self.assertTrue(client.takes().endswith(b"oops"))

    def test_a_client_that_leaves_ends_it(self) -> None:
        self.failing(ERROR[:-1])
        self.visitor.resets()
        self.settle()
        self.assertTrue(self.first.closed)
        self.assertEqual(self.broker.storage.used, 0)

    def test_what_must_not_be_repeated_gets_its_answer_at_once(self) -> None:
        self.start(servers=2)
        client = self.client()
        client.sends(POST)
        link = self.servers[0].link()
        link.takes()
        link.sends(ERROR)
        self.assertTrue(client.takes().endswith(b"oops"))


class Budgets(BrokerCase):
    def test_a_pool_that_fails_all_the_time_gets_little_more_than_the_first_tries(self) -> None:
        self.start(servers=3, failover=Failover(tries=3, budget=RetryBudget(share=0.125)))
        client = self.client()
        for _ in range(400):
            client.sends(GET)
            while client.takes() == b"":
                for server in self.servers:
                    for link in server.links:
                        if link.takes():
                            link.sends(ERROR)
        made = sum(len(record["tries"]) for record in self.records.all)
        self.assertEqual(len(self.records.all), 400)
        self.assertEqual(made, 400 + 100 + 50)
        reasons = [attempt["next"] for record in self.records.all for attempt in record["tries"]]
        self.assertEqual(reasons.count("replayable"), 150)
        self.assertEqual(reasons.count("budget") + reasons.count("tries"), 400)
