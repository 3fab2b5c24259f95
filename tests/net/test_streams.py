"""Streams through the whole broker: who speaks first, how each direction ends, when there is another try."""

from __future__ import annotations

from twisted.internet.protocol import Protocol

from sslbroker.net.transport import unsent
from sslbroker.settings import Failover, Limits

from ..memory import TRANSPORT, BrokerCase, Peer


class StreamCase(BrokerCase):
    def begin(self, secure: bool = False, **settings: object) -> tuple[Peer, Peer]:
        """A client and the first server's end of its link."""
        self.start(protocol="tcp", **settings)  # type: ignore[arg-type]
        client = self.client(secure)
        client.stays = True
        link = self.servers[0].link()
        link.stays = True
        return client, link


class Bytes(StreamCase):
    def test_the_client_may_speak_first(self) -> None:
        client, link = self.begin()
        client.sends(b"hello")
        self.assertEqual(link.takes(), b"hello")
        link.sends(b"and to you")
        self.assertEqual(client.takes(), b"and to you")

    def test_the_server_may_speak_first(self) -> None:
        client, link = self.begin()
        link.sends(b"220 ready\r\n")
        self.assertEqual(client.takes(), b"220 ready\r\n")
        client.sends(b"EHLO a\r\n")
        self.assertEqual(link.takes(), b"EHLO a\r\n")

    def test_over_tls(self) -> None:
        client, link = self.begin(secure=True)
        link.sends(b"220 ready\r\n")
        self.assertEqual(client.takes(), b"220 ready\r\n")
        client.sends(b"EHLO a\r\n")
        self.assertEqual(link.takes(), b"EHLO a\r\n")

    def test_what_comes_before_the_link_is_kept_for_it(self) -> None:
        self.start(protocol="tcp")
        self.servers[0].behaviour = "wait"
        client = self.client()
        client.sends(b"early ")
        client.sends(b"words")
        self.servers[0].behaviour = "accept"
        self.assertEqual(self.servers[0].link().takes(), b"early words")

    def test_a_reader_that_stops_holds_the_writer_not_the_memory(self) -> None:
        client, link = self.begin()
        link.sends(b"x")
        client.takes()
        for reader, writer in ((link, client), (client, link)):
            reader.stops_reading()
            for _ in range(100):
                writer.transport.write(b"y" * 60_000)  # type: ignore[union-attr]
                self.settle()
            (connection,) = self.frontends["plain"].connections
            (used,) = self.pool.links[self.pool.members[0]].busy
            held = sum(unsent(end.transport) for end in (connection, used))
            self.assertLess(held + self.broker.storage.used, 400_000)
            reader.reads_on()
            self.assertEqual(len(reader.takes()), 6_000_000)

    def test_the_record_of_a_stream(self) -> None:
        client, link = self.begin()
        client.sends(b"12345")
        link.sends(b"123")
        client.half_closes()
        link.closes()
        self.assertEqual(self.end, "ok")
        record = self.records.all[-1]
        self.assertEqual((record["bytes_in"], record["bytes_out"]), (5, 3))
        self.assertEqual((record["method"], record["status"], record["link"]), (None, None, "plain"))


