"""What HTTP's rules decide, seen by clients and servers of a whole broker."""

from __future__ import annotations

import re
from ipaddress import ip_network

from sslbroker.core.networks import Networks
from sslbroker.settings import Failover, Queue, Sticky

from ...memory import BrokerCase, Peer
from .written import CERTIFICATE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: shop\r\n%b\r\n"


class Cookies(BrokerCase):
    def answered_by(self, cookie: bytes) -> tuple[int, bytes, bytes]:
        """Which server was asked with this cookie, what it saw, and the answer that the client got."""
        client = self.client()
        client.sends(GET % (b"Cookie: %b\r\n" % cookie if cookie else b""))
        for number, server in enumerate(self.servers):
            if server.links:
                link = server.link()
                link.sends(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                link.closes()
                return number, link.takes(), client.takes()
        raise AssertionError("no server was asked")

    def test_a_client_comes_back_to_its_server_which_sees_nothing_of_it(self) -> None:
        self.start(sticky=Sticky("SRV"))
        first, asked, told = self.answered_by(b"")
        found = re.search(rb"\r\nSet-Cookie: (SRV=[0-9a-f]{16}); Path=/; HttpOnly; SameSite=Lax\r\n", told)
        assert found is not None
        self.assertIn(b"\r\nCache-Control: private\r\n", told)
        for _ in range(4):
            server, asked, told = self.answered_by(b"a=1; " + found[1])
            self.assertEqual(server, first)
            self.assertIn(b"\r\nCookie: a=1\r\n", asked)
            self.assertNotIn(b"SRV=", asked)
            self.assertNotIn(b"Set-Cookie", told)

    def test_an_invented_key_brings_nobody_anywhere_and_is_replaced(self) -> None:
        self.start(sticky=Sticky("SRV"))
        servers = set()
        for _ in range(3):
            server, asked, told = self.answered_by(b"SRV=0123456789abcdef")
            servers.add(server)
            self.assertNotIn(b"Cookie", asked)
            self.assertIn(b"\r\nSet-Cookie: SRV=", told)
        self.assertEqual(servers, {0, 1, 2})

    def test_the_cookie_that_the_operator_names_decides(self) -> None:
        self.start(balance="hash", hash_cookie="user")
        chosen = {name: {self.answered_by(b"user=" + name)[0] for _ in range(3)} for name in (b"ann", b"bob")}
        self.assertEqual([len(servers) for servers in chosen.values()], [1, 1])
        self.assertGreater(len({self.answered_by(b"user=u%d" % n)[0] for n in range(20)}), 1)


class Statuses(BrokerCase):
    def test_a_host_that_the_connection_is_not_for_is_answered_with_421_and_no_server_is_asked(self) -> None:
        self.start()
        client = self.client()
        [connection] = self.frontends["plain"].connections
        connection.origin.misdirected = lambda host: host != b"shop"
        client.sends(GET.replace(b"shop", b"admin") % b"")
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n"), answer)
        self.assertEqual([server.accepted for server in self.servers], [0, 0, 0])
        client.sends(GET % b"")
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_where_nobody_tells_the_host_no_request_is_for_the_connection(self) -> None:
        self.start()
        client = self.client()
        [connection] = self.frontends["plain"].connections
        connection.origin.misdirected = lambda host: False
        self.pool.hosts = None
        client.sends(GET % b"")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 421 "))

    def test_a_servers_421_lets_even_a_post_go_on(self) -> None:
        self.start(failover=Failover(statuses=((421, 421), (500, 599))))
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi")
        self.servers[0].link().sends(b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n")
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"\r\n\r\nok"))
        self.assertEqual(self.tries(), [("1", "status"), ("2", "ok")])
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "nothing-done")

    def test_who_finds_no_place_is_told_when_to_come_again(self) -> None:
        self.start(1, limits_of_servers={"maximum_transactions": 1}, queue=Queue(length=1, timeout=5.0))
        clients = [self.client() for _ in range(3)]
        for client in clients:
            client.sends(GET % b"")
        refused = clients[2].takes()
        self.assertTrue(refused.startswith(b"HTTP/1.1 503 "), refused)
        self.assertIn(b"\r\nRetry-After: 1\r\n", refused)
        self.assertIn(b"no server is free, or can be reached, and too many requests wait for one", refused)
        self.wait(6)
        waited = clients[1].takes()
        self.assertIn(b"\r\nRetry-After: 1\r\n", waited)
        self.assertIn(b"no server was free, or could be reached, in time", waited)


