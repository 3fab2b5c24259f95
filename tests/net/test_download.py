"""The answer on its way to the client: gathered, rewritten, written once; or lost whole when it is cut."""

from __future__ import annotations

from ..memory import BrokerCase

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Answers(BrokerCase):
    def writes(self) -> list[bytes]:
        """What is written to the one client from now on, a write each."""
        (connection,) = self.frontends["plain"].connections
        written: list[bytes] = []
        write = connection.write

        def note(data: bytes) -> None:
            written.append(data)
            write(data)

        connection.write = note  # type: ignore[method-assign]
        return written

    def test_what_one_read_brought_leaves_in_one_write(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        written = self.writes()
        self.servers[0].link().sends(CHUNKED + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
        self.assertEqual(len(written), 1)
        self.assertTrue(client.takes().endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"))

    def test_an_interim_answer_does_not_wait_for_the_final_one(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 103 "))
        link.sends(OK)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 200 "))

    def test_only_content_is_counted(self) -> None:
        self.start()
        self.client().sends(GET)
        self.servers[0].link().sends(CHUNKED + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
        self.settle()
        self.assertEqual(self.records.all[-1]["bytes_out"], 5)

    def test_so_is_that_of_the_brokers_own_answers(self) -> None:
        self.start()
        for server in self.servers:
            server.behaviour = "refuse"
        client = self.client()
        client.sends(GET)
        self.wait(5.1)  # for one that comes back
        body = client.takes().partition(b"\r\n\r\n")[2]
        self.assertGreater(len(body), 0)
        self.assertEqual(self.records.all[-1]["bytes_out"], len(body))

    def test_what_was_gathered_when_the_client_is_cut_is_not_written(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        written = self.writes()
        self.servers[0].link().sends(CHUNKED + b"2\r\nab\r\nnonsense\r\n")
        self.assertEqual(written, [])
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "relay:truncated")