class Ends(StreamCase):
    def test_the_clients_end_reaches_the_server_which_may_answer_after_it(self) -> None:
        client, link = self.begin()
        client.sends(b"question")
        client.half_closes()
        self.assertEqual(link.takes(), b"question")
        self.assertTrue(link.ended)
        link.sends(b"answer")
        self.assertEqual(client.takes(), b"answer")
        link.closes()
        self.assertTrue(client.ended)
        self.assertEqual(self.end, "ok")

    def test_the_servers_end_reaches_the_client_which_may_go_on(self) -> None:
        client, link = self.begin()
        link.sends(b"bye")
        link.half_closes()
        self.assertEqual(client.takes(), b"bye")
        self.assertTrue(client.ended)
        client.sends(b"but I")
        self.assertEqual(link.takes(), b"but I")
        client.closes()
        self.assertTrue(link.ended)
        self.assertEqual(self.end, "ok")

    def test_over_tls_the_servers_end_is_a_close_notify(self) -> None:
        client, link = self.begin(secure=True)
        link.sends(b"bye")
        link.half_closes()
        self.assertEqual(client.takes(), b"bye")
        # This client answers it by one of its own, as most do: then both directions have ended.
        self.assertEqual(type(client.lost).__name__, "ConnectionDone")
        self.assertTrue(link.ended)
        self.assertEqual(self.end, "ok")

    def test_over_tls_a_client_may_close_without_its_own_close_notify_after_the_servers(self) -> None:
        client, link = self.begin(secure=True)
        link.sends(b"bye")
        self.assertEqual(client.takes(), b"bye")
        below = client.transport.transport  # type: ignore[union-attr]
        below.protocol = Protocol()  # takes the server's end, and is silent
        link.half_closes()
        below.loseConnection()
        self.settle()
        self.assertEqual(self.end, "ok")

    def test_over_tls_a_client_that_closes_so_before_its_server_has_failed(self) -> None:
        client, link = self.begin(secure=True)
        link.sends(b"bye")
        client.transport.transport.loseConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertTrue(link.closed)
        self.assertEqual(self.end, "relay:client-gone")

    def test_over_tls_a_client_that_has_not_taken_all_has_failed(self) -> None:
        client, link = self.begin(secure=True)
        client.stops_reading()
        link.sends(b"bye")
        link.half_closes()
        client.transport.transport.loseConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertEqual(self.end, "relay:client-gone")

    def test_a_client_that_never_ends_after_its_server_is_ended(self) -> None:
        client, link = self.begin(limits=Limits(idle=60.0))
        link.sends(b"bye")
        link.half_closes()
        self.wait(59)
        self.assertIsNone(client.lost)
        client.sends(b"still here")
        self.wait(59)
        self.assertEqual(link.takes(), b"still here")
        self.assertEqual(len(self.frontends["plain"].connections), 1)
        self.wait(2)
        self.assertEqual(len(self.frontends["plain"].connections), 0)
        self.assertTrue(link.closed)

    def test_a_client_that_has_ended_may_be_answered_for_as_long_as_a_tunnel_lasts(self) -> None:
        client, link = self.begin(limits=Limits(idle=60.0, tunnel=600.0))
        client.sends(b"long question")
        client.half_closes()
        self.wait(599)
        link.sends(b"answer")
        self.assertEqual(client.takes(), b"answer")

    def test_silence_both_ways_has_its_limit(self) -> None:
        client, link = self.begin(limits=Limits(tunnel=600.0))
        client.sends(b"a")
        self.wait(599)
        self.assertIsNone(client.lost)
        self.wait(2)
        self.assertIsNotNone(client.lost)
        self.assertTrue(link.closed)

    def test_a_server_that_says_nothing_is_not_silent(self) -> None:
        client, link = self.begin(failover=Failover(response_timeout=1.0))
        client.sends(b"log line")
        self.wait(100)
        client.sends(b"log line")
        self.assertEqual(link.takes(), b"log line" * 2)

    def test_the_servers_reset_is_the_clients(self) -> None:
        client, link = self.begin()
        link.sends(b"half of it")
        link.resets()
        self.assertNotEqual(type(client.lost).__name__, "ConnectionDone")
        self.assertEqual(self.end, "relay:truncated")

    def test_the_clients_reset_ends_the_link(self) -> None:
        client, link = self.begin()
        link.sends(b"half of it")
        client.resets()
        self.assertTrue(link.closed)
        self.assertEqual(self.end, "relay:client-gone")

    def test_a_client_over_tls_that_closes_in_good_order_ends_the_stream(self) -> None:
        client, link = self.begin(secure=True)
        link.sends(b"220 ready")
        client.transport.write(b"QUIT")  # type: ignore[union-attr]
        client.closes()
        self.assertEqual(link.takes(), b"QUIT")
        self.assertTrue(link.closed)
        link.closes()
        self.assertEqual(self.end, "ok")

    def test_an_upload_that_breaks_off_does_not_look_whole_to_the_server(self) -> None:
        for ends in ("reset", "tunnel", "shut"):
            client, link = self.begin(limits=Limits(tunnel=10.0))
            client.sends(b"half of it")
            self.assertEqual(link.takes(), b"half of it")
            link.sends(b"go on")
            if ends == "reset":
                client.resets()
            elif ends == "tunnel":
                self.wait(11)
            else:
                self.frontends["plain"].shut()
            self.settle()
            self.assertFalse(link.ended, ends)
            self.assertEqual(type(link.lost).__name__, "ConnectionLost", ends)
            self.tearDown()

    def test_a_record_of_tls_that_is_none_is_no_end_of_what_the_client_says(self) -> None:
        for spoken in (b"", b"go on"):
            client, link = self.begin(secure=True)
            client.sends(b"half of it")
            self.assertEqual(link.takes(), b"half of it")
            link.sends(spoken)
            client.transport.transport.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # type: ignore[union-attr]
            self.settle()
            self.assertFalse(link.ended, spoken)
            self.assertEqual(type(link.lost).__name__, "ConnectionLost", spoken)
            self.assertEqual(self.end, "relay:client-gone" if spoken else "watch:client-gone")
            self.tearDown()

    def test_a_client_over_tls_that_speaks_and_leaves_before_there_is_a_link_is_heard(self) -> None:
        for closes in (True, False):
            for behaviour in ("wait", "refuse"):
                self.start(2, protocol="tcp")
                self.servers[0].behaviour = "wait"
                client = self.client(secure=True)
                client.sends(b"a line for the log")
                if closes:
                    client.closes()
                else:
                    client.transport.transport.loseConnection()  # type: ignore[union-attr]
                self.settle()
                # Twisted's transport cannot wait for an answer once its client has said close_notify.
                waits = closes and TRANSPORT == "own"
                self.assertEqual(len(self.frontends["secure"].connections), int(waits))
                self.servers[0].behaviour = "accept" if behaviour == "wait" else behaviour
                link = self.servers[0 if behaviour == "wait" else 1].link()
                self.assertEqual(link.takes(), b"a line for the log")
                self.assertTrue(link.ended)
                self.assertEqual(self.end, "watch:empty" if waits else "watch:client-gone")
                self.assertEqual(self.records.all[-1]["bytes_in"], 18)
                self.tearDown()

    def test_but_not_when_no_server_can_be_had(self) -> None:
        self.start(2, protocol="tcp")
        self.servers[0].behaviour = "wait"
        self.servers[1].behaviour = "refuse"
        client = self.client(secure=True)
        client.sends(b"a line for the log")
        client.closes()
        self.servers[0].behaviour = "refuse"
        self.wait(5.1)  # for one that comes back
        self.assertEqual(self.end, "link:refused")

    def test_a_stop_waits_for_streams_until_its_deadline(self) -> None:
        client, _ = self.begin()
        frontend = self.frontends["plain"]
        drained = frontend.drain()
        self.wait(100)
        self.assertNoResult(drained)
        frontend.shut()
        self.settle()
        self.successResultOf(drained)
        self.assertIsNotNone(client.lost)


