"""Questions and answers of DNS as bytes; the writer of what is read here is Twisted's."""

from __future__ import annotations

import contextlib
import struct
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns as theirs
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net import dns
from sslbroker.net.dns import AAAA, A, NotTheAnswer, Reply

NAME = b"shop.example"


def record(name: bytes, payload: Any, ttl: int = 60, cls: int = theirs.IN) -> Any:
    return theirs.RRHeader(name, payload.TYPE, cls, ttl, payload)


def a(address: str, name: bytes = NAME, ttl: int = 60) -> Any:
    return record(name, theirs.Record_A(address), ttl)


def aaaa(address: str, name: bytes = NAME, ttl: int = 60) -> Any:
    return record(name, theirs.Record_AAAA(address), ttl)


def cname(name: bytes, to: bytes, ttl: int = 60) -> Any:
    return record(name, theirs.Record_CNAME(to), ttl)


def answer(
    *answers: Any, number: int = 7, name: bytes = NAME, kind: int = A, cls: int = theirs.IN, **header: Any
) -> bytes:
    message = theirs.Message(number, answer=header.pop("answer", 1), **header)
    message.maxSize = 0
    message.addQuery(name, kind, cls)
    message.answers = list(answers)
    return bytes(message.toStr())


def read(data: bytes, kind: int = A) -> Reply:
    return dns.read(data, 7, NAME, kind)


class Questions(SynchronousTestCase):
    def test_a_question_is_what_others_read(self) -> None:
        message = theirs.Message()
        message.fromStr(dns.question(513, b"shop.example", AAAA))
        self.assertEqual((message.id, message.answer, message.recDes), (513, 0, 1))
        self.assertEqual(message.queries, [theirs.Query(b"shop.example", theirs.AAAA, theirs.IN)])
        self.assertEqual((message.answers, message.authority, message.additional), ([], [], []))

    def test_what_is_no_name_is_refused(self) -> None:
        for name in (b"", b".", b"a..b", b"a.", b"x" * 64, b".".join([b"x" * 63] * 4)):
            self.assertRaises(ValueError, dns.question, 1, name, A)
        dns.question(1, b".".join([b"x" * 63] * 3 + [b"x" * 61]), A)


class Answers(SynchronousTestCase):
    def test_addresses_with_the_least_time_to_live(self) -> None:
        self.assertEqual(
            read(answer(a("10.0.0.1", ttl=60), a("10.0.0.2", ttl=30))),
            Reply(0, False, ("10.0.0.1", "10.0.0.2"), 30),
        )
        found = read(answer(aaaa("2001:db8::1", ttl=5), kind=AAAA), AAAA)
        self.assertEqual(found, Reply(0, False, ("2001:db8::1",), 5))

    def test_upper_and_lower_case_are_one(self) -> None:
        found = read(answer(a("10.0.0.1", name=b"Shop.EXAMPLE"), name=b"SHOP.example"))
        self.assertEqual(found.addresses, ("10.0.0.1",))

    def test_aliases_are_followed_in_any_order(self) -> None:
        data = answer(
            a("10.0.0.1", b"c.example", 60),
            cname(b"b.example", b"c.example", 10),
            cname(NAME, b"b.example", 20),
        )
        self.assertEqual(read(data), Reply(0, False, ("10.0.0.1",), 10))

    def test_aliases_that_lead_nowhere_have_no_address(self) -> None:
        self.assertEqual(read(answer(cname(NAME, b"b.example"))).addresses, ())

    def test_aliases_have_a_bound(self) -> None:
        names = [NAME, *(b"n%d.example" % number for number in range(1, dns.MOST_ALIASES + 2))]
        chain = [cname(one, other) for one, other in pairwise(names)]
        last = a("10.0.0.1", names[-2])
        self.assertEqual(read(answer(*chain[:-1], last)).addresses, ("10.0.0.1",))
        self.assertRaises(NotTheAnswer, read, answer(*chain, a("10.0.0.1", names[-1])))

    def test_a_circle_of_aliases_ends(self) -> None:
        self.assertRaises(NotTheAnswer, read, answer(cname(NAME, b"b.example"), cname(b"b.example", NAME)))

    def test_addresses_of_other_names_types_and_classes_are_not_believed(self) -> None:
        chaos = record(NAME, theirs.Record_A("10.6.6.6"), cls=theirs.CH)
        text = record(NAME, theirs.Record_TXT(b"10.6.6.6"))
        found = read(answer(a("10.6.6.6", b"evil.example"), aaaa("2001:db8::6"), chaos, text, a("10.0.0.1")))
        self.assertEqual(found.addresses, ("10.0.0.1",))

    def test_other_sections_are_not_believed(self) -> None:
        message = theirs.Message(7, answer=1)
        message.addQuery(NAME, A)
        message.authority = [a("10.6.6.6")]
        message.additional = [a("10.6.6.6")]
        self.assertEqual(read(message.toStr()), Reply(0, False))

    def test_codes(self) -> None:
        for code in (2, 3, 5):
            self.assertEqual(read(answer(rCode=code)), Reply(code, False))

    def test_a_failure_may_come_without_the_question(self) -> None:
        self.assertEqual(read(struct.pack("!6H", 7, 0x8001, 0, 0, 0, 0)), Reply(1, False))
        for code in (0, 3):
            self.assertRaises(NotTheAnswer, read, struct.pack("!6H", 7, 0x8000 | code, 0, 0, 0, 0))

    def test_what_is_cut_is_said_to_be_cut(self) -> None:
        self.assertEqual(read(answer(a("10.0.0.1"), trunc=1)), Reply(0, True))

    def test_answers_to_other_questions_are_none(self) -> None:
        good = a("10.0.0.1")
        two = theirs.Message(7, answer=1)
        two.addQuery(NAME, A)
        two.addQuery(NAME, A)
        for what, data in {
            "number": answer(good, number=8),
            "a question": answer(good, answer=0),
            "operation": answer(good, opCode=5),
            "name": answer(good, name=b"shop.example.com"),
            "kind": answer(good, kind=AAAA),
            "class": answer(good, cls=theirs.CH),
            "two questions": two.toStr(),
        }.items():
            with self.subTest(what):
                self.assertRaises(NotTheAnswer, read, data)

    def test_a_time_to_live_with_the_highest_bit_is_none(self) -> None:
        data = answer(a("10.0.0.1", ttl=0x80000001))
        self.assertEqual(read(data).ttl, 0)


