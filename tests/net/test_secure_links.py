"""Secure links through the whole broker: what a server must prove, and what happens when it does not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trustme

from sslbroker.net.tls import ListenerContexts
from sslbroker.protocols.tcp.backend import TCP
from sslbroker.settings import Failover, LinkTLS, ListenerTLS

from ..memory import BrokerCase, Peer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

#: A record of TLS that nobody encrypted: the side that gets it says so by an alert, and ends the connection.
STRANGE = b"\x17\x03\x03\x00\x20" + 32 * b"x"

FOLDER = Path(tempfile.mkdtemp())
CA, OTHER_CA = trustme.CA(), trustme.CA()
CA.cert_pem.write_to_path(FOLDER / "ca.pem")


def speaks(*names: str, ca: trustme.CA = CA, **settings: object) -> ListenerContexts:
    """How a server speaks TLS, with a certificate for these names."""
    path = FOLDER / f"{'-'.join(names)}-{id(ca)}.pem"
    ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(path)
    return ListenerContexts(ListenerTLS((path,), **settings), TCP.alpn)  # type: ignore[arg-type]


class SecureCase(BrokerCase):
    def begin(self, secure: bool = False, **settings: object) -> Peer:
        """A client of a broker whose three servers speak TLS, each with a certificate for its address."""
        settings.setdefault("tls", LinkTLS(ca=FOLDER / "ca.pem"))
        self.start(continue_secure_link=True, **settings)  # type: ignore[arg-type]
        for number, server in enumerate(self.servers, 1):
            server.contexts = speaks(f"10.0.0.{number}")
        return self.client(secure)


class Verified(SecureCase):
    def test_a_transaction(self) -> None:
        for secure in (False, True):
            client = self.begin(secure)
            client.sends(GET)
            link = self.servers[0].link()
            self.assertTrue(link.takes().startswith(b"GET / HTTP/1.1\r\n"))
            link.sends(OK)
            self.assertTrue(client.takes().endswith(b"\r\n\r\nok"))
            self.assertEqual(self.records.all[-1]["link"], "secure")
            self.tearDown()

    def test_a_link_is_used_again(self) -> None:
        client = self.begin()
        for _ in range(2):
            client.sends(GET)
            self.settle()
            if self.servers[0].links:
                link = self.servers[0].link()
            link.sends(OK)
            client.takes()
            for member in self.pool.members[1:]:
                member.bar("test")
        self.assertEqual(self.servers[0].accepted, 1)
        self.assertTrue(self.records.all[-1]["tries"][0]["reused"])

    def test_a_link_that_the_server_has_just_ended_is_not_used_again(self) -> None:
        for request in (GET, POST):
            client = self.begin(failover=Failover(reuse_for_unsafe=True))
            for member in self.pool.members[1:]:
                member.bar("test")
            client.sends(GET)
            link = self.servers[0].link()
            link.sends(OK)
            client.takes()
            # In one turn of the reactor: the server's end, and a client's next request.
            link.transport.loseConnection()  # type: ignore[union-attr]
            link.transport.transport.step()  # type: ignore[union-attr]
            client.sends(request)
            self.servers[0].link().sends(OK)
            self.assertTrue(client.takes().endswith(b"ok"))
            self.assertEqual(self.tries(), [("1", "ok")])
            self.tearDown()

    def test_a_server_that_is_somebody_else_is_a_failed_try_with_its_reason(self) -> None:
        client = self.begin()
        self.servers[0].contexts = speaks("other.test")
        client.sends(POST)  # nothing of it was sent, so even that may go on
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        first = self.records.all[-1]["tries"][0]
        self.assertEqual((first["outcome"], first["next"]), ("tls-failed", "nothing-sent"))
        self.assertIn("other.test", first["detail"])
        self.assertIn("10.0.0.1", first["detail"])
        self.assertIn("other.test", self.pool.members[0].figures.last_failure)

    def test_so_is_one_whose_certificate_nobody_knows(self) -> None:
        client = self.begin()
        self.servers[0].contexts = speaks("10.0.0.1", ca=OTHER_CA)
        client.sends(GET)
        self.servers[1].link().sends(OK)
        client.takes()
        self.assertEqual(self.tries()[0], ("1", "tls-failed"))

    def test_so_is_one_that_speaks_no_tls(self) -> None:
        client = self.begin()
        self.servers[0].contexts = None
        client.sends(GET)
        plain = self.servers[0].link()
        self.assertEqual(plain.takes()[:1], b"\x16")
        plain.sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.servers[1].link().sends(OK)
        client.takes()
        self.assertIn("HTTP/1.1 400", self.records.all[-1]["tries"][0]["detail"])

    def test_so_is_one_that_closes_or_resets_in_the_handshake(self) -> None:
        for ends in (Peer.closes, Peer.resets):
            client = self.begin()
            self.servers[0].contexts = None
            client.sends(GET)
            ends(self.servers[0].link())
            self.servers[1].link().sends(OK)
            client.takes()
            self.assertEqual(self.tries()[0], ("1", "tls-failed"))
            self.tearDown()

    def test_so_is_one_that_is_silent_in_the_handshake(self) -> None:
        client = self.begin(failover=Failover(connect_timeout=2.0))
        self.servers[0].contexts = None
        client.sends(GET)
        self.wait(1.9)
        self.assertEqual(self.servers[1].accepted, 0)
        self.wait(0.2)
        self.servers[1].link().sends(OK)
        client.takes()
        self.assertEqual(self.tries()[0], ("1", "connect-timeout"))
        self.assertIn("no TLS handshake within 2 s", self.records.all[-1]["tries"][0]["detail"])

    def test_a_client_that_leaves_meanwhile_leaves_a_link_for_others(self) -> None:
        client = self.begin()
        self.servers[0].behaviour = "wait"
        client.sends(GET)
        client.resets()
        self.servers[0].behaviour = "accept"
        self.settle()
        self.assertEqual(self.pool.members[0].figures.links_idle, 1)

    def test_a_client_certificate_that_is_refused_after_the_handshake_is_told_as_such(self) -> None:
        client = self.begin()
        self.servers[0].contexts = speaks(
            "10.0.0.1", minimum="TLSv1.3", client_ca=FOLDER / "ca.pem", client_certificate="required"
        )
        client.sends(GET)
        self.servers[0].link()
        link = self.servers[1].link()
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        attempt, _ = self.records.all[-1]["tries"]
        self.assertEqual((attempt["outcome"], attempt["next"]), ("broken", "replayable"))
        self.assertIn("server asked for a client certificate (pools.shop.tls.certificate)", attempt["detail"])

    def test_without_verification_anybody_is_believed(self) -> None:
        client = self.begin(tls=LinkTLS(verify=False))
        self.servers[0].contexts = speaks("other.test", ca=OTHER_CA)
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_when_all_fail_the_client_is_told_no_more_than_that(self) -> None:
        client = self.begin()
        for server in self.servers:
            server.contexts = speaks("secret.test")
        client.sends(GET)
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "))
        self.assertNotIn(b"secret.test", answer)
        self.assertEqual(self.end, "link:tls-failed")


class Truncated(SecureCase):
    def test_an_answer_until_close_is_whole_only_with_a_close_notify(self) -> None:
        client = self.begin()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\n\r\nabc")
        link.closes()
        self.assertTrue(client.takes().endswith(b"3\r\nabc\r\n0\r\n\r\n"))
        self.assertEqual(self.end, "ok")

    def test_a_server_that_does_not_wait_for_ours_has_said_all(self) -> None:
        for protocol in ("http", "tcp"):
            client = self.begin(protocol=protocol)
            client.sends(GET)
            link = self.servers[0].link()
            link.sends(b"HTTP/1.1 200 OK\r\n\r\nabc")
            link.transport.loseConnection()  # type: ignore[union-attr]
            link.transport.transport.loseConnection()  # type: ignore[union-attr]
            self.assertTrue(client.takes().endswith(b"abc\r\n0\r\n\r\n" if protocol == "http" else b"abc"))
            client.closes()
            self.assertEqual(self.end, "ok")
            self.tearDown()

    def test_without_one_it_is_cut_visibly(self) -> None:
        client = self.begin()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\n\r\nabc")
        link.transport.transport.loseConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertFalse(client.takes().endswith(b"0\r\n\r\n"))
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "relay:truncated")

    def test_the_alert_of_a_server_that_fails_is_no_end(self) -> None:
        for protocol in ("http", "tcp"):
            client = self.begin(protocol=protocol)
            client.sends(GET)
            link = self.servers[0].link()
            link.sends(b"HTTP/1.1 200 OK\r\n\r\nabc")
            link.transport.dataReceived(STRANGE)  # type: ignore[union-attr]  # as if it came from the broker
            self.settle()
            self.assertFalse(client.takes().endswith(b"0\r\n\r\n"))
            self.assertTrue(client.closed)
            self.assertEqual(self.end, "relay:truncated")
            (attempt,) = self.records.all[-1]["tries"]
            self.assertIn("bad record mac", attempt["detail"])
            self.tearDown()

    def test_nor_is_that_of_a_client(self) -> None:
        client = self.begin(secure=True, protocol="tcp")
        client.sends(b"abc")
        link = self.servers[0].link()
        link.sends(b"answer")
        client.transport.dataReceived(STRANGE)  # type: ignore[union-attr]  # as if it came from the broker
        self.settle()
        self.assertEqual(link.takes(), b"abc")
        self.assertEqual(self.end, "relay:client-gone")

    def test_so_is_a_stream(self) -> None:
        client = self.begin(protocol="tcp")
        client.stays = True
        link = self.servers[0].link()
        link.sends(b"abc")
        self.assertEqual(client.takes(), b"abc")
        link.transport.transport.loseConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertNotEqual(type(client.lost).__name__, "ConnectionDone")
        self.assertEqual(self.end, "relay:truncated")

    def test_a_stream_that_its_server_ends_in_good_order_is_whole(self) -> None:
        client = self.begin(protocol="tcp")
        client.stays = True
        link = self.servers[0].link()
        link.sends(b"abc")
        link.closes()
        self.assertEqual(client.takes(), b"abc")
        self.assertTrue(client.ended)
        client.closes()
        self.assertEqual(self.end, "ok")

    def test_a_slow_client_of_it_is_let_go_when_it_has_read_all(self) -> None:
        for secure in (False, True):
            client = self.begin(secure, protocol="tcp")
            client.stops_reading()
            link = self.servers[0].link()
            link.transport.write(b"x" * 100_000)  # type: ignore[union-attr]
            link.closes()
            client.reads_on()
            self.assertEqual(len(client.takes()), 100_000)
            self.assertEqual(type(client.lost).__name__, "ConnectionDone")
            self.assertEqual(self.frontends["secure" if secure else "plain"].connections, set())
            self.assertEqual(self.end, "ok")
            self.tearDown()

    def test_the_clients_end_of_a_stream_is_a_close_notify(self) -> None:
        client = self.begin(protocol="tcp")
        client.stays = True
        link = self.servers[0].link()
        client.transport.write(b"last words")  # type: ignore[union-attr]
        client.half_closes()
        self.assertEqual(link.takes(), b"last words")
        self.assertEqual(type(link.lost).__name__, "ConnectionDone")
        self.assertEqual(client.ended, True)


class Changed(SecureCase):
    def test_new_links_are_of_the_new_mode_and_no_transaction_notices(self) -> None:
        client = self.begin()
        busy = self.client()
        busy.sends(GET)
        kept = self.servers[0].link()
        client.sends(GET)
        idle = self.servers[1].link()
        idle.sends(OK)
        client.takes()
        for server in self.servers:
            server.contexts = None
        self.pool.set_link_mode(False)
        self.assertTrue(idle.closed)
        kept.sends(OK)
        self.assertTrue(busy.takes().endswith(b"ok"))
        self.assertTrue(kept.closed)
        client.sends(GET)
        self.settle()
        link = next(server for server in self.servers if server.links).link()
        self.assertTrue(link.takes().startswith(b"GET / "))
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual([record["link"] for record in self.records.all], ["secure", "secure", "plain"])

    def test_a_server_that_was_used_securely_is_not_used_plain_in_auto(self) -> None:
        client = self.begin()
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.pool.set_link_mode("auto")
        self.assertEqual(self.pool.describe()["10.0.0.1:80"]["finding"], "tls")
        self.pool.close()

    def reload(self) -> None:
        """The files of the first server's links are read anew."""
        contexts = self.pool.links[self.pool.members[0]].contexts
        assert contexts is not None
        contexts.reload()

    def test_links_from_before_a_reload_serve_no_further_transaction(self) -> None:
        client, other = self.begin(), self.client()
        for member in self.pool.members[1:]:
            member.bar("test")
        other.sends(GET)
        busy = self.servers[0].link()
        client.sends(GET)
        idle = self.servers[0].link()
        idle.sends(OK)
        client.takes()
        self.reload()
        busy.sends(OK)
        self.assertTrue(other.takes().endswith(b"ok"))
        self.assertTrue(busy.closed)
        client.sends(GET)
        fresh = self.servers[0].link()
        fresh.sends(OK)
        client.takes()
        other.sends(GET)
        fresh.sends(OK)
        self.assertTrue(other.takes().endswith(b"ok"))
        self.assertTrue(idle.closed)
        self.assertEqual(self.servers[0].accepted, 3)
        self.assertEqual({outcome for _, outcome in self.tries()}, {"ok"})

    def test_nor_does_one_whose_handshake_a_reload_overtakes(self) -> None:
        client = self.begin(limits_of_servers={"maximum_links": 1})
        self.servers[0].starts_deaf = True
        client.sends(GET)
        overtaken = self.servers[0].link()
        self.reload()
        self.servers[0].starts_deaf = False
        overtaken.reads_on()
        self.assertEqual(overtaken.takes(), b"")
        self.assertTrue(overtaken.closed)
        self.assertEqual(self.pool.members[0].figures.links, 1)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "ok")])

    def test_nor_does_it_count_beside_the_one_in_its_place(self) -> None:
        client = self.begin(servers=1, limits_of_servers={"maximum_links": 1})
        client.sends(GET)
        idle = self.servers[0].link()
        idle.sends(OK)
        client.takes()
        self.reload()
        idle.stops_reading()  # so it does not answer our end
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.pool.members[0].figures.links, 1)
        idle.reads_on()

    def test_one_server_can_be_changed(self) -> None:
        client = self.begin()
        self.servers[0].contexts = None
        self.pool.set_link_mode(False, "10.0.0.1:80")
        client.sends(GET)
        self.assertTrue(self.servers[0].link().takes().startswith(b"GET /"))
        self.assertEqual(self.pool.describe()["10.0.0.1:80"]["link"], "plain")
        self.assertEqual(self.pool.describe()["10.0.0.2:80"]["link"], "secure")

    def test_a_call_under_way_to_a_server_that_changed_is_made_anew(self) -> None:
        client = self.begin()
        self.pool.set_link_mode(False)
        self.servers[0].behaviour = "wait"
        client.sends(GET)
        self.pool.set_link_mode(True)
        self.servers[0].contexts = None
        self.servers[0].behaviour = "accept"
        plain = self.servers[0].link()
        self.assertEqual(plain.takes(), b"")  # nothing went over what must be secure now
        self.assertTrue(plain.closed)
        self.assertEqual(self.servers[0].link().takes()[:1], b"\x16")
        self.servers[0].links.clear()
        self.pool.members[0].bar("test")
        client.resets()

    def test_so_is_one_that_nobody_waits_for_any_more_but_it_is_not_kept(self) -> None:
        client = self.begin()
        self.servers[0].behaviour = "wait"
        client.sends(GET)
        client.resets()
        self.pool.set_link_mode(False)
        self.servers[0].behaviour = "accept"
        self.assertTrue(self.servers[0].link().closed)
        self.assertEqual(self.servers[0].accepted, 1)

    def test_what_is_no_mode_or_no_server_is_refused(self) -> None:
        self.begin()
        self.assertRaises(ValueError, self.pool.set_link_mode, "secure")
        self.assertRaises(KeyError, self.pool.set_link_mode, True, "10.0.0.9:80")