class AnotherServer(StreamCase):
    def test_refused(self) -> None:
        self.start(protocol="tcp")
        self.servers[0].behaviour = "refuse"
        client = self.client()
        client.sends(b"hello")
        self.assertEqual(self.servers[1].link().takes(), b"hello")
        client.closes()
        self.assertEqual(self.tries()[0], ("1", "refused"))

    def test_closed_before_anything_was_said(self) -> None:
        client, link = self.begin()
        link.closes()
        second = self.servers[1].link()
        client.sends(b"hello")
        self.assertEqual(second.takes(), b"hello")
        second.sends(b"hi")
        self.assertEqual(client.takes(), b"hi")
        client.closes()
        second.closes()
        self.assertEqual(self.tries()[0], ("1", "empty"))
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "nothing-sent")

    def test_not_after_a_byte_was_written(self) -> None:
        client, link = self.begin()
        client.sends(b"x")
        link.resets()
        self.assertNotEqual(type(client.lost).__name__, "ConnectionDone")
        self.assertEqual(self.servers[1].accepted, 0)
        self.assertEqual(self.end, "watch:broken")
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "stream")

    def test_a_server_that_ends_in_good_order_without_a_byte_ends_the_client_so(self) -> None:
        client, link = self.begin()
        client.sends(b"a line for the log")
        link.closes()
        self.assertTrue(client.ended)
        self.assertIsNone(client.lost)
        client.closes()
        self.assertEqual(type(client.lost).__name__, "ConnectionDone")

    def test_with_replay_until_the_first_byte_of_the_server(self) -> None:
        client, link = self.begin(failover=Failover(replay=True))
        client.sends(b"question")
        link.resets()
        second = self.servers[1].link()
        self.assertEqual(second.takes(), b"question")
        second.sends(b"an")
        self.assertEqual(client.takes(), b"an")
        second.resets()
        self.assertIsNotNone(client.lost)
        self.assertEqual(self.servers[2].accepted, 0)
        self.assertEqual(self.end, "relay:truncated")
        self.assertEqual([t["next"] for t in self.records.all[-1]["tries"]], ["replayable", "response-begun"])

    def test_with_replay_a_half_close_is_repeated(self) -> None:
        client, link = self.begin(failover=Failover(replay=True))
        self.servers[1].stays = True
        client.sends(b"question")
        client.half_closes()
        link.resets()
        second = self.servers[1].link()
        self.assertEqual(second.takes(), b"question")
        self.assertTrue(second.ended)
        second.sends(b"answer")
        second.closes()
        self.assertEqual(client.takes(), b"answer")
        self.assertEqual(self.end, "ok")

    def test_when_nobody_can_be_reached_the_client_is_cut(self) -> None:
        self.start(protocol="tcp")
        for server in self.servers:
            server.behaviour = "refuse"
        client = self.client()
        self.wait(5.1)  # for one that comes back
        self.assertIsNotNone(client.lost)
        self.assertNotEqual(type(client.lost).__name__, "ConnectionDone")
        self.assertEqual(self.end, "link:refused")