class Proxies(BrokerCase):
    TEN = (ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24"))

    def start_trusting(self, **more: object) -> None:
        self.start(**more)  # type: ignore[arg-type]
        frontend = self.frontends["plain"]
        frontend._trusted = Networks(self.TEN)
        frontend._trusts = frontend._trusted.__contains__

    def test_the_log_shows_the_client_behind_several_trusted_proxies(self) -> None:
        self.start_trusting()
        client = self.client()
        client.sends(GET % b"X-Forwarded-For: 6.6.6.6, 203.0.113.5, 10.0.0.9, 10.0.0.8\r\n")
        link = self.servers[0].link()
        self.assertIn(
            b"X-Forwarded-For: 6.6.6.6, 203.0.113.5, 10.0.0.9, 10.0.0.8, 192.0.2.1\r\n", link.takes()
        )
        link.sends(OK)
        self.settle()
        self.assertEqual(self.records.all[-1]["client"], "203.0.113.5")

    def test_a_server_is_told_of_the_certificate_that_the_connection_has_shown(self) -> None:
        self.start()
        client = self.client()
        [connection] = self.frontends["plain"].connections
        connection.origin.certificate = CERTIFICATE
        client.sends(GET % b"X-Client-Subject: CN=root\r\nX_Client_Subject: CN=root\r\n")
        link = self.servers[0].link()
        asked = link.takes()
        self.assertIn(b"\r\nClient-Cert: :MIIB//4=:\r\nX-Client-Subject: CN=ann,O=Shop\r\n", asked)
        self.assertNotIn(b"root", asked)
        link.sends(OK)

    def test_tries_of_a_broker_behind_this_one_are_not_multiplied_and_reach_no_client(self) -> None:
        self.start(trusted=self.TEN)
        client = self.client()
        client.sends(GET % b"")
        failed = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nSslbroker-Tries: 3\r\n\r\n"
        self.servers[0].link().sends(failed)
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
        self.assertNotIn(b"Sslbroker-Tries", answer)
        self.assertEqual(self.tries(), [("1", "status")])

    def test_a_server_that_is_no_broker_of_ours_is_not_believed(self) -> None:
        self.start(trusted=(ip_network("192.168.0.0/16"),))
        client = self.client()
        client.sends(GET % b"")
        failed = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nSslbroker-Tries: 3\r\n\r\n"
        for server in self.servers:
            server.link().sends(failed)
        self.assertNotIn(b"Sslbroker-Tries", client.takes())
        self.assertEqual(len(self.tries()), 3)

    def test_a_trusted_broker_in_front_is_told_how_often_was_tried(self) -> None:
        self.start_trusting()
        failed = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\nSslbroker-Tries: 900\r\n\r\n"
        client = self.client()
        client.sends(GET % b"")
        for server in self.servers:
            server.link().sends(failed)
            server.behaviour = "refuse"
        answers = [client.takes()]
        client.sends(GET % b"")
        self.wait(5.0)  # for one that can be reached again
        answers.append(client.takes())
        for answer in answers:
            self.assertEqual(answer.count(b"\r\nSslbroker-Tries: 3\r\n"), 1, answer)
            self.assertEqual(answer.count(b"Sslbroker-Tries"), 1)

    def test_no_other_client_is_told(self) -> None:
        self.start()
        for server in self.servers:
            server.behaviour = "refuse"
        client = self.client()
        client.sends(GET % b"")
        self.wait(5.0)  # for one that can be reached again
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
        self.assertNotIn(b"Sslbroker-Tries", answer)


class GoingOn(BrokerCase):
    """What is remembered of heads that come again and again, when one of the responses breaks off."""

    WHOLE = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: 10\r\nDate: x\r\n\r\n0123456789'
    REST = b'HTTP/1.1 206 P\r\nETag: "v1"\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\n\r\n'

    def asked(self) -> tuple[int, Peer, bytes]:
        self.settle()
        for number, server in enumerate(self.servers):
            for link in server.links:
                request = link.takes()
                if request:
                    return number, link, request
        raise AssertionError("no server was asked")

    def test_a_continuation_is_neither_taken_for_the_request_nor_remembered_as_it(self) -> None:
        self.start(2)
        client = self.client()
        heads: list[set[bytes]] = [set(), set()]
        answers = set()
        breaks = {5, 8, 9}
        for number in range(14):
            client.sends(GET % b"Cookie: a=1\r\n")
            server, link, request = self.asked()
            heads[server].add(request)
            if number not in breaks:
                link.sends(self.WHOLE)
            else:
                link.sends(self.WHOLE[:-7])
                link.resets()
                _, link, asked = self.asked()
                self.assertIn(b'\r\nRange: bytes=0-\r\nIf-Range: "v1"\r\n', asked)
                self.assertIn(b"\r\nCookie: a=1\r\n", asked)
                link.sends(self.REST + b"0123456789")
            answers.add(client.takes())
        self.assertEqual([len(of_one) for of_one in heads], [1, 1])
        self.assertNotIn(b"Range", b"".join(heads[0] | heads[1]))
        (answer,) = answers
        self.assertIn(b"HTTP/1.1 200 OK", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n0123456789"))
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)
