"""The record of a transaction: the fields of spec §5."""

from __future__ import annotations

from typing import Any

from ..memory import BrokerCase

FIELDS = [
    *("time", "id", "client", "group", "priority", "listener", "secure", "method", "target", "status"),
    *("pool", "server", "link", "tries", "bytes_in", "bytes_out", "timings", "end"),
]


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
