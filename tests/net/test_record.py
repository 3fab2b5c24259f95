"""The record of a transaction: the fields of spec §5."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from sslbroker.settings import Group

from ..memory import BrokerCase, Peer

FIELDS = [
    *("time", "id", "client", "group", "priority", "listener", "secure", "method", "target", "status"),
    *("pool", "server", "link", "tries", "bytes_in", "bytes_out", "timings", "end"),
]


GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
GOLD = Group("gold", (ip_network("192.0.2.0/24"),), 4)


class Recorded(BrokerCase):
    def test_every_field_of_a_transaction(self) -> None:
        self.start(servers=2)
        client = self.client(secure=True)
        client.sends(b"PUT /a?b HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello")
        self.servers[0].link().resets()
        link = self.servers[1].link()
        self.wait(0.25)
        link.sends(b"HTTP/1.1 201 Yes\r\nContent-Length: 3\r\n\r\nyes")
        record = dict(self.records.all[0])
        self.assertEqual([name for name in FIELDS if name not in record], [])
        expected = {
            "client": "192.0.2.1",
            "listener": "secure",
            "secure": True,
            "method": "PUT",
            "target": "/a?b",
            "status": 201,
            "pool": "shop",
            "server": "10.0.0.2:80",
            "link": "plain",
            "bytes_in": 5,
            "bytes_out": 3,
            "end": "ok",
            "group": None,
            "priority": 1,
        }
        self.assertEqual({name: record[name] for name in expected}, expected)
        self.assertEqual(
            record["tries"],
            [
                {
                    "server": "10.0.0.1:80",
                    "outcome": "broken",
                    "milliseconds": 0.0,
                    "reused": False,
                    "detail": "reset",
                    "next": "replayable",
                },
                {"server": "10.0.0.2:80", "outcome": "ok", "milliseconds": 250.0, "reused": False},
            ],
        )
        self.assertEqual(record["timings"]["watch"], 250.0)

    def test_what_was_no_request_is_recorded_too(self) -> None:
        self.start()
        self.client().sends(b"\x16\x03\x01 what\r\n\r\n")
        record = dict(self.records.all[0])
        self.assertEqual([name for name in FIELDS if name not in record], [])
        self.assertEqual((record["status"], record["end"]), (400, "frame:bad-request"))
        self.assertIn("0x16", record["detail"])

    def test_what_was_no_request_has_the_status_that_its_protocol_gave(self) -> None:
        self.start()
        rules = self.pool.rules

        class WithoutStatus:
            def __getattr__(self, name: str) -> Any:
                return getattr(rules, name)

            def log_fields(self, request: object, response: object) -> dict[str, Any]:
                return {"answered": response is not None}

        self.pool.rules = WithoutStatus()  # type: ignore[assignment]
        self.client().sends(b"\x16\x03\x01 what\r\n\r\n")
        record = dict(self.records.all[0])
        self.assertEqual((record["status"], record["answered"]), (None, True))

    def test_it_is_recorded_even_when_there_are_no_words_for_it(self) -> None:
        self.start()
        rules = self.pool.rules

        class Speechless:
            def __getattr__(self, name: str) -> Any:
                return getattr(rules, name)

            def error_answer(self, *_: object) -> Any:
                raise LookupError("no words")

        self.pool.rules = Speechless()  # type: ignore[assignment]
        self.client().sends(b"\x16\x03\x01 what\r\n\r\n")
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        record = dict(self.records.all[0])
        self.assertEqual((record["status"], record["end"]), (None, "frame:bad-request"))


class OfGroups(BrokerCase):
    """What the client's group is promised, and whether it was kept."""

    def golden(self, secure: bool = True, threshold: str | None = None) -> Peer:
        """A client of the group."""
        self.start(servers=1, groups=(replace(GOLD, threshold=threshold),))
        return self.client(secure)

    def told(self) -> tuple[float, bool]:
        """Of the transaction that ended last."""
        record = self.records.all[-1]
        return record["threshold"], record["breach"]

    def test_a_secure_transaction_that_took_longer_is_a_breach(self) -> None:
        client = self.golden()
        for waits, breach in ((0.0, False), (0.02, False), (0.03, True), (0.0, False)):
            client.sends(GET)
            link = self.servers[0].link()
            self.wait(waits)
            link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.assertEqual(self.told(), (20.0, breach))
        (gold, others) = self.pool.figures.groups
        self.assertEqual((gold.transactions, gold.breaches, gold.client_times.count), (4, 1, 4))
        self.assertEqual(others.transactions, 0)

    def test_a_threshold_that_is_learnt_fits_what_the_server_takes(self) -> None:
        client = self.golden(threshold="auto")
        told: list[tuple[float, bool]] = []
        link: Peer | None = None
        for _ in range(40):
            client.sends(GET)
            self.settle()
            self.clock.advance(0.03)
            link = link or self.servers[0].link()
            link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.clock.advance(1.0)
            told.append(self.told())
        self.assertEqual(told[0], (20.0, True))
        self.assertEqual(told[-1], (60.0, False))
        self.assertEqual([breach for _, breach in told].index(False), 29)

    def test_a_client_that_does_not_wait_any_longer_had_no_answer_in_time(self) -> None:
        client = self.golden()
        client.sends(GET)
        self.servers[0].link()
        self.wait(0.5)
        client.resets()
        self.settle()
        self.assertEqual((self.records.all[-1]["end"], *self.told()), ("watch:client-gone", 20.0, True))

    def test_a_plain_one_is_promised_the_same_and_breaches_nothing(self) -> None:
        client = self.golden(secure=False)
        client.sends(GET)
        self.wait(0.5)
        self.servers[0].link().sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.told(), (20.0, False))
        self.assertEqual(self.pool.figures.groups[0].transactions, 0)

    def test_a_tunnel_is_not_measured(self) -> None:
        client = self.golden()
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        self.wait(0.5)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        link.closes()
        client.closes()
        self.settle()
        self.assertEqual((self.records.all[-1]["status"], *self.told()), (101, 20.0, False))
        self.assertEqual(self.pool.figures.groups[0].transactions, 0)

    def test_what_was_no_request_breaches_nothing(self) -> None:
        self.golden().sends(b"\x16\x03\x01 what\r\n\r\n")
        self.assertEqual(self.told(), (20.0, False))

    def test_where_there_are_no_groups_nothing_is_said_of_them(self) -> None:
        self.start(servers=1)
        self.client(secure=True).sends(b"\x16\x03\x01 what\r\n\r\n")
        self.assertEqual({"threshold", "breach"} & set(self.records.all[0]), set())
        self.assertEqual((self.pool.figures.groups, self.pool.members[0].figures.watches), ([], []))