class Hostile(SynchronousTestCase):
    """Bytes are put together by hand here: nobody's writer makes these."""

    QUESTION = b"\x04shop\x07example\x00" + struct.pack("!HH", A, 1)

    def message(self, records: bytes, count: int = 1) -> bytes:
        return struct.pack("!6H", 7, 0x8180, 1, count, 0, 0) + self.QUESTION + records

    def record(self, owner: bytes, data: bytes, kind: int = A) -> bytes:
        return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data

    def test_the_hand_made_form_is_read(self) -> None:
        found = read(self.message(self.record(b"\xc0\x0c", b"\x0a\0\0\x01")))
        self.assertEqual(found, Reply(0, False, ("10.0.0.1",), 60))

    def test_what_breaks_off_anywhere_is_no_answer(self) -> None:
        whole = answer(cname(NAME, b"b.example"), a("10.0.0.1", b"b.example"))
        self.assertEqual(read(whole).addresses, ("10.0.0.1",))
        for size in range(len(whole)):
            self.assertRaises(NotTheAnswer, read, whole[:size])

    def test_an_address_has_its_size(self) -> None:
        for data in (b"", b"\x0a\0\0", b"\x0a\0\0\x01\x01"):
            self.assertRaises(NotTheAnswer, read, self.message(self.record(b"\xc0\x0c", data)))

    def test_pointers_only_go_back(self) -> None:
        here = 12 + len(self.QUESTION)
        for target in (here, here + 2, 0x3FFF):
            owner = struct.pack("!H", 0xC000 | target)
            self.assertRaises(NotTheAnswer, read, self.message(self.record(owner, b"\x0a\0\0\x01")))
        circle = b"\x01a" + struct.pack("!H", 0xC000 | here)
        self.assertRaises(NotTheAnswer, read, self.message(self.record(circle, b"\x0a\0\0\x01")))

    def test_pointers_have_a_bound(self) -> None:
        """Else one answer, full of pointers to pointers, holds everything up for half a second."""
        for count, fine in ((dns.MOST_POINTERS - 1, True), (dns.MOST_POINTERS, False)):
            blob, last = b"", 12
            for number in range(count):
                blob += struct.pack("!H", 0xC000 | last)
                last = 12 + len(self.QUESTION) + 11 + 2 * number
            owner = struct.pack("!H", 0xC000 | last)
            message = self.message(self.record(b"\0", blob, 16) + self.record(owner, b"\x0a\0\0\x01"), 2)
            if fine:
                self.assertEqual(read(message).addresses, ("10.0.0.1",))
            else:
                self.assertRaises(NotTheAnswer, read, message)

    def test_labels_of_unknown_kinds_are_refused(self) -> None:
        owner = b"\x41" + b"a" * 0x41 + b"\0"
        self.assertRaises(NotTheAnswer, read, self.message(self.record(owner, b"\x0a\0\0\x01")))

    def test_names_have_a_bound(self) -> None:
        longest = b"\x3f" + b"a" * 63
        for last, fine in ((61, True), (62, False)):
            owner = longest * 3 + bytes([last]) + b"a" * last + b"\0"
            message = self.message(self.record(owner, b"\x0a\0\0\x01"))
            if fine:
                self.assertEqual(read(message).addresses, ())
            else:
                self.assertRaises(NotTheAnswer, read, message)

    def test_records_have_a_bound(self) -> None:
        one = self.record(b"\xc0\x0c", b"\x0a\0\0\x01")
        for count in (dns.MOST_RECORDS, dns.MOST_RECORDS + 1):
            self.assertEqual(len(read(self.message(one * count, count)).addresses), dns.MOST_RECORDS)

    def test_a_dot_in_a_label_is_no_border(self) -> None:
        owner = b"\x0cshop.example\x00"
        self.assertEqual(read(self.message(self.record(owner, b"\x0a\0\0\x01"))).addresses, ())

    @given(st.binary(max_size=200), st.integers(0, 0xFFFF), st.integers(0, 300))
    def test_nothing_but_a_refusal_comes_of_nonsense(self, data: bytes, flags: int, count: int) -> None:
        header = struct.pack("!6H", 7, flags, 1, count, 0, 0)
        for message in (data, header + data, header + self.QUESTION + data):
            with contextlib.suppress(NotTheAnswer):
                self.assertIsInstance(read(message), Reply)
