"""A protocol of one's own whose answers go on at another server, as `IResumable` says."""

from __future__ import annotations

from sslbroker.protocols.examine import examine
from sslbroker.settings import Pool

from ..memory import BrokerCase, Peer
from .parts import Parts

CONTENT = bytes(range(256)) * 40


class PartsOfAnswers(BrokerCase):
    def breaks_off(self, version: bytes = b"v1", asked: bytes = b"read a") -> Peer:
        self.start(3, protocol="parts", protocols=[Parts()])
        client = self.client()
        client.sends(asked + b"\n")
        link = self.servers[0].link()
        self.assertEqual(link.takes(), asked + b"\n")
        link.sends(b"%b %d 0\n" % (version, len(CONTENT)) + CONTENT[:6000])
        self.assertTrue(client.takes().endswith(CONTENT[:6000]))
        link.resets()
        return client

    def rest(self, answer: bytes) -> None:
        link = self.servers[1].link()
        self.assertEqual(link.takes(), b"read a 1904\n")
        link.sends(answer)

    def test_it_is_whole(self) -> None:
        self.assertEqual(examine(Parts(), Pool("p", ())), [])

    def test_another_server_gives_the_rest(self) -> None:
        client = self.breaks_off()
        self.rest(b"v1 10240 1904\n" + CONTENT[1904:])
        self.assertEqual(client.takes(), CONTENT[6000:])
        self.assertEqual((self.end, self.tries()), ("ok", [("1", "truncated"), ("2", "ok")]))

    def test_a_server_that_begins_anew_serves_too(self) -> None:
        client = self.breaks_off()
        self.rest(b"v1 10240 0\n" + CONTENT)
        self.assertEqual(client.takes(), CONTENT[6000:])

    def test_another_version_is_passed_over(self) -> None:
        client = self.breaks_off()
        self.rest(b"v2 10240 1904\n" + CONTENT[1904:])
        link = self.servers[2].link()
        self.assertEqual(link.takes(), b"read a 1904\n")
        link.sends(b"v1 10240 1905\n" + CONTENT[1905:])
        self.assertEqual(client.takes(), b"")
        self.assertTrue(client.closed)
        self.assertEqual(self.tries(), [("1", "truncated"), ("2", "mismatch"), ("3", "mismatch")])
        tries = self.records.all[-1]["tries"]
        self.assertIn("another version", tries[1]["detail"])
        self.assertIn("it begins at byte 1905", tries[2]["detail"])

    def test_why_an_answer_cannot_go_on_is_told(self) -> None:
        for version, asked, why in (
            (b"-", b"read a", "the server names no version"),
            (b"v1", b"read a 0", "the client itself asked for a part"),
        ):
            client = self.breaks_off(version, asked)
            self.assertTrue(client.closed)
            (attempt,) = self.records.all[-1]["tries"]
            self.assertIn(why, attempt["detail"])
            self.tearDown()
